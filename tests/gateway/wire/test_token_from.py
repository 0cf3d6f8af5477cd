"""Tokens from a field or a cookie over HTTP: only where the route says so, one only, and never to the upstream."""

import json
from typing import Any

import pytest

from .conftest import Start
from .gate import Gate
from .minting import authorization, claims, ec_key, mint
from .raw_client import request
from .test_proofs import jkt
from .test_websocket import HANDSHAKE

USUAL: dict[str, Any] = {"scopes": ["admin"], "upstream": "api"}
ROUTES = [
    USUAL | {"id": "field", "path": "/field", "token_from": {"header": "X-Api-Token"}},
    USUAL | {"id": "cookie", "path": "/cookie", "token_from": {"cookie": "tok"}},
    USUAL | {"id": "socket", "path": "/socket", "token_from": {"cookie": "tok"}, "websocket": True},
    USUAL | {"id": "on", "path": "/on", "token_from": {"cookie": "tok"}, "forward_token": True},
    USUAL | {"id": "field-on", "path": "/field/on", "token_from": {"header": "X-Api-Token"}, "forward_token": True},
    USUAL | {"id": "usual", "path": "/usual"},
    {"id": "open", "path": "/open", "public": True, "upstream": "api"},
]
TOKEN = mint()
FIELD, COOKIE, USUALLY = f"X-Api-Token: {TOKEN}", f"Cookie: a=1; tok={TOKEN}; b=2", authorization(TOKEN)


@pytest.fixture
async def gate(start: Start) -> Gate:
    gate = await start(routes=ROUTES)
    gate.secrets += TOKEN.split(".")
    return gate


async def ask(gate: Gate, line: str, *fields: str) -> tuple[int, str | None]:
    answer = await gate.ask(request(line, *fields))
    return answer.status, json.loads(answer.body)["reason"] if answer.status >= 400 else None


async def test_the_token_is_taken_and_stays_here(gate: Gate) -> None:
    assert await ask(gate, "GET /field", FIELD, "X_Api_Token: x", "A: 1") == (200, None)
    assert await ask(gate, "GET /cookie", COOKIE) == (200, None)
    assert await ask(gate, "GET /cookie", f"Cookie: tok={TOKEN}") == (200, None)
    field, cookie, alone = gate.upstream.visits
    assert field.fields("X-Client-Id") == cookie.fields("X-Client-Id") == ["nightly-batch"]
    assert field.fields("X-Api-Token") == field.fields("X_Api_Token") == field.fields("Authorization") == []
    assert (field.fields("A"), cookie.fields("Cookie"), alone.fields("Cookie")) == (["1"], ["a=1; b=2"], [])


async def test_the_token_goes_on_where_the_route_says_so(gate: Gate) -> None:
    assert await ask(gate, "GET /on", COOKIE) == (200, None)
    assert gate.upstream.visits[0].fields("Cookie") == [f"a=1; tok={TOKEN}; b=2"]


async def test_the_token_that_goes_on_is_the_one_that_was_judged_in_whatever_spelling_another_came(gate: Gate) -> None:
    assert await ask(gate, "GET /field/on", FIELD, "X_Api_Token: forged", "x.api.token: forged") == (200, None)
    assert gate.upstream.last.fields("X-Api-Token") == [TOKEN]
    assert b"forged" not in gate.upstream.last.head


@pytest.mark.parametrize("path", ["/field", "/field/on"])
async def test_no_token_goes_on_as_a_trailer(gate: Gate, path: str) -> None:
    body = b"3\r\nabc\r\n0\r\nX-Api-Token: forged\r\nx_api_token: forged\r\nX-Sum: 1\r\n\r\n"
    chunked = ("Transfer-Encoding: chunked", "Trailer: X-Api-Token, X_Api_Token, X-Sum")
    assert (await gate.ask(request(f"POST {path}", FIELD, *chunked, body=body))).status == 200
    visit = gate.upstream.last
    await visit.read_body()
    assert (visit.fields("Trailer"), visit.trailers) == (["x-sum"], [b"X-Sum: 1"])


