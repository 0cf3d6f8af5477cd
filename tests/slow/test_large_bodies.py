"""Bodies far larger than the memory that they may take."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

MIB = 1 << 20
SIZE = 2048 * MIB
GROWTH = 32 * MIB
BLOCK = b"x" * MIB
LISTENS = re.compile(rb"clients on port (\d+)")

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
class Running:
    """A gateway's process and its port."""

    process: asyncio.subprocess.Process
    port: int

    def memory(self, line: str) -> int:
        """Bytes that it holds (VmRSS) or at most ever held (VmHWM), see proc(5)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{line}:")[2].split()[0]) * 1024

    async def download(self, size: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        taken = await drink(reader, size)
        writer.close()
        await writer.wait_closed()
        return taken

    async def upload(self, size: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        await pour(writer, size)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split()[0])
        taken = int(await reader.readexactly(length))
        writer.close()
        await writer.wait_closed()
        return taken


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, running(tmp_path, server.sockets[0].getsockname()[1]) as gateway:
        for _ in range(4):
            await gateway.download(8 * MIB)
            await gateway.upload(8 * MIB)
        yield gateway


@asynccontextmanager
async def running(folder: Path, upstream: int) -> AsyncIterator[Running]:
    file = folder / "gateway.yaml"
    route = {"id": "all", "path": "/{rest...}", "public": True, "upstream": "api"}
    addresses = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "access_log": "access.jsonl"}
    upstreams = {"api": {"url": f"http://127.0.0.1:{upstream}"}}
    file.write_text(json.dumps({**addresses, "upstreams": upstreams, "routes": [route]}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "--workers", "1", "-c", str(file),
        stderr=asyncio.subprocess.PIPE, cwd=folder,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        while (found := LISTENS.search(line := await process.stderr.readline())) is None:
            assert line, "it ended before it listened"
        yield Running(process, int(found[1]))
    finally:
        process.terminate()
        await process.communicate()


async def test_a_download_of_2_gib_takes_no_memory(gateway: Running) -> None:
    warm = gateway.memory("VmRSS")
    assert await gateway.download(SIZE) == SIZE
    peak = gateway.memory("VmHWM")
    print(f"{warm / MIB:.1f} MiB when warm, {peak / MIB:.1f} MiB at most")  # noqa: T201 - shown by pytest -s
    assert peak - warm < GROWTH


async def test_an_upload_of_2_gib_takes_no_memory(gateway: Running) -> None:
    warm = gateway.memory("VmRSS")
    assert await gateway.upload(SIZE) == SIZE
    peak = gateway.memory("VmHWM")
    print(f"{warm / MIB:.1f} MiB when warm, {peak / MIB:.1f} MiB at most")  # noqa: T201 - shown by pytest -s
    assert peak - warm < GROWTH
