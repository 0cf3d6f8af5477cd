"""Opaque tokens and several workers: each asks for itself, and the operator sees the sums."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from .fleet import Fleet, running, write

AUDIENCE = "https://api.example"


@dataclass
class Endpoint:
    """Calls `good` active and `bad` inactive, and fails at everything else; keeps what it was asked."""

    port: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        token = str((await request.post())["token"])
        self.asked[token] += 1
        if token == "bad":
            return web.json_response({"active": False})
        claims = {"aud": AUDIENCE, "exp": time.time() + 600, "client_id": "batch", "scope": "read"}
        return web.json_response({"active": True} | claims, status=200 if token == "good" else 500)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    runner = web.ServerRunner(web.Server(endpoint.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.port = runner.addresses[0][1]
    yield endpoint
    await runner.cleanup()


def write_with_introspection(file: Path, api: int, endpoint: Endpoint) -> None:
    issuer = f"http://127.0.0.1:{endpoint.port}"
    introspection = {
        "endpoint": f"{issuer}/introspect",
        "credentials": "own",
        "jwt_tokens": "refuse",
        "cache": {"for": "1h", "negative_for": "5m"},
    }
    write(
        file,
        api,
        issuers={
            "main": {"issuer": issuer, "audience": AUDIENCE, "revocations": "off", "introspection": introspection}
        },
        credentials={"own": {"issuer": issuer, "client_id": "gateway", "client_secret": "s"}},
        routes=[{"id": "read", "path": "/{rest...}", "scopes": ["read"], "upstream": "api"}],
    )


async def ask(fleet: Fleet, token: str) -> int:
    """On a connection of its own, which leads to any worker."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
        http.get(f"http://127.0.0.1:{fleet.port}/x") as answer,
    ):
        return answer.status


async def test_what_workers_asked_and_recalled_is_summed(file: Path, api_port: int, endpoint: Endpoint) -> None:
    write_with_introspection(file, api_port, endpoint)
    expected, times = {"good": 200, "bad": 401, "other": 503}, 0
    async with running(file) as fleet:
        while times < 5 or min(endpoint.asked["good"], endpoint.asked["bad"]) < 2:
            for token, status in expected.items():
                assert await ask(fleet, token) == status
            times += 1
        assert endpoint.asked == {"good": 2, "bad": 2, "other": times}
        told = (await fleet.until(lambda status: status["connections"] == 0))["issuers"][0]["introspection"]
        assert told["asked"] == endpoint.asked.total()
        assert (told["failed"], told["inactive"], told["recalled"]) == (times, times, times - 2)
        assert told["crowded"] == 0
        assert told["error"] == "it answered 500"
        assert told["answered_at"] is not None
        metrics = (await fleet.operator("/metrics"))[1]
        assert f'scopegate_introspection_requests_total{{issuer="main"}} {float(endpoint.asked.total())}' in metrics
        assert f'scopegate_introspection_tokens_total{{issuer="main",outcome="recalled"}} {times - 2.0}' in metrics
