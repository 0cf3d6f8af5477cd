"""Where an OpenAPI file and the route table have drifted apart.

Operations without a route are asked of the compiled table, by a path that each of them has. Routes without an operation
are found by what their templates have in common with those of operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.config import ConfigError
from gateway.openapi.document import Spec
from gateway.openapi.operations import Operation
from gateway.openapi.templates import sample_path, template_of
from gateway.policy.model import Route
from gateway.policy.routes import METHODS, Literal, Rest, RouteTable, Segment, Variable, parse_template

_COMES_ALONG = frozenset({"HEAD", "OPTIONS"})
"""Methods that OpenAPI files seldom describe, and that do no more than the others (RFC 9110 §9.3.2, §9.3.7)."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What is on one side only.

    Attributes:
        operations: that no route takes, each with its place in the OpenAPI file.
        routes: ids of those that take a request of no operation, each with the methods in question.
    """

    operations: tuple[tuple[Operation, ConfigError], ...]
    routes: tuple[tuple[str, tuple[str, ...]], ...]

    def __bool__(self) -> bool:
        return bool(self.operations or self.routes)


def drift(spec: Spec, operations: Iterable[Operation], routes: Iterable[Route]) -> Drift:
    """Compare operations with the routes that should take them."""
    each, taking = tuple(one for one in operations if one.method in METHODS), tuple(routes)
    table = RouteTable(taking)
    missing = [one for one in each if not _has_route(one, table)]
    templates = [(one, segments) for one in each if (segments := _template(one)) is not None]
    superfluous = [(route.id, tuple(_unasked(route, templates))) for route in taking if not route.rule.deny]
    return Drift(
        operations=tuple((one, spec.error(one.at, f"{one}: no route takes it")) for one in missing),
        routes=tuple((name, methods) for name, methods in superfluous if methods),
    )


def _has_route(operation: Operation, table: RouteTable) -> bool:
    path = sample_path(operation)
    return path is not None and any(operation.method in route.methods for route in table.candidates(path))


def _template(operation: Operation) -> tuple[Segment, ...] | None:
    try:
        return parse_template(template_of(operation))
    except ValueError:
        return None


def _unasked(route: Route, operations: Iterable[tuple[Operation, tuple[Segment, ...]]]) -> Iterator[str]:
    """The route's methods that no operation has on any path that the route takes."""
    segments = parse_template(route.path)
    asked = {operation.method for operation, template in operations if _meet(segments, template)}
    for method in sorted(route.methods):
        if method not in asked and not (asked and method in _COMES_ALONG):
            yield method


def _meet(one: tuple[Segment, ...], other: tuple[Segment, ...]) -> bool:
    """Whether some path fits both templates."""
    for mine, theirs in zip(one, other, strict=False):
        if isinstance(mine, Rest) or isinstance(theirs, Rest):
            return True
        if not _segments_meet(mine, theirs):
            return False
    return len(one) == len(other)


def _segments_meet(mine: Literal | Variable, theirs: Literal | Variable) -> bool:
    if isinstance(mine, Literal) and isinstance(theirs, Literal):
        return mine.text == theirs.text
    if isinstance(mine, Literal):
        return bool(mine.text) and _fits(theirs, mine.text)
    if isinstance(theirs, Literal):
        return bool(theirs.text) and _fits(mine, theirs.text)
    return mine.pattern is None or theirs.pattern is None or mine.pattern.common(theirs.pattern) is not None


def _fits(segment: Literal | Variable, text: str) -> bool:
    return isinstance(segment, Literal) or segment.pattern is None or segment.pattern.fits(text)
