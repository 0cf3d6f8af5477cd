"""Which host a request names, and which hosts a route is for.

A route names a host, or by `*.example.com` all hosts below one. Hosts are compared as names are: whatever the case, the
port and the dot at the end (RFC 9110 §4.2.3, RFC 1034 §3.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(\*\.)?{_LABEL}(?:\.{_LABEL})*\Z")
_MOST_CHARACTERS = 253
"""Of a name (RFC 1035 §2.3.4)."""


def read_host(text: str) -> str:
    """A route's host in the form that requests are compared with.

    Raises:
        ValueError: with what is wrong and what to write instead.
    """
    if text.startswith("["):
        return _bracketed(text)
    if ":" in text or "/" in text:
        raise ValueError(f"'{text}' is more than a host: write it without scheme, port and path, an IPv6 one in [ ]")
    if "*" in text and not text.startswith("*."):
        raise ValueError(f"'{text}': a '*' can only stand first, for all hosts below one: write '*.example.com'")
    if _NAME.match(text) is None or len(text.removeprefix("*.")) > _MOST_CHARACTERS:
        raise ValueError(
            f"'{text}' is no host: write a name such as api.example.com, in ASCII, without a dot at its end"
        )
    return text.lower()


def _bracketed(text: str) -> str:
    try:
        return f"[{IPv6Address(text[1:-1] if text.endswith(']') else text).compressed}]"
    except ValueError:
        raise ValueError(f"'{text}' is no IPv6 address: write one such as [::1], without a port") from None


def canonical_host(field: str) -> str:
    """The host that a Host field names, which has the form of one; "" for none."""
    if field.startswith("["):
        address = field.partition("]")[0] + "]"
        try:
            return _bracketed(address)
        except ValueError:
            return address.lower()
    return field.partition(":")[0].lower().removesuffix(".")


def names_for(host: str, longest: int = _MOST_CHARACTERS) -> Iterator[str]:
    """What a route may have written that takes this host: itself, and all hosts below a suffix.

    Args:
        host: in canonical form.
        longest: characters of the longest suffix in question, which bounds what a long host costs.
    """
    yield host
    dot = host.find(".", max(1, len(host) - longest))
    while dot > 0:
        yield f"*{host[dot:]}"
        dot = host.find(".", dot + 1)


def hosts_include(hosts: Sequence[str], others: Sequence[str]) -> bool:
    """Whether the first hosts take every request that the others take; no host at all takes any."""
    if not hosts:
        return True
    return bool(others) and all(any(_includes(host, other) for host in hosts) for other in others)


def _includes(host: str, other: str) -> bool:
    return host == other or (host.startswith("*.") and other.endswith(host[1:]))
