"""A whole gateway in front of several targets."""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gateway import build
from gateway.app import Gateway
from gateway.config.gateway_file import GatewayConfig, parse

from .net import PATIENCE, UNAVAILABLE, eventually, servers

MORTAL = Path(__file__).with_name("mortal_upstream.py")


@asynccontextmanager
async def gateway(folder: Path, *targets: int, **upstream: Any) -> AsyncIterator[Gateway]:
    """A gateway that lets everything through to these ports."""
    urls = [f"http://127.0.0.1:{port}" for port in targets]
    where = {"urls": urls} if len(urls) > 1 else {"url": urls[0]}
    document = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "access_log": str(folder / "access.jsonl"),
        "upstreams": {"api": where | upstream},
        "routes": [{"id": "all", "path": "/{rest...}", "public": True, "upstream": "api"}],
    }
    config = parse(json.dumps(document))
    assert isinstance(config, GatewayConfig), "\n".join(map(str, config))
    running = Gateway(build.plan(config, folder, "test"))
    await running.start()
    try:
        yield running
    finally:
        await running.close()


@dataclass
class Client:
    """One connection to the gateway; opened anew where the gateway has closed it."""

    port: int
    writer: asyncio.StreamWriter | None = field(default=None)

    async def ask(self, request: bytes) -> int:
        """The answer's status."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request)
        return await self.answer()

    async def answer(self) -> int:
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\nContent-Length: ([0-9]+)\r\n", head)
            if length is not None and not head.startswith(b"HTTP/1.1 204"):
                await self.reader.readexactly(int(length[1]))
        if b"\r\nConnection: close\r\n" in head:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
            self.writer = None


@asynccontextmanager
async def clients(port: int, number: int = 1) -> AsyncIterator[list[Client]]:
    every = [Client(port) for _ in range(number)]
    try:
        yield every
    finally:
        for client in every:
            client.close()
        await asyncio.sleep(0)


def line(method: str, path: str = "/x", *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: gateway", *fields, "", ""]).encode()


def retries(folder: Path) -> list[int]:
    return [json.loads(record)["retries"] for record in (folder / "access.jsonl").read_bytes().splitlines()]


async def test_each_target_gets_its_own_host_field(tmp_path: Path) -> None:
    async with servers(2) as both, gateway(tmp_path, *(server.port for server in both)) as running:
        async with clients(running.port) as (client,):
            assert [await client.ask(line("GET")) for _ in range(4)] == [200] * 4
        assert [server.hosts for server in both] == [[server.address.authority] * 2 for server in both]


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("DELETE", 200), ("PUT", 200), ("POST", 502)])
async def test_a_request_whose_kept_connection_died_may_go_to_another_target(
    tmp_path: Path, method: str, status: int
) -> None:
    async with servers(2) as (first, second), gateway(tmp_path, first.port, second.port) as running:
        async with clients(running.port) as (client,):
            for _ in range(2):
                assert await client.ask(line("GET")) == 200
            first.answer = b""
            assert await client.ask(line(method)) == status
        assert first.visits == ["GET /x", f"{method} /x"]
        assert second.visits == ["GET /x", *([f"{method} /x"] if status == 200 else [])]
    assert retries(tmp_path) == [0, 0, int(status == 200)]


async def test_a_body_that_was_not_sent_goes_with_the_request_that_is_asked_again(tmp_path: Path) -> None:
    async with servers(2) as (first, second), gateway(tmp_path, first.port, second.port) as running:
        async with clients(running.port) as (client,):
            for _ in range(2):
                assert await client.ask(line("GET")) == 200
            first.answer = b""
            assert client.writer is not None
            client.writer.write(line("PUT", "/x", "Content-Length: 5"))
            await eventually(lambda: "PUT /x" in second.visits)
            client.writer.write(b"hello")
            assert await client.answer() == 200
        assert second.bodies == [b"hello"]


async def test_a_body_that_was_begun_is_never_sent_again(tmp_path: Path) -> None:
    async with servers(2) as (first, second), gateway(tmp_path, first.port, second.port) as running:
        async with clients(running.port) as (client,):
            for _ in range(2):
                assert await client.ask(line("GET")) == 200
            first.answer = b""
            assert await client.ask(line("PUT", "/x", "Content-Length: 5") + b"he") == 502
        assert second.visits == ["GET /x"]


async def test_no_request_is_lost_when_a_target_refuses_connections(tmp_path: Path) -> None:
    async with servers(2) as (first, second), gateway(tmp_path, first.port, second.port) as running:
        await first.stop()
        async with clients(running.port, 4) as every:
            statuses = await asyncio.gather(
                *(client.ask(line("POST", f"/{number}", "Content-Length: 0")) for number, client in enumerate(every))
            )
        assert statuses == [200] * 4
        assert len(second.visits) == 4


async def test_an_operator_sees_every_target(tmp_path: Path) -> None:
    ejection = {"failures": 1, "for": "1h"}
    async with servers(2) as (first, second):
        second.answer = UNAVAILABLE
        health = {"path": "/healthz", "interval": "1h", "unhealthy_after": 1}
        async with (
            gateway(tmp_path, first.port, second.port, ejection=ejection, health_check=health) as running,
            clients(running.port) as (client,),
        ):
            await eventually(lambda: not running.snapshot().upstreams[0].targets[1].healthy)
            assert await client.ask(line("GET")) == 200
            one, two = running.snapshot().upstreams[0].targets
            assert (one.authority, one.open, one.idle, one.outstanding) == (first.address.authority, 1, 1, 0)
            assert (one.healthy, one.ejected_until, one.last_error) == (True, None, None)
            assert (two.healthy, two.last_error) == (False, "the health check failed: status 503")
            await first.stop()
            await client.ask(line("POST", "/x", "Content-Length: 0"))
            snapshot = running.snapshot()
            [upstream] = snapshot.upstreams
            assert (upstream.targets[0].ejected_until or 0) > snapshot.started_at + 3000
            assert upstream.authority == f"{first.address.authority}, {second.address.authority}"


async def test_checks_end_with_the_gateway(tmp_path: Path) -> None:
    async with servers(2) as both:
        health = {"path": "/healthz", "interval": "10ms"}
        async with gateway(tmp_path, *(server.port for server in both), health_check=health):
            await eventually(lambda: all(server.visits for server in both))
        before = asyncio.all_tasks()
        await asyncio.sleep(0)
        assert not [task for task in before if "HealthCheck" in repr(task.get_coro()) and not task.done()]


@asynccontextmanager
async def mortal(log: Path, port: int = 0) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """An upstream in a process of its own, that writes every request line before it answers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, MORTAL, log, str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@dataclass
class Load:
    """GET and POST in turn over several connections, every request of another name.

    Attributes:
        done: name, status, and the times of its beginning and its end.
    """

    done: list[tuple[str, int, float, float]] = field(default_factory=list)

    @asynccontextmanager
    async def over(self, every: list[Client]) -> AsyncIterator[None]:
        self._numbers, self._ended = count(), asyncio.Event()
        loads = [asyncio.create_task(self._ask(client)) for client in every]
        try:
            yield
        finally:
            self._ended.set()
            await asyncio.gather(*loads)

    async def _ask(self, client: Client) -> None:
        now = asyncio.get_running_loop().time
        while not self._ended.is_set():
            number = next(self._numbers)
            method, fields = ("POST", ["Content-Length: 0"]) if number % 2 else ("GET", [])
            began = now()
            status = await client.ask(line(method, f"/{number}", *fields))
            self.done.append((f"{method} /{number}", status, began, now()))

    async def more(self, requests: int) -> None:
        so_far = len(self.done)
        await eventually(lambda: len(self.done) > so_far + requests)

    def judge(self, *logs: Path) -> None:
        """Whatever happened: no POST came twice, and what was answered had come."""
        seen = Counter(name for log in logs for name in log.read_text().splitlines())
        posts = {name: times for name, times in seen.items() if name.startswith("POST")}
        assert posts
        assert set(posts.values()) == {1}
        assert {name for name, status, _, _ in self.done if status == 200} <= set(seen)
        assert {status for _, status, _, _ in self.done} <= {200, 502}


