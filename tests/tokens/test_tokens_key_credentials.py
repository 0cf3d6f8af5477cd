"""Keys that an issuer shows to its clients only (Oracle's SigningCert)."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from gateway.client.fetch import Unreachable
from gateway.client.token_request import TokenOutcome
from gateway.client.token_response import TokenResponse
from gateway.client.token_source import TokenSource
from gateway.tokens.key_source import KeySettings, RemoteKeys

from .tokens_case import Clock, public_jwk


class Guarded:
    """An issuer that gives its keys for one of its tokens only, and keeps which were shown."""

    def __init__(self) -> None:
        self.url = ""
        self.good = "Bearer t1"
        self.shown: list[str | None] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.shown.append(request.headers.get("Authorization"))
        if self.shown[-1] != self.good:
            return web.json_response({}, status=401)
        return web.json_response({"keys": [public_jwk("P-256")]})


@pytest.fixture
async def issuer() -> AsyncIterator[Guarded]:
    guarded = Guarded()
    runner = web.ServerRunner(web.Server(guarded.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    guarded.url = site.name
    yield guarded
    await runner.cleanup()


def source_of(*outcomes: TokenOutcome) -> TokenSource:
    """A source that obtains these, one after the other."""
    left = list(outcomes)

    async def obtain() -> TokenOutcome:
        await asyncio.sleep(0)
        return left.pop(0)

    return TokenSource("oracle", obtain, timeout=5, clock=Clock())


def bearer(token: str) -> TokenResponse:
    return TokenResponse(token, "Bearer", 3600, None)


async def test_a_fetch_bears_the_token_and_one_that_is_refused_is_replaced(issuer: Guarded) -> None:
    issuer.good = "Bearer t2"
    credentials = source_of(bearer("t1"), bearer("t2"))
    async with aiohttp.ClientSession() as http:
        keys = RemoteKeys(KeySettings("a", issuer.url, f"{issuer.url}/keys"), http, Clock(), credentials)
        await keys.refresh()
        assert keys.current is None
        assert keys.error == f"{issuer.url}/keys answered 401 with no JSON object"
        await keys.refresh()
    assert keys.status.error is None
    assert keys.status.kids == ("a-P-256",)
    assert issuer.shown == ["Bearer t1", "Bearer t2"]
    await credentials.close()


async def test_without_a_token_nothing_is_fetched_and_the_error_says_why(issuer: Guarded) -> None:
    credentials = source_of(Unreachable("https://login.example/token answered 503"))
    async with aiohttp.ClientSession() as http:
        keys = RemoteKeys(KeySettings("a", issuer.url, f"{issuer.url}/keys"), http, Clock(), credentials)
        await keys.refresh()
    assert keys.error == "credentials oracle: https://login.example/token answered 503"
    assert issuer.shown == []
    await credentials.close()


async def test_an_answer_that_never_comes_says_nothing_about_the_token() -> None:
    credentials = source_of(bearer("t1"))
    async with aiohttp.ClientSession() as http:
        keys = RemoteKeys(KeySettings("a", "http://127.0.0.1:1", "http://127.0.0.1:1/keys"), http, Clock(), credentials)
        await keys.refresh()
    assert keys.error is not None
    assert credentials.authorization == b"Bearer t1"
    await credentials.close()