@pytest.mark.parametrize(
    ("line", "fields", "expected"),
    [
        ("GET /usual", [FIELD], (401, "token_missing")),
        ("GET /usual", [COOKIE], (401, "token_missing")),
        ("GET /field", [USUALLY], (401, "token_missing")),
        ("GET /field", [COOKIE], (401, "token_missing")),
        ("GET /cookie", [FIELD], (401, "token_missing")),
        (f"GET /field?access_token={TOKEN}", [], (401, "token_missing")),
        (f"GET /field?X-Api-Token={TOKEN}", [], (401, "token_missing")),
        ("GET /field", [FIELD, "Connection: X-Api-Token"], (401, "token_missing")),
        ("GET /field", [FIELD, USUALLY], (400, "request_malformed")),
        ("GET /field", [FIELD, "Authorization: Basic eDp5"], (400, "request_malformed")),
        ("GET /field", [FIELD, FIELD], (400, "request_malformed")),
        ("GET /field", [f"X-Api-Token: {TOKEN}, {TOKEN}"], (400, "request_malformed")),
        ("GET /cookie", [COOKIE, COOKIE], (400, "request_malformed")),
        ("GET /cookie", [f"Cookie: tok={TOKEN}; tok={TOKEN}"], (400, "request_malformed")),
        ("GET /cookie", [COOKIE, USUALLY], (400, "request_malformed")),
        ("GET /field", [f"{FIELD}x"], (401, "token_malformed")),
        ("GET /field", [f"X-Api-Token: {mint(claims(scope='other'))}"], (403, "scope_insufficient")),
        ("GET /field", [f"X-Api-Token: {mint(claims(cnf={'jkt': jkt(ec_key())}))}"], (401, "proof_invalid")),
        ("POST /cookie", [COOKIE], (403, "origin_untrusted")),
        ("POST /cookie", [COOKIE, "Origin: null"], (403, "origin_untrusted")),
        ("POST /cookie", [COOKIE, "Origin: https://gate.example"], (403, "origin_untrusted")),
        ("POST /cookie", [COOKIE, "Origin: http://evil.example"], (403, "origin_untrusted")),
        ("POST /cookie", [COOKIE, "Sec-Fetch-Site: same-site"], (403, "origin_untrusted")),
        ("DELETE /cookie", [COOKIE, "Sec-Fetch-Site: none"], (403, "origin_untrusted")),
        ("GET /socket", [COOKIE, *HANDSHAKE], (403, "origin_untrusted")),
        ("GET /socket", [COOKIE, *HANDSHAKE, "Origin: http://evil.example"], (403, "origin_untrusted")),
    ],
)
async def test_what_is_no_one_token_in_its_place_is_refused(
    gate: Gate, line: str, fields: list[str], expected: tuple[int, str]
) -> None:
    assert await ask(gate, line, *fields) == expected
    assert not gate.upstream.visits


@pytest.mark.parametrize("proof", ["Origin: http://gate.example", "Sec-Fetch-Site: same-origin"])
async def test_a_cookie_counts_for_a_post_of_the_gateways_own_page(gate: Gate, proof: str) -> None:
    assert await ask(gate, "POST /cookie", COOKIE, proof) == (200, None)


async def test_behind_a_proxy_the_own_origin_is_that_of_the_public_address(start: Start) -> None:
    gate = await start(routes=ROUTES, public_url="https://api.example")
    assert await ask(gate, "POST /cookie", COOKIE, "Origin: https://api.example") == (200, None)
    assert await ask(gate, "POST /cookie", COOKIE, "Origin: http://gate.example") == (403, "origin_untrusted")


async def test_what_one_route_was_given_is_no_token_for_the_next_on_the_same_connection(gate: Gate) -> None:
    async def follow(first: str, second: str, *fields: str) -> list[int]:
        async with gate.connect() as client:
            return [(await client.ask(request(line, *fields))).status for line in (first, second)]

    assert await follow("GET /cookie", "GET /cookie", COOKIE) == [200, 200]
    assert await follow("GET /cookie", "POST /cookie", COOKIE) == [200, 403]
    assert await follow("GET /cookie", "GET /usual", COOKIE) == [200, 401]
    assert await follow("GET /field", "GET /usual", FIELD) == [200, 401]
    assert await follow("GET /usual", "GET /field", USUALLY) == [200, 401]
    assert await follow("GET /open", "GET /usual", FIELD) == [200, 401]
    assert await follow("GET /open", "POST /cookie", COOKIE) == [200, 403]


async def test_challenge_and_hint_fit_the_route(gate: Gate) -> None:
    missing = await gate.ask(request("GET /field"))
    assert missing["WWW-Authenticate"] == 'Bearer realm="scopegate", scope="admin"'
    assert json.loads(missing.body)["hint"].endswith("send it in the field X-Api-Token.")
    bound = await gate.ask(request("GET /field", f"X-Api-Token: {mint(claims(cnf={'jkt': jkt(ec_key())}))}"))
    assert bound["WWW-Authenticate"].startswith('Bearer realm="scopegate", error="invalid_token"')
    assert "algs" not in bound["WWW-Authenticate"]
    foreign = await gate.ask(request("POST /cookie", COOKIE))
    assert foreign.all("WWW-Authenticate") == []


async def test_the_metadata_tell_of_no_other_way_than_authorization(start: Start) -> None:
    gate = await start(routes=ROUTES, public_url="https://api.example")

    async def methods(path: str) -> Any:
        answer = await gate.ask(request(f"GET /.well-known/oauth-protected-resource{path}"))
        return json.loads(answer.body)["bearer_methods_supported"]

    assert [await methods(path) for path in ("", "/usual", "/field", "/cookie")] == [["header"], ["header"], [], []]
    gate.reads_all = False
