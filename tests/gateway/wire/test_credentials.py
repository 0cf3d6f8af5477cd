"""The gateway's own tokens: towards upstreams in place of the caller's, and for key sets that are protected."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from .conftest import Start
from .gate import PUBLISHED, Gate
from .patience import eventually
from .raw_client import request
from .raw_upstream import OK, Play, RawUpstream, Visit, replies

OWN = "own-token-of-the-gateway"
SECRET = "the-gateway-s-secret"
OWN_ROUTES = [
    {"id": "open", "path": "/public/{rest...}", "public": True, "upstream": "api"},
    {"id": "admin", "path": "/admin/{rest...}", "scopes": ["admin"], "upstream": "api"},
    {"id": "read", "path": "/jobs/{job}", "scopes": ["jobs.read"], "upstream": "api"},
]


def http(body: object, status: str = "200 OK", *fields: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + content


def gives(token: str = OWN, lifetime: int = 3600) -> Play:
    return replies(http({"access_token": token, "token_type": "Bearer", "expires_in": lifetime}))


def gives_one_after_the_other(*tokens: str) -> Play:
    async def play(visit: Visit) -> None:
        await gives(tokens[visit.number])(visit)

    return play


@pytest.fixture
async def login() -> AsyncIterator[RawUpstream]:
    """The issuer that the gateway is a client of."""
    async with RawUpstream(gives()) as login:
        yield login


def own(login: RawUpstream, **changes: Any) -> dict[str, Any]:
    """A configuration whose upstream gets the gateway's own token."""
    credentials = {
        "token_endpoint": f"http://127.0.0.1:{login.port}/token",
        "client_id": "gateway",
        "client_secret": SECRET,
        "scopes": ["maintenance"],
    }
    return {
        "credentials": {"own": credentials | changes},
        "upstream": {"credentials": "own"},
        "routes": OWN_ROUTES,
    }


async def has_failed(gate: Gate) -> None:
    await gate.until(lambda status: status["credentials"][0]["error"])


async def test_the_upstream_gets_the_gateway_s_token_and_never_the_caller_s(start: Start, login: RawUpstream) -> None:
    gate = await start(**own(login))
    gate.secrets += [OWN, SECRET]
    bearer = gate.bearer()
    assert (await gate.ask(request("GET /admin/x", bearer))).status == 200
    visit = gate.upstream.last
    assert visit.fields("Authorization") == [f"Bearer {OWN}"]
    assert visit.fields("X-Client-Id") == ["nightly-batch"]
    assert bearer.rpartition(" ")[2].encode() not in visit.head
    asked = login.last
    assert asked.body == b"grant_type=client_credentials&scope=maintenance"
    pair = base64.b64encode(f"gateway:{SECRET}".encode()).decode()
    assert asked.fields("Authorization") == [f"Basic {pair}"]


@pytest.mark.parametrize("fields", [[], ["Authorization: Bearer forged"], ["Authorization: Basic YTpi"]])
async def test_on_a_public_route_it_is_the_gateway_s_token_too(
    start: Start, login: RawUpstream, fields: list[str]
) -> None:
    gate = await start(**own(login))
    assert (await gate.ask(request("GET /public/x", *fields))).status == 200
    assert gate.upstream.last.fields("Authorization") == [f"Bearer {OWN}"]
    assert gate.upstream.last.fields("X-Client-Id") == [""]


async def test_one_token_serves_all_requests_and_connections(start: Start, login: RawUpstream) -> None:
    gate = await start(**own(login))
    async with gate.connect() as client:
        for number in range(5):
            assert (await client.ask(request(f"GET /admin/{number}", gate.bearer()))).status == 200
    assert (await gate.ask(request("GET /public/x"))).status == 200
    assert [visit.fields("Authorization") for visit in gate.upstream.visits] == [[f"Bearer {OWN}"]] * 6
    assert len(login.visits) == 1


