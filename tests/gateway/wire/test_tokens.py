"""Tokens over HTTP, judged by keys out of a file (security.md, "Tokens and keys")."""

import json
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from .attacks import GOOD, ROWS, RS256, SPELLINGS, forged, header
from .conftest import Start
from .gate import Clock, Gate
from .minting import NOW, OTHER_ISSUER, Sign, claims, ec_key, jwk, key_set, mint, rsa_key, sealed, signs
from .raw_client import Answer, request
from .raw_upstream import RawUpstream


async def tried(gate: Gate, token: str, target: str = "/admin/x") -> Answer:
    return await gate.ask(request(f"GET {target}", gate.bearer(token)))


def reason(answer: Answer) -> str:
    found: str = json.loads(answer.body)["reason"]
    return found


@pytest.mark.parametrize("row", ROWS)
async def test_an_attack_is_refused_for_its_reason_and_nothing_reaches_the_upstream(gate: Gate, row: str) -> None:
    refusals = {name: await tried(gate, token) for name, (token, _) in ROWS[row].items()}
    assert {name: reason(answer) for name, answer in refusals.items()} == {
        name: expected for name, (_, expected) in ROWS[row].items()
    }
    assert all(answer.status == 401 for answer in refusals.values())
    assert all('error="invalid_token"' in answer["WWW-Authenticate"] for answer in refusals.values())
    assert not gate.upstream.visits


@pytest.mark.parametrize("parameter", ["jku", "x5u"])
async def test_an_address_in_the_token_is_never_asked(gate: Gate, parameter: str) -> None:
    async with RawUpstream() as trap:
        token = forged(**{parameter: f"http://127.0.0.1:{trap.port}/keys"})
        assert reason(await tried(gate, token)) == "token_malformed"
        assert trap.connections == 0
    assert not gate.upstream.visits


async def test_a_token_that_was_let_in_has_no_other_spelling(gate: Gate) -> None:
    first, second, third = GOOD.split(".")
    async with gate.connect() as client:
        assert (await client.ask(request("GET /admin/x", gate.bearer(GOOD)))).status == 200
        for token, expected in SPELLINGS.values():
            answer = await client.ask(request("GET /admin/x", gate.bearer(token)))
            assert (answer.status, reason(answer)) == (401, expected)
    for token in (f"{first}.\t{second}.{third}", f"{GOOD} x", f"{first} .{second}.{third}"):
        answer = await tried(gate, token)
        assert (answer.status, reason(answer)) == (400, "request_malformed")
    assert len(gate.upstream.visits) == 1


async def test_what_a_compressed_token_would_become_is_never_made(gate: Gate) -> None:
    compressed = zlib.compress(bytes(8_000_000), 9)
    fits, bomb = (sealed(header(zip="DEF"), compressed * times, RS256) for times in (1, 32))
    assert len(bomb) > 250_000
    tracemalloc.start()
    try:
        answers = [await gate.ask(request("GET /admin/x", f"Authorization: Bearer {token}")) for token in (fits, bomb)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [answer.status for answer in answers] == [401, 400]
    assert peak < 4 << 20
    assert not gate.upstream.visits


async def test_a_trusted_issuers_token_opens_only_routes_that_take_this_issuer(gate: Gate) -> None:
    theirs = mint(claims(iss=OTHER_ISSUER), rsa_key("other"))
    assert (await tried(gate, theirs, "/partner")).status == 200
    answer = await tried(gate, GOOD, "/partner")
    assert json.loads(answer.body)["reason"] == "issuer_untrusted"
    assert len(gate.upstream.visits) == 1


@pytest.mark.parametrize(
    "scope",
    [
        "administrator", "xadmin", "ADMIN", "admin*", "*", "", "read write", "admin\u00a0", "admin,read", "x\tadmin",
        "read\nadmin", {}, {"admin": 1}, 1, True, [["admin"]],
    ],
)  # fmt: skip
async def test_a_scope_is_matched_whole(gate: Gate, scope: Any) -> None:
    answer = await tried(gate, mint(claims(scope=scope)))
    assert answer.status == 403
    assert answer["WWW-Authenticate"].endswith('scope="admin"')
    assert json.loads(answer.body)["scopes_missing"] == ["admin"]
    assert not gate.upstream.visits


@pytest.mark.parametrize(
    "changes", [{"scope": "read admin write"}, {"scope": ["admin"]}, {"scope": None, "scp": ["admin"]}]
)
async def test_a_scope_is_found_in_a_string_and_in_a_list(gate: Gate, changes: dict[str, object]) -> None:
    assert (await tried(gate, mint(claims(**changes)))).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        request("GET /admin/x", "Authorization: Bearer " + "A" * 1_000_000),
        request("GET /admin/x", "Authorization: Bearer " + sealed(header(kid="k" * 700_000), claims(), RS256)),
        request("GET /admin/x", *(f"X-{number}: {'x' * 1000}" for number in range(100))),
    ],
    ids=["token", "kid", "many fields"],
)
async def test_a_huge_head_is_refused(gate: Gate, raw: bytes) -> None:
    assert 400 <= (await gate.ask(raw)).status < 500
    assert not gate.upstream.visits


