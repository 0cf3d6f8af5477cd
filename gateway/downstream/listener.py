"""All client connections of one listener."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from gateway.deadlines import Deadlines
from gateway.downstream.acceptor import TlsAcceptor
from gateway.downstream.certificate import ServerTls
from gateway.downstream.connection import ClientConnection
from gateway.downstream.parties import ClientLimits, ClientService

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
        tls: what clients are met with; None for plain HTTP.
    """

    def __init__(
        self,
        service: ClientService,
        limits: ClientLimits,
        max_connections: int,
        deadlines: Deadlines,
        tls: ServerTls | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.deadlines = deadlines
        self.limits = limits
        self._service = service
        self._max_connections = max_connections
        self._open: set[ClientConnection] = set()
        self._all_closed = asyncio.Event()
        self._all_closed.set()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._acceptor: TlsAcceptor | None = None
        self._retiring = False

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which matters where 0 was asked for.

        Raises:
            OSError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if self._tls is not None:
            return await self.start_on(socket.create_server((host, port), family=family, backlog=BACKLOG))
        self._server = await self.loop.create_server(self._connection, host, port, family=family, backlog=BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def start_on(self, listening: socket.socket) -> int:
        """Accept from a socket that listens already and is ours from now on; returns its port."""
        port = int(listening.getsockname()[1])
        if self._tls is not None:
            self._acceptor = TlsAcceptor(
                listening,
                self._tls,
                self._connection,
                self,
                handshake_timeout=self.limits.head_timeout,
                shutdown_timeout=self.limits.body_idle_timeout,
            )
        else:
            self._server = await self.loop.create_server(self._connection, sock=listening, backlog=BACKLOG)
        return port

    def _connection(self) -> ClientConnection:
        return ClientConnection(self._service, self)

    @property
    def connections(self) -> int:
        """How many are open, those in their TLS handshake included."""
        return len(self._open) + (0 if self._acceptor is None else self._acceptor.handshakes)

    def has_room(self) -> bool:
        """Whether one more may come."""
        if self.connections >= self._max_connections:
            return False
        self._all_closed.clear()
        return True

    def settle(self) -> None:
        """A connection or a handshake is over."""
        if not self.connections:
            self._all_closed.set()

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
        self.settle()

    def _accept_no_more(self) -> None:
        for accepting in (self._server, self._acceptor):
            if accepting is not None:
                accepting.close()

    async def retire(self, patience: float) -> None:
        """Accept no more; clients learn from the answer to their next request that the connection ends.

        A kept connection that is closed while its client sends a request loses that request, and this avoids it.

        Args:
            patience: seconds for that next request to come.
        """
        self._retiring = True
        for connection in self._open:
            connection.retiring = True
        self._accept_no_more()
        await asyncio.sleep(SETTLE_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_closed.wait(), patience)

    def close_idle(self) -> None:
        """Take no further request on any connection: those without one are closed now."""
        for connection in list(self._open):
            connection.drain()

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - a bound on politeness, after which it acts
        """Accept no more, let requests in flight finish, then close; returns how many had to be cut off."""
        self._accept_no_more()
        if self._acceptor is not None:
            await self._acceptor.give_up()
        self.close_idle()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_closed.wait(), timeout)
        cut_off = len(self._open)
        for connection in list(self._open):
            connection.expire()
        return cut_off
