"""Upstreams on real sockets, and what asks them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp.http_parser import RawResponseMessage

from gateway.deadlines import Deadlines
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.failure import UpstreamFailure
from gateway.upstream.pool import Upstream
from gateway.upstream.settings import Address, EjectionSettings, UpstreamSettings

PATIENCE = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


async def eventually(reached: Callable[[], object]) -> None:
    """Wait until something that nobody announces is so."""
    async with asyncio.timeout(PATIENCE):
        while not reached():  # noqa: ASYNC110 - counters of another party set no event
            await asyncio.sleep(0.002)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Server:
    """One target: answers every request with `answer`; an empty one means that the connection is cut.

    Attributes:
        visits: request lines, in the order of arrival.
        hosts: their Host fields.
        bodies: what followed those heads that announce a length.
        connections: that were opened.
    """

    answer: bytes = OK
    visits: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def __aenter__(self) -> Self:
        self._open: set[asyncio.StreamWriter] = set()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and cut those that stand."""
        self._server.close()
        self.cut()
        await eventually(lambda: not self._open)

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.visits.append(head.partition(b" HTTP")[0].decode())
                self.hosts += re.findall(r"\r\nHost: (.+?)\r\n", head.decode())
                if not self.answer:
                    break
                for length in re.findall(rb"\r\nContent-Length: ([1-9][0-9]*)\r\n", head):
                    self.bodies.append(await reader.readexactly(int(length)))
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            self._open.discard(writer)


@dataclass
class Asking:
    """One request over a connection, as the pool's connections know it."""

    outcome: asyncio.Future[int | UpstreamFailure]

    def on_informational(self, message: RawResponseMessage) -> None:
        """Of no interest."""

    def on_switch(self, message: RawResponseMessage, behind: bytes) -> None:
        """Nobody asks for it."""

    def on_head(self, message: RawResponseMessage) -> None:
        self._status = message.code

    def on_data(self, data: bytes) -> None:
        """Of no interest."""

    def on_pause(self) -> None:
        """Of no interest."""

    def on_trailers(self, trailers: bytes) -> None:
        """Of no interest."""

    def on_answered(self) -> None:
        """Of no interest."""

    def on_end(self) -> None:
        self.outcome.set_result(self._status)

    def on_failure(self, failure: UpstreamFailure) -> None:
        self.outcome.set_result(failure)

    def on_upstream_blocked(self) -> None:
        """Of no interest."""

    def on_upstream_ready(self) -> None:
        """Of no interest."""


async def taken(upstream: Upstream, *, fresh: bool = False) -> UpstreamConnection:
    """A connection that stays busy."""
    connection = await upstream.connect(fresh=fresh)
    assert isinstance(connection, UpstreamConnection), connection
    return connection


async def refused(upstream: Upstream) -> UpstreamFailure:
    failure = await upstream.connect()
    assert isinstance(failure, UpstreamFailure)
    return failure


async def ask(upstream: Upstream) -> int | UpstreamFailure:
    """One request; its answer's status."""
    connection = await upstream.connect()
    return connection if isinstance(connection, UpstreamFailure) else await ask_over(connection)


async def ask_over(connection: UpstreamConnection) -> int | UpstreamFailure:
    asking = Asking(asyncio.get_running_loop().create_future())
    connection.start(asking, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", complete=True, answer_has_body=True)
    async with asyncio.timeout(PATIENCE):
        return await asking.outcome


@asynccontextmanager
async def upstream_of(
    servers: Sequence[Server | Address], clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Upstream]:
    """An upstream with these targets; closed at the end, with whatever connections are left."""
    settings.setdefault("ejection", EjectionSettings())
    deadlines = Deadlines(asyncio.get_running_loop(), 0.01)
    addresses = tuple(server.address if isinstance(server, Server) else server for server in servers)
    upstream = Upstream(UpstreamSettings("api", addresses, **settings), deadlines, now=clock)
    try:
        yield upstream
    finally:
        upstream.close()
        for target in upstream.targets:
            for connection in list(target._open):
                connection.close()
        await eventually(lambda: upstream.figures["open"] == 0)
        deadlines.close()


@asynccontextmanager
async def servers(count: int) -> AsyncIterator[list[Server]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Server()) for _ in range(count)]
