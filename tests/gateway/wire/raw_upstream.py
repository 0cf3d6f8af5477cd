"""An upstream that keeps the exact bytes of what reached it, and answers what the test says."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from .patience import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


@dataclass
class Visit:
    """One request at the upstream: its head is read, its body only when asked for."""

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    body: bytes = b""
    body_read: bool = False
    trailers: list[bytes] = field(default_factory=list)

    async def read_body(self) -> bytes:
        """The body's content, without its framing."""
        if not self.body_read:
            self.body_read = True
            if _CHUNKED.search(self.head):
                while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
                    self.body += await self.reader.readexactly(size)
                    assert await self.reader.readexactly(2) == b"\r\n"
                while line := (await self.reader.readuntil(b"\r\n"))[:-2]:
                    self.trailers.append(line)
                assert self.fields("trailer") or not self.trailers
            elif (length := _LENGTH.search(self.head)) is not None:
                self.body = await self.reader.readexactly(int(length[1]))
        return self.body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> bool:
        """Wait until the gateway closes this connection; whether nothing more came before."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()

    def fields(self, name: str) -> list[str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        pairs = [line.partition(": ") for line in lines]
        return [value for each, _, value in pairs if each.lower() == name.lower()]

    @property
    def names(self) -> list[str]:
        return [line.partition(":")[0].lower() for line in self.head.decode("latin-1").split("\r\n")[1:-2]]

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]


Play = Callable[[Visit], Awaitable[None]]


def replies(answer: bytes, *, close: bool = False) -> Play:
    """Read the whole request, then answer."""

    async def play(visit: Visit) -> None:
        await visit.read_body()
        await visit.send(answer)
        if close:
            visit.close()

    return play


@dataclass
class RawUpstream:
    """Answers by `play`, one request after the other on each connection.

    Attributes:
        visits: every request whose head came, in the order of arrival.
        connections: that were opened.
        stray: bytes that came where no request could be.
    """

    play: Play = field(default_factory=lambda: replies(OK))
    visits: list[Visit] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    stray: bytes = b""

    async def __aenter__(self) -> Self:
        self._open: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await eventually(lambda: not self._open)

    @property
    def heads(self) -> list[bytes]:
        return [visit.head for visit in self.visits]

    @property
    def last(self) -> Visit:
        return self.visits[-1]

    async def visited(self, times: int = 1) -> Visit:
        """Wait until that many requests have come; the last of them."""
        await eventually(lambda: len(self.visits) >= times)
        return self.visits[times - 1]

    def cut(self) -> None:
        """Drop every connection, as a restart does."""
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                visit = Visit(head, reader, writer, len(self.visits))
                self.visits.append(visit)
                await self.play(visit)
        except asyncio.IncompleteReadError as error:
            self.stray += error.partial
        except ConnectionError:
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._open.discard(writer)
