"""The authorization server's socket where it speaks TLS: certificates are renewed while it runs."""

import asyncio
import socket

from aiohttp import web

from gateway.config import HostPort
from gateway.downstream.acceptor import TlsAcceptor
from gateway.downstream.certificate import ServerTls

MOST_CONNECTIONS = 10_000

_HANDSHAKE_SECONDS = 10.0
_CLOSING_SECONDS = 1.0
_BACKLOG = 1024


class TlsListening:
    """Hands connections over TLS to a server, from its creation until close.

    Raises OSError where the address cannot be listened on.
    """

    def __init__(self, address: HostPort, tls: ServerTls, server: web.Server) -> None:
        self._server = server
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listening = socket.create_server(tuple(address), family=family, backlog=_BACKLOG)
        host, port, *_ = listening.getsockname()
        self.address = HostPort(host, port)
        self._acceptor = TlsAcceptor(listening, tls, server, self, _HANDSHAKE_SECONDS, _CLOSING_SECONDS)
        self._watching = asyncio.create_task(tls.watch())

    def has_room(self) -> bool:
        """Whether one more connection may come."""
        return len(self._server.connections) + self._acceptor.handshakes < MOST_CONNECTIONS

    def settle(self) -> None:
        """One handshake less: has_room counts by itself."""

    async def close(self) -> None:
        """Accept no more; connections go on."""
        self._acceptor.close()
        self._watching.cancel()
        await asyncio.gather(self._watching, self._acceptor.give_up(), return_exceptions=True)
