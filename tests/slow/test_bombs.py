"""Bombs against a gateway's process: what it holds at most, and what others still get meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .process import MIB, Running, running

MANY = 1_000_000
GROWTH = 8 * MIB
ENOUGH = 20
"""Requests that a bystander is answered while a bomb is defused."""
CHUNKS = b"1\r\na\r\n" * 10_000
REFUSED = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
ROUTES = [{"id": "here", "path": "/here/{rest...}", "public": True, "upstream": "api"}]
ENDLESS = {b"/here/size": (b"", b"0"), b"/here/extension": (b"5;", b"a")}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An API: PUT answers how many bytes of content came; GET answers what no client would like to get."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while (head := await reader.readuntil(b"\r\n\r\n")).startswith(b"PUT"):
            text = b"%d" % await content(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
            await writer.drain()
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        if head.startswith(b"GET /here/chunks"):
            await many_chunks(writer, chunked)
        else:
            begin, more = ENDLESS[head.split(b" ")[1]]
            writer.write(chunked + begin)
            for _ in range(64):
                await sent(writer, more * MIB)
    writer.close()


async def sent(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def many_chunks(writer: asyncio.StreamWriter, head: bytes) -> None:
    writer.write(head)
    for _ in range(MANY * 6 // len(CHUNKS)):
        writer.write(CHUNKS)
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def content(reader: asyncio.StreamReader) -> int:
    """Bytes of content of a chunked body."""
    taken = 0
    while size := int(await reader.readuntil(b"\r\n"), 16):
        taken += len(await reader.readexactly(size + 2)) - 2
    await reader.readexactly(2)
    return taken


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, raw: bytes) -> bytes:
        self.writer.write(raw)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split()[0])
        return await self.reader.readexactly(length)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MIB)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@dataclass
class Stage:
    """A gateway in front of the API.

    Attributes:
        served: how many requests a bystander was answered during the last bomb.
        growth: bytes of memory that the gateway took beyond what it held when warm, at most.
    """

    gateway: Running
    served: int = field(default=0)
    growth: int = field(default=0)

    async def throw(self, bomb: Callable[[Client], Awaitable[None]]) -> None:
        warm = self.gateway.memory("VmRSS")
        async with connected(self.gateway.port) as bomber, connected(self.gateway.port) as bystander:
            watching = asyncio.create_task(self._ask_again_and_again(bystander))
            await bomb(bomber)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        self.growth = self.gateway.memory("VmHWM") - warm
        print(f"{self.growth / MIB:.1f} MiB more, {self.served} answers to others")  # noqa: T201 - for pytest -s

    async def _ask_again_and_again(self, client: Client) -> None:
        while True:
            await client.ask(REFUSED)
            self.served += 1


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=MIB)
    async with server, running(folder, server.sockets[0].getsockname()[1], routes=ROUTES) as gateway:
        async with connected(gateway.port) as client:
            for _ in range(200):
                await client.ask(REFUSED)
        yield Stage(gateway)


Bomb = Callable[[Client], Awaitable[None]]


async def chunks_of_a_request(client: Client) -> None:
    await many_chunks(client.writer, b"PUT /here/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert await client.ask(b"") == b"%d" % MANY


async def chunks_of_an_answer(client: Client) -> None:
    client.writer.write(b"GET /here/chunks HTTP/1.1\r\nHost: a\r\n\r\n")
    await client.reader.readuntil(b"\r\n\r\n")
    assert await content(client.reader) == MANY


async def pipelined_requests(client: Client) -> None:
    sending = asyncio.create_task(sent(client.writer, REFUSED * 10_000))
    for _ in range(10_000):
        assert (await client.ask(b""))[:1] == b"{"
    await sending


async def a_line_that_drips_in(client: Client) -> None:
    client.writer.write(b"GET /here/x HTTP/1.1\r\nX-A: ")
    for _ in range(64 * 1024):
        if client.reader.at_eof() or client.writer.is_closing():
            break
        client.writer.write(b"a")
        await asyncio.sleep(0)
    assert (await client.reader.read()).startswith(b"HTTP/1.1 400 ")


async def a_size_without_end(client: Client) -> None:
    client.writer.write(b"GET /here/size HTTP/1.1\r\nHost: a\r\n\r\n")
    with suppress(ConnectionError):
        await client.reader.read()


async def an_extension_without_end(client: Client) -> None:
    client.writer.write(b"GET /here/extension HTTP/1.1\r\nHost: a\r\n\r\n")
    with suppress(ConnectionError):
        await client.reader.read()


BOMBS: tuple[Bomb, ...] = (
    *(chunks_of_a_request, chunks_of_an_answer, pipelined_requests, a_line_that_drips_in),
    *(a_size_without_end, an_extension_without_end),
)


def name(bomb: Bomb) -> str:
    return bomb.__name__.replace("_", " ")


@pytest.mark.parametrize("bomb", BOMBS, ids=map(name, BOMBS))
async def test_a_bomb_takes_no_memory(tmp_path: Path, bomb: Bomb) -> None:
    async with stage(tmp_path) as scene:
        await scene.throw(bomb)
    assert scene.growth < GROWTH


LABORIOUS = BOMBS[:4]
"""Those that cost work for each byte; the others are over before anybody could be kept waiting."""


@pytest.mark.parametrize("bomb", LABORIOUS, ids=map(name, LABORIOUS))
async def test_others_are_answered_while_a_bomb_goes_off(tmp_path: Path, bomb: Bomb) -> None:
    async with stage(tmp_path) as scene:
        await scene.throw(bomb)
    assert scene.served >= ENOUGH


async def test_pipelined_requests_that_come_faster_than_they_are_answered_stay_with_their_client(
    tmp_path: Path,
) -> None:
    taken = [0]

    async def pour(writer: asyncio.StreamWriter) -> None:
        block = REFUSED * (MIB // 4 // len(REFUSED))
        for _ in range(256):
            await sent(writer, block)
            taken[0] += len(block)

    async def flood(client: Client) -> None:
        pouring = asyncio.create_task(pour(client.writer))
        for _ in range(500):
            await client.ask(b"")
        pouring.cancel()

    async with stage(tmp_path) as scene:
        await scene.throw(flood)
    assert scene.growth < GROWTH
    assert taken[0] < 8 * MIB
