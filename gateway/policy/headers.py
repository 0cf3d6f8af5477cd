"""Field rules: what a field means to a proxy, and which ones go on (RFC 9110 §7.6, RFC 9112 §3.2).

Each distinct field name is classified once; a request then costs one pass over its fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from gateway.policy.denial import Denial, Reason
from gateway.policy.fields import dashed
from gateway.policy.model import Claims, RequestHead
from gateway.policy.paths import canonical_target

Field = tuple[bytes, bytes]
"""A field line: name and value as received, without the colon."""


class Kind(IntEnum):
    """What a field means to a proxy."""

    END_TO_END = 0
    DROPPED = 1
    """Hop-by-hop, or a name that only this gateway may set towards the upstream."""
    FORWARDING = 2
    """Describes the way of the request to here: kept from trusted proxies only."""
    AUTHORIZATION = 3
    CONNECTION = 4
    CONTENT_LENGTH = 5
    EXPECT = 6
    HOST = 7
    TRACEPARENT = 8
    TRACESTATE = 9
    TRANSFER_ENCODING = 10
    UPGRADE = 11
    USER_AGENT = 12
    DPOP = 13
    CLIENT_CERT = 14
    TE = 15


IDENTITY_FIELDS = (b"X-Client-Id", b"X-Token-Subject", b"X-Token-Scopes", b"X-Token-Issuer")
"""What the upstream learns of the caller: always all four, empty on a public route."""

_SPECIAL: dict[bytes, Kind] = {
    b"authorization": Kind.AUTHORIZATION,
    b"client-cert": Kind.CLIENT_CERT,
    b"connection": Kind.CONNECTION,
    b"content-length": Kind.CONTENT_LENGTH,
    b"dpop": Kind.DPOP,
    b"expect": Kind.EXPECT,
    b"forwarded": Kind.FORWARDING,
    b"host": Kind.HOST,
    b"te": Kind.TE,
    b"traceparent": Kind.TRACEPARENT,
    b"tracestate": Kind.TRACESTATE,
    b"transfer-encoding": Kind.TRANSFER_ENCODING,
    b"upgrade": Kind.UPGRADE,
    b"user-agent": Kind.USER_AGENT,
    b"via": Kind.FORWARDING,
    b"x-forwarded-for": Kind.FORWARDING,
    b"x-forwarded-host": Kind.FORWARDING,
    b"x-forwarded-proto": Kind.FORWARDING,
}
_DROPPED = frozenset(
    {
        # Hop-by-hop (RFC 9110 §7.6.1); Trailer is set anew with the trailers that go on.
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"trailer",
        # A second way to say the method or the target, which the decision would not have seen.
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-method",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
        # Claims about the caller's address or route that nobody checked.
        b"client-ip",
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-forwarded",
        b"x-forwarded-method",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-real-ip",
        # Set anew by the gateway.
        b"x-request-id",
        *(name.lower() for name in IDENTITY_FIELDS),
    }
)
_CERTIFICATE_PREFIXES = (
    b"client-cert",  # RFC 9440
    b"ssl-client",
    b"x-amzn-mtls-",
    b"x-arr-clientcert",
    b"x-client-cert",
    b"x-forwarded-client-cert",
    b"x-forwarded-tls-client-cert",
    b"x-ssl-c",  # X-SSL-Client-*, X-SSL-Cert
    b"x-tls-c",
)
"""Of names under which proxies tell of a client's certificate. The gateway sets none, so each one is a pretence."""

_RESPONSE_DROPPED = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        b"x-request-id",  # the gateway's own is sent
    }
)
_DATE = b"date"
_HTTP_1_1 = (1, 1)
_NO_BODY: tuple[int | None, bool] = (None, False)
# Members of an enumeration are looked up slowly, and these are asked for each field of each request.
_END_TO_END, _DROP, _FORWARDING = Kind.END_TO_END, Kind.DROPPED, Kind.FORWARDING
_AUTHORIZATION, _CONNECTION, _HOST_FIELD = Kind.AUTHORIZATION, Kind.CONNECTION, Kind.HOST
_USER_AGENT, _UPGRADE = Kind.USER_AGENT, Kind.UPGRADE
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
_USUAL_OPTIONS = frozenset({b"close", b"keep-alive"})
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_LENGTH_DIGITS = 18
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")


@lru_cache(maxsize=4096)
def kind_of(name: bytes) -> Kind:
    """Classify a request field's name.

    Servers map `X_Client_Id` and `X.Client.Id` to the same variable as `X-Client-Id`, some `X~Client~Id`, too. So a
    name that differs from one of ours only in such characters is dropped.
    """
    lower = name.lower()
    alike = dashed(name)
    if alike in _DROPPED or (alike.startswith(_CERTIFICATE_PREFIXES) and lower != b"client-cert"):
        return Kind.DROPPED
    kind = _SPECIAL.get(alike)
    if kind is None:
        return Kind.END_TO_END
    return kind if lower == alike else Kind.DROPPED