async def test_a_remembered_token_is_judged_anew_on_another_route(gate: Gate) -> None:
    assert (await tried(gate, GOOD)).status == 200
    assert (await tried(gate, GOOD)).status == 200
    assert (await tried(gate, GOOD, "/jobs/7")).status == 403
    first, second, third = await gate.records(3)
    assert [record["cache_hit"] for record in (first, second, third)] == [False, True, True]
    assert third["client_id"] == "nightly-batch"


async def test_a_remembered_token_ends_with_its_exp(gate: Gate) -> None:
    assert (await tried(gate, GOOD)).status == 200
    gate.clock.now = NOW + 600 - 0.001
    assert (await tried(gate, GOOD)).status == 200
    gate.clock.now = NOW + 600
    answer = await tried(gate, GOOD)
    assert json.loads(answer.body)["reason"] == "token_expired"
    assert len(gate.upstream.visits) == 2


async def test_rules_that_are_put_in_force_anew_know_no_token(start: Start, tmp_path: Path) -> None:
    before = await start()
    assert (await tried(before, GOOD)).status == 200
    after = await start(issuer={"audience": "https://moved.example"}, access_log=str(tmp_path / "after.jsonl"))
    assert reason(await tried(after, GOOD)) == "audience_mismatch"


ED25519 = ed25519.Ed25519PrivateKey.generate()
SIGNATURES: dict[str, tuple[str, str, Sign]] = {
    "RS256": ("rsa", "RS256", RS256),
    "PS512": ("ps", "PS512", signs(rsa_key("ps"), "PS512")),
    "ES256": ("ec", "ES256", signs(ec_key(), "ES256")),
    "ES384": ("ec384", "ES384", signs(ec_key("P-384"), "ES384")),
    "EdDSA": ("ed", "EdDSA", signs(ED25519, "EdDSA")),
    "Ed25519": ("ed", "Ed25519", signs(ED25519, "EdDSA")),
}


async def test_a_good_token_opens(start: Start) -> None:
    keys = key_set(
        jwk(rsa_key(), kid="rsa"),
        jwk(rsa_key("ps"), kid="ps"),
        jwk(ec_key(), kid="ec"),
        jwk(ec_key("P-384"), kid="ec384"),
        jwk(ED25519, kid="ed"),
    )
    gate = await start(keys=keys)
    for kid, alg, sign in SIGNATURES.values():
        assert (await tried(gate, sealed(header(kid=kid, alg=alg), claims(), sign))).status == 200
    records = await gate.records(len(SIGNATURES))
    assert [(each["kid"], each["alg"]) for each in records] == [(kid, alg) for kid, alg, _ in SIGNATURES.values()]
    assert {each["token_kind"] for each in records} == {"jwt"}


async def test_leeway_is_what_the_issuers_entry_says(start: Start) -> None:
    gate = await start(issuer={"leeway": "30s"}, clock=Clock(NOW + 629))
    assert (await tried(gate, GOOD)).status == 200
    gate.clock.now += 1
    assert (await tried(gate, GOOD)).status == 401


@pytest.mark.parametrize(
    ("typ", "status"), [("at+jwt", 200), ("application/AT+JWT", 200), ("JWT", 401), (None, 401), ("id+jwt", 401)]
)
async def test_a_demanded_typ_is_demanded(start: Start, typ: str | None, status: int) -> None:
    gate = await start(issuer={"typ": "at+jwt"})
    assert (await tried(gate, mint(typ=typ))).status == status


async def test_the_status_tells_that_an_issuers_clock_is_ahead_by_the_very_tokens_that_are_refused(gate: Gate) -> None:
    assert (await gate.status())["issuers"][0]["clock_ahead_by_tokens"] is None
    assert reason(await tried(gate, mint(claims(iat=NOW + 3)))) == "token_not_yet_valid"
    assert (await tried(gate, mint(claims(iat=NOW - 300)))).status == 200
    assert (await gate.status())["issuers"][0]["clock_ahead_by_tokens"] == 3
