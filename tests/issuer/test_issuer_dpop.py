"""DPoP at the token endpoint (RFC 9449 §5)."""

from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from gateway.client.client_keys import make_key, read_key
from gateway.client.dpop_proof import DpopKey
from gateway.tokens.replay import ReplayStore

from .issuer_case import BATCH, ISSUER, TEXT, Clock, basic, server

Client = TestClient[web.Request, web.Application]

TOKEN = "/oauth2/v1/token"
KEY = DpopKey(read_key(make_key()))
BOUND = TEXT.replace("  roleless: {", "  roleless: {dpop_bound_access_tokens: true, ").replace(
    "roleless: {dpop_bound_access_tokens: true, type: trusted,",
    "roleless: {dpop_bound_access_tokens: true, type: trusted, roles: [operator],",
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer(aiohttp_client: AiohttpClient, clock: Clock) -> Client:
    return await aiohttp_client(server(clock, BOUND).application())


def proof(clock: Clock, method: str = "POST", url: str = ISSUER + TOKEN) -> str:
    return KEY.proof(method, url, clock.now)


async def ask(issuer: Client, client: dict[str, str], *proofs: str) -> tuple[int, dict[str, Any]]:
    headers = [*client.items(), *(("DPoP", each) for each in proofs)]
    async with issuer.post(TOKEN, data={"grant_type": "client_credentials"}, headers=headers) as answer:
        return answer.status, await answer.json()


def claims_of(answer: dict[str, Any]) -> dict[str, Any]:
    return dict(jwt.decode(answer["access_token"], options={"verify_signature": False}))


@pytest.mark.parametrize("client", [BATCH, basic("roleless", "none")])
async def test_a_token_is_bound_to_the_key_of_the_proof(issuer: Client, clock: Clock, client: dict[str, str]) -> None:
    status, answer = await ask(issuer, client, proof(clock))
    assert (status, answer["token_type"]) == (200, "DPoP")
    assert claims_of(answer)["cnf"] == {"jkt": KEY.thumbprint}


async def test_without_a_proof_a_token_is_bound_to_nothing(issuer: Client) -> None:
    status, answer = await ask(issuer, BATCH)
    assert (status, answer["token_type"]) == (200, "Bearer")
    assert "cnf" not in claims_of(answer)


async def test_a_client_that_is_bound_by_its_settings_needs_a_proof(issuer: Client) -> None:
    status, answer = await ask(issuer, basic("roleless", "none"))
    assert (status, answer["error"]) == (400, "invalid_dpop_proof")
    assert "field DPoP" in answer["error_description"]


async def test_a_proof_is_used_once(issuer: Client, clock: Clock) -> None:
    once = proof(clock)
    assert (await ask(issuer, BATCH, once))[0] == 200
    status, answer = await ask(issuer, BATCH, once)
    assert (status, answer["error"]) == (400, "invalid_dpop_proof")
    assert "used before" in answer["error_description"]
    clock.now += 61
    status, answer = await ask(issuer, BATCH, once)
    assert (status, "too old" in answer["error_description"]) == (400, True)


async def test_a_proof_that_does_not_fit_is_refused(issuer: Client, clock: Clock) -> None:
    future = Clock(clock.now + 60)
    for proofs in (
        [proof(clock, method="GET")],
        [proof(clock, url=ISSUER + "/oauth2/v1/other")],
        [proof(clock), proof(clock)],
        [proof(future)],
        ["nonsense"],
        [""],
    ):
        status, answer = await ask(issuer, BATCH, *proofs)
        assert (status, answer["error"]) == (400, "invalid_dpop_proof"), proofs


async def test_when_too_many_proofs_are_in_use_no_more_are_taken(aiohttp_client: AiohttpClient, clock: Clock) -> None:
    made = server(clock, BOUND)
    made._memory.proofs = ReplayStore(clock, most=1)
    issuer = await aiohttp_client(made.application())
    assert (await ask(issuer, BATCH, proof(clock)))[0] == 200
    status, answer = await ask(issuer, BATCH, proof(clock))
    assert (status, answer["error"]) == (429, "invalid_dpop_proof")


async def test_who_the_client_is_comes_before_its_proof(issuer: Client, clock: Clock) -> None:
    status, answer = await ask(issuer, basic("nightly-batch", "wrong"), proof(clock))
    assert (status, answer["error"]) == (401, "invalid_client")
