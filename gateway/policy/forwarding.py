"""Who is the client, and what is the upstream told about the way of the request (RFC 7239, W3C Trace Context)?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import NamedTuple

from gateway.policy.circumstances import Network, within
from gateway.policy.headers import Field

PSEUDONYM = "scopegate"
"""How this gateway calls itself in Via (RFC 9110 §7.6.3)."""

_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]]*:[^\[\]]*)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5})\Z")
"""How RFC 7239 §6 writes an IPv6 address, and either with a port; some proxies write it so in X-Forwarded-For, too."""

_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})\Z")


class TrustedProxies:
    """The peers whose word about the client is taken; an IPv4 address within IPv6 counts as what it is."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._trusts = lru_cache(maxsize=4096)(partial(within, self._networks))

    def trusts(self, address: str) -> bool:
        """Whether an address is one of a trusted proxy."""
        return bool(self._networks) and self._trusts(address)

    def client_address(self, peer: str, forwarding: Iterable[Field]) -> str:
        """The client's address: X-Forwarded-For walked from the right, as far as proxies are trusted.

        What an untrusted peer says is never looked at.

        Returns:
            The address, without a port; "" where a trusted proxy tells something that is none: `unknown`, a pseudonym.
        """
        client = peer
        if not self.trusts(peer):
            return client
        for item in reversed(_values(forwarding, b"x-forwarded-for")):
            client = _address(item.decode("latin-1"))
            if not self.trusts(client):
                break
        return client


def _address(node: str) -> str:
    """The address of a node, which may bear a port; "" where it has none that is known."""
    ported = _WITH_PORT.match(node)
    address = node if ported is None else ported["v6"] or ported["v4"]
    return address if _is_address(address) else ""


def _is_address(text: str) -> bool:
    """Whether this is an address and nothing more: a zone means something on one machine only, and may be any text."""
    if "%" in text:
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def forwarding_lines(peer: str, host: str, scheme: str, version: str, kept: Sequence[Field] | None = None) -> bytes:
    """The field lines that tell the upstream how the request came here (RFC 7239, RFC 9110 §7.6.3).

    Args:
        peer: the address that connected to us.
        host: the Host field as received, "" if there was none.
        scheme: http or https.
        version: of HTTP, as received.
        kept: what a trusted peer said of the way to itself; None for any other peer, whose words count for nothing.
    """
    kept = kept or ()
    named = {name.lower() for name, _ in kept}
    before = _values(kept, b"x-forwarded-for")
    lines = [b"%b: %b" % field for field in kept if field[0].lower() != b"x-forwarded-for"]
    lines.append(b"X-Forwarded-For: " + b", ".join([*before, peer.encode()]))
    if b"x-forwarded-proto" not in named:
        lines.append(b"X-Forwarded-Proto: " + scheme.encode())
    if host and b"x-forwarded-host" not in named:
        lines.append(b"X-Forwarded-Host: " + host.encode())
    node = f'"[{peer}]"' if ":" in peer else peer
    named_host = f';host="{host}"' if host else ""
    lines.append(f"Forwarded: for={node}{named_host};proto={scheme}".encode())
    lines.append(f"Via: {version} {PSEUDONYM}".encode())
    return b"\r\n".join(lines) + b"\r\n"


def _values(fields: Iterable[Field], name: bytes) -> list[bytes]:
    """The members of a list-valued field, over all of its lines; empty ones do not count (RFC 9110 §5.6.1.2)."""
    members = (item.strip() for line, value in fields if line.lower() == name for item in value.split(b","))
    return [member for member in members if member]


class Trace(NamedTuple):
    """W3C trace context: 32 hex digits of the trace, 2 of the flags."""

    trace_id: str
    flags: str


def read_traceparent(value: bytes | None) -> Trace | None:
    """The trace that a request belongs to, or None where the field is absent or invalid (then a new trace begins)."""
    match = None if value is None else _TRACEPARENT.match(value)
    return None if match is None else Trace(match[1].decode(), match[2].decode())