async def test_when_a_target_is_killed_only_what_was_in_flight_is_lost_and_no_post_comes_twice(tmp_path: Path) -> None:
    now, load = asyncio.get_running_loop().time, Load()
    async with AsyncExitStack() as stack:
        first, victim = await stack.enter_async_context(mortal(tmp_path / "one"))
        second, _ = await stack.enter_async_context(mortal(tmp_path / "two"))
        running = await stack.enter_async_context(gateway(tmp_path, first, second))
        every = await stack.enter_async_context(clients(running.port, 8))
        async with load.over(every):
            await load.more(100)
            victim.kill()
            await victim.wait()
            dead = now()
            await load.more(200)
    load.judge(tmp_path / "one", tmp_path / "two")
    assert [name for name, status, began, _ in load.done if status != 200 and began > dead] == []
    assert sum(status != 200 for _, status, _, _ in load.done) <= len(every)


async def test_when_the_only_upstream_is_killed_what_comes_after_its_restart_is_served_and_no_post_comes_twice(
    tmp_path: Path,
) -> None:
    now, load = asyncio.get_running_loop().time, Load()
    async with AsyncExitStack() as stack:
        port, victim = await stack.enter_async_context(mortal(tmp_path / "one"))
        running = await stack.enter_async_context(gateway(tmp_path, port))
        every = await stack.enter_async_context(clients(running.port, 8))
        async with load.over(every):
            await load.more(100)
            before = now()
            victim.kill()
            await victim.wait()
            await load.more(50)
            await stack.enter_async_context(mortal(tmp_path / "two", port))
            back = now()
            await load.more(200)
    load.judge(tmp_path / "one", tmp_path / "two")
    assert [name for name, status, _, ended in load.done if status != 200 and ended < before] == []
    assert [name for name, status, began, _ in load.done if status != 200 and began > back] == []
    assert any(status == 502 for _, status, _, _ in load.done)
