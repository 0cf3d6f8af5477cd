"""Clients' keys behind a jwks_uri: fetched when needed, seldom, and within bounds."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from gateway.client.assertions import ASSERTION_TYPE
from gateway.client.client_keys import ClientKey, make_key, read_key
from gateway.issuer.remote_keys import COOLDOWN, KEPT, REFRESH

from .issuer_case import ISSUER, TEXT, Clock, server

FIRST, SECOND = (read_key(make_key(), kid=kid) for kid in ("first", "second"))
COUNTER = iter(range(1_000_000))


def published(*keys: ClientKey) -> bytes:
    return json.dumps({"keys": [key.public_jwk | {"kid": key.named["kid"]} for key in keys]}).encode()


@dataclass
class Site:
    """Where the keys are, and how often they were fetched."""

    body: bytes = field(default_factory=lambda: published(FIRST))
    status: int = 200
    fetched: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, _request: web.Request) -> web.Response:
        self.fetched += 1
        self.asked.set()
        await self.gate.wait()
        return web.Response(status=self.status, body=self.body, headers={"Location": "/keys"})


class Asking:
    """An issuer whose client has a jwks_uri."""

    def __init__(self, client: Any, clock: Clock) -> None:
        self.client = client
        self.clock = clock

    async def ask(self, key: ClientKey, kid: str | None = None) -> int:
        claims = {"iss": "signer", "sub": "signer", "aud": ISSUER, "exp": self.clock.now + 60}
        named = key.named if kid is None else {"kid": kid}
        signed = key.sign(named, claims | {"jti": f"{next(COUNTER)}"})
        data = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": signed,
        }
        async with self.client.post("/oauth2/v1/token", data=data) as answer:
            return int(answer.status)


@pytest.fixture
def site() -> Site:
    site = Site()
    site.gate.set()
    return site


@pytest.fixture
async def asking(aiohttp_client: AiohttpClient, aiohttp_server: AiohttpServer, site: Site) -> Asking:
    app = web.Application()
    app.router.add_get("/keys", site.answer)
    peer = await aiohttp_server(app)
    clock = Clock()
    text = TEXT.replace("jwks: {keys: []}", f"jwks_uri: 'http://127.0.0.1:{peer.port}/keys'")
    return Asking(await aiohttp_client(server(clock, text).application()), clock)


async def test_keys_are_fetched_once_and_then_known(asking: Asking, site: Site) -> None:
    assert [await asking.ask(FIRST) for _ in range(3)] == [200] * 3
    assert site.fetched == 1


async def test_assertions_that_come_at_once_wait_for_one_fetch(asking: Asking, site: Site) -> None:
    site.gate.clear()
    tasks = [asyncio.create_task(asking.ask(FIRST)) for _ in range(5)]
    await site.asked.wait()
    site.gate.set()
    assert await asyncio.gather(*tasks) == [200] * 5
    assert site.fetched == 1


async def test_a_new_key_is_looked_for_but_once_in_a_cooldown(asking: Asking, site: Site) -> None:
    assert await asking.ask(FIRST) == 200
    site.body = published(FIRST, SECOND)
    assert await asking.ask(SECOND) == 400
    asking.clock.now += COOLDOWN
    assert await asking.ask(SECOND) == 200
    assert site.fetched == 2


async def test_invented_keys_cause_one_fetch_in_a_cooldown(asking: Asking, site: Site) -> None:
    assert await asking.ask(FIRST) == 200
    asking.clock.now += COOLDOWN
    assert [await asking.ask(FIRST, kid=f"invented-{n}") for n in range(5)] == [400] * 5
    assert site.fetched == 2


async def test_a_key_that_is_withdrawn_is_refused_after_the_next_fetch(asking: Asking, site: Site) -> None:
    assert await asking.ask(FIRST) == 200
    site.body = published(SECOND)
    asking.clock.now += REFRESH
    assert await asking.ask(FIRST) == 400


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (302, b""), (200, b"nonsense"), (200, b'{"keys": []}'), (200, b" " * (1 << 20) + b"{}")],
)
async def test_while_keys_cannot_be_fetched_the_last_good_ones_stay_for_an_hour(
    asking: Asking, site: Site, status: int, body: bytes
) -> None:
    assert await asking.ask(FIRST) == 200
    site.status, site.body = status, body
    asking.clock.now += REFRESH
    assert await asking.ask(FIRST) == 200
    asking.clock.now += KEPT - REFRESH
    assert await asking.ask(FIRST) == 400
    assert site.fetched == 3
    site.status, site.body = 200, published(FIRST)
    asking.clock.now += COOLDOWN
    assert await asking.ask(FIRST) == 200


async def test_without_keys_the_words_are_those_for_an_unknown_client(asking: Asking, site: Site) -> None:
    site.status = 500
    assert await asking.ask(FIRST) == 400
    assert await asking.ask(FIRST) == 400
    assert site.fetched == 1
