"""All that a client may do: the routes that let its token in, each with a request that enters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import NamedTuple
from urllib.parse import quote

from gateway.policy.claims import claim_at
from gateway.policy.denial import Denial
from gateway.policy.model import Proof, Route
from gateway.prove.beyond import by_path
from gateway.prove.circumstances import addresses
from gateway.prove.places import places
from gateway.prove.verdicts import Caller, Policy, Request, head_of, verdict


class Entry(NamedTuple):
    """A route that lets somebody in.

    Attributes:
        route: of the table.
        methods: with which.
        witness: a request that enters.
        would_deny: why the route refuses it, where it enters by the route's mode alone.
    """

    route: Route
    methods: tuple[str, ...]
    witness: Request
    would_deny: Denial | None = None


def entries(policy: Policy, payload: Mapping[str, object] | None, now: float) -> tuple[Entry, ...]:
    """What a token's claims let in, in the order of the table; None for no token.

    A token that is bound to a key is taken as proven, and a network that a route wants as the client's.

    Raises:
        TooManyKindsError: there are more kinds of path than can be tried.
    """
    found: dict[str, tuple[Route, set[str], tuple[Request, Denial | None]]] = {}
    for request, route in _won(policy):
        if route.id in found and request.method in found[route.id][1]:
            continue
        address = addresses(route.rule.networks)[-1]
        caller = Caller(payload, _proofs(payload), route.rule.token_from, address, now)
        entering = _entering(policy, _fitted(request._replace(caller=caller), route, payload), route)
        if entering is not None:
            found.setdefault(route.id, (route, set(), entering))[1].add(request.method)
    order = [route.id for route in policy.table.routes]
    listed = sorted(found.values(), key=lambda each: order.index(each[0].id))
    return tuple(Entry(route, tuple(sorted(methods)), *of) for route, methods, of in listed)


def _entering(policy: Policy, asked: Iterable[Request], route: Route) -> tuple[Request, Denial | None] | None:
    """The first request that the route lets in; else the first that its mode lets pass, and what it is refused for."""
    passed = None
    for request in asked:
        said = verdict(policy, request)
        if said.allowed and said.route == route:
            if said.would_deny is None:
                return request, None
            passed = passed or (request, said.would_deny)
    return passed


def _won(policy: Policy) -> Iterator[tuple[Request, Route]]:
    """A request of each kind, and the route that takes it."""
    for place in places(policy.table.routes):
        request = Request("", place.target, host=place.host, fields=place.fields)
        head = head_of(request)
        if isinstance(head, Denial):
            continue
        fitting = policy.table.candidates(head.path, place.host)
        for method in sorted({method for route in fitting for method in route.methods}):
            route = policy.table.match(head._replace(method=method))
            if isinstance(route, Route):
                yield request._replace(method=method), route


def _proofs(payload: Mapping[str, object] | None) -> frozenset[Proof]:
    """What the holder of a bound token can prove (RFC 9449 §6.1, RFC 8705 §3.1)."""
    bound = None if payload is None else payload.get("cnf")
    found: set[Proof] = set()
    if isinstance(bound, Mapping):
        found |= {"dpop"} if "jkt" in bound else set()
        found |= {"mtls"} if "x5t#S256" in bound else set()
    return frozenset(found)


def _fitted(request: Request, route: Route, payload: Mapping[str, object] | None) -> Iterator[Request]:
    """The request; and where the rule compares claims with the path, with the values of those claims in it."""
    yield request
    compared = sorted(by_path(route.rule)) if payload is not None else []
    for values in product(*(_texts(payload or {}, claim) for claim, _ in compared)) if compared else ():
        segments = request.target.split("/")
        for (_, at), value in zip(compared, values, strict=True):
            segments[at + 1] = quote(value, safe="!$&'()*+,=:@")
        yield request._replace(target="/".join(segments))


def _texts(payload: Mapping[str, object], claim: str) -> list[str]:
    found = claim_at(payload, claim)
    return [str(value) for value in (found if isinstance(found, list) else [found]) if isinstance(value, str | int)]
