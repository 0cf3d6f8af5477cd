"""Keys are down for an hour under load, or invented ones are named by thousands: known keys open all the while."""

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from .attacks import header
from .conftest import Start
from .gate import Gate
from .key_server import MISBEHAVIOURS, KeyServer
from .minting import NOW, authorization, claims, jwk, mint, rsa_key, sealed
from .raw_client import Answer, request
from .raw_upstream import RawUpstream

CLIENTS = 6
MINUTE = 60
QUICK = ("500", "garbage", "a page", "hangs up", "redirect to another origin", "members that stand twice")


@pytest.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    async with RawUpstream() as server:
        yield KeyServer(server)


@dataclass
class Load:
    """Clients that ask on kept connections, each with a token of its own."""

    gate: Gate
    statuses: list[int] = field(default_factory=list)
    over: bool = False

    async def client(self, number: int) -> None:
        asked = request("GET /admin/x", self.gate.bearer(mint(claims(jti=str(number), exp=NOW + 9000))))
        async with self.gate.connect() as connection:
            while not self.over:
                self.statuses.append((await connection.ask(asked)).status)

    async def some_requests(self) -> set[int]:
        """Until each client has begun and ended one; what they were answered."""
        before = len(self.statuses)
        while len(self.statuses) < before + 2 * CLIENTS:  # noqa: ASYNC110 - clients set no event
            await asyncio.sleep(0)
        return set(self.statuses[before + CLIENTS :])


@pytest.fixture
async def load(start: Start, issuer: KeyServer) -> AsyncIterator[Load]:
    gate = await start(issuer=issuer.section | {"keys_stale_for": "61m"})
    load = Load(gate)
    clients = [asyncio.create_task(load.client(number)) for number in range(CLIENTS)]
    yield load
    load.over = True
    await asyncio.gather(*clients)


def unknown(number: int = 0) -> bytes:
    token = sealed(header(kid=f"k{number}"), claims(exp=NOW + 9000), lambda _: b"signature")
    return request("GET /admin/x", authorization(token))


async def refused(gate: Gate) -> tuple[int, str]:
    answer: Answer = await gate.ask(unknown())
    return answer.status, json.loads(answer.body)["reason"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of keys since it was last asked: the end of each line."""
    lines = [each.getMessage() for each in caplog.records if each.name == "gateway.tokens.key_source"]
    caplog.clear()
    return [line.rpartition("; ")[2] for line in lines]


async def test_an_hour_without_keys_costs_known_ones_nothing_and_is_told_once(
    load: Load, issuer: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    gate = load.gate
    caplog.set_level(logging.INFO, "gateway")
    assert await load.some_requests() == {200}
    down = itertools.cycle(QUICK)
    for _ in range(30):
        issuer.play(MISBEHAVIOURS[next(down)]("http://127.0.0.1:1"))
        gate.clock.now += 2 * MINUTE
        assert await refused(gate) == (503, "keys_unavailable")
        assert await load.some_requests() == {200}
    assert issuer.asked >= 31
    assert said(caplog) == ["the last good keys stay in force"]
    gate.clock.now += 2 * MINUTE
    assert await refused(gate) == (503, "keys_unavailable")
    assert await load.some_requests() == {503}
    assert said(caplog) == ["its routes answer keys_unavailable"]
    issuer.publish(jwk(rsa_key(), kid="rsa"))
    gate.clock.now += MINUTE
    assert await refused(gate) == (401, "key_unknown")
    assert await load.some_requests() == {200}
    assert said(caplog) == ["issuer main: 1 keys"]


@pytest.mark.parametrize("kids", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_a_flood_of_invented_kids_is_one_fetch_a_cooldown_and_good_tokens_stay_good(
    load: Load, issuer: KeyServer, kids: int
) -> None:
    gate = load.gate
    gate.reads_all = False  # the flood's answers are counted, not read
    gate.clock.now += 31
    for batch in range(10):
        await flood(gate, [unknown(batch * kids + number) for number in range(kids // 10)])
        gate.clock.now += 10
    assert set(load.statuses) == {200}
    assert len(load.statuses) > CLIENTS
    assert issuer.asked == 1 + 4, "at first, and at 31, 61, 91 and 121 s"
    status = (await gate.status())["issuers"][0]
    assert (status["unknown_keys"], status["unknown_keys_per_minute"]) == (kids, kids // 2)


async def flood(gate: Gate, requests: list[bytes]) -> None:
    """Send them all at once on one connection, and count their refusals."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.gateway.port)
    writer.write(b"".join(requests))
    answers = b""
    async with asyncio.timeout(30):
        while answers.count(b'"reason":"key_unknown"') < len(requests):
            answers += await reader.read(1 << 20)
    assert answers.count(b"HTTP/1.1 401 ") == len(requests)
    writer.transport.abort()
