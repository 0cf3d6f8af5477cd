"""Which routes can never match, because earlier ones take all that they would."""

from collections.abc import Iterator

from gateway.policy.routes import Literal, Segment, Variable

_ANY = "{}"
_REST = "{...}"


class _Place:
    """One place in the tree of the templates so far: who ends here, and what follows."""

    __slots__ = ("ends", "next")

    def __init__(self) -> None:
        self.ends: list[tuple[str, frozenset[str]]] = []
        self.next: dict[str, _Place] = {}


class Reaches:
    """What the routes so far take: their templates, in a tree of segments, with the methods of each."""

    def __init__(self) -> None:
        self._root = _Place()

    def add(self, segments: tuple[Segment, ...], methods: frozenset[str], name: str) -> None:
        """Take up one route."""
        place = self._root
        for segment in segments:
            place = place.next.setdefault(_step(segment), _Place())
        place.ends.append((name, methods))

    def covering(self, segments: tuple[Segment, ...], methods: frozenset[str]) -> tuple[str, ...]:
        """Names of the routes that together take every path and method of this one; empty if something is left."""
        left, names = set(methods), []
        for name, taken in _covering(self._root, segments):
            if left & taken:
                names.append(name)
                left -= taken
        return () if left else tuple(names)


def _step(segment: Segment) -> str:
    """A segment without a variable's name; no literal holds a brace."""
    if isinstance(segment, Literal):
        return segment.text
    return _ANY if isinstance(segment, Variable) else _REST


def _covering(place: _Place, segments: tuple[Segment, ...]) -> Iterator[tuple[str, frozenset[str]]]:
    """The routes whose template fits every path that these segments fit."""
    if not segments:
        yield from place.ends
        return
    first, later = _step(segments[0]), segments[1:]
    if _REST in place.next:
        yield from place.next[_REST].ends
    steps = {first} if first == "" else {first, _ANY}
    for step in steps if first != _REST else ():
        if step in place.next:
            yield from _covering(place.next[step], later)
