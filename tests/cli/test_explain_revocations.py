"""`scopegate explain` asks whether a token is revoked, where somebody can be asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.cli.check import examine
from gateway.config.gateway_file import GatewayConfig

from .explain_case import ISSUER, KEY, NOW, advice, key_set, token, with_claims, with_token, write_local


@asynccontextmanager
async def revoking(tmp_path: Path, *entries: dict[str, Any], status: int = 200, kid: str = "k1") -> AsyncIterator[Path]:
    """The configuration of a gateway whose issuer tells these revocations."""

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path.startswith("/.well-known"):
            return web.json_response({"issuer": url, "jwks_uri": f"{url}/jwks", "revocations_uri": f"{url}/feed"})
        if request.path == "/feed":
            return web.json_response({"cursor": "1", "revocations": entries}, status=status)
        return web.json_response(key_set(KEY, kid))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    url = f"http://127.0.0.1:{port}"
    file = write_local(tmp_path, port)
    yield file
    await runner.cleanup()


def of(file: Path) -> str:
    """The issuer that a configuration trusts."""
    config = examine(file, {})
    assert isinstance(config, GatewayConfig)
    return config.issuers["local"].issuer


def check_of(found: dict[str, Any], name: str) -> tuple[str, str]:
    """Mark and finding of one check of the verification."""
    [fact] = [
        fact for step in found["steps"] if step["name"] == "verify" for fact in step["facts"] if fact["name"] == name
    ]
    return fact["mark"], fact["found"]


async def test_a_revoked_token_is_told_after_asking_its_issuer(tmp_path: Path) -> None:
    async with revoking(tmp_path, {"kind": "key", "kid": "k1", "until": NOW}) as file:
        found = await asyncio.to_thread(with_token, file, "GET", "/jobs", token(iss=of(file)))
    assert found["verdict"]["reason"] == "token_revoked"
    assert check_of(found, "signature") == ("ok", "genuine")
    assert check_of(found, "revocation") == ("failed", "revoked: the token, its client's tokens, or its key")
    assert advice(found) == "Get a new token."


async def test_a_token_of_a_revoked_key_that_is_gone_is_told_before_its_signature(tmp_path: Path) -> None:
    async with revoking(tmp_path, {"kind": "key", "kid": "k1", "until": NOW}, kid="k2") as file:
        found = await asyncio.to_thread(with_token, file, "GET", "/jobs", token(iss=of(file)))
    assert found["verdict"]["reason"] == "token_revoked"
    assert check_of(found, "key") == ("failed", "kid k1")
    assert check_of(found, "revocation")[0] == "not_reached"


async def test_a_token_that_is_not_revoked_is_told_so(tmp_path: Path) -> None:
    async with revoking(tmp_path, {"kind": "key", "kid": "k2", "until": NOW}) as file:
        found = await asyncio.to_thread(with_token, file, "GET", "/jobs", token(iss=of(file)))
    assert found["allowed"]
    assert check_of(found, "revocation") == ("ok", "not revoked")


async def test_a_feed_that_does_not_answer_is_told_and_decides_nothing(tmp_path: Path) -> None:
    async with revoking(tmp_path, status=500) as file:
        found = await asyncio.to_thread(with_token, file, "GET", "/jobs", token(iss=of(file)))
    assert found["allowed"]
    assert check_of(found, "revocation") == ("not_reached", f"not looked at: {of(file)}/feed answered 500")


@pytest.mark.parametrize(
    ("setting", "why"), [("auto", "main has no feed of revocations"), ("false", "revocations is off for main")]
)
def test_where_nobody_can_be_asked_explain_says_that_it_did_not_look(config: Path, setting: str, why: str) -> None:
    config.write_text(
        config.read_text().replace("jwks_file: keys.json}", f"jwks_file: keys.json, revocations: {setting}}}", 1)
    )
    found = with_token(config, "GET", "/jobs", token())
    assert check_of(found, "revocation") == ("not_reached", f"not looked at: {why}")


def test_of_claims_alone_nobody_can_say_whether_they_are_revoked(config: Path) -> None:
    found = with_claims(config, "GET", "/jobs", {"iss": ISSUER, "scope": "jobs.read"})
    assert check_of(found, "revocation") == ("not_reached", "not looked at: there are claims only, and no token")
