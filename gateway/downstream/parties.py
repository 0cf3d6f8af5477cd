"""Whom a client's connection deals with: its exchange, what answers, and what knows all connections."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiohttp.http_parser import RawRequestMessage

from gateway.deadlines import Deadlines
from gateway.policy.denial import Denial

if TYPE_CHECKING:
    from gateway.downstream.connection import ClientConnection


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client connection may use.

    Attributes:
        head_bytes: of a request head, line and fields together.
        head_timeout: seconds from the first byte of a head to its last.
        body_timeout: seconds in which less than BODY_PROGRESS bytes of a body come.
        body_idle_timeout: seconds without a byte of the body, or without the client taking a byte of the answer.
        keep_alive_timeout: seconds without a request.
    """

    head_bytes: int = 32 * 1024
    head_timeout: float = 10.0
    body_idle_timeout: float = 60.0
    body_timeout: float = 600.0
    keep_alive_timeout: float = 75.0


class ClientExchange(Protocol):
    """One request and its answer, as the connection sees it."""

    def on_body(self, data: bytes) -> None:
        """Some of the request's body has come."""
        ...

    def on_body_end(self, trailers: bytes) -> None:
        """The request's body is complete; the trailers that go on, as field lines."""
        ...

    def on_client_gone(self, denial: Denial | None) -> None:
        """The client left or stalled, or (with a denial) broke the framing of its body."""
        ...

    def on_client_blocked(self) -> None:
        """The client takes no more of the answer for now."""
        ...

    def on_client_ready(self) -> None:
        """The client takes more again."""
        ...


class ClientService(Protocol):
    """What answers requests. It sets `connection.exchange` unless it has finished the answer when it returns."""

    def receive(self, connection: ClientConnection, message: RawRequestMessage) -> None:
        """Take a request head."""
        ...

    def reject(self, connection: ClientConnection, denial: Denial) -> None:
        """Answer what is no request head."""
        ...


class Registry(Protocol):
    """What knows all connections of a listener."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    limits: ClientLimits

    def opened(self, connection: ClientConnection) -> bool:
        """Enter a connection; False where there are too many."""
        ...

    def closed(self, connection: ClientConnection) -> None:
        """Remove a connection."""
        ...