class ReceivedHead(NamedTuple):
    """A request head as it is judged, and what forwarding it needs.

    Attributes:
        head: what is judged.
        end_to_end: fields that go on unchanged, in order, as field lines.
        special: the values of each field that has a meaning of its own.
        content_length: of the body; None where it is chunked or absent.
        chunked: whether the body is chunked.
    """

    head: RequestHead
    end_to_end: bytes
    special: dict[Kind, list[bytes]]
    content_length: int | None
    chunked: bool

    def of(self, method: str, target: str, authorization: tuple[bytes, ...]) -> ReceivedHead | Denial:
        """The head of another request with the very same version and fields, but for Authorization."""
        canonical = canonical_target(target)
        if isinstance(canonical, Denial):
            return canonical
        path, query, oddities = canonical
        known, end_to_end, special, length, chunked = self
        head = RequestHead(
            method,
            target,
            path,
            query,
            oddities,
            known.host,
            authorization,
            known.dpop,
            known.client_cert,
            known.fields,
            known.upgrades,
            known.forwarding,
        )
        return ReceivedHead(head, end_to_end, special, length, chunked)

    def bearing(self, authorization: tuple[bytes, ...]) -> ReceivedHead:
        """The head of another request with the very same version, target and fields, but for Authorization."""
        known, end_to_end, special, length, chunked = self
        method, target, path, query, oddities, host, _, dpop, certificate, others, upgrades, forwarding = known
        head = RequestHead(
            method, target, path, query, oddities, host, authorization, dpop, certificate, others, upgrades, forwarding
        )
        return ReceivedHead(head, end_to_end, special, length, chunked)

    @property
    def user_agent(self) -> bytes | None:
        """The first User-Agent."""
        return self.first(Kind.USER_AGENT)

    def first(self, kind: Kind) -> bytes | None:
        """The first value of a special field."""
        values = self.special.get(kind)
        return values[0] if values else None


def read_head(  # noqa: C901 - one loop over all fields of each request, with no call where none is needed
    method: str, target: str, version: tuple[int, int], fields: Sequence[Field]
) -> ReceivedHead | Denial:
    """Sort a request's fields and judge its form.

    Args:
        method: as received.
        target: as received; bytes that are not UTF-8 as surrogates.
        version: HTTP major and minor.
        fields: name and value of each field line, in order.

    Returns:
        The head, or a Denial: request_malformed, target_invalid.
    """
    end_to_end: list[Field] = []
    forwarding: list[Field] = []
    hosts: list[bytes] = []
    authorization: list[bytes] = []
    special: dict[Kind, list[bytes]] = {}
    for field in fields:
        kind = kind_of(field[0])
        if kind is _END_TO_END:
            end_to_end.append(field)
        elif kind is _HOST_FIELD:
            hosts.append(field[1])
        elif kind is _AUTHORIZATION:
            authorization.append(field[1])
        elif kind is _FORWARDING:
            forwarding.append(field)
        elif kind is not _DROP:
            special.setdefault(kind, []).append(field[1])
            if kind is _USER_AGENT:
                end_to_end.append(field)
    framing = _NO_BODY if version == _HTTP_1_1 and not special else _framing(version, special)
    if isinstance(framing, Denial):
        return framing
    canonical = canonical_target(target)
    if isinstance(canonical, Denial):
        return canonical
    host = _host(version, hosts)
    if isinstance(host, Denial):
        return host
    if special and _CONNECTION in special:
        end_to_end = without_connection_named(end_to_end, special[_CONNECTION])
    path, query, oddities = canonical
    dpop, certificate = special.get(Kind.DPOP, ()), special.get(Kind.CLIENT_CERT, ())
    head = RequestHead(
        method,
        target,
        path,
        query,
        oddities,
        host,
        tuple(authorization),
        tuple(dpop),
        tuple(certificate),
        end_to_end,
        _UPGRADE in special,
        forwarding,
    )
    return ReceivedHead(head, field_lines(end_to_end), special, *framing)


def _framing(version: tuple[int, int], special: dict[Kind, list[bytes]]) -> tuple[int | None, bool] | Denial:
    """Content-Length, and whether chunked: refused where two readers could differ (RFC 9112 §6.1, §6.3)."""
    lengths = special.get(Kind.CONTENT_LENGTH, [])
    codings = special.get(Kind.TRANSFER_ENCODING, [])
    conflict: str | None = None
    if version not in {(1, 1), (1, 0)}:
        conflict = "the HTTP version is neither 1.1 nor 1.0"
    elif codings and lengths:
        conflict = "both Content-Length and Transfer-Encoding"
    elif codings and version == (1, 0):
        conflict = "Transfer-Encoding in an HTTP/1.0 request"
    elif codings and [coding.lower() for coding in codings] != [b"chunked"]:
        conflict = "a Transfer-Encoding other than chunked"
    elif lengths and (len(lengths) > 1 or _LENGTH.match(lengths[0]) is None):
        conflict = "Content-Length is not one number"
    if conflict is not None:
        return _malformed(conflict)
    return (int(lengths[0]) if lengths else None), bool(codings)


