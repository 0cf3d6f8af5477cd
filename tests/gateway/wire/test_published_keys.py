"""Keys that an issuer publishes: found, replaced, removed, and kept from a server that misbehaves on command."""

import json
import logging
from collections.abc import AsyncIterator
from math import prod
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from .attacks import EVIL, GOOD, ROWS, header
from .conftest import Start
from .gate import PUBLISHED, Clock, Gate
from .key_server import MISBEHAVIOURS, KeyServer, json_answer
from .minting import NOW, PrivateKey, base64url, claims, jwk, key_set, mint, rsa_key, sealed
from .raw_client import Answer, request
from .raw_upstream import RawUpstream, Visit

NEW = rsa_key("new")
COOLDOWN = 31
ATTACKS = {f"{row}: {name}": attack for row, table in ROWS.items() for name, attack in table.items()}


@pytest.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    async with RawUpstream() as server:
        yield KeyServer(server)


async def tried(gate: Gate, token: str) -> Answer:
    return await gate.ask(request("GET /admin/x", gate.bearer(token)))


async def reason(gate: Gate, token: str) -> str:
    found: str = json.loads((await tried(gate, token)).body)["reason"]
    return found


def new_key(kid: str, key: PrivateKey, alg: str = "RS256") -> str:
    return mint(key=key, kid=kid, alg=alg)


async def reasons(gate: Gate) -> dict[str, str]:
    """Why each attack is refused, all of them on one connection."""
    async with gate.connect() as client:
        answers = {
            name: await client.ask(request("GET /admin/x", gate.bearer(token))) for name, (token, _) in ATTACKS.items()
        }
    assert {answer.status for answer in answers.values()} <= {401, 503}
    return {name: json.loads(answer.body)["reason"] for name, answer in answers.items()}


async def test_published_keys_refuse_every_attack_as_keys_out_of_a_file_do(start: Start, issuer: KeyServer) -> None:
    issuer.publish(*PUBLISHED["keys"])
    gate = await start(issuer=issuer.section)
    assert await reasons(gate) == {name: expected for name, (_, expected) in ATTACKS.items()}
    assert not gate.upstream.visits
    assert issuer.asked == 1


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
async def test_a_server_of_keys_that_misbehaves_opens_nothing_and_closes_nothing(
    start: Start, issuer: KeyServer, misbehaviour: str
) -> None:
    issuer.publish(*PUBLISHED["keys"])
    gate = await start(issuer=issuer.section, clock=Clock(NOW - COOLDOWN))
    assert (await tried(gate, mint(claims(iat=NOW - 60)))).status == 200
    async with RawUpstream() as trap:
        issuer.play(MISBEHAVIOURS[misbehaviour](f"http://127.0.0.1:{trap.port}"))
        gate.clock.now += COOLDOWN
        missing = await tried(gate, new_key("new", NEW))
        assert (missing.status, missing["Retry-After"]) == (503, "5")
        assert json.loads(missing.body)["reason"] == "keys_unavailable"
        assert "WWW-Authenticate" not in missing
        unanswered = {"key_unknown": "keys_unavailable"}
        assert await reasons(gate) == {name: unanswered.get(why, why) for name, (_, why) in ATTACKS.items()}
        assert (await tried(gate, GOOD)).status == 200
        assert (await tried(gate, mint(claims(jti="another")))).status == 200
        assert trap.connections == 0
    assert len(gate.upstream.visits) == 3
    assert issuer.asked == (3 if misbehaviour == "hangs up" else 2), "aiohttp asks twice where a kept connection ends"
    status = (await gate.status())["issuers"][0]
    assert status["error"]
    assert status["kids"] == ["rsa", "ec", "ec384"]
    issuer.publish(jwk(rsa_key(), kid="rsa"), jwk(NEW, kid="new"))
    gate.clock.now += COOLDOWN
    assert (await tried(gate, new_key("new", NEW))).status == 200
    assert (await gate.status())["issuers"][0]["error"] is None


