"""The route table: which route is this request for?

First match wins, as in the file. The table is compiled into a tree of path segments, so that its size hardly matters:
a lookup walks the request's own segments, not the routes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from gateway.policy.denial import Denial, Reason
from gateway.policy.fields import FieldSelector, spelling
from gateway.policy.hosts import canonical_host, names_for
from gateway.policy.model import RequestHead, Route
from gateway.policy.paths import CanonicalTarget, canonical_target
from gateway.policy.pattern_sets import Memory, PatternSet
from gateway.policy.patterns import TYPES, Pattern, compiled

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""What a route without `methods` takes. CONNECT makes a tunnel and TRACE echoes credentials: never forwarded."""

MOST_SELECTORS = 1_024
"""Groups of routes that a table remembers how to tell apart by fields."""

_VARIABLE = re.compile(r"\{([a-z_][a-z0-9_]*)(?:(\.\.\.)|:(.*))?\}\Z")
_TYPE_NAME = re.compile(r"[A-Za-z]*\Z")
_LITERAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-F]{2})+\Z")


class Literal(NamedTuple):
    """A segment that must be equal, in the canonical form that requests are matched in."""

    text: str


class Variable(NamedTuple):
    """`{x}`: exactly one segment that is not empty; `{x:int}` and `{x:[a-z]+}`: one that the pattern fits."""

    name: str
    pattern: Pattern | None = None


class Rest(NamedTuple):
    """`{x...}`: all that remains, possibly nothing, after the slash before it."""

    name: str


Segment = Literal | Variable | Rest


