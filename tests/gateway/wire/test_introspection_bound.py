"""Opaque tokens that their issuer says are bound to a key or a certificate (RFC 9449 §6.2, RFC 8705 §3.2)."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from .asked import OPAQUE, active, asking, http, says
from .authorities import Authority, TlsClient
from .conftest import Start
from .gate import Gate
from .minting import base64url, ec_key
from .patience import eventually
from .raw_client import Answer, RawClient, request
from .raw_upstream import RawUpstream, Visit, replies
from .test_proofs import ROUTES, get, jkt, proof

DPOP = f"Authorization: DPoP {OPAQUE}"
STRANGER = ec.generate_private_key(ec.SECP256R1())
BEARER = f"Authorization: Bearer {OPAQUE}"


@pytest.fixture
async def issuer() -> AsyncIterator[RawUpstream]:
    """The issuer's introspection endpoint; the token is bound to the key `ec_key()`."""
    async with RawUpstream(says(cnf={"jkt": jkt(ec_key())}, token_type="DPoP")) as issuer:
        yield issuer


@pytest.fixture
async def gate(start: Start, issuer: RawUpstream) -> Gate:
    gate = await start(**asking(issuer), routes=ROUTES)
    gate.secrets.append(OPAQUE)
    return gate


def reason(answer: Answer) -> str:
    """Of a refusal; "" for entry."""
    return "" if answer.status == 200 else str(json.loads(answer.body)["reason"])


async def test_a_token_bound_to_a_key_enters_with_each_proof_once(gate: Gate, issuer: RawUpstream) -> None:
    fields = (DPOP, f"DPoP: {proof(OPAQUE)}")
    assert reason(await get(gate, "/any/x", *fields)) == ""
    assert reason(await get(gate, "/any/x", *fields)) == "proof_invalid"
    assert reason(await get(gate, "/any/x", DPOP, f"DPoP: {proof(OPAQUE, jti='p2')}")) == ""
    assert reason(await get(gate, "/dpop", DPOP, f"DPoP: {proof(OPAQUE, '/dpop', jti='p3')}")) == ""
    assert len(gate.upstream.visits) == 3
    assert [visit.fields("DPoP") + visit.fields("Authorization") for visit in gate.upstream.visits] == [[]] * 3
    assert len(issuer.visits) == 1


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        (BEARER,),
        (BEARER, f"DPoP: {proof(OPAQUE)}"),
        (DPOP,),
        (DPOP, f"DPoP: {proof(OPAQUE)}", f"DPoP: {proof(OPAQUE, jti='p2')}"),
        (DPOP, f"DPoP: {proof('another')}"),
        (DPOP, f"DPoP: {proof(OPAQUE, htm='POST')}"),
        (DPOP, f"DPoP: {proof(OPAQUE, key=STRANGER)}"),
    ],
)
async def test_it_is_refused_without_its_proof_whether_its_issuer_was_asked_before_or_not(
    gate: Gate, fields: tuple[str, ...], *, known: bool
) -> None:
    if known:
        assert reason(await get(gate, "/any/x", DPOP, f"DPoP: {proof(OPAQUE, jti='p0')}")) == ""
    assert reason(await get(gate, "/any/x", *fields)) == "proof_invalid"
    assert len(gate.upstream.visits) == known


async def test_of_requests_with_one_proof_that_wait_for_the_issuer_one_enters(gate: Gate, issuer: RawUpstream) -> None:
    held = asyncio.Event()
    bound = http(active(cnf={"jkt": jkt(ec_key())}))

    async def play(visit: Visit) -> None:
        await held.wait()
        await replies(bound)(visit)

    issuer.play = play
    fields = (DPOP, f"DPoP: {proof(OPAQUE)}")
    asked = [asyncio.create_task(get(gate, "/any/x", *fields)) for _ in range(5)]
    await eventually(lambda: issuer.visits)
    await gate.until(lambda status: status["in_flight"] == 5)
    held.set()
    assert sorted(map(reason, await asyncio.gather(*asked))) == ["", *["proof_invalid"] * 4]
    assert (len(gate.upstream.visits), len(issuer.visits)) == (1, 1)


async def test_a_token_that_is_bound_to_nothing_does_not_enter_where_a_proof_is_demanded(
    gate: Gate, issuer: RawUpstream
) -> None:
    issuer.play = says()
    assert reason(await get(gate, "/any/x", BEARER)) == ""
    assert reason(await get(gate, "/dpop", BEARER)) == reason(await get(gate, "/mtls", BEARER)) == "proof_invalid"
    assert reason(await get(gate, "/any/x", DPOP, f"DPoP: {proof(OPAQUE)}")) == "proof_invalid"


async def test_a_token_bound_to_a_certificate_enters_on_connections_with_it_alone(
    start: Start, issuer: RawUpstream, tmp_path: Path
) -> None:
    authority, clients = Authority(tmp_path), Authority(tmp_path, "clients")
    own, other = clients.issue("own", "machine.example"), clients.issue("other", "machine.example")
    shown = ssl.PEM_cert_to_DER_cert((tmp_path / "own.crt").read_text())
    issuer.play = says(cnf={"x5t#S256": base64url(hashlib.sha256(shown).digest())})
    tls = {**authority.issue("server"), "client_ca": clients.file.name, "client_certificate": "optional"}
    gate = await start(**asking(issuer), routes=ROUTES, tls=tls)

    async def ask(pair: dict[str, str] | None, line: str = "GET /mtls") -> str:
        async with TlsClient(gate.gateway.port, gate.answers, tls=authority.trusting(pair)) as client:
            return reason(await client.ask(request(line, BEARER)))

    assert [await ask(None), await ask(other)] == ["proof_invalid"] * 2
    assert [await ask(own), await ask(own), await ask(own, "GET /any/x")] == [""] * 3
    assert [await ask(None), await ask(other)] == ["proof_invalid"] * 2
    assert (len(gate.upstream.visits), len(issuer.visits)) == (3, 1)


async def test_a_token_bound_to_a_certificate_enters_behind_a_proxy_that_tells_of_it(
    start: Start, issuer: RawUpstream
) -> None:
    issuer.play = says(cnf={"x5t#S256": base64url(hashlib.sha256(b"\0\0\0").digest())})
    proofs = {"certificate_field": True}
    gate = await start(**asking(issuer), routes=ROUTES, trusted_proxies=["127.0.0.1/32"], proofs=proofs)
    async with RawClient(gate.gateway.port, gate.answers) as client:
        for field, expected in [(":AAAB:", "proof_invalid"), (":AAAA:", ""), (":AAAB:", "proof_invalid")]:
            assert reason(await client.ask(request("GET /mtls", BEARER, f"Client-Cert: {field}"))) == expected
        assert reason(await client.ask(request("GET /mtls", BEARER))) == "proof_invalid"
    assert len(gate.upstream.visits) == len(issuer.visits) == 1
