"""An issuer rotates its keys under load, and the gateway, which fetches them over HTTP, refuses no request."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from gateway.issuer.key_times import KeyTimes
from gateway.issuer.rotation import Rotation
from gateway.issuer.running import RunningIssuer
from gateway.issuer.secrets import ScryptCost, hash_secret
from gateway.issuer.settings import IssuerSettings, parse
from gateway.issuer.state import IssuerState

from .conftest import Start
from .gate import Clock, Gate
from .minting import AUDIENCE
from .raw_client import RawClient, request

CLIENTS = 6
LIFETIME = 3600
ISSUER = "https://issuer.example"
FILE = {
    "listen": "127.0.0.1:0",
    "issuer": ISSUER,
    "state": "replaced",
    "signing_algorithm": "ES256",
    "rotation": {"publish_ahead": "1m"},
    "resources": {AUDIENCE: {"admin": "Everything"}},
    "roles": {"administrator": ["admin"]},
    "clients": {
        "batch": {"type": "trusted", "roles": ["administrator"], "secret": hash_secret("s", ScryptCost(n=16, r=1, p=1))}
    },
}


@dataclass
class Load:
    """Clients that get a token for each request, and what became of these."""

    gate: Gate
    issuer: str
    state: Path
    settings: IssuerSettings
    kids: list[str] = field(default_factory=list)
    refusals: list[bytes] = field(default_factory=list)
    over: bool = False

    async def client(self) -> None:
        credentials = {"Authorization": aiohttp.encode_basic_auth("batch", "s")}
        form = {"grant_type": "client_credentials"}
        async with aiohttp.ClientSession(headers=credentials) as http, RawClient(self.gate.gateway.port) as connection:
            while not self.over:
                async with http.post(f"{self.issuer}/oauth2/v1/token", data=form) as answer:
                    token = (await answer.json())["access_token"]
                answered = await connection.ask(request("GET /admin/x", self.gate.bearer(token)))
                self.kids.append(json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"])
                if answered.status != 200:
                    self.refusals.append(answered.body)

    async def rotate(self) -> KeyTimes:
        """As `scopegate issuer keys rotate` does it, beside the running server; returns when the gateway knows."""

        def rotate() -> KeyTimes:
            with closing(IssuerState.open(str(self.state), self.gate.clock)) as state:
                return Rotation(state, self.settings.key_plan, self.gate.clock).rotate()[0]

        following = await asyncio.to_thread(rotate)
        await self.gate.until(lambda status: following.kid in status["issuers"][0]["kids"])
        return following

    async def some_requests(self) -> None:
        """Until each client has begun and ended one, and a few more."""
        before = len(self.kids)
        await self.gate.until(lambda _: len(self.kids) >= before + 4 * CLIENTS)


@pytest.fixture
async def load(start: Start, tmp_path: Path) -> AsyncIterator[Load]:
    settings, clock, state = parse(json.dumps(FILE), "issuer.yaml", {}), Clock(), tmp_path / "issuer.db"
    assert isinstance(settings, IssuerSettings)
    async with RunningIssuer(settings, clock=clock, state=state) as issuer:
        url = f"http://{issuer.address}"
        trusted = {"issuer": ISSUER, "jwks_uri": f"{url}/oauth2/v1/jwks", "jwks_file": None, "keys_refresh": "1s"}
        gate = await start(issuer=trusted, clock=clock)
        gate.reads_all = False  # the load is cut off where it happens to be
        await gate.until(lambda status: status["issuers"][0]["kids"])
        load = Load(gate, url, state, settings)
        clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
        yield load
        load.over = True
        await asyncio.gather(*clients)
        assert load.refusals == []


async def test_rotations_under_load_refuse_no_request(load: Load) -> None:
    clock = load.gate.clock
    for _ in range(3):
        await load.some_requests()
        following = await load.rotate()
        assert following.kid not in load.kids
        clock.now = int(following.signs_from)
        await load.some_requests()
        assert following.kid in load.kids
    assert len(set(load.kids)) == 4
    status = await load.gate.status()
    assert status["issuers"][0]["unknown_keys"] == 0, "the gateway had to ask for a key while a request waited"


async def test_an_old_key_leaves_after_its_last_token_without_a_refusal(load: Load) -> None:
    clock = load.gate.clock
    await load.some_requests()
    first = load.kids[0]
    following = await load.rotate()
    clock.now = int(following.signs_from)
    for _ in range(4):
        await load.some_requests()
        assert first in (await load.gate.status())["issuers"][0]["kids"]
        clock.now += LIFETIME // 4
    clock.now += 301
    await load.gate.until(lambda status: status["issuers"][0]["kids"] == [following.kid])
    await load.some_requests()
