"""What follows a WebSocket handshake: bytes in both directions, which nobody here reads.

Each connection gives its transport away to an end of the tunnel, so that an ordinary request never meets any of this.
A side that reads slowly holds the other one back; a side that has sent all may still receive.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from gateway.deadlines import NEVER
from gateway.downstream.connection import ClientConnection
from gateway.rules import Judgement
from gateway.upstream.connection import UpstreamConnection

log = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
"""Longest silence of a side once the other one has sent all, and longest wait for a side to take its last bytes.

A shorter idle timeout bounds both.
"""


class Tunnelled(Protocol):
    """Whose tunnel it is.

    Attributes:
        request_id: names it in the gateway's own log.
        bytes_in: from the client.
        bytes_out: to the client.
    """

    request_id: str
    bytes_in: int
    bytes_out: int

    def on_tunnel_end(self, *, aborted: bool) -> None:
        """The client's side has ended.

        Args:
            aborted: whether a connection broke, or bytes were lost at the end.
        """
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """How long a tunnel may last.

    Attributes:
        idle: seconds without a byte in either direction.
        token: seconds until the token expires; infinite where that ends nothing.
    """

    idle: float
    token: float = NEVER


def span_of(judgement: Judgement, now: float) -> Span | None:
    """How long the tunnel of a request may last, None where its route takes none."""
    _, route, token, *_ = judgement
    if route is None or route.websocket is None:
        return None
    if token is None or not route.websocket.end_at_expiry:
        return Span(route.websocket.idle_timeout)
    return Span(route.websocket.idle_timeout, token.claims.expires_at + token.leeway - now)


class End(asyncio.Protocol):
    """One side of a tunnel, the receiver of its connection's transport.

    Attributes:
        transport: that was given away.
        finished: whether this side has sent all.
        gone: whether its connection is lost.
        blocked: whether this side takes no more for now.
    """

    other: End

    def __init__(self, tunnel: Tunnel, connection: ClientConnection | UpstreamConnection) -> None:
        self._tunnel = tunnel
        self._connection = connection
        self.blocked = not connection.writable
        self.finished = False
        self.gone = False
        self.transport = connection.hand_over(self)

    def data_received(self, data: bytes) -> None:
        """This side has sent something."""
        self._tunnel.carry(self, data)

    def eof_received(self) -> bool:
        """This side has sent all; returns whether it may still receive. TLS knows no such state."""
        self.finished = True
        halves = self.transport.can_write_eof() and self.other.transport.can_write_eof()
        if self.other.finished or self.other.transport.is_closing() or not halves:
            self._tunnel.close("closed by its sides")
            return False
        self.other.transport.write_eof()
        self._tunnel.touch()
        return True

    def pause_writing(self) -> None:
        """This side takes no more for now."""
        self.blocked = True
        self.other.adjust()

    def resume_writing(self) -> None:
        """This side has taken what was written."""
        self.blocked = False
        self._tunnel.touch()
        self.other.adjust()

    def adjust(self) -> None:
        """Read from this side as long as the other one takes it."""
        if self.other.blocked:
            self.transport.pause_reading()
        elif not self.finished:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """This side's connection is gone, and with it its place among its kind."""
        self.gone = True
        self._connection.exchange = None
        self._connection.connection_lost(exc)
        self._tunnel.lost(self, exc)


class Tunnel:
    """Two connections that have switched protocols.

    Args:
        owner: whose tunnel it is.
        client: its connection.
        upstream: the other connection; it never serves another request.
        span: how long it may last.
        agreement: the head of the answer that the client waits for.
        behind: what the upstream has sent behind its own.

    Attributes:
        deadline: see `Deadlines`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - both sides, and what each of them has to be told
        self,
        owner: Tunnelled,
        client: ClientConnection,
        upstream: UpstreamConnection,
        span: Span,
        agreement: bytes,
        behind: bytes,
    ) -> None:
        self._owner = owner
        self._deadlines = client.deadlines
        self._now = asyncio.get_running_loop().time
        self._span = span
        self._token_ends_at = self._now() + span.token
        self._last_wait = min(span.idle, CLOSE_SECONDS)
        self._closing = False
        self._aborted = False
        self._client, self._upstream = client_end, upstream_end = End(self, client), End(self, upstream)
        client_end.other, upstream_end.other = upstream_end, client_end
        client_end.transport.write(agreement)
        for end, data in ((upstream_end, behind), (client_end, client.early_data())):
            self.carry(end, data)
        for end in (client_end, upstream_end):
            end.adjust()
        self._deadlines.watch(self)

    def carry(self, end: End, data: bytes) -> None:
        """Pass on what one end has sent."""
        if end is self._client:
            self._owner.bytes_in += len(data)
        else:
            self._owner.bytes_out += len(data)
        if data and not end.other.transport.is_closing():
            end.other.transport.write(data)
        self.touch()

    def touch(self) -> None:
        """Something moves: the time of idleness begins anew."""
        if not self._closing:
            half_closed = self._client.finished or self._upstream.finished
            idle = self._last_wait if half_closed else self._span.idle
            self.deadline = min(self._now() + idle, self._token_ends_at)

    def expire(self) -> None:
        """Its time is up, or that for its last bytes."""
        if self._closing:
            for end in (self._client, self._upstream):
                self._aborted = self._aborted or end.transport.get_write_buffer_size() > 0
                end.transport.abort()
        else:
            self.close("the token has expired" if self._now() >= self._token_ends_at else "idle for too long")

    def close(self, why: str) -> None:
        """Read no more from either side; what was read goes out first."""
        if self._closing:
            return
        self._closing = True
        log.info("the WebSocket of request %s ends: %s", self._owner.request_id, why)
        self.deadline = self._now() + self._last_wait
        for end in (self._client, self._upstream):
            end.transport.close()

    def lost(self, end: End, error: Exception | None) -> None:
        """One side is gone: the other one follows. To the owner it is over when the client's side is."""
        unanswered = self._closing and isinstance(error, TimeoutError)  # the end of TLS, which matters to nobody
        self._aborted = self._aborted or (error is not None and not unanswered)
        if end is self._client:
            self._owner.on_tunnel_end(aborted=self._aborted)
        if end.other.gone:
            self._deadlines.forget(self)
        else:
            self.close("a side is gone")
