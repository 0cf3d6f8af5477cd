"""What the issuance log says of token requests, over real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from hypothesis import HealthCheck, given, settings as budget, strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from gateway.issuer.client_request import ClientRequest
from gateway.issuer.errors import IssuanceLogError, TokenError, TokenErrorCode
from gateway.issuer.form import Form
from gateway.issuer.issuance_log import IssuanceLog, IssuanceRecord, issuance_record
from gateway.issuer.key_ring import KeyRing
from gateway.issuer.running import RunningIssuer
from gateway.issuer.server import AuthorizationServer
from gateway.issuer.token_endpoint import TokenAnswer
from gateway.tokens.verifier import hash_key, jti_hash

from .issuer_case import (
    BATCH,
    EVERYTHING,
    FORM,
    ISSUER,
    MAINTENANCE,
    REPORTS,
    SECRET,
    TEXT,
    Clock,
    a_state,
    basic,
    keys,
    settings,
)

TOKEN = "/oauth2/v1/token"
GRANT = {"grant_type": "client_credentials"}
KEY = b"key"
MEMBERS = list(IssuanceRecord.__annotations__)


class Stage:
    """A server that logs, and what it has logged."""

    def __init__(self, http: TestClient[web.Request, web.Application], log: IssuanceLog, path: Path) -> None:
        self.http = http
        self.log = log
        self.path = path

    async def ask(self, headers: Mapping[str, str] = BATCH, **parameters: str) -> dict[str, Any]:
        async with self.http.post(TOKEN, data=GRANT | parameters, headers=headers) as answer:
            document: dict[str, Any] = await answer.json()
            return document

    async def records(self, count: int = 1) -> list[dict[str, Any]]:
        """As soon as there are so many; there must be no more."""
        while len(lines := self.path.read_bytes().splitlines(keepends=True)) < count:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.005)
        assert all(line.endswith(b"}\n") and line.isascii() for line in lines)
        assert len(lines) == count
        return [json.loads(line) for line in lines]


async def start(aiohttp_client: AiohttpClient, path: Path, text: str = TEXT) -> Stage:
    clock, said = Clock(), settings(text)
    log = IssuanceLog(str(path), KEY)
    server = AuthorizationServer(said, KeyRing.of(said.key_plan, keys(), clock), clock, a_state(clock), log=log)
    return Stage(await aiohttp_client(server.application()), log, path)


@pytest.fixture
async def stage(aiohttp_client: AiohttpClient, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = await start(aiohttp_client, tmp_path / "issuance.jsonl")
    yield stage
    await stage.log.close()


async def test_an_issued_token_is_told_in_full_but_for_the_token(stage: Stage) -> None:
    answer = await stage.ask(scope="jobs.run")
    [record] = await stage.records()
    assert list(record) == MEMBERS
    token = json.loads(_claims(answer["access_token"]))
    assert record == {
        "v": 1,
        "ts": "2027-01-15T08:00:00.000Z",
        "outcome": "issued",
        "status": 200,
        "error": None,
        "error_description": None,
        "client_ip": "127.0.0.1",
        "client_id": "nightly-batch",
        "client_named": "nightly-batch",
        "method": "client_secret_basic",
        "scopes_asked": ["jobs.run"],
        "scopes_granted": ["jobs.run"],
        "audience": MAINTENANCE,
        "issuer": ISSUER,
        "kid": keys()[0].kid,
        "alg": "RS256",
        "format": "jwt",
        "token_type": "Bearer",
        "jti_hash": jti_hash(KEY, ISSUER, token["jti"]),
        "token_exp": token["exp"],
    }


def _claims(token: str) -> bytes:
    return base64.urlsafe_b64decode(token.split(".")[1] + "==")


async def test_an_opaque_token_has_no_key(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    stage = await start(aiohttp_client, tmp_path / "issuance.jsonl", TEXT + "token_format: opaque\n")
    answer = await stage.ask()
    [record] = await stage.records()
    await stage.log.close()
    assert (record["format"], record["kid"], record["alg"], record["outcome"]) == ("opaque", None, None, "issued")
    assert len(record["jti_hash"]) == 32
    assert answer["access_token"] not in stage.path.read_text()


REFUSED: list[tuple[Mapping[str, str], dict[str, str], dict[str, Any]]] = [
    (BATCH, {"grant_type": "password"}, {"error": "unsupported_grant_type", "client_id": None, "status": 400}),
    (BATCH, {"scope": "admin"}, {"error": "invalid_scope", "client_id": "nightly-batch", "scopes_asked": ["admin"]}),
    (EVERYTHING, {}, {"error": "invalid_target", "client_id": "everything", "scopes_asked": []}),
    (
        basic("nightly-batch", "wrong"),
        {},
        {"error": "invalid_client", "status": 401, "client_id": None, "client_named": "nightly-batch"},
    ),
    (basic("nobody", "x"), {}, {"error": "invalid_client", "client_named": None, "method": "client_secret_basic"}),
    (
        {},
        {"client_id": "nightly-batch", "client_secret": "wrong"},
        {"error": "invalid_client", "client_named": "nightly-batch", "method": "client_secret_post"},
    ),
    ({}, {"client_id": "field-app"}, {"error": "unauthorized_client", "client_named": "field-app", "method": None}),
    ({}, {}, {"error": "invalid_client", "client_named": None, "method": None}),
    (
        basic("grantless", "none"),
        {},
        {"error": "unauthorized_client", "client_id": "grantless", "method": "client_secret_basic"},
    ),
    (
        BATCH,
        {"scope": f"{REPORTS}shared jobs.run " + "x" * 65},
        {"error": "invalid_scope", "scopes_asked": [f"{REPORTS}shared", "jobs.run", "*"]},
    ),
]


@pytest.mark.parametrize(("client", "parameters", "expected"), REFUSED)
async def test_a_refusal_says_why_and_no_more_than_is_known(
    stage: Stage, client: Mapping[str, str], parameters: dict[str, str], expected: dict[str, Any]
) -> None:
    await stage.ask(client, **parameters)
    [record] = await stage.records()
    assert list(record) == MEMBERS
    assert record["outcome"] == "refused"
    assert {name: record[name] for name in expected} == expected
    granted = ("scopes_granted", "audience", "kid", "alg", "format", "token_type", "jti_hash", "token_exp")
    assert [record[name] for name in granted] == [[], *[None] * 7]


@pytest.mark.parametrize(
    ("headers", "body"), [(FORM, b"\xff"), (FORM, b"a=1&a=2"), ({"Content-Type": "application/json"}, b"{}")]
)
async def test_a_request_whose_body_cannot_be_read_is_told_too(
    stage: Stage, headers: Mapping[str, str], body: bytes
) -> None:
    async with stage.http.post(TOKEN, data=body, headers={**headers, **BATCH}):
        pass
    [record] = await stage.records()
    assert (record["error"], record["client_id"], record["client_named"]) == ("invalid_request", None, None)


async def test_each_request_leaves_one_line_and_other_methods_none(stage: Stage) -> None:
    await asyncio.gather(*(stage.ask() for _ in range(20)), *(stage.ask(scope="admin") for _ in range(20)))
    async with stage.http.get(TOKEN), stage.http.get("/healthz"):
        pass
    outcomes = [record["outcome"] for record in await stage.records(40)]
    assert (outcomes.count("issued"), outcomes.count("refused")) == (20, 20)


SECRETS = {
    "client_secret": "the-secret-in-the-body",
    "client_assertion": "eyJhbGciOiJub25lIn0.eyJhIjoiYXNzZXJ0aW9uIn0.c2lnbmF0dXJl",
    "unknown": "an-unknown-parameter",
    "scope": "eyJhbGciOiJSUzI1NiJ9.eyJhIjoiYSB0b2tlbiBpbiB0aGUgd3JvbmcgcGxhY2UifQ.c2lnbmF0dXJlLW9mLWl0",
    "client_id": "a-secret-in-the-place-of-an-id",
    "resource": "a-secret-in-the-place-of-a-resource",
}


@pytest.mark.parametrize("name", SECRETS)
async def test_what_might_be_a_secret_or_a_token_is_never_told(stage: Stage, name: str) -> None:
    await stage.ask(BATCH, **{name: SECRETS[name]})
    await stage.ask(basic(SECRETS[name], SECRETS[name]))
    await stage.ask({"Authorization": f"Bearer {SECRETS[name]}"})
    await stage.ask({"DPoP": SECRETS[name]}, **{name: SECRETS[name]})
    await stage.records(4)
    written = stage.path.read_text()
    assert SECRETS[name] not in written
    assert SECRET not in written


@budget(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["scope", "client_id", "grant_type", "resource"]), st.text(max_size=80)))
def test_whatever_a_request_says_its_record_is_one_line_of_ascii(values: dict[str, str]) -> None:
    request = ClientRequest(Form(values), address="127.0.0.1")
    answer = TokenAnswer(TokenError(TokenErrorCode.INVALID_REQUEST, "".join(values.values())))
    record = issuance_record(settings(), 0, "127.0.0.1", request, answer, KEY)
    line = json.dumps(record, ensure_ascii=False)
    assert line.isascii()
    assert line.isprintable()


async def test_a_log_that_cannot_be_written_keeps_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = TEXT.replace("var/issuer.db", str(tmp_path / "issuer.db"))
    running = RunningIssuer(settings(f"{text}issuance_log: {tmp_path}/file/issuance.jsonl\n"))
    with pytest.raises(IssuanceLogError, match=r"^issuance_log: .*/file/issuance\.jsonl cannot be written: "):
        await running.start()


@pytest.mark.parametrize(("own", "expected"), [("", KEY), ("log_hash_key: secret\n", hash_key("secret"))])
async def test_the_hash_has_the_issuers_own_key_or_the_one_that_it_was_given(
    tmp_path: Path, own: str, expected: bytes
) -> None:
    log = tmp_path / "logs" / "issuance.jsonl"
    text = TEXT.replace("var/issuer.db", str(tmp_path / "issuer.db")) + f"issuance_log: {log}\n{own}"
    running = RunningIssuer(settings(text), log_key=KEY)
    async with (
        running,
        aiohttp.request("POST", f"http://{running.address}{TOKEN}", data=GRANT, headers=BATCH) as answer,
    ):
        token = json.loads(_claims((await answer.json())["access_token"]))
    [record] = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert record["jti_hash"] == jti_hash(expected, ISSUER, token["jti"])
