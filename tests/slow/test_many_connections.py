"""Ten thousand clients that stay connected and say nothing."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .process import running

MANY = 10_000
SPARE = 200
"""Files that a process needs beside its connections."""
EACH = 20 * 1024
REQUEST = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Allow this process and those that it starts so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"this machine allows {hard} open files, {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def asked(connection: socket.socket) -> bytes:
    """One request on a connection, and its whole answer."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, REQUEST)
    answer = b""
    while not answer.endswith(b"\r\n\r\nok"):
        data = await loop.sock_recv(connection, 65536)
        assert data, "the gateway closed the connection"
        answer += data
    return answer


async def test_ten_thousand_idle_connections_cost_little_and_are_served_when_they_wake(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with open_files(MANY + SPARE), ExitStack() as sockets:
        limits = {"connections": MANY + SPARE, "keep_alive_timeout": "10m"}
        async with server, running(tmp_path, server.sockets[0].getsockname()[1], limits=limits) as gateway:

            async def connected() -> socket.socket:
                connection = sockets.enter_context(socket.socket())
                connection.setblocking(False)
                await loop.sock_connect(connection, ("127.0.0.1", gateway.port))
                assert (await asked(connection)).startswith(b"HTTP/1.1 200 ")
                return connection

            for _ in range(100):
                await connected()
            warm = gateway.memory("VmRSS")
            idle = [await connected() for _ in range(MANY)]
            each = (gateway.memory("VmRSS") - warm) / MANY
            print(f"{each / 1024:.1f} KiB a connection")  # noqa: T201 - shown by pytest -s
            assert each < EACH
            for connection in idle[:: MANY // 100]:
                assert (await asked(connection)).startswith(b"HTTP/1.1 200 ")
