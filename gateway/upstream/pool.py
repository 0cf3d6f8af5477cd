"""An upstream's connections: reuse, a limit, and a queue in front of the limit."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass

from gateway.deadlines import Deadlines
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.failure import UpstreamFailure, timed_out, unreachable


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Where an upstream is, and how long it may take.

    Attributes:
        name: its key in the configuration.
        host: name or address.
        port: TCP port.
        tls: whether it is spoken to over TLS.
        connect_timeout: seconds for a connection, TLS included, and for a place in the queue.
        first_byte_timeout: seconds from the last byte sent to the first of the answer.
        idle_timeout: seconds between two parts of the answer, and of an unused connection's life.
        max_connections: at the same time.
        preserve_host: whether the client's Host goes on, in place of the upstream's own.
    """

    name: str
    host: str
    port: int
    tls: bool = False
    connect_timeout: float = 5.0
    first_byte_timeout: float = 60.0
    idle_timeout: float = 60.0
    max_connections: int = 100
    preserve_host: bool = False

    @property
    def authority(self) -> str:
        """The Host field for this upstream: without the scheme's own port (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Upstream:
    """An upstream and its pooled connections.

    Args:
        settings: where it is.
        deadlines: ends connections that take too long.
    """

    def __init__(self, settings: UpstreamSettings, deadlines: Deadlines) -> None:
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.first_byte_timeout = settings.first_byte_timeout
        self.idle_timeout = settings.idle_timeout
        self.host_line = f"Host: {settings.authority}\r\n".encode()
        self._deadlines = deadlines
        self._tls = ssl.create_default_context() if settings.tls else None
        self._idle: deque[UpstreamConnection] = deque()
        self._open: set[UpstreamConnection] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self._closed = False

    @property
    def figures(self) -> dict[str, int]:
        """How many connections are open, idle and being made, and how many requests wait for one."""
        return {
            "open": len(self._open),
            "idle": len(self._idle),
            "connecting": self._connecting,
            "waiting": len(self._waiting),
        }

    def take_idle(self) -> UpstreamConnection | None:
        """A connection that is free at once, the one used last first: the others may then grow old and go."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def connect(self, *, fresh: bool = False) -> UpstreamConnection | UpstreamFailure:
        """A connection, made anew if there is room, else the next that becomes free.

        Args:
            fresh: whether one that has served before won't do.
        """
        deadline = self.loop.time() + self.settings.connect_timeout
        while True:
            if not fresh and (idle := self.take_idle()) is not None:
                return idle
            if len(self._open) + self._connecting < self.settings.max_connections:
                return await self._make(deadline - self.loop.time())
            if fresh and self._idle:
                self._idle.popleft().close()
                continue
            waited = await self._wait(deadline - self.loop.time())
            if isinstance(waited, UpstreamFailure):
                return waited
            if waited is not None and waited.usable and not fresh:
                return waited
            if waited is not None:
                waited.close()

    async def _make(self, timeout: float) -> UpstreamConnection | UpstreamFailure:  # noqa: ASYNC109 - a share of one bound
        settings = self.settings
        self._connecting += 1
        try:
            async with asyncio.timeout(max(timeout, 0.001)):
                _, connection = await self.loop.create_connection(
                    lambda: UpstreamConnection(self),
                    settings.host,
                    settings.port,
                    ssl=self._tls,
                    server_hostname=settings.host if self._tls else None,
                )
        except TimeoutError:
            failure = timed_out(f"no connection to {settings.authority} within {settings.connect_timeout:g} s")
        except OSError as error:
            failure = unreachable(f"no connection to {settings.authority}: {error.strerror or error}")
        else:
            return connection
        finally:
            self._connecting -= 1
        self._wake_one()
        return failure

    async def _wait(self, timeout: float) -> UpstreamConnection | UpstreamFailure | None:  # noqa: ASYNC109 - likewise
        place: asyncio.Future[UpstreamConnection | None] = self.loop.create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(max(timeout, 0.001)):
                return await place
        except TimeoutError:
            if place.done() and not place.cancelled():
                return place.result()
            limit = self.settings.max_connections
            return timed_out(f"all {limit} connections to {self.settings.authority} stayed busy")
        finally:
            if place in self._waiting:
                self._waiting.remove(place)

    def _wake_one(self, connection: UpstreamConnection | None = None) -> bool:
        """Hand a connection, or the room for one, to whoever waits longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(connection)
                return True
        return False

    # What connections call

    def opened(self, connection: UpstreamConnection) -> None:
        """Enter a connection."""
        self._open.add(connection)
        self._deadlines.watch(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Remove a connection."""
        self._deadlines.forget(connection)
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake_one()

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection that may serve another request."""
        if self._closed:
            connection.close()
        elif not self._wake_one(connection):
            connection.deadline = self.loop.time() + self.idle_timeout
            self._idle.append(connection)

    def close(self) -> None:
        """Close idle connections now, the others when they become free (a reload replaces this object)."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
