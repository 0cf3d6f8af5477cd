"""A hundred reloads, ten a second, under load: no request fails, and every verdict is that of the rules it names."""

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from .fleet import ended, ready, running, write
from .minting import issuer, token

RELOADS, INTERVAL = 100, 0.1
CLIENTS = 8
SIDES = ("/left", "/right")


def scope(side: str, number: int) -> str:
    """What a side demands under the rules of that number; the token has `read`, and not `root`."""
    return "read" if SIDES.index(side) == number % 2 else "root"


def verdict(side: str, number: int) -> int:
    return 200 if scope(side, number) == "read" else 403


def rules(number: int) -> dict[str, Any]:
    routes = [{"id": side[1:], "path": side, "scopes": [scope(side, number)], "upstream": "api"} for side in SIDES]
    return {"routes": routes, "realm": f"rules-{number}", "reload": {"watch": False}}


@dataclass
class Asking:
    """Clients that ask for both sides in turn with one token, every other one on a connection for each request.

    Attributes:
        statuses: how often each came.
        failures: whatever was no whole answer.
    """

    port: int
    token: str
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    over: bool = False

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._client(keep=number % 2 == 0)) for number in range(CLIENTS)]
        try:
            yield
        finally:
            self.over = True
            await asyncio.gather(*tasks)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, side: str) -> int:
        """One request; its status. The connection is kept, or the answer is no whole one."""
        writer.write(f"GET {side} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        assert b"connection: close" not in head
        await reader.readexactly(int(length[1]))
        status = int(head.split()[1])
        self.statuses[status] += 1
        return status

    async def _client(self, *, keep: bool) -> None:
        while not self.over:
            try:
                async with self.connected() as (reader, writer):
                    while not self.over:
                        for side in SIDES:
                            await self.ask(reader, writer, side)
                        if not keep:
                            break
            except (OSError, asyncio.IncompleteReadError, AssertionError) as error:
                self.failures.append(repr(error))


@pytest.mark.slow
async def test_a_hundred_reloads_under_load_fail_no_request_and_no_verdict_is_wrong(file: Path, api_port: int) -> None:
    key, loop = generate_private_key(SECP256R1()), asyncio.get_running_loop()
    issuers = {"one": issuer(file.parent, key)}
    write(file, api_port, issuers=issuers, **rules(0))
    async with running(file) as fleet:
        asking = Asking(fleet.port, token(key))
        numbers = {(await fleet.status())["config_rev"]: 0}
        pids = {worker["pid"] for worker in await fleet.workers()}
        wrong = 0
        async with asking.going(), asking.connected() as one, asking.connected() as other:
            for number in range(1, RELOADS + 1):
                due = loop.time() + INTERVAL
                write(file, api_port, issuers=issuers, **rules(number))
                fleet.signal(signal.SIGHUP)
                status = await fleet.until(ended(number))
                numbers[status["config_rev"]] = number
                for connection in (one, other):
                    for side in SIDES:
                        wrong += await asking.ask(*connection, side) != verdict(side, number)
                await asyncio.sleep(max(0.0, due - loop.time()))
        after = await fleet.status()
        fleet.signal(signal.SIGTERM)
        assert await fleet.ended() == 0
    assert (asking.failures, wrong) == ([], 0)
    assert after["reload"]["outcomes"] == {"swapped": RELOADS, "replaced": 0, "unchanged": 0, "refused": 0}
    assert ready(after)
    assert {worker["pid"] for worker in after["workers"]} == pids
    records = [json.loads(line) for line in fleet.log.read_text().splitlines()]
    assert Counter(record["status"] for record in records) == asking.statuses
    judged = Counter(numbers[record["config_rev"]] for record in records)
    assert set(judged) >= set(range(1, RELOADS + 1))
    assert not [each for each in records if each["status"] != verdict(each["path"], numbers[each["config_rev"]])]