async def test_a_request_with_its_body_waits_for_the_token(start: Start, login: RawUpstream) -> None:
    gate_of_login = asyncio.Event()

    async def play(visit: Visit) -> None:
        await gate_of_login.wait()
        await gives()(visit)

    login.play = play
    gate = await start(**own(login))
    async with gate.connect() as client:
        await client.send(request("POST /admin/x", gate.bearer(), "Content-Length: 5", body=b"hello"))
        await login.visited()
        assert gate.upstream.visits == []
        gate_of_login.set()
        assert (await client.answer()).status == 200
    assert gate.upstream.last.body == b"hello"
    assert gate.upstream.last.fields("Authorization") == [f"Bearer {OWN}"]
    assert len(login.visits) == 1


async def never(visit: Visit) -> None:
    await visit.gone()


FAILURES: dict[str, Play] = {
    "down": replies(b"", close=True),
    "slow": never,
    "500": replies(http(b"", "500 Internal Server Error")),
    "503": replies(http({}, "503 Service Unavailable", "Retry-After: 600")),
    "refused": replies(http({"error": "invalid_client"}, "401 Unauthorized", 'WWW-Authenticate: Basic realm="x"')),
    "redirect": replies(http(b"", "307 Temporary Redirect", "Location: /elsewhere")),
    "garbage": replies(b"\x16\x03\x01 no HTTP at all\r\n\r\n", close=True),
    "no JSON": replies(http(b"<html>login</html>")),
    "huge": replies(http(b" " * ((1 << 20) + 1))),
    "another kind": replies(http({"access_token": "x", "token_type": "DPoP"})),
    "forged": replies(http({"access_token": "x\r\nX-Client-Id: admin", "token_type": "Bearer"})),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_where_no_token_is_to_be_had_nothing_is_sent_and_it_is_not_the_caller_s_fault(
    start: Start, login: RawUpstream, failure: str
) -> None:
    login.play = FAILURES[failure]
    gate = await start(**own(login, timeout="200ms"))
    gate.secrets += [SECRET]
    await has_failed(gate)
    answer = await gate.ask(request("GET /admin/x", gate.bearer()))
    assert (answer.status, answer["Retry-After"]) == (503, "5")
    assert json.loads(answer.body)["reason"] == "credentials_unavailable"
    assert "WWW-Authenticate" not in answer
    assert gate.upstream.visits == []
    record = await gate.record()
    assert (record["decision"], record["reason"]) == ("allow", "credentials_unavailable")
    assert (record["client_id"], record["upstream"]) == ("nightly-batch", None)


async def test_a_request_that_the_caller_may_not_make_is_refused_as_ever(start: Start, login: RawUpstream) -> None:
    login.play = FAILURES["500"]
    gate = await start(**own(login))
    assert (await gate.ask(request("GET /admin/x"))).status == 401
    assert (await gate.ask(request("GET /jobs/1", gate.bearer()))).status == 403


async def test_after_a_failure_requests_cause_no_attempts(start: Start, login: RawUpstream) -> None:
    login.play = FAILURES["503"]
    gate = await start(**own(login))
    await has_failed(gate)
    for _ in range(20):
        assert (await gate.ask(request("GET /public/x"))).status == 503
    assert len(login.visits) == 1
    (status,) = (await gate.status())["credentials"]
    assert status["name"] == "own"
    assert status["error"].endswith("/token answered 503")
    assert status["retry_at"] is not None
    metrics = (await gate.operator("/metrics")).body.decode()
    assert 'scopegate_credentials_healthy{credentials="own"} 0.0' in metrics


async def test_operators_see_that_a_token_is_at_hand(start: Start, login: RawUpstream) -> None:
    gate = await start(**own(login))
    gate.secrets += [OWN]
    status = await gate.until(lambda status: status["credentials"][0]["obtained_at"])
    assert status["credentials"] == [
        {
            "name": "own",
            "obtained_at": "2027-01-15T08:00:00.000Z",
            "expires_at": "2027-01-15T09:00:00.000Z",
            "retry_at": None,
            "error": None,
        }
    ]
    metrics = (await gate.operator("/metrics")).body.decode()
    assert 'scopegate_credentials_healthy{credentials="own"} 1.0' in metrics


async def test_a_caller_that_leaves_while_its_request_waits_is_recorded(start: Start, login: RawUpstream) -> None:
    login.play = never
    gate = await start(**own(login))
    async with gate.connect() as client:
        await client.send(request("GET /public/x"))
        await eventually(lambda: gate.gateway.snapshot().in_flight == 1)
    assert (await gate.record())["status"] == 499
    assert gate.upstream.visits == []


async def test_the_time_of_an_exchange_ends_the_wait(start: Start, login: RawUpstream) -> None:
    login.play = never
    gate = await start(**own(login) | {"upstream": {"credentials": "own", "total_timeout": "50ms"}})
    answer = await gate.ask(request("GET /public/x"))
    assert (answer.status, json.loads(answer.body)["reason"]) == (504, "upstream_timeout")


async def test_a_token_that_the_upstream_refuses_is_replaced_for_the_next_request(
    start: Start, login: RawUpstream, upstream: RawUpstream
) -> None:
    login.play = gives_one_after_the_other("first", "second", "third")
    upstream.play = replies(http(b"", "401 Unauthorized", 'WWW-Authenticate: Bearer error="invalid_token"'))
    gate = await start(**own(login))
    for _ in range(4):
        answer = await gate.ask(request("GET /public/x"))
        assert (answer.status, answer["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    sent = [visit.fields("Authorization")[0].removeprefix("Bearer ") for visit in upstream.visits]
    assert sent == ["first", "second", "second", "second"], "no request is repeated, and one replacement must do"
    assert len(login.visits) == 2


async def test_the_caller_s_own_401_costs_the_gateway_no_token(
    start: Start, login: RawUpstream, upstream: RawUpstream
) -> None:
    upstream.play = replies(http(b"", "401 Unauthorized"))
    gate = await start(**own(login) | {"upstream": {}})
    assert (await gate.ask(request("GET /public/x"))).status == 401
    assert upstream.last.fields("Authorization") == []
    assert login.visits == [], "credentials that nothing names are not asked for"


async def test_a_request_that_is_asked_again_bears_the_token_again(
    start: Start, login: RawUpstream, upstream: RawUpstream
) -> None:
    gate = await start(**own(login))
    assert (await gate.ask(request("GET /public/x"))).status == 200

    async def play(visit: Visit) -> None:
        if visit.number == 1:
            visit.writer.transport.abort()
        else:
            await replies(OK)(visit)

    upstream.play = play
    assert (await gate.ask(request("GET /public/x"))).status == 200
    assert [visit.fields("Authorization") for visit in upstream.visits] == [[f"Bearer {OWN}"]] * 3


async def test_a_key_set_that_is_protected_is_fetched_with_a_token(start: Start, login: RawUpstream) -> None:
    async def keys(visit: Visit) -> None:
        good = visit.fields("Authorization") == [f"Bearer {OWN}"]
        await replies(http(PUBLISHED) if good else http({}, "401 Unauthorized"))(visit)

    async with RawUpstream(keys) as issuer:
        protected = {"jwks_file": None, "jwks_uri": f"http://127.0.0.1:{issuer.port}/jwk", "keys_credentials": "own"}
        gate = await start(**own(login) | {"issuer": protected, "upstream": {}})
        assert (await gate.ask(request("GET /admin/x", gate.bearer()))).status == 200
    assert len(issuer.visits) == 1


async def test_keys_that_need_a_token_which_is_not_to_be_had_are_unavailable(start: Start, login: RawUpstream) -> None:
    login.play = FAILURES["refused"]
    async with RawUpstream(replies(http(PUBLISHED))) as issuer:
        protected = {"jwks_file": None, "jwks_uri": f"http://127.0.0.1:{issuer.port}/jwk", "keys_credentials": "own"}
        gate = await start(**own(login) | {"issuer": protected, "upstream": {}})
        answer = await gate.ask(request("GET /admin/x", gate.bearer()))
        assert json.loads(answer.body)["reason"] == "keys_unavailable"
        status = await gate.status()
    assert status["issuers"][0]["error"] == "credentials own: invalid_client"
    assert issuer.visits == []
