"""A client that sends exact bytes, and reads answers without forgiving anything."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from .patience import PATIENCE


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    reason: str
    version: str
    fields: list[tuple[str, str]]
    body: bytes
    whole: bool = True
    trailers: list[bytes] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))


@dataclass
class RawClient:
    """One connection, from an address of this machine."""

    port: int
    seen: list[Answer] = field(default_factory=list)
    limit: int = 1 << 20
    address: str = "127.0.0.1"

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=self.limit, local_addr=(self.address, 0)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def ask(self, data: bytes) -> Answer:
        """Send a request and read its answer, informational ones skipped."""
        await self.send(data)
        return await self.answer(head_only=data.startswith(b"HEAD "))

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next final answer."""
        while (answer := await self.next(head_only=head_only)).status < 200:
            pass
        return answer

    async def next(self, *, head_only: bool = False) -> Answer:
        """The next answer, informational ones included."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            answer = await self._with_body(head, head_only=head_only)
        if answer.status >= 200:
            self.seen.append(answer)
        return answer

    async def _with_body(self, head: bytes, *, head_only: bool) -> Answer:
        line, *lines = head[:-4].decode("latin-1").split("\r\n")
        version, status, reason = line.split(" ", 2)
        fields = [(name, value.strip()) for name, _, value in (each.partition(":") for each in lines)]
        answer = Answer(int(status), reason, version, fields, b"")
        if head_only or answer.status in {204, 304} or answer.status < 200:
            return answer
        try:
            body, whole = await self._body(answer), True
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            body, whole = getattr(error, "partial", b""), False
        return Answer(answer.status, reason, version, fields, body, whole, answer.trailers)

    async def _body(self, answer: Answer) -> bytes:
        if "Transfer-Encoding" in answer:
            assert answer["Transfer-Encoding"] == "chunked"
            assert "Content-Length" not in answer
            return await self._chunks(answer)
        if "Content-Length" in answer:
            return await self.reader.readexactly(int(answer["Content-Length"]))
        return await self.reader.read()

    async def _chunks(self, answer: Answer) -> bytes:
        body = bytearray()
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        while line := (await self.reader.readuntil(b"\r\n"))[:-2]:
            answer.trailers.append(line)
        assert "Trailer" in answer or not answer.trailers
        return bytes(body)

    async def rest(self) -> bytes:
        """All that still comes until the other side closes."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.reader.read()
        except ConnectionError:
            return b""


def request(line: str = "GET /public/x", *fields: str, body: bytes = b"", host: str = "Host: gate.example") -> bytes:
    """A request's bytes; HTTP/1.1 and a Host unless said otherwise. Text goes out as latin-1."""
    if not line.endswith(("HTTP/1.0", "HTTP/1.1")):
        line += " HTTP/1.1"
    lines = [line, *([host] if host else []), *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
