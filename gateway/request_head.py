"""The request head towards an upstream: what was judged, who calls, and how the request came here."""

from __future__ import annotations

from typing import Protocol

from gateway.downstream.connection import ClientConnection
from gateway.policy.claim_fields import claim_lines, spellings, without_spelled
from gateway.policy.fields import spelling
from gateway.policy.forwarding import forwarding_lines
from gateway.policy.headers import Kind, ReceivedHead, field_lines, identity_lines
from gateway.policy.model import RequestHead, Route
from gateway.policy.routes import RouteTable
from gateway.policy.token_from import only_token, without_token
from gateway.policy.trailers import announcement
from gateway.rules import Judgement, Rules
from gateway.tokens.verifier import VerifiedToken
from gateway.upstream.pool import Upstream

_NOBODY = identity_lines(None)


class Forwarded(Protocol):
    """A request that was let in.

    Attributes:
        client: the connection that it came by.
        rules: under which it was judged.
        received: its head as it was judged.
        authorization: the gateway's own credentials, in place of the caller's.
        judgement: with the route that it takes.
        upstream: where it goes.
        request_id: 32 hexadecimal digits.
        trace_id: likewise.
        trace_flags: two of them, of a trace that the client began; None where it began none.
        usual_version: whether it came by HTTP/1.1.
        takes_trailers: whether the client takes trailers.
    """

    client: ClientConnection
    rules: Rules
    received: ReceivedHead | None
    authorization: bytes | None
    judgement: Judgement
    upstream: Upstream | None
    request_id: str
    trace_id: str
    trace_flags: str | None

    @property
    def usual_version(self) -> bool: ...  # noqa: D102 - see above

    @property
    def takes_trailers(self) -> bool: ...  # noqa: D102 - see above


def request_head(request: Forwarded, host_line: bytes, upgrade: bytes) -> bytes:
    """Request line and fields as they go out.

    Args:
        request: to be forwarded.
        host_line: the Host field, unless the client's own is kept.
        upgrade: field lines that ask for another protocol.
    """
    received, judgement, upstream = request.received, request.judgement, request.upstream
    if received is None or judgement.route is None or upstream is None:
        raise RuntimeError("a request is forwarded only after it was allowed")
    head, route = received.head, judgement.route
    target, fields = head.target, received.end_to_end
    if route.alters_head:
        target, fields = _altered(head, route, judgement.token)
    preserve_host = upstream.settings.preserve_host and head.host
    return b"%b %b HTTP/1.1\r\n%b%b%b%b%b%b%b\r\n" % (
        head.method.encode(),
        target.encode("ascii"),
        f"Host: {head.host}\r\n".encode() if preserve_host else host_line,
        _NOBODY if judgement.token is None else judgement.token.identity,
        fields,
        _forwarding(request, received),
        _trace(request, received),
        _special_lines(request, received, route),
        upgrade,
    )


def _altered(head: RequestHead, route: Route, token: VerifiedToken | None) -> tuple[str, bytes]:
    """The target and the end-to-end fields, where the route has them go on otherwise than they came."""
    fields, own = head.fields, b""
    place = route.rule.token_from
    if place is not None:
        fields = only_token(fields, place) if route.forward_token else without_token(fields, place)
    if route.claim_fields:
        fields = without_spelled(fields, spellings(route.claim_fields))
        own = claim_lines(route.claim_fields, () if token is None else token.claims.told)
    _, target = route.destination(head.target)
    if route.rewrite is not None:
        own += route.rewrite.field_line
    return target, field_lines(fields) + own


def never_trailing(route: Route, table: RouteTable) -> frozenset[str]:
    """Fields that an upstream could take from a trailer for what was judged, or set here; as `spelling` gives them."""
    place = route.rule.token_from
    token = () if place is None or place.kind == "cookie" else (spelling(place.name),)
    return spellings(route.claim_fields).union(table.looked_at, token)


def _special_lines(request: Forwarded, received: ReceivedHead, route: Route) -> bytes:
    """Framing, expectation, what is taken in return, and the token, as far as they go on."""
    lines = b""
    if received.chunked:
        lines = b"Transfer-Encoding: chunked\r\n" + announcement(request.client.announced)
    elif received.content_length is not None:
        lines = b"Content-Length: %d\r\n" % received.content_length
    special = received.special
    if special:
        if Kind.EXPECT in special:
            lines += b"Expect: 100-continue\r\n"
        if route.rule.public:
            # Nobody judged the proof here, so it is for whoever is behind: an issuer's token endpoint, say.
            lines += b"".join(b"DPoP: %b\r\n" % value for value in received.head.dpop)
        if Kind.TE in special and request.takes_trailers:
            lines += b"TE: trailers\r\nConnection: TE\r\n"
    if request.authorization is not None:
        lines += b"Authorization: %b\r\n" % request.authorization
    elif route.forward_token and received.head.authorization:
        lines += b"Authorization: %b\r\n" % received.head.authorization[0]
    return lines


def _forwarding(request: Forwarded, received: ReceivedHead) -> bytes:
    """How the request came here: the same for all requests of a connection, unless a trusted proxy says more."""
    client, host = request.client, received.head.host
    if request.rules.trusted_proxies.trusts(client.peer):
        return forwarding_lines(client.peer, host, client.scheme, _version(request), received.head.forwarding)
    known = client.forwarding
    if known is None or known[0] != host:
        lines = forwarding_lines(client.peer, host, client.scheme, _version(request))
        client.forwarding = known = (host, lines)
    return known[1]


def _version(request: Forwarded) -> str:
    return "1.1" if request.usual_version else "1.0"


def _trace(request: Forwarded, received: ReceivedHead) -> bytes:
    """Request id and trace context; an invalid traceparent begins a new trace, and drops its state."""
    request_id, flags, state = request.request_id, "00", b""
    if request.trace_flags is not None:
        flags = request.trace_flags
        state = b"".join(b"tracestate: %b\r\n" % value for value in received.special.get(Kind.TRACESTATE, ()))
    lines = f"X-Request-Id: {request_id}\r\ntraceparent: 00-{request.trace_id}-{request_id[:16]}-{flags}\r\n"
    return lines.encode() + state
