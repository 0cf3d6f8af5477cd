"""A running `scopegate run --workers N`, clients that load it, and an API behind it."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

LISTENS = re.compile(r"clients on port (\d+), operators on port (\d+)")


@dataclass
class Fleet:
    """A supervisor and its workers."""

    process: asyncio.subprocess.Process
    file: Path
    errors: list[str] = field(default_factory=list)
    port: int = 0
    admin_port: int = 0

    @property
    def log(self) -> Path:
        return self.file.parent / "access.jsonl"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def operator(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.admin_port}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((await self.operator("/status.json"))[1])
        return document

    async def counted(self) -> int:
        return counted(await self.status())

    async def workers(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await self.status())["workers"]
        return listed

    async def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The status, as soon as that is true of it."""
        async with asyncio.timeout(20):
            while not true(status := await self.status()):  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(0.02)
        return status

    async def said(self, text: str) -> None:
        """Wait for a line on standard error."""
        async with asyncio.timeout(20):
            while not any(text in line for line in self.errors):  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(0.01)

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()


def counted(status: dict[str, Any]) -> int:
    """Requests, as the operator sees them."""
    return sum(entry["count"] for entry in status["requests"])


def ready(status: dict[str, Any], generation: int = 1) -> bool:
    """Every worker of that generation is ready, and none of another is left."""
    return all(worker["state"] == "ready" and worker["generation"] == generation for worker in status["workers"])


def ended(reloads: int) -> Callable[[dict[str, Any]], bool]:
    """So many reloads are over."""
    return lambda status: status["reload"]["ended"] == reloads


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def until_dead(*pids: int) -> None:
    async with asyncio.timeout(20):
        while any(map(alive, pids)):  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.02)


def children(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.add(int(stat.parent.name))
    return found


def write(file: Path, api: int, **changes: Any) -> None:
    """A gateway's file as JSON, which is YAML."""
    whole = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "access_log": str(file.parent / "access.jsonl"),
        "drain_timeout": "5s",
        "upstreams": {"api": {"url": f"http://127.0.0.1:{api}"}},
        "routes": [{"id": "open", "path": "/public/{rest...}", "public": True, "upstream": "api"}],
    }
    file.write_text(json.dumps(whole | changes))


def command(file: Path, workers: int) -> list[str]:
    return [sys.executable, "-m", "gateway", "run", "-c", str(file), "--workers", str(workers)]


@asynccontextmanager
async def running(file: Path, workers: int = 2, stdout: int | None = None) -> AsyncIterator[Fleet]:
    """Start; at the end nothing is left."""
    process = await asyncio.create_subprocess_exec(
        *command(file, workers), stdout=stdout, stderr=asyncio.subprocess.PIPE, cwd=file.parent
    )
    fleet = Fleet(process, file)
    reading = asyncio.create_task(read_errors(fleet))
    try:
        await fleet.said("clients on port")
        yield fleet
    finally:
        if process.returncode is None:
            fleet.signal(signal.SIGTERM)
            try:
                await fleet.ended()
            except TimeoutError:
                for pid in (process.pid, *children(process.pid)):
                    os.kill(pid, signal.SIGKILL)
        await reading


async def read_errors(fleet: Fleet) -> None:
    assert fleet.process.stderr is not None
    async for line in fleet.process.stderr:
        text = line.decode()
        if found := LISTENS.search(text):
            fleet.port, fleet.admin_port = int(found[1]), int(found[2])
        fleet.errors.append(text)


@dataclass
class Load:
    """Clients that ask one request after the other, half of them on kept connections."""

    port: int
    clients: int = 8
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    over: bool = False

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._client(keep=number % 2 == 0)) for number in range(self.clients)]
        try:
            yield
        finally:
            self.over = True
            await asyncio.gather(*tasks)

    async def more(self, count: int) -> None:
        """Wait for so many more answers."""
        goal = self.answered + count
        async with asyncio.timeout(20):
            while self.answered < goal:  # noqa: ASYNC110 - a counter is simpler than an event here
                await asyncio.sleep(0.005)

    async def _client(self, *, keep: bool) -> None:
        while not self.over:
            try:
                await self._connection(keep=keep)
            except (OSError, asyncio.IncompleteReadError, AssertionError) as error:
                self.failures.append(repr(error))

    async def _connection(self, *, keep: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while not self.over:
                kept = await ask(reader, writer)
                self.answered += 1
                if not (kept and keep):
                    return
        finally:
            writer.close()


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str = "/public/x", token: str | None = None
) -> bool:
    """One request; returns whether the connection is kept."""
    authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: api\r\n{authorization}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200 "), head
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    await reader.readexactly(int(length[1]))
    return b"connection: close" not in head


@asynccontextmanager
async def api() -> AsyncIterator[int]:
    """The API behind the gateway: answers at once; below /public/slow, never."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/slow" not in head:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
