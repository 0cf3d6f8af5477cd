"""The opening handshake of a WebSocket, as a proxy has to understand it (RFC 6455 §4)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

from gateway.policy.headers import Field, ReceivedHead, connection_options

ASKING = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
"""The field lines that ask for a WebSocket, and that agree to one; hop-by-hop, so set anew on each connection."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==\Z")
_HTTP_1_1 = (1, 1)


def handshake_key(received: ReceivedHead, version: tuple[int, int], fields: Sequence[Field]) -> bytes | None:
    """The `Sec-WebSocket-Key` of a request that opens a WebSocket (RFC 6455 §4.2.1).

    Args:
        received: the head as it is judged.
        version: of HTTP.
        fields: of the request, as received.

    Returns:
        16 bytes in base64; None for any other request, and for a handshake with a fault.
    """
    keys = _values(fields, b"sec-websocket-key")
    opens = (
        received.head.method == "GET"
        and version == _HTTP_1_1
        and not (received.chunked or received.content_length)
        and _switches_to_websocket(fields)
        and _values(fields, b"sec-websocket-version") == [b"13"]
        and len(keys) == 1
        and _KEY.match(keys[0]) is not None
    )
    return keys[0] if opens else None


def agrees(fields: Sequence[Field], key: bytes) -> bool:
    """Whether the fields of a 101 answer agree to the handshake with that key (RFC 6455 §4.1)."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return _switches_to_websocket(fields) and _values(fields, b"sec-websocket-accept") == [base64.b64encode(digest)]


def _switches_to_websocket(fields: Sequence[Field]) -> bool:
    """WebSocket and nothing else: no list of protocols of which the other side may choose (RFC 9110 §7.8)."""
    upgrades = [value.lower() for value in _values(fields, b"upgrade")]
    return upgrades == [b"websocket"] and b"upgrade" in connection_options(_values(fields, b"connection"))


def _values(fields: Sequence[Field], name: bytes) -> list[bytes]:
    return [value.strip(b" \t") for each, value in fields if each.lower() == name]
