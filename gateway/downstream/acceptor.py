"""Accepts clients over TLS. Each handshake counts as a connection, has a deadline, and takes the newest certificate.

The event loop's own server can do neither of the first two: its handshakes are known to nobody until they are over.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from gateway.downstream.certificate import ServerTls

AT_A_TIME = 64
"""Connections that are accepted before others get a turn."""

EXHAUSTED_SECONDS = 1.0
"""How long to accept none after the system refused one: out of descriptors or of memory."""


class Room(Protocol):
    """Knows how many connections there may be."""

    def has_room(self) -> bool:
        """Whether one more may come."""
        ...

    def settle(self) -> None:
        """One handshake less."""
        ...


class TlsAcceptor:
    """Accepts connections from a listening socket, which is its own from now on.

    Args:
        listening: the socket.
        tls: what clients are met with.
        connection: makes the protocol of a connection whose handshake is over.
        room: for further connections.
        handshake_timeout: seconds from accepting to the handshake's end.
        shutdown_timeout: seconds to take what is left of an answer, and to agree to the end (RFC 8446 §6.1).
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what accepting needs of its surroundings
        self,
        listening: socket.socket,
        tls: ServerTls,
        connection: Callable[[], asyncio.Protocol],
        room: Room,
        handshake_timeout: float,
        shutdown_timeout: float,
    ) -> None:
        self._listening = listening
        self._tls = tls
        self._connection = connection
        self._room = room
        self._handshake_timeout = handshake_timeout
        self._shutdown_timeout = shutdown_timeout
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._closed = False
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._resume()

    @property
    def handshakes(self) -> int:
        """How many are under way."""
        return len(self._handshakes)

    def close(self) -> None:
        """Accept no more; handshakes go on."""
        if self._closed:
            return
        self._closed = True
        if self._pause is None:
            self._loop.remove_reader(self._listening)
        else:
            self._pause.cancel()
        self._listening.close()

    async def give_up(self) -> None:
        """End the handshakes that are under way."""
        handshakes = list(self._handshakes)
        for handshake in handshakes:
            handshake.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_A_TIME):
            try:
                client, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(EXHAUSTED_SECONDS, self._resume)
                return
            if not self._room.has_room():
                client.close()
                continue
            handshake = self._loop.create_task(self._shake_hands(client, str(address[0])))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._ended)

    async def _shake_hands(self, client: socket.socket, address: str) -> None:
        client.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(
                self._connection,
                client,
                ssl=self._tls.context,
                ssl_handshake_timeout=self._handshake_timeout,
                ssl_shutdown_timeout=self._shutdown_timeout,
            )
        except OSError as error:
            self._tls.failed(address, error)

    def _ended(self, handshake: asyncio.Task[None]) -> None:
        self._handshakes.discard(handshake)
        self._room.settle()
