"""A gateway and the issuer that it embeds: tokens are followed from their issue to their use, and revoked."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result

from gateway.cli.issuer import issuer as command
from gateway.issuer.running import RunningIssuer
from gateway.issuer.secrets import ScryptCost, hash_secret
from gateway.issuer.settings import IssuerSettings, parse

from .conftest import Start
from .gate import Gate
from .minting import AUDIENCE
from .patience import eventually
from .raw_client import RawClient, request

SECRET = "nightly-batch-secret"
CHEAP = ScryptCost(n=16, r=1, p=1)


@dataclass
class Issuer:
    """An issuer's file, and what a client does there."""

    file: Path
    url: str
    log: Path

    async def ask(self, scope: str = "admin", secret: str = SECRET) -> dict[str, Any]:
        """What the token endpoint answers."""
        form = {"grant_type": "client_credentials", "scope": scope}
        credentials = {"Authorization": aiohttp.encode_basic_auth("nightly-batch", secret)}
        async with (
            aiohttp.ClientSession(headers=credentials) as http,
            http.post(f"{self.url}/oauth2/v1/token", data=form) as answer,
        ):
            document: dict[str, Any] = await answer.json()
            return document

    async def token(self) -> str:
        return str((await self.ask())["access_token"])

    async def revoke(self, *arguments: str) -> Result:
        """As an operator does it, beside the running server."""
        invoke = CliRunner().invoke
        result = await asyncio.to_thread(invoke, command, ["revoke", "-c", str(self.file), *arguments])
        assert result.exit_code == 0, result.output
        return result

    async def records(self, count: int) -> list[dict[str, Any]]:
        await eventually(lambda: self.log.is_file() and len(self.log.read_bytes().splitlines()) >= count)
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    document = {
        "listen": address,
        "issuer": f"http://{address}",
        "state": str(tmp_path / "issuer.db"),
        "issuance_log": str(tmp_path / "issuance.jsonl"),
        "resources": {AUDIENCE: {"admin": "Everything"}},
        "roles": {"administrator": ["admin"]},
        "clients": {
            "nightly-batch": {"type": "trusted", "roles": ["administrator"], "secret": hash_secret(SECRET, CHEAP)}
        },
    }
    file = tmp_path / "issuer.yaml"
    file.write_text(json.dumps(document))
    return Issuer(file, f"http://{address}", tmp_path / "issuance.jsonl")


@pytest.fixture
async def gate(start: Start, issuer: Issuer) -> Gate:
    """In the present: the command that revokes has no other time."""
    trusted = {"issuer": issuer.url, "embedded": "issuer.yaml", "jwks_file": None}
    return await start(issuer=trusted, clock=time.time)


@pytest.fixture
async def alone(issuer: Issuer) -> AsyncIterator[RunningIssuer]:
    """The same issuer in no gateway's process."""
    settings = parse(issuer.file.read_text(), str(issuer.file), {})
    assert isinstance(settings, IssuerSettings)
    async with RunningIssuer(settings, base=issuer.file.parent) as running:
        yield running


async def why(client: RawClient, authorization: str) -> str:
    """The reason of a refusal, "" for entry."""
    answer = await client.ask(request("GET /admin/x", authorization))
    return "" if answer.status == 200 else str(json.loads(answer.body)["reason"])


async def refused_in_the_end(client: RawClient, authorization: str) -> str:
    """Ask again and again, until the answer is no longer entry."""
    while not (reason := await why(client, authorization)):  # noqa: ASYNC110 - the gateway sets no event here
        await asyncio.sleep(0.01)
    return reason


async def test_a_token_is_followed_from_its_issue_to_its_use(gate: Gate, issuer: Issuer) -> None:
    token, other = await issuer.token(), await issuer.token()
    assert (await issuer.ask(secret="not-the-secret"))["error"] == "invalid_client"
    for bearer in (other, token):
        assert (await gate.ask(request("GET /admin/x", gate.bearer(bearer)))).status == 200
    issued, _, refused = await issuer.records(3)
    *_, used = await gate.records(2)
    assert issued["jti_hash"] == used["jti_hash"]
    for mine, theirs in [
        ("client_id", "client_id"),
        ("issuer", "issuer"),
        ("kid", "kid"),
        ("alg", "alg"),
        ("token_exp", "token_exp"),
        ("scopes_granted", "scopes_granted"),
    ]:
        assert issued[mine] == used[theirs]
    assert [issued["audience"]] == used["aud"]
    assert (issued["outcome"], issued["method"], issued["client_ip"]) == ("issued", "client_secret_basic", "127.0.0.1")
    assert (refused["outcome"], refused["client_id"], refused["client_named"]) == ("refused", None, "nightly-batch")
    written = issuer.log.read_text()
    parts = {each for bearer in (token, other) for each in bearer.split(".")}
    assert not [secret for secret in (SECRET, "not-the-secret", *parts) if secret in written]