async def test_a_server_of_keys_that_comes_and_goes_is_told_at_each_change(
    start: Start, issuer: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    gate = await start(issuer=issuer.section)
    caplog.clear()
    found = []
    for _ in range(3):
        for change in (issuer.fail, issuer.fail, lambda: issuer.publish(jwk(rsa_key(), kid="rsa"))):
            change()
            gate.clock.now += COOLDOWN
            found.append((await tried(gate, new_key("new", NEW))).status)
            assert (await tried(gate, GOOD)).status == 200
    assert found == [503, 503, 401] * 3
    said = [record.getMessage() for record in caplog.records if record.name.startswith("gateway.tokens")]
    assert ["cannot be fetched" in line for line in said] == [True, False] * 3


async def test_keys_that_rotate_at_each_fetch_open_to_the_newest_alone(start: Start, issuer: KeyServer) -> None:
    gate = await start(issuer=issuer.section)
    before = GOOD
    for number in range(5):
        key = ed25519.Ed25519PrivateKey.generate()
        issuer.publish(jwk(key, kid=f"ed-{number}"))
        gate.clock.now += COOLDOWN
        newest = new_key(f"ed-{number}", key, "EdDSA")
        assert (await tried(gate, newest)).status == 200
        assert await reason(gate, before) == "key_unknown"
        before = newest
    assert issuer.asked == 6


async def test_a_remembered_token_ends_when_its_key_goes(start: Start, issuer: KeyServer) -> None:
    gate = await start(issuer=issuer.section)
    assert (await tried(gate, GOOD)).status == 200
    issuer.publish(jwk(NEW, kid="new"))
    gate.clock.now += COOLDOWN
    assert (await tried(gate, new_key("new", NEW))).status == 200
    assert await reason(gate, GOOD) == "key_unknown"


async def test_a_new_key_is_found_at_once(start: Start, issuer: KeyServer) -> None:
    gate = await start(issuer=issuer.section)
    issuer.publish(jwk(rsa_key(), kid="rsa"), jwk(NEW, kid="new"))
    gate.clock.now += COOLDOWN
    answer = await gate.ask(
        request("POST /admin/x", gate.bearer(new_key("new", NEW)), "Content-Length: 4", body=b"body")
    )
    assert answer.status == 200
    assert gate.upstream.last.body == b"body"
    assert issuer.asked == 2


async def test_a_new_key_under_the_old_name_is_found_by_its_first_signature(start: Start, issuer: KeyServer) -> None:
    gate = await start(issuer=issuer.section)
    assert (await tried(gate, GOOD)).status == 200
    issuer.publish(jwk(NEW, kid="rsa"))
    gate.clock.now += COOLDOWN
    assert (await tried(gate, new_key("rsa", NEW))).status == 200
    assert await reason(gate, GOOD) == "signature_invalid"
    assert issuer.asked == 2


async def test_bad_signatures_under_a_known_name_are_one_fetch(start: Start, issuer: KeyServer) -> None:
    gate = await start(issuer=issuer.section)
    gate.clock.now += COOLDOWN
    forged = [sealed(header(kid="rsa"), claims(jti=str(number)), lambda _: b"x" * 256) for number in range(100)]
    async with gate.connect() as client:
        await client.send(b"".join(request("GET /admin/x", gate.bearer(token)) for token in forged))
        reasons = {json.loads((await client.answer()).body)["reason"] for _ in forged}
    assert reasons == {"signature_invalid"}
    assert issuer.asked == 2


async def test_a_restart_during_an_outage_serves_with_the_keys_that_were_kept(
    start: Start, issuer: KeyServer, tmp_path: Path
) -> None:
    kept = str(tmp_path / "kept")
    first = await start(issuer=issuer.section, keys_cache=kept)
    assert (await tried(first, GOOD)).status == 200
    issuer.fail()
    again = await start(issuer=issuer.section, keys_cache=kept, access_log=str(tmp_path / "again.jsonl"))
    assert (await tried(again, GOOD)).status == 200
    assert (await tried(again, new_key("new", NEW))).status == 503
    status = (await again.status())["issuers"][0]
    assert (status["kids"], status["unknown_keys"]) == (["rsa"], 1)
    assert status["error"]


async def test_keys_that_come_late_open_what_was_unavailable(start: Start, issuer: KeyServer) -> None:
    issuer.fail()
    gate = await start(issuer=issuer.section)
    answer = await tried(gate, GOOD)
    assert (answer.status, answer["Retry-After"]) == (503, "5")
    assert "WWW-Authenticate" not in answer
    issuer.publish(jwk(rsa_key(), kid="rsa"))
    gate.clock.now += 2
    assert (await tried(gate, GOOD)).status == 200


async def test_keys_are_found_by_discovery(start: Start, issuer: KeyServer) -> None:
    name = f"http://127.0.0.1:{issuer.server.port}"
    keys = json_answer(key_set(jwk(rsa_key(), kid="rsa")))

    async def play(visit: Visit) -> None:
        found = visit.line == b"GET /keys HTTP/1.1"
        await visit.send(keys if found else json_answer({"issuer": name, "jwks_uri": f"{name}/keys"}))

    issuer.play(play)
    gate = await start(issuer={"issuer": name, "jwks_file": None})
    assert (await tried(gate, mint(claims(iss=name)))).status == 200


def roca() -> str:
    """A modulus as the faulty library makes it (CVE-2017-15361): a power of 65537 modulo a product of small primes."""
    primorial = prod(p for p in range(2, 168) if all(p % divisor for divisor in range(2, p)))
    odd = 1 << 2047 | 0x5C09E6A7E | 1
    modulus = pow(65537, 4711, primorial) + primorial * (odd // primorial)
    return base64url(modulus.to_bytes(256, "big"))


BAD_KEYS: dict[str, dict[str, Any]] = {
    "malformed RSA": {"kty": "RSA", "kid": "bad", "n": "!", "e": "AQAB"},
    "empty oct": {"kty": "oct", "kid": "bad", "k": ""},
    "unknown kty": {"kty": "PQ", "kid": "bad"},
    "no kty": {"kid": "bad"},
    "kid number": jwk(EVIL, kid=1),
    "for encryption": jwk(EVIL, kid="bad", use="enc"),
    "other operations": jwk(EVIL, kid="bad", key_ops=["encrypt"]),
    "private": jwk(EVIL, kid="bad", d="AQAB"),
    "alg of another type": jwk(EVIL, kid="bad", alg="ES256"),
    "symmetric alg": jwk(EVIL, kid="bad", alg="HS256"),
    "RSA of 1024 bits": jwk(rsa.generate_private_key(65537, 1024), kid="bad"),
    "e = 1": jwk(EVIL, kid="bad", e="AQ"),
    "RSA of the ROCA weakness": {"kty": "RSA", "kid": "bad", "e": "AQAB", "n": roca()},
    "off the curve": {"kty": "EC", "crv": "P-256", "kid": "bad", "x": "A" * 43, "y": "A" * 43},
    "curve that is not supported": {"kty": "EC", "crv": "secp256k1", "kid": "bad", "x": "A" * 43, "y": "A" * 43},
    "null": {"kty": None},
}  # fmt: skip


async def test_a_bad_key_in_a_file_is_skipped_and_said_and_the_others_work(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    gate = await start(keys=key_set(*BAD_KEYS.values(), jwk(rsa_key(), kid="rsa")))
    await _others_work(gate, caplog)


async def test_a_bad_key_that_is_published_is_skipped_and_said_and_the_others_work(
    start: Start, issuer: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.publish(*BAD_KEYS.values(), jwk(rsa_key(), kid="rsa"))
    await _others_work(await start(issuer=issuer.section), caplog)


async def _others_work(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    assert (await tried(gate, GOOD)).status == 200
    assert await reason(gate, new_key("bad", EVIL)) == "key_unknown"
    status = (await gate.status())["issuers"][0]
    assert (status["kids"], len(status["skipped_keys"])) == (["rsa"], len(BAD_KEYS))
    (said,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert all(why in said for why in status["skipped_keys"])
