"""Ways past a route that is told apart by fields: to leave a field out, or to send another value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.policy.fields import fields_include
from gateway.policy.model import Route
from gateway.prove.callers import callers
from gateway.prove.field_kinds import field_kinds
from gateway.prove.verdicts import Policy, Request, path_of, verdict


class WayPast(NamedTuple):
    """A caller whom a route refuses, and who enters otherwise.

    Attributes:
        guard: the route.
        guarded: the request that it refuses.
        witness: the same with other fields, which enters.
        is_one_way: whether whoever enters by the guard does so otherwise, too.
    """

    guard: Route
    guarded: Request
    witness: Request
    is_one_way: bool


def guards(route: Route, candidates: Sequence[Route], method: str) -> tuple[Route, ...]:
    """The routes above one that take some of its requests by their fields, and demand something else.

    Of a route that names those fields itself, if only as absent, it is plain what it takes. And a route that denies is
    there to keep fields out, and nothing else.

    Args:
        route: the lower one.
        candidates: all whose host and path fit, in the table's order.
        method: of the requests.
    """
    above = candidates[: candidates.index(route)]
    apart = [each for each in above if each.fields and method in each.methods and not each.rule.deny]
    return tuple(each for each in apart if each.rule != route.rule and fields_include(route.fields, each.fields))


def way_past(policy: Policy, request: Request, route: Route, guarding: Sequence[Route]) -> WayPast | None:
    """How one without a token gets past a guard; or with one past any of them, if the route demands less than each.

    Versions of an API that demand something else of each other are no way past.

    Args:
        policy: all routes.
        request: that the route takes.
        route: the lower one.
        guarding: those above, as `guards` tells.
    """
    asked = [(guard, _guarded(policy, request, guard)) for guard in guarding]
    ways = [_way(policy, request, route, guard, guarded) for guard, guarded in asked if guarded is not None]
    without_token = (way for way in ways if way is not None and way.witness.caller.payload is None)
    if (way := next(without_token, None)) is not None:
        return way
    return ways[0] if ways and all(way is not None and way.is_one_way for way in ways) else None


def _way(policy: Policy, request: Request, route: Route, guard: Route, guarded: Request) -> WayPast | None:
    """The first caller that the guard refuses and the route lets in."""
    differing = list(_differing(policy, request, guarded, (route, guard)))
    entering = [asked for asked, enters in differing if enters]
    if not entering:
        return None
    first = entering[0]
    return WayPast(guard, guarded._replace(caller=first.caller), first, len(entering) == len(differing))


def _differing(
    policy: Policy, request: Request, guarded: Request, routes: tuple[Route, Route]
) -> Iterator[tuple[Request, bool]]:
    """The request by each caller to whom the two ways make a difference, and whether it enters."""
    for caller in callers((route.rule for route in routes), policy.issuers, path_of(request)):
        asked = request._replace(caller=caller)
        enters = verdict(policy, asked).allowed
        if enters != verdict(policy, guarded._replace(caller=caller)).allowed:
            yield asked, enters


def _guarded(policy: Policy, request: Request, guard: Route) -> Request | None:
    """The request with fields by which the guard takes it; None where routes above it take all of them."""
    kinds = field_kinds(policy.table.candidates(path_of(request), request.host))
    asked = (request._replace(fields=fields) for fields in kinds)
    return next((each for each in asked if verdict(policy, each).route is guard), None)
