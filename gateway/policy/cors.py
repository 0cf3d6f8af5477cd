"""Which pages of other origins may call a route, and read its answers (Fetch standard, the CORS protocol).

A browser keeps an answer from the page that asked, unless the answer says that pages of its origin may read it. Before
it sends what an HTML form could not, it asks whether it may: that is the preflight. None of this keeps anybody out who
uses no browser: who enters is decided by the rule, as ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.policy.hosts import read_host

Field = tuple[bytes, bytes]

ANY = "*"
"""In the place of an origin: any."""

_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(\[[^\]]*\]|[^:/?#@\\\[\]]+)(?::([0-9]{1,9}))?(.*)\Z", re.DOTALL)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535
_SAID_OF_PAGES = re.compile(rb"^access-control-[^\r\n]*\r\n", re.IGNORECASE | re.MULTILINE)
_VARY = b"Vary: Origin\r\n"
_VARY_OF_PREFLIGHTS = b"Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"


@dataclass(frozen=True, slots=True)
class Cors:
    """What pages of other origins may do on a route.

    Attributes:
        origins: whose pages, as browsers write them; ANY alone for every origin.
        headers: names of the fields that they may send beside those that every page may.
        expose: names of the answer's fields that they may read beside those that every page may.
        credentials: whether they may have the browser add cookies, and still read the answer.
        max_age: seconds for which a browser need not ask again.
    """

    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = 600

    @property
    def is_open(self) -> bool:
        """Whether the pages of every origin may."""
        return self.origins == (ANY,)

    def allowed(self, origin: str) -> list[Field]:
        """The fields that tell pages of an origin that they may; none where they may not.

        Origins are compared character by character: a browser writes each one in one way only.
        """
        if not self.is_open and origin not in self.origins:
            return []
        fields = [(b"Access-Control-Allow-Origin", (ANY if self.is_open else origin).encode("latin-1"))]
        return [*fields, (b"Access-Control-Allow-Credentials", b"true")] if self.credentials else fields


def origin_of(fields: Iterable[Field]) -> str | None:
    """The origin of the page that sends a request; None where none is told, or not just one."""
    return _only(fields, b"origin")


def asked_method(method: str, fields: Sequence[Field]) -> str | None:
    """The method that a preflight asks about (Fetch, CORS-preflight request); None for any other request."""
    if method != "OPTIONS" or origin_of(fields) is None:
        return None
    return _only(fields, b"access-control-request-method")


def asked_headers(fields: Iterable[Field]) -> tuple[str, ...]:
    """The names of the fields that a preflight asks about, in lower case."""
    values = [value for name, value in fields if name.lower() == b"access-control-request-headers"]
    names = [name.strip(b" \t").lower() for value in values for name in value.split(b",")]
    return tuple(name.decode("latin-1") for name in names if name)


def _only(fields: Iterable[Field], name: bytes) -> str | None:
    values = [value for each, value in fields if each.lower() == name]
    return values[0].strip(b" \t").decode("latin-1") if len(values) == 1 else None


def told(cors: Cors, method: str, fields: Sequence[Field]) -> bytes:
    """What an answer of a route says to pages, as field lines.

    A preflight is told what it may by the fields of its grant, and nothing by any other answer.

    Args:
        cors: of the route.
        method: of the request.
        fields: of the request, those that go on.
    """
    if asked_method(method, fields) is not None:
        return _VARY_OF_PREFLIGHTS
    allowed = cors.allowed(ANY if cors.is_open else origin_of(fields) or "")
    if allowed and cors.expose:
        allowed.append((b"Access-Control-Expose-Headers", ", ".join(cors.expose).encode()))
    # One answer for all needs no Vary, and caches keep it once.
    return b"".join(b"%b: %b\r\n" % field for field in allowed) + (b"" if cors.is_open else _VARY)


def without_cors(lines: bytes) -> bytes:
    """An upstream's field lines without what they say to pages: on a route with `cors` that is the gateway's to say."""
    return _SAID_OF_PAGES.sub(b"", lines)


def read_origin(text: str) -> str:
    """An origin in the one way in which browsers write it (RFC 6454 §6.2), or ANY.

    Raises:
        ValueError: with what is wrong and what to write instead.
    """
    if text == ANY:
        return text
    if text == "null":
        raise ValueError("'null' is what anybody's sandboxed pages and local files send: remove it")
    found = _ORIGIN.match(text)
    if found is None:
        raise ValueError(f"'{text}' is no origin: write scheme and host, such as https://app.example")
    scheme, host, port, more = found[1].lower(), found[2], found[3], found[4]
    if "*" in text:
        raise ValueError(f"'{text}': a '*' stands alone, for pages of every origin: write each one instead")
    if more:
        raise ValueError(f"'{text}' is more than an origin: write '{text.removesuffix(more)}'")
    if port is not None and not 0 < int(port) <= _LAST_PORT:
        raise ValueError(f"port {port} does not exist: write one of 1 to {_LAST_PORT}, or none")
    named = port is not None and int(port) != _DEFAULT_PORTS.get(scheme)
    written = f"{scheme}://{read_host(host)}" + (f":{int(port)}" if named else "")
    if written != text:
        raise ValueError(f"no browser writes '{text}': write '{written}'")
    return text