def _host(version: tuple[int, int], values: list[bytes]) -> str | Denial:
    """The Host field (RFC 9112 §3.2): one, and a host with an optional port; nothing that a URL could hide in."""
    if not values:
        return "" if version == (1, 0) else _malformed("no Host field")
    host = _read_host(values[0]) if len(values) == 1 else None
    return _malformed("Host is not one host name or address with an optional port") if host is None else host


@lru_cache(maxsize=1024)
def _read_host(value: bytes) -> str | None:
    host = value.decode("latin-1")
    return None if _HOST.match(host) is None else host


def _malformed(detail: str) -> Denial:
    return Denial(Reason.REQUEST_MALFORMED, detail)


def connection_options(values: Iterable[bytes]) -> frozenset[bytes]:
    """The options of all Connection fields, in lower case (RFC 9110 §7.6.1)."""
    return frozenset(option.strip().lower() for value in values for option in value.split(b","))


def without_connection_named(fields: list[Field], connection: Sequence[bytes]) -> list[Field]:
    """The fields without those that Connection names."""
    named = connection_options(connection) - {b"close", b"keep-alive", b""}
    return [field for field in fields if field[0].lower() not in named] if named else fields


def identity_lines(claims: Claims | None) -> bytes:
    """The identity fields towards the upstream, as field lines: all four, empty where nobody was verified."""
    if claims is None:
        return _NOBODY
    lines = (
        f"X-Client-Id: {claims.client_id}\r\nX-Token-Subject: {claims.subject}\r\n"
        f"X-Token-Scopes: {' '.join(claims.scopes)}\r\nX-Token-Issuer: {claims.issuer}\r\n"
    )
    return lines.encode("ascii")


_NOBODY = b"".join(name + b": \r\n" for name in IDENTITY_FIELDS)


def is_field_value(value: bytes) -> bool:
    """Whether bytes may stand in a field or a reason phrase: no control character but the tab (RFC 9110 §5.5)."""
    return _VALUE.match(value) is not None


@lru_cache(maxsize=256)
def read_reason(text: str) -> bytes | None:
    """A reason phrase as it goes on, None where it holds a control character."""
    reason = text.encode("utf-8", "surrogateescape")
    return reason if is_field_value(reason) else None


class ResponseHead(NamedTuple):
    """An upstream's answer, as far as its form can be relied on.

    Attributes:
        lines: the fields that go on unchanged, in order, as field lines; without those of framing.
        content_length: of the body, or None.
        dated: whether there is a Date among them; if not, one has to be added (RFC 9110 §6.6.1).
    """

    lines: bytes
    content_length: int | None
    dated: bool = False


NO_FIELDS = ResponseHead(b"", None)


def read_response(fields: Sequence[Field]) -> ResponseHead | Denial:
    """Sort an upstream's fields; it is as little trusted as a client.

    Returns:
        The head, or a Denial upstream_invalid for conflicting framing or control characters (RFC 9112 §6.3, §11.1).
    """
    lines: list[bytes] = []
    framing: dict[bytes, list[bytes]] = {}
    for field in fields:
        name = _framing_name(field[0])
        if name is None or name is _DATE:
            lines.append(b"%b: %b\r\n" % field)
        if name is not None:
            framing.setdefault(name, []).append(field[1])
    block = b"".join(lines)
    if _CONTROL.search(block) or not len(lines) == block.count(b"\r") == block.count(b"\n"):
        return Denial(Reason.UPSTREAM_INVALID, "a control character in a field of the answer")
    lengths = framing.get(b"content-length")
    if b"transfer-encoding" in framing:
        if lengths is not None or [coding.lower() for coding in framing[b"transfer-encoding"]] != [b"chunked"]:
            return Denial(Reason.UPSTREAM_INVALID, "conflicting lengths in the answer, or a coding other than chunked")
    elif lengths is not None and (len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > _LENGTH_DIGITS):
        return Denial(Reason.UPSTREAM_INVALID, "the answer's Content-Length is not one number")
    if b"connection" in framing:
        block = _without_named(block, fields, framing[b"connection"])
    return ResponseHead(block, None if lengths is None else int(lengths[0]), _DATE in framing)


def _without_named(block: bytes, fields: Sequence[Field], connection: Sequence[bytes]) -> bytes:
    """The field lines without those that Connection names, which hardly any upstream names."""
    if len(connection) == 1 and connection[0].lower() in _USUAL_OPTIONS:
        return block
    end_to_end = [field for field in fields if _framing_name(field[0]) in {None, _DATE}]
    return field_lines(without_connection_named(end_to_end, connection))


@lru_cache(maxsize=1024)
def _framing_name(name: bytes) -> bytes | None:
    """The lower-case name of a field that is this connection's own affair, or Date; None for any other that goes on."""
    lower = name.lower()
    if lower == _DATE:
        return _DATE
    return lower if lower == b"content-length" or lower in _RESPONSE_DROPPED else None


def field_lines(fields: Iterable[Field]) -> bytes:
    """Fields as they go out."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])
