"""All client connections of one listener."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from gateway.deadlines import Deadlines
from gateway.downstream.connection import ClientConnection, ClientLimits, ClientService

BACKLOG = 1024

SETTLE_SECONDS = 0.02
"""What the loop has accepted already reaches us within this time after the listening socket was closed."""


class Listener:
    """Accepts client connections and knows those that are open.

    Args:
        service: answers the requests.
        limits: of one connection.
        max_connections: more are closed as they come.
        deadlines: ends those that stall.
    """

    def __init__(
        self, service: ClientService, limits: ClientLimits, max_connections: int, deadlines: Deadlines
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.deadlines = deadlines
        self.limits = limits
        self._service = service
        self._max_connections = max_connections
        self._open: set[ClientConnection] = set()
        self._all_closed = asyncio.Event()
        self._all_closed.set()
        self._server: asyncio.Server | None = None
        self._retiring = False

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which matters where 0 was asked for.

        Raises:
            OSError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = await self.loop.create_server(self._connection, host, port, family=family, backlog=BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def start_on(self, listening: socket.socket) -> int:
        """Accept from a socket that listens already and is ours from now on; returns its port."""
        self._server = await self.loop.create_server(self._connection, sock=listening, backlog=BACKLOG)
        return int(listening.getsockname()[1])

    def _connection(self) -> ClientConnection:
        return ClientConnection(self._service, self)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def opened(self, connection: ClientConnection) -> bool:
        """Enter a connection; False where there are too many."""
        if len(self._open) >= self._max_connections:
            return False
        connection.retiring = self._retiring
        self._open.add(connection)
        self._all_closed.clear()
        self.deadlines.watch(connection)
        return True

    def closed(self, connection: ClientConnection) -> None:
        """Remove a connection."""
        self.deadlines.forget(connection)
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()

    async def retire(self, patience: float) -> None:
        """Accept no more; clients learn from the answer to their next request that the connection ends.

        A kept connection that is closed while its client sends a request loses that request, and this avoids it.

        Args:
            patience: seconds for that next request to come.
        """
        self._retiring = True
        for connection in self._open:
            connection.retiring = True
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(SETTLE_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_closed.wait(), patience)

    def close_idle(self) -> None:
        """Take no further request on any connection: those without one are closed now."""
        for connection in list(self._open):
            connection.drain()

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - a bound on politeness, after which it acts
        """Accept no more, let requests in flight finish, then close; returns how many had to be cut off."""
        if self._server is not None:
            self._server.close()
        self.close_idle()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_closed.wait(), timeout)
        cut_off = len(self._open)
        for connection in list(self._open):
            connection.expire()
        return cut_off
