"""Preflights: a browser asks whether a page may send what it wants to (Fetch standard, the CORS protocol).

The gateway answers them itself, without a token, where the route that the page wants to reach says `cors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.policy.cors import Cors, Field, asked_headers, asked_method, origin_of
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.model import RequestHead, Route
from gateway.policy.paths import Oddity
from gateway.policy.printable import brief
from gateway.policy.routes import METHODS, RouteTable

ORIGIN, HEADERS = "preflight origin", "preflight headers"
"""The checks of a preflight."""

_ORIGIN_HINT = "Ask the API's owner whether pages of this origin may call it."


@dataclass(frozen=True, slots=True)
class Granted:
    """A page may send what its preflight asks about.

    Attributes:
        fields: that tell the browser so.
    """

    fields: tuple[Field, ...]


class Preflight(NamedTuple):
    """A preflight that the gateway answers.

    Attributes:
        method: that it asks about.
        route: that the page wants to reach.
        outcome: whether it may send its request there.
    """

    method: str
    route: Route
    outcome: Granted | Denial


def preflight(head: RequestHead, table: RouteTable) -> Preflight | None:
    """What the gateway answers to a preflight; None for any other request, and where the route says nothing of pages.

    Args:
        head: of any request.
        table: the routes.
    """
    method = asked_method(head.method, head.fields)
    if method is None:
        return None
    fitting = table.candidates(head.path, head.host)
    said = said_of_pages(method, fitting, head.oddities)
    return None if said is None else Preflight(method, said[0], _judge(head, said[1], fitting))


def said_of_pages(method: str, fitting: Sequence[Route], oddities: frozenset[Oddity]) -> tuple[Route, Cors] | None:
    """The route that takes requests with a method, and what it says of pages; None where it says nothing.

    A preflight tells the names of the request's fields, not their values. So where routes are told apart by fields,
    all that could take the request have to say the same.

    Args:
        method: of the requests.
        fitting: the routes whose host and path fit, in file order.
        oddities: of the path.
    """
    cors: Cors | None = None
    first: Route | None = None
    for route in could_take(method, fitting):
        if route.cors is None or not oddities <= route.allow_in_path or (first is not None and route.cors != cors):
            return None
        if first is None:
            first, cors = route, route.cors
    return None if first is None or cors is None else (first, cors)


def could_take(method: str, fitting: Iterable[Route]) -> Iterator[Route]:
    """The routes of which one takes a request with a method, depending on its fields; `fitting` as above."""
    for route in fitting:
        if method in route.methods and not (route.fields and route.rule.deny):
            yield route
            if not route.fields:
                return


def _judge(head: RequestHead, cors: Cors, fitting: Sequence[Route]) -> Granted | Denial:
    origin = origin_of(head.fields) or ""
    allowed = cors.allowed(origin)
    if not allowed:
        return replace(unmet(Reason.ORIGIN_UNTRUSTED, ORIGIN, " or ".join(cors.origins), origin), hint=_ORIGIN_HINT)
    known = {name.lower() for name in cors.headers}
    unknown = [name for name in asked_headers(head.fields) if name not in known]
    if unknown:
        denial = unmet(Reason.ORIGIN_UNTRUSTED, HEADERS, ", ".join(cors.headers) or "none", ", ".join(unknown))
        return replace(denial, hint=f"Ask the API's owner whether pages may send the field {brief(unknown[0])}.")
    return Granted((*allowed, *_terms(cors, fitting, head.oddities)))


def _terms(cors: Cors, fitting: Sequence[Route], oddities: frozenset[Oddity]) -> list[Field]:
    """A browser remembers them for all methods that they name, so these are the ones on whose route the same holds."""
    said = {method: said_of_pages(method, fitting, oddities) for method in METHODS}
    methods = [method for method, found in said.items() if found is not None and found[1] == cors]
    fields = [(b"Access-Control-Allow-Methods", ", ".join(methods).encode())]
    if cors.headers:
        fields.append((b"Access-Control-Allow-Headers", ", ".join(cors.headers).encode()))
    return [*fields, (b"Access-Control-Max-Age", b"%d" % cors.max_age)]
