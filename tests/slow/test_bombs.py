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
PIPELINED = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
NOWHERE = [{"id": "one", "path": "/here", "public": True, "upstream": "api"}]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An API: /chunks answers a million chunks of a byte, PUT answers how many bytes of content came."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /chunks"):
                await many_chunks(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            else:
                text = b"%d" % (await content(reader) if head.startswith(b"PUT") else 0)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


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

    async def bomb(self, throw: Callable[[Client], Awaitable[None]]) -> None:
        warm = self.gateway.memory("VmRSS")
        async with connected(self.gateway.port) as bomber, connected(self.gateway.port) as bystander:
            watching = asyncio.create_task(self._ask_again_and_again(bystander))
            await throw(bomber)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        self.growth = self.gateway.memory("VmHWM") - warm
        print(f"{self.growth / MIB:.1f} MiB more, {self.served} answers to others")  # noqa: T201 - for pytest -s

    async def _ask_again_and_again(self, client: Client) -> None:
        while True:
            await client.ask(b"GET /here HTTP/1.1\r\nHost: a\r\n\r\n")
            self.served += 1


@asynccontextmanager
async def stage(folder: Path, **changes: object) -> AsyncIterator[Stage]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=MIB)
    async with server, running(folder, server.sockets[0].getsockname()[1], **changes) as gateway:
        async with connected(gateway.port) as client:
            for _ in range(200):
                await client.ask(b"GET /here HTTP/1.1\r\nHost: a\r\n\r\n")
        yield Stage(gateway)


async def test_a_million_one_byte_chunks_of_a_request_take_neither_memory_nor_the_others_turn(tmp_path: Path) -> None:
    async def throw(client: Client) -> None:
        await many_chunks(client.writer, b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert await client.ask(b"") == b"%d" % MANY

    async with stage(tmp_path) as scene:
        await scene.bomb(throw)
    assert scene.growth < GROWTH
    assert scene.served >= ENOUGH


async def test_a_million_one_byte_chunks_of_an_answer_take_neither_memory_nor_the_others_turn(tmp_path: Path) -> None:
    async def throw(client: Client) -> None:
        client.writer.write(b"GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        assert await content(client.reader) == MANY

    async with stage(tmp_path) as scene:
        await scene.bomb(throw)
    assert scene.growth < GROWTH
    assert scene.served >= ENOUGH


async def test_ten_thousand_pipelined_requests_take_neither_memory_nor_the_others_turn(tmp_path: Path) -> None:
    async def throw(client: Client) -> None:
        sending = asyncio.create_task(sent(client.writer, PIPELINED * 10_000))
        for _ in range(10_000):
            assert (await client.ask(b""))[:1] == b"{"
        await sending

    async with stage(tmp_path, routes=NOWHERE) as scene:
        await scene.bomb(throw)
    assert scene.growth < GROWTH
    assert scene.served >= ENOUGH


async def sent(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@pytest.mark.xfail(strict=True, reason="a connection reads on while requests wait in its parser")
async def test_pipelined_requests_that_come_faster_than_they_are_answered_are_left_with_their_client(
    tmp_path: Path,
) -> None:
    """What waits is bounded on our side; the rest stays in the client's own buffers."""
    taken = [0]

    async def throw(client: Client) -> None:
        async def pour() -> None:
            block = PIPELINED * (MIB // 4 // len(PIPELINED))
            for _ in range(256):
                await sent(client.writer, block)
                taken[0] += len(block)

        pouring = asyncio.create_task(pour())
        for _ in range(500):
            await client.ask(b"")
        pouring.cancel()

    async with stage(tmp_path, routes=NOWHERE) as scene:
        await scene.bomb(throw)
    assert scene.growth < GROWTH
    assert taken[0] < 8 * MIB


async def test_a_line_that_drips_in_takes_no_memory_and_is_refused(tmp_path: Path) -> None:
    async def throw(client: Client) -> None:
        client.writer.write(b"GET /here HTTP/1.1\r\nX-A: ")
        for _ in range(64 * 1024):
            if client.reader.at_eof() or client.writer.is_closing():
                break
            client.writer.write(b"a")
            await asyncio.sleep(0)
        assert (await client.reader.read()).startswith(b"HTTP/1.1 400 ")

    async with stage(tmp_path, limits={"head_timeout": "1m"}) as scene:
        await scene.bomb(throw)
    assert scene.growth < GROWTH
    assert scene.served >= ENOUGH


ENDLESS = {"size of a chunk": (b"", b"0"), "extension": (b"5;", b"a")}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_a_line_of_an_answer_s_framing_without_end_takes_no_memory(
    tmp_path: Path, begin: bytes, more: bytes
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /here"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begin)
            for _ in range(64):
                await sent(writer, more * MIB)
        writer.close()

    async def throw(client: Client) -> None:
        client.writer.write(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.reader.read()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    async with server, running(tmp_path, server.sockets[0].getsockname()[1]) as gateway:
        scene = Stage(gateway)
        await scene.bomb(throw)
    assert scene.growth < GROWTH
    assert scene.served >= ENOUGH
