"""One host, path and set of fields of every kind that some routes tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.policy.hosts import canonical_host, names_for
from gateway.policy.model import Route
from gateway.policy.paths import CanonicalTarget, Oddity, canonical_target
from gateway.policy.routes import RouteTable
from gateway.prove.field_kinds import Fields, field_kinds
from gateway.prove.paths import paths
from gateway.prove.verdicts import HOST

_UNNAMED = (HOST, "any.invalid", "any")
_BELOW = "any"


class Place(NamedTuple):
    """Where a request goes.

    Attributes:
        host: its Host field.
        target: its path, as it is sent.
        fields: of which routes are told apart.
    """

    host: str
    target: str
    fields: Fields = ()


def places(routes: Sequence[Route]) -> Iterator[Place]:
    """One place of each kind.

    Raises:
        TooManyKindsError: there are more than can be tried.
    """
    oddities: frozenset[Oddity] = frozenset().union(*(route.allow_in_path for route in routes))
    seen = set()
    for host in _hosts({host for route in routes for host in route.hosts}):
        names = set(names_for(canonical_host(host)))
        taking = tuple(route for route in routes if not route.hosts or not names.isdisjoint(route.hosts))
        if taking not in seen:
            seen.add(taking)
            by_fields = RouteTable(taking) if any(route.fields for route in taking) else None
            for target in paths((route.path for route in taking), oddities):
                for fields in _fields(by_fields, host, target):
                    yield Place(host, target, fields)


def _fields(table: RouteTable | None, host: str, target: str) -> tuple[Fields, ...]:
    """Those of each kind; none where no route looks at any."""
    canonical = canonical_target(target)
    if table is None or not isinstance(canonical, CanonicalTarget):
        return ((),)
    return field_kinds(table.candidates(canonical.path, host))


def _hosts(named: set[str]) -> Iterator[str]:
    """One that no route names, if there is one; each that is named, and one just below each `*`."""
    unnamed = [host for host in _UNNAMED if named.isdisjoint(names_for(host))]
    yield from unnamed[:1]
    for host in sorted(named):
        yield host if not host.startswith("*") else _just_below(host[1:], named)


def _just_below(suffix: str, named: set[str]) -> str:
    """A host for which the suffix is the longest that is named."""
    labels = (_BELOW, *(f"{_BELOW}{number}" for number in range(len(named) + 1)))
    below = (f"{label}{suffix}" for label in labels)
    return next(host for host in below if host not in named)
