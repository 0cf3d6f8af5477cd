"""The request, read as the gateway reads it: its own connection on its own parser, over no network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp.http_parser import RawRequestMessage

from gateway.deadlines import Deadlines
from gateway.downstream.connection import ClientConnection
from gateway.downstream.listener import Listener
from gateway.downstream.parties import ClientLimits
from gateway.parsing import PARSED_AT_ONCE
from gateway.policy.denial import Denial, Reason
from gateway.policy.headers import ReceivedHead, read_head
from gateway.policy.model import Scheme


@dataclass(frozen=True, slots=True)
class Request:
    """A request head as its sender writes it. Nothing in it holds a line break.

    Attributes:
        method: case-sensitive.
        target: path and query; bytes that are not UTF-8 as surrogates.
        fields: name and value of each field line but Authorization.
        token: the access token, None for none; never shown.
        scheme: that it comes under; by default DPoP where there is a DPoP field, else Bearer.
        peer: the address that the connection comes from, "" for one that is no trusted proxy.
        client_certificate: SHA-256 of the certificate that the client shows (DER), None for none.
    """

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    token: bytes | None = None
    scheme: Scheme | None = None
    peer: str = ""
    client_certificate: bytes | None = None

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.target!r})"

    @property
    def wire(self) -> bytes:
        """The head as it is sent (RFC 9112 §2.1)."""
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.fields)]
        encoded = [line.encode("utf-8", "surrogateescape") for line in lines]
        if self.token is not None:
            proven = any(name.strip().lower() == "dpop" for name, _ in self.fields)
            scheme = self.scheme or ("DPoP" if proven else "Bearer")
            encoded.append(f"Authorization: {scheme} ".encode() + self.token)
        return b"\r\n".join([*encoded, b"", b""])


class _Nowhere(asyncio.Transport):
    """A connection to nobody."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nothing is open."""

    def pause_reading(self) -> None:
        """Nothing comes."""

    def resume_reading(self) -> None:
        """Nothing comes."""

    def is_closing(self) -> bool:
        """It never opened."""
        return False

    def can_write_eof(self) -> bool:
        """Nobody would notice."""
        return False


class _Reader:
    """Stands where the proxy stands; keeps the first head, or why there is none."""

    def __init__(self) -> None:
        self.read: ReceivedHead | Denial = Denial(Reason.REQUEST_MALFORMED, "the request head is not complete")

    def receive(self, connection: ClientConnection, message: RawRequestMessage) -> None:
        """Sort the head's fields and judge its form."""
        del connection
        self.read = read_head(message.method, message.path, message.version, message.raw_headers)

    def reject(self, connection: ClientConnection, denial: Denial) -> None:
        """What was sent is no request head."""
        del connection
        self.read = denial


async def read_request(wire: bytes, limits: ClientLimits) -> ReceivedHead | Denial:
    """Read one request head; a coroutine only because a connection needs the running loop."""
    deadlines = Deadlines(asyncio.get_running_loop())
    reader = _Reader()
    connection = ClientConnection(reader, Listener(reader, limits, 1, deadlines))
    connection.connection_made(_Nowhere())
    for at in range(0, len(wire), PARSED_AT_ONCE):  # more at once would wait for turns, which nobody gives here
        connection.data_received(wire[at : at + PARSED_AT_ONCE])
    connection.connection_lost(None)
    deadlines.close()
    return reader.read
