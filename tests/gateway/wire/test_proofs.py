"""Bound tokens over HTTP: with their proof, without it, with it twice; step-up; what is told of the resource."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from .conftest import Start
from .gate import Gate
from .minting import NOW, base64url, claims, ec_key, jwk, mint, sealed, signs
from .raw_client import Answer

ROUTES = [
    {"id": "any", "path": "/any/{rest...}", "scopes": ["admin"], "upstream": "api"},
    {"id": "dpop", "path": "/dpop", "scopes": ["admin"], "require_proof": "dpop", "upstream": "api"},
    {"id": "mtls", "path": "/mtls", "scopes": ["admin"], "require_proof": "mtls", "upstream": "api"},
    {"id": "strong", "path": "/strong", "scopes": ["admin"], "acr": ["gold"], "max_age": "60s", "upstream": "api"},
    {"id": "open", "path": "/open", "public": True, "upstream": "api"},
]
Ask = Callable[..., Awaitable[Answer]]


def public(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return {name: value for name, value in jwk(key).items() if name in {"kty", "crv", "x", "y"}}


def jkt(key: ec.EllipticCurvePrivateKey) -> str:
    canonical = json.dumps(public(key), sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(canonical.encode()).digest())


def proof(token: str, path: str = "/any/x", key: ec.EllipticCurvePrivateKey | None = None, **changes: Any) -> str:
    key = key or ec_key()
    body = {
        "htm": "GET",
        "htu": f"http://api{path}",
        "iat": NOW,
        "jti": "p1",
        "ath": base64url(hashlib.sha256(token.encode()).digest()),
    }
    return sealed({"typ": "dpop+jwt", "alg": "ES256", "jwk": public(key)}, body | changes, signs(key, "ES256"))


BOUND = mint(claims(cnf={"jkt": jkt(ec_key())}))


async def get(gate: Gate, path: str, *fields: str) -> Answer:
    lines = "".join(f"{field}\r\n" for field in fields)
    return await gate.ask(f"GET {path} HTTP/1.1\r\nHost: api\r\n{lines}\r\n".encode())


@pytest.fixture
async def gate(start: Start) -> Gate:
    return await start(routes=ROUTES)


async def test_a_bound_token_with_its_proof_enters_once_and_the_upstream_sees_no_proof(gate: Gate) -> None:
    fields = (f"Authorization: DPoP {BOUND}", f"DPoP: {proof(BOUND)}")
    assert (await get(gate, "/any/x", *fields)).status == 200
    assert gate.upstream.visits[0].fields("X-Client-Id") == ["nightly-batch"]
    assert gate.upstream.visits[0].fields("DPoP") == gate.upstream.visits[0].fields("Authorization") == []
    again = await get(gate, "/any/x", *fields)
    assert again.status == 401
    assert json.loads(again.body)["reason"] == "proof_invalid"
    assert again["WWW-Authenticate"].startswith('DPoP realm="scopegate", error="invalid_token"')
    assert 'algs="ES256 ' in again["WWW-Authenticate"]
    assert (await get(gate, "/any/x", fields[0], f"DPoP: {proof(BOUND, jti='p2')}")).status == 200
    assert len(gate.upstream.visits) == 2


@pytest.mark.parametrize(
    "fields",
    [
        (f"Authorization: Bearer {BOUND}",),
        (f"Authorization: Bearer {BOUND}", f"DPoP: {proof(BOUND)}"),
        (f"Authorization: DPoP {BOUND}",),
        (f"Authorization: DPoP {BOUND}", f"DPoP: {proof(BOUND)}", f"DPoP: {proof(BOUND, jti='p2')}"),
        (f"Authorization: DPoP {BOUND}", f"DPoP: {proof(BOUND, '/any/y')}"),
        (f"Authorization: DPoP {BOUND}", f"DPoP: {proof(BOUND, htm='POST')}"),
        (f"Authorization: DPoP {BOUND}", f"DPoP: {proof(BOUND, iat=NOW - 61)}"),
        (f"Authorization: DPoP {BOUND}", f"DPoP: {proof('another')}"),
        (f"Authorization: DPoP {BOUND}", f"DPoP: {BOUND}"),
        (f"Authorization: DPoP {BOUND}", "DPoP: x"),
        (f"Authorization: DPoP {mint()}", f"DPoP: {proof(mint())}"),
        (f"Authorization: Bearer {mint(claims(cnf={'x5t#S256': jkt(ec_key())}))}",),
        (f"Authorization: Bearer {mint(claims(cnf={'x5t#S256': jkt(ec_key())}))}", "Client-Cert: :AAAA:"),
    ],
)
async def test_a_bound_token_without_its_good_proof_is_refused(gate: Gate, fields: tuple[str, ...]) -> None:
    answer = await get(gate, "/any/x", *fields)
    assert (answer.status, json.loads(answer.body)["reason"]) == (401, "proof_invalid")
    assert not gate.upstream.visits


async def test_a_route_that_demands_a_proof_refuses_bearer_tokens_and_says_how_to_prove(gate: Gate) -> None:
    bearer = await get(gate, "/dpop", gate.bearer())
    assert (bearer.status, bearer["WWW-Authenticate"].split()[0]) == (401, "DPoP")
    missing = await get(gate, "/dpop")
    assert missing["WWW-Authenticate"].startswith('DPoP realm="scopegate", scope="admin", algs="')
    assert json.loads((await get(gate, "/mtls", gate.bearer())).body)["reason"] == "proof_invalid"
    good = await get(gate, "/dpop", f"Authorization: DPoP {BOUND}", f"DPoP: {proof(BOUND, '/dpop')}")
    assert good.status == 200


async def test_a_nonce_is_given_out_and_then_demanded(start: Start) -> None:
    gate = await start(routes=ROUTES, proofs={"nonces": True})
    scheme = f"Authorization: DPoP {BOUND}"
    asked = await get(gate, "/any/x", scheme, f"DPoP: {proof(BOUND)}")
    assert asked.status == 401
    assert 'error="use_dpop_nonce"' in asked["WWW-Authenticate"]
    nonce = asked["DPoP-Nonce"]
    assert (await get(gate, "/any/x", scheme, f"DPoP: {proof(BOUND, nonce=nonce)}")).status == 200
    assert (await get(gate, "/any/x", scheme, f"DPoP: {proof(BOUND, nonce='x', jti='p3')}")).status == 401


async def test_a_proof_names_the_public_address(start: Start) -> None:
    gate = await start(routes=ROUTES, public_url="https://api.example")
    good = proof(BOUND, htu="https://api.example/any/x")
    assert (await get(gate, "/any/x", f"Authorization: DPoP {BOUND}", f"DPoP: {proof(BOUND)}")).status == 401
    assert (await get(gate, "/any/x", f"Authorization: DPoP {BOUND}", f"DPoP: {good}")).status == 200


async def test_a_certificate_that_a_trusted_proxy_tells_of_is_proof(start: Start) -> None:
    digest = base64url(hashlib.sha256(b"\0\0\0").digest())
    field = f"Authorization: Bearer {mint(claims(cnf={'x5t#S256': digest}))}"
    gate = await start(routes=ROUTES, trusted_proxies=["127.0.0.1/32"], proofs={"certificate_field": True})
    assert (await get(gate, "/mtls", field, "Client-Cert: :AAAA:")).status == 200
    assert (await get(gate, "/mtls", field, "Client-Cert: :AAAB:")).status == 401
    assert gate.upstream.visits[0].fields("Client-Cert") == []


async def test_an_authentication_that_is_too_weak_or_too_old_asks_for_another(gate: Gate) -> None:
    weak = await get(gate, "/strong", gate.bearer())
    assert (weak.status, json.loads(weak.body)["reason"]) == (401, "authentication_insufficient")
    told = weak["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in told
    assert told.endswith('acr_values="gold", max_age="60"')
    strong = gate.bearer(mint(claims(acr="gold", auth_time=NOW - 60)))
    assert (await get(gate, "/strong", strong)).status == 200
    gate.clock.now += 1
    assert (await get(gate, "/strong", strong)).status == 401


async def test_a_public_route_passes_the_proof_to_whom_it_is_for(gate: Gate) -> None:
    assert (await get(gate, "/open", "DPoP: for-somebody-else")).status == 200
    assert gate.upstream.visits[0].fields("DPoP") == ["for-somebody-else"]


async def test_the_resources_metadata_are_told_and_challenges_say_where(start: Start) -> None:
    gate = await start(routes=ROUTES, public_url="https://api.example")
    where = "/.well-known/oauth-protected-resource"
    answer = await get(gate, where)
    document = json.loads(answer.body)
    assert (answer.status, answer["Content-Type"]) == (200, "application/json")
    assert document["resource"] == "https://api.example"
    assert document["scopes_supported"] == ["admin"]
    assert json.loads((await get(gate, f"{where}/dpop")).body)["resource"] == "https://api.example/dpop"
    assert (await get(gate, f"{where}/nothing")).status == 404
    posted = await gate.ask(f"POST {where} HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\r\n".encode())
    assert (posted.status, posted["Allow"]) == (405, "GET, HEAD")
    challenged = await get(gate, "/any/x")
    assert challenged["WWW-Authenticate"].endswith(f'resource_metadata="https://api.example{where}"')
    assert not gate.upstream.visits


async def test_without_a_public_address_nothing_is_told(gate: Gate) -> None:
    assert (await get(gate, "/.well-known/oauth-protected-resource")).status == 404
    assert "resource_metadata" not in (await get(gate, "/any/x"))["WWW-Authenticate"]