async def test_both_logs_are_opened_anew_together(gate: Gate, issuer: Issuer) -> None:
    await issuer.token()
    await issuer.records(1)
    issuer.log.rename(issuer.log.with_suffix(".1"))
    gate.gateway.reopen_log()
    await issuer.token()
    assert [record["outcome"] for record in await issuer.records(1)] == ["issued"]


async def test_a_token_that_is_revoked_by_command_is_refused_on_a_kept_connection_and_on_a_new_one(
    gate: Gate, issuer: Issuer
) -> None:
    token, other = gate.bearer(await issuer.token()), gate.bearer(await issuer.token())
    claims = json.loads((await issuer.revoke("--json", "--jti", "nothing")).stdout)["revoked"]
    assert [claim["value"] for claim in claims] == ["nothing"]
    async with gate.connect() as kept, gate.connect() as fresh:
        assert await why(kept, token) == ""
        await issuer.revoke("--jti", jti(token))
        assert await refused_in_the_end(kept, token) == "token_revoked"
        assert await why(fresh, token) == "token_revoked"
        assert await why(kept, other) == ""


async def test_a_client_whose_tokens_are_revoked_can_have_new_ones(gate: Gate, issuer: Issuer) -> None:
    token = gate.bearer(await issuer.token())
    async with gate.connect() as client:
        assert await why(client, token) == ""
        await issuer.revoke("--client", "nightly-batch")
        assert await refused_in_the_end(client, token) == "token_revoked"
        while await why(client, gate.bearer(await issuer.token())):  # noqa: ASYNC110 - until that second has passed
            await asyncio.sleep(0.05)


async def test_when_a_key_is_revoked_its_tokens_are_refused_and_those_of_the_next_are_not(
    gate: Gate, issuer: Issuer
) -> None:
    old = await issuer.token()
    token = gate.bearer(old)
    async with gate.connect() as client:
        assert await why(client, token) == ""
        await issuer.revoke("--key", kid(old))
        assert await refused_in_the_end(client, token) == "token_revoked"
        fresh = await issuer.token()
        assert kid(fresh) != kid(old)
        assert await why(client, gate.bearer(fresh)) == ""
        async with aiohttp.ClientSession() as http, http.get(f"{issuer.url}/oauth2/v1/jwks") as answer:
            published = [key["kid"] for key in (await answer.json(content_type=None))["keys"]]
        assert published == [kid(fresh)]
        await gate.until(lambda status: status["issuers"][0]["kids"] == [kid(fresh)])
        assert await why(client, token) == "token_revoked"


async def test_what_was_revoked_stays_so_when_the_issuer_goes(
    start: Start, issuer: Issuer, alone: RunningIssuer
) -> None:
    trusted = {"issuer": issuer.url, "jwks_file": None}
    gate = await start(issuer=trusted, clock=time.time)
    token = gate.bearer(await issuer.token())
    async with gate.connect() as client:
        await issuer.revoke("--jti", jti(token))
        assert await refused_in_the_end(client, token) == "token_revoked"
        await alone.close()
        status = await gate.until(lambda status: status["issuers"][0]["revocations"]["error"] is not None)
        assert status["issuers"][0]["revocations"]["count"] == 1
        assert await why(client, token) == "token_revoked"


def part(token: str, index: int) -> dict[str, Any]:
    encoded = token.rpartition(" ")[2].split(".")[index]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(encoded + "=="))
    return found


def jti(token: str) -> str:
    return str(part(token, 1)["jti"])


def kid(token: str) -> str:
    return str(part(token, 0)["kid"])


async def test_opaque_tokens_are_followed_from_their_issue_to_their_revocation(start: Start, issuer: Issuer) -> None:
    document = json.loads(issuer.file.read_text())
    asking = {"type": "trusted", "roles": [], "introspect": True, "secret": hash_secret("asks", CHEAP)}
    document["clients"]["gateway"] = asking
    issuer.file.write_text(json.dumps(document | {"token_format": "opaque"}))
    introspection = {"credentials": "own", "cache": {"for": "1h"}}
    trusted = {"issuer": issuer.url, "embedded": "issuer.yaml", "jwks_file": None, "introspection": introspection}
    own = {"issuer": issuer.url, "client_id": "gateway", "client_secret": "asks"}
    gate = await start(issuer=trusted, credentials={"own": own}, clock=time.time)
    token = await issuer.token()
    assert token.count(".") == 0
    bearer = gate.bearer(token)
    async with gate.connect() as client:
        assert await why(client, bearer) == ""
        assert await why(client, bearer) == ""
        assert await why(client, gate.bearer(token[:-1])) == "token_revoked"
        issued = (await issuer.records(1))[0]
        first = (await gate.records(3))[0]
        assert (first["token_kind"], first["client_id"], first["cache_hit"]) == ("opaque", "nightly-batch", False)
        assert first["jti_hash"] == issued["jti_hash"]
        assert (await gate.status())["issuers"][0]["introspection"]["asked"] == 2
        await issuer.revoke("--client", "nightly-batch")
        assert await refused_in_the_end(client, bearer) == "token_revoked"
