"""Which routes can never match, because earlier ones take all that they would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.policy.fields import FieldCondition, fields_include, fit
from gateway.policy.hosts import hosts_include, names_for
from gateway.policy.patterns import Pattern, compiled
from gateway.policy.routes import METHODS, Literal, Segment, Variable

_ANY = "{}"
_REST = "{...}"
_Step = str | Pattern
"""A segment without a variable's name; no literal holds a brace."""
_SOME = "any"
_CLASS = r"\w~!$&'()*+,=:@-"
_NO_DOT_SEGMENT = compiled(rf"(\.?[{_CLASS}]|\.\.[.{_CLASS}])[.{_CLASS}]*")


class Reach(NamedTuple):
    """What one route takes.

    Attributes:
        name: of the route.
        segments: of its path.
        methods: that it takes.
        hosts: that it is for; none for any.
        fields: what fields of the request have to be.
    """

    name: str
    segments: tuple[Segment, ...]
    methods: frozenset[str]
    hosts: tuple[str, ...] = ()
    fields: tuple[FieldCondition, ...] = ()

    def takes_all_of(self, other: Reach) -> bool:
        """Whether it takes every host and field that another route takes."""
        return hosts_include(self.hosts, other.hosts) and fields_include(self.fields, other.fields)


class Witness(NamedTuple):
    """A request that a route would take, as it is sent; of `fields` each name and value."""

    method: str
    path: str
    host: str
    fields: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        at = f" at {self.host}" if self.host else ""
        fields = f" ({', '.join(f'{name}: {value}' for name, value in self.fields)})" if self.fields else ""
        return f"{self.method} {self.path}{at}{fields}"

    def is_taken_by(self, reach: Reach) -> bool:
        """Whether a route takes it whose template fits its path."""
        hosts = (self.host,) if self.host else ()
        fields = {name.lower(): value for name, value in self.fields}
        return self.method in reach.methods and hosts_include(reach.hosts, hosts) and fit(reach.fields, fields)


def witness(reach: Reach) -> Witness | None:
    """A request that a route would take if it stood alone; None where no request can carry such a path."""
    texts = [text for segment in reach.segments if (text := _text(segment)) is not None]
    if len(texts) < len(reach.segments):
        return None
    host = next(iter(reach.hosts), "")
    at = f"{_SOME}{host[1:]}" if host.startswith("*") else host
    fields = tuple((each.name, next(iter(each.one_of), _SOME)) for each in reach.fields if each.present)
    method = next((method for method in METHODS if method in reach.methods), min(reach.methods))
    return Witness(method, f"/{'/'.join(texts)}", at, fields)


def _text(segment: Segment) -> str | None:
    """A text that a segment takes; None where it takes nothing but dot segments."""
    if isinstance(segment, Literal):
        return segment.text
    if isinstance(segment, Variable):
        return _SOME if segment.pattern is None else segment.pattern.common(_NO_DOT_SEGMENT)
    return ""


class _Place:
    """One place in the tree of the templates so far: who ends here, and what follows; behind patterns, too."""

    __slots__ = ("ends", "next", "typed")

    def __init__(self) -> None:
        self.ends: dict[str, list[tuple[int, Reach]]] = {}
        self.next: dict[str, _Place] = {}
        self.typed: dict[Pattern, _Place] = {}

    def add(self, at: int, reach: Reach) -> None:
        """A route that ends here, under each of its hosts."""
        for host in reach.hosts or ("",):
            self.ends.setdefault(host, []).append((at, reach))

    def ending(self, host: str) -> Iterator[tuple[int, Reach]]:
        """The routes that end here and may take all of a host; "" for all hosts."""
        for name in dict.fromkeys(("", *names_for(host, len(host)))):
            yield from self.ends.get(name, ())

    def child(self, step: _Step) -> _Place:
        if isinstance(step, Pattern):
            return self.typed.setdefault(step, _Place())
        return self.next.setdefault(step, _Place())


class Reaches:
    """What the routes so far take: their templates, in a tree of segments, with the methods of each."""

    def __init__(self) -> None:
        self._root = _Place()
        self._count = 0

    def add(self, reach: Reach) -> None:
        """Take up one route."""
        place = self._root
        for segment in reach.segments:
            place = place.child(_step(segment))
        place.add(self._count, reach)
        self._count += 1

    def covering(self, reach: Reach) -> tuple[str, ...]:
        """Names of the routes that together take every path and method of this one; empty if something is left."""
        left, names = set(reach.methods), []
        for _, earlier in _covering(self._root, reach.segments, next(iter(reach.hosts), "")):
            if left & earlier.methods and earlier.takes_all_of(reach):
                names.append(earlier.name)
                left -= earlier.methods
        return () if left else tuple(names)

    def first_taking(self, asked: Witness) -> str:
        """Name of the route that takes a request which some route takes."""
        segments = tuple(map(Literal, asked.path.split("/")[1:]))
        return min(
            (at, each.name) for at, each in _covering(self._root, segments, asked.host) if asked.is_taken_by(each)
        )[1]


def _step(segment: Segment) -> _Step:
    if isinstance(segment, Literal):
        return segment.text
    if isinstance(segment, Variable):
        return segment.pattern or _ANY
    return _REST


def _covering(place: _Place, segments: tuple[Segment, ...], host: str) -> Iterator[tuple[int, Reach]]:
    """The routes whose template fits every path that these segments fit, each with its place in the order.

    Left out are those whose hosts do not take this one, so that routes for many hosts do not look at each other.
    """
    if not segments:
        yield from place.ending(host)
        return
    first, later = _step(segments[0]), segments[1:]
    if _REST in place.next:
        yield from place.next[_REST].ending(host)
    if first == _REST:
        return
    for below in _steps_over(place, first):
        yield from _covering(below, later, host)


def _steps_over(place: _Place, step: _Step) -> Iterator[_Place]:
    """Where the steps lead that take every segment that this one takes."""
    if isinstance(step, str) and step != _ANY and step in place.next:
        yield place.next[step]
    if step != "" and _ANY in place.next:
        yield place.next[_ANY]
    for pattern, below in place.typed.items() if step != _ANY else ():
        if pattern.includes(step) if isinstance(step, Pattern) else pattern.fits(step):
            yield below
