"""Bodies far larger than the memory that they may take."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .process import MIB, Running, running

SIZE = 2048 * MIB
GROWTH = 32 * MIB
BLOCK = b"x" * MIB

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An API: GET /N answers N bytes, PUT answers how many bytes came."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                size = int(head.split()[1][1:])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                await pour(writer, size)
            else:
                size = int(head.lower().partition(b"content-length: ")[2].split()[0])
                text = b"%d" % await drink(reader, size)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def pour(writer: asyncio.StreamWriter, size: int) -> None:
    for _ in range(size // MIB):
        writer.write(BLOCK)
        await writer.drain()


async def drink(reader: asyncio.StreamReader, size: int) -> int:
    taken = 0
    while taken < size and (data := await reader.read(min(MIB, size - taken))):
        taken += len(data)
    return taken


@dataclass
class Bodies:
    """A gateway, and large bodies through it."""

    gateway: Running

    async def download(self, size: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        taken = await drink(reader, size)
        writer.close()
        await writer.wait_closed()
        return taken

    async def upload(self, size: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        writer.write(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        await pour(writer, size)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split()[0])
        taken = int(await reader.readexactly(length))
        writer.close()
        await writer.wait_closed()
        return taken


@pytest.fixture
async def bodies(tmp_path: Path) -> AsyncIterator[Bodies]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, running(tmp_path, server.sockets[0].getsockname()[1]) as gateway:
        bodies = Bodies(gateway)
        for _ in range(4):
            await bodies.download(8 * MIB)
            await bodies.upload(8 * MIB)
        yield bodies


async def test_a_download_of_2_gib_takes_no_memory(bodies: Bodies) -> None:
    warm = bodies.gateway.memory("VmRSS")
    assert await bodies.download(SIZE) == SIZE
    peak = bodies.gateway.memory("VmHWM")
    print(f"{warm / MIB:.1f} MiB when warm, {peak / MIB:.1f} MiB at most")  # noqa: T201 - shown by pytest -s
    assert peak - warm < GROWTH


async def test_an_upload_of_2_gib_takes_no_memory(bodies: Bodies) -> None:
    warm = bodies.gateway.memory("VmRSS")
    assert await bodies.upload(SIZE) == SIZE
    peak = bodies.gateway.memory("VmHWM")
    print(f"{warm / MIB:.1f} MiB when warm, {peak / MIB:.1f} MiB at most")  # noqa: T201 - shown by pytest -s
    assert peak - warm < GROWTH