def parse_template(text: str) -> tuple[Segment, ...]:
    """Read a path template such as `/jobs/{job}/files/{path...}`.

    Raises:
        ValueError: with what is wrong and what to write instead.
    """
    if not text.startswith("/"):
        raise ValueError(f"a path begins with '/': write '/{text}'")
    parts = text[1:].split("/")
    segments = tuple(_segment(part, last=index == len(parts) - 1) for index, part in enumerate(parts))
    names = [segment.name for segment in segments if not isinstance(segment, Literal)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the variable {{{name}}} stands twice: give each its own name")
    return segments


def _segment(part: str, *, last: bool) -> Segment:
    if part == "":
        if not last:
            raise ValueError("an empty segment ('//'): remove one slash")
        return Literal("")
    if (variable := _VARIABLE.match(part)) is not None:
        return _variable(part, variable, last=last)
    if "{" in part or "}" in part:
        forms = "'{name}', '{name:int}', '{name:[a-z]+}' or '{name...}'"
        raise ValueError(f"'{part}': a variable is a whole segment, {forms}, its name of a-z, 0-9 and _")
    if part in {".", ".."}:
        raise ValueError(f"'{part}' is a dot segment, which no request can carry: write the path that it stands for")
    if _LITERAL.match(part) is None:
        raise ValueError(f"'{part}' holds a character that must be written as an escape such as %20")
    canonical = canonical_target(f"/{part}")
    if isinstance(canonical, CanonicalTarget):
        return Literal(canonical.path[1:])
    raise ValueError(f"'{part}' can stand in no request's path: {canonical.detail}")


def _variable(part: str, found: re.Match[str], *, last: bool) -> Variable | Rest:
    name, rest, expression = found.groups()
    if rest is not None:
        if not last:
            raise ValueError(f"'{part}' takes the rest of the path, so it can only stand last")
        return Rest(name)
    if expression is None:
        return Variable(name)
    if _TYPE_NAME.match(expression) is not None and expression not in TYPES:
        types = ", ".join(TYPES)
        raise ValueError(f"'{part}': '{expression}' is no type: write one of {types}, or an expression such as [a-z]+")
    return Variable(name, compiled(expression))


class _Leaf(NamedTuple):
    order: int
    route: Route


_ORDER = itemgetter(0)


class _Leaves:
    """The routes that end at one place of the tree: all of them, and the first in file order for each method."""

    __slots__ = ("all", "by_method")

    def __init__(self) -> None:
        self.all: list[_Leaf] = []
        self.by_method: dict[str, _Leaf] = {}

    def add(self, leaf: _Leaf) -> None:
        self.all.append(leaf)
        for method in leaf.route.methods:
            self.by_method.setdefault(method, leaf)


class _Node:
    """A place in the tree: where literal segments lead, where `{x}` leads, what ends here, what takes the rest.

    `first` is the lowest position in the file of any route at or below: a branch that cannot win is not walked.
    """

    __slots__ = ("ends", "first", "literals", "rests", "variable")

    def __init__(self, first: int) -> None:
        self.first = first
        self.literals: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.ends = _Leaves()
        self.rests = _Leaves()

    def child(self, segment: Literal | Variable, order: int) -> _Node:
        if isinstance(segment, Literal):
            return self.literals.setdefault(segment.text, self._new(order))
        if self.variable is None:
            self.variable = self._new(order)
        return self.variable

    def _new(self, first: int) -> _Node:
        return _Node(first)

    def first_fitting(self, segments: list[str], at: int, method: str, best: _Leaf | None) -> _Leaf | None:
        """The leaf below this node that fits and stands first in the file, if it stands before `best`."""
        if at == len(segments):
            return _earlier(self.ends.by_method.get(method), best)
        best = _earlier(self.rests.by_method.get(method), best)
        segment = segments[at]
        literal = self.literals.get(segment)
        if literal is not None and (best is None or literal.first < best.order):
            best = literal.first_fitting(segments, at + 1, method, best)
        variable = self.variable
        if variable is not None and segment and (best is None or variable.first < best.order):
            best = variable.first_fitting(segments, at + 1, method, best)
        return best

    def gather(self, segments: list[str], at: int, found: list[_Leaf]) -> None:
        """Add every leaf below this node whose path fits."""
        if at == len(segments):
            found += self.ends.all
            return
        if self.rests.all:
            found += self.rests.all
        if (literal := self.literals.get(segments[at])) is not None:
            literal.gather(segments, at + 1, found)
        if self.variable is not None and segments[at]:
            self.variable.gather(segments, at + 1, found)


class _TypedNode(_Node):
    """A place in the tree of a table with typed variables: where they lead, too. Other tables do without the detour."""

    __slots__ = ("memory", "patterns", "typed")

    def __init__(self, first: int, memory: Memory) -> None:
        super().__init__(first)
        self.memory = memory
        self.patterns: PatternSet | None = None
        self.typed: list[_Node] = []

    def child(self, segment: Literal | Variable, order: int) -> _Node:
        if isinstance(segment, Literal) or segment.pattern is None:
            return super().child(segment, order)
        self.patterns = self.patterns or PatternSet(self.memory)
        number = self.patterns.number(segment.pattern)
        if number == len(self.typed):
            self.typed.append(self._new(order))
        return self.typed[number]

    def _new(self, first: int) -> _Node:
        return _TypedNode(first, self.memory)

    def first_fitting(self, segments: list[str], at: int, method: str, best: _Leaf | None) -> _Leaf | None:
        """As above; the patterns were numbered in the file's order."""
        best = super().first_fitting(segments, at, method, best)
        if self.patterns is None or at == len(segments) or (best is not None and best.order < self.typed[0].first):
            return best
        for number in self.patterns.fitting(segments[at]):
            node = self.typed[number]
            if best is not None and best.order < node.first:
                break
            best = node.first_fitting(segments, at + 1, method, best)
        return best

    def gather(self, segments: list[str], at: int, found: list[_Leaf]) -> None:
        """As above."""
        super().gather(segments, at, found)
        if self.patterns is not None and at < len(segments):
            for number in self.patterns.fitting(segments[at]):
                self.typed[number].gather(segments, at + 1, found)


def _earlier(leaf: _Leaf | None, best: _Leaf | None) -> _Leaf | None:
    if leaf is None or (best is not None and best.order < leaf.order):
        return best
    return leaf


def _add(node: _Node, template: tuple[Segment, ...], leaf: _Leaf) -> None:
    for segment in template:
        if isinstance(segment, Rest):
            node.rests.add(leaf)
            return
        node = node.child(segment, leaf.order)
    node.ends.add(leaf)


class RouteTable:
    """All routes of a configuration, compiled.

    Attributes:
        routes: in the file's order.
        takes_preflights: whether one of them says something of the pages of other origins.
        looked_at: the fields by which routes are told apart, as `fields.spelling` gives them.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        templates = [parse_template(route.path) for route in self.routes]
        typed = any(isinstance(segment, Variable) and segment.pattern for each in templates for segment in each)
        node = partial(_TypedNode, memory=Memory()) if typed else _Node
        self._root = node(0)
        self._by_host: dict[str, _Node] = {}
        for order, (route, template) in enumerate(zip(self.routes, templates, strict=True)):
            roots = [self._by_host.setdefault(host, node(order)) for host in route.hosts] or [self._root]
            for root in roots:
                _add(root, template, _Leaf(order, route))
        self._longest_host = max(map(len, self._by_host), default=0)
        self._selectors: dict[tuple[int, ...], FieldSelector] = {}
        self.looked_at = frozenset(spelling(each.name) for route in self.routes for each in route.fields)
        self.takes_preflights = any(route.cors is not None for route in self.routes)

    def match(self, head: RequestHead) -> Route | Denial:
        """The first route in file order whose host, path, method and fields fit.

        Returns:
            The route, or a Denial: no_route, method_not_allowed (with the methods that the path takes),
            request_malformed where a field can be read in two ways that routes are told apart by, or target_invalid
            where the path has a form that this route does not allow.
        """
        segments = head.path.split("/")
        leaf = self._root.first_fitting(segments, 1, head.method, None)
        if self._by_host:
            for root in self._roots_of(head.host):
                if leaf is None or root.first < leaf.order:
                    leaf = root.first_fitting(segments, 1, head.method, leaf)
        if leaf is None:
            return self._unmatched(head)
        route = leaf.route
        if route.fields:
            found = self._by_fields(head)
            if isinstance(found, Denial):
                return found
            route = found
        if head.oddities and not head.oddities <= route.allow_in_path:
            odd = ", ".join(sorted(head.oddities - route.allow_in_path))
            return Denial(Reason.TARGET_INVALID, f"route {route.id} does not allow {odd} in its path")
        return route

    def _by_fields(self, head: RequestHead) -> Route | Denial:
        """The first of the routes that take this host, path and method whose fields fit, too."""
        method, orders, routes = head.method, [], self.routes
        for order, _ in self._leaves(head.path, self._roots_at(head.host)):
            if method in routes[order].methods:
                orders.append(order)
        first = self._selector(tuple(orders)).first(head.fields)
        if isinstance(first, Denial):
            return first
        if first is not None:
            return routes[orders[first]]
        names = ", ".join(dict.fromkeys(each.name for order in orders for each in routes[order].fields))
        return Denial(Reason.NO_ROUTE, f"no route takes this path with these fields: {names}")

    def candidates(self, path: str, host: str | None = None) -> tuple[Route, ...]:
        """Every route whose path fits, whatever its methods and fields, in file order.

        Args:
            path: in canonical form.
            host: a Host field, which has to fit, too; None for any host.
        """
        roots = (self._root, *self._by_host.values()) if host is None else self._roots_at(host)
        return tuple([route for _, route in self._leaves(path, roots)])

    @staticmethod
    def _leaves(path: str, roots: Sequence[_Node]) -> list[_Leaf]:
        """Every leaf of these trees whose path fits, each once, in file order."""
        segments, found = path.split("/"), list[_Leaf]()
        for root in roots:
            root.gather(segments, 1, found)
        found.sort(key=_ORDER)
        # A route that names several hosts is in the tree of each.
        once = len(roots) == 1
        return found if once else [leaf for at, leaf in enumerate(found) if not at or leaf.order != found[at - 1].order]

    def _roots_at(self, host: str) -> list[_Node]:
        """The trees of the routes that take the host of a Host field."""
        return [self._root, *self._roots_of(host)] if self._by_host else [self._root]

    def _selector(self, orders: tuple[int, ...]) -> FieldSelector:
        """What chooses among some routes by their fields; kept, since requests for one path meet the same ones."""
        known = self._selectors.get(orders)
        if known is None:
            if len(self._selectors) >= MOST_SELECTORS:
                self._selectors.clear()
            known = self._selectors[orders] = FieldSelector([self.routes[order].fields for order in orders])
        return known

    def _roots_of(self, host: str) -> Iterator[_Node]:
        """The trees of the routes that name the host of a Host field."""
        for name in names_for(canonical_host(host), self._longest_host):
            if (root := self._by_host.get(name)) is not None:
                yield root

    def _unmatched(self, head: RequestHead) -> Denial:
        if head.oddities:
            return Denial(Reason.TARGET_INVALID, f"the path holds {', '.join(sorted(head.oddities))}")
        methods = sorted({method for route in self.candidates(head.path, head.host) for method in route.methods})
        if methods:
            detail = f"the path takes {', '.join(methods)}, not {head.method}"
            return Denial(Reason.METHOD_NOT_ALLOWED, detail, allow=tuple(methods))
        elsewhere = bool(self._by_host) and bool(self.candidates(head.path))
        return Denial(Reason.NO_ROUTE, "no route's path fits" + " at this host" * elsewhere)
