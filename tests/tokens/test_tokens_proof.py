"""Tokens that are bound to a key: DPoP and certificates."""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.denial import Denial, Reason
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.model import BearerToken, Claims, Confirmation, Proof, RequestHead
from gateway.tokens.dpop import DpopRules
from gateway.tokens.proof import NONCE_SECONDS, Nonces, ProofTerms, prove
from gateway.tokens.replay import Admission, ReplayStore
from gateway.tokens.shared_replays import SLOTS, SharedReplayStore, create

from .tokens_case import NOW, Clock, b64, encoded, private_key, public_jwk, sign

TOKEN = BearerToken(b"a.b.c", "DPoP")
CERTIFICATE = b"a certificate, as DER"
PROXY = TrustedProxies([ip_network("10.0.0.0/8")])


@dataclass
class Connection:
    peer: str = "10.0.0.1"
    scheme: str = "https"
    client_certificate: bytes | None = None


def thumbprint(owner: str = "a") -> str:
    jwk = public_jwk("P-256", owner)
    canonical = json.dumps(
        {name: jwk[name] for name in ("crv", "kty", "x", "y")}, sort_keys=True, separators=(",", ":")
    )
    return b64(hashlib.sha256(canonical.encode()).digest()).decode()


def dpop(owner: str = "a", **claims: Any) -> bytes:
    """A proof for GET https://api.example/x."""
    jwk = {name: value for name, value in public_jwk("P-256", owner).items() if name != "kid"}
    body = {"htm": "GET", "htu": "https://api.example/x", "iat": NOW, "jti": "1", "ath": ath()} | claims
    signing_input = encoded({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}) + b"." + encoded(body)
    return signing_input + b"." + b64(sign("ES256", private_key("P-256", owner), signing_input))


def ath(token: bytes = TOKEN.value) -> str:
    return b64(hashlib.sha256(token).digest()).decode()


def certificate_thumbprint(certificate: bytes = CERTIFICATE) -> str:
    return b64(hashlib.sha256(certificate).digest()).decode()


def bound(jkt: str | None = None, x5t: str | None = None) -> Claims:
    confirmation = None if jkt is None and x5t is None else Confirmation(jkt, x5t)
    return Claims("a", "https://a.example", "", "", ("api",), (), NOW + 60, None, "", confirmation=confirmation)


def head(*proofs: bytes, target: str = "/x?q=1", client_cert: tuple[bytes, ...] = ()) -> RequestHead:
    return RequestHead("GET", target, "/x", "q=1", frozenset(), "api.example", (b"",), proofs, client_cert)


def terms(**changes: Any) -> ProofTerms:
    return replace(ProofTerms(ReplayStore(Clock()), DpopRules()), **changes)


def refused(outcome: object) -> Denial:
    assert isinstance(outcome, Denial), outcome
    assert outcome.reason is Reason.PROOF_INVALID
    return outcome


DPOP: frozenset[Proof] = frozenset({"dpop"})
MTLS: frozenset[Proof] = frozenset({"mtls"})
BOTH = DPOP | MTLS
PLAIN = BearerToken(TOKEN.value)


def test_a_token_that_is_bound_to_nothing_needs_no_proof() -> None:
    assert prove(PLAIN, bound(), head(), Connection(), terms(), NOW) == frozenset()


def test_a_good_proof_is_taken_once() -> None:
    once = terms()
    claims, request = bound(thumbprint()), head(dpop())
    assert prove(TOKEN, claims, request, Connection(), once, NOW) == DPOP
    replayed = refused(prove(TOKEN, claims, request, Connection(), once, NOW))
    assert (replayed.check, replayed.found) == ("proof replay", "one that was")
    assert prove(TOKEN, claims, head(dpop(jti="2")), Connection(), once, NOW) == DPOP


@pytest.mark.parametrize(
    ("token", "claims", "request_head"),
    [
        (PLAIN, bound(thumbprint()), head(dpop())),
        (TOKEN, bound(), head(dpop())),
        (TOKEN, bound(x5t=certificate_thumbprint()), head(dpop())),
        (TOKEN, bound(thumbprint()), head()),
        (TOKEN, bound(thumbprint()), head(dpop(), dpop(jti="2"))),
        (TOKEN, bound(thumbprint("b")), head(dpop())),
        (TOKEN, bound(thumbprint()), head(dpop("b"))),
        (TOKEN, bound(thumbprint()), head(dpop(ath=ath(b"another")))),
        (TOKEN, bound(thumbprint()), head(dpop(htm="POST"))),
        (TOKEN, bound(thumbprint()), head(dpop(htu="https://api.example/y"))),
        (TOKEN, bound(thumbprint()), head(dpop(htu="http://api.example/x"))),
        (TOKEN, bound(thumbprint()), head(dpop(iat=NOW - 61))),
        (TOKEN, bound(thumbprint()), head(dpop(iat=NOW + 11))),
    ],
)
def test_a_bound_token_without_its_proof_is_refused(
    token: BearerToken, claims: Claims, request_head: RequestHead
) -> None:
    denial = refused(prove(token, claims, request_head, Connection(), terms(), NOW))
    assert denial.scheme == "DPoP"
    assert "ES256" in dict(denial.parameters)["algs"]


def test_the_proof_names_the_public_address_where_one_is_configured() -> None:
    behind = Connection(scheme="http")
    claims, request = bound(thumbprint()), head(dpop())
    refused(prove(TOKEN, claims, request, behind, terms(), NOW))
    assert prove(TOKEN, claims, request, behind, terms(public_url="https://api.example"), NOW) == DPOP


def test_a_full_store_lets_no_further_proof_in() -> None:
    full = terms(replays=ReplayStore(Clock(), most=0))
    outcome = prove(TOKEN, bound(thumbprint()), head(dpop()), Connection(), full, NOW)
    assert isinstance(outcome, Denial)
    assert outcome.reason is Reason.OVERLOADED


def test_a_proof_bears_our_nonce_where_nonces_are_demanded() -> None:
    clock = Clock()
    nonces = Nonces(b"key", clock)
    demanding = terms(nonces=nonces, rules=DpopRules(nonce_is_good=nonces.is_good))
    denial = refused(prove(TOKEN, bound(thumbprint()), head(dpop()), Connection(), demanding, NOW))
    assert (denial.error, denial.nonce) == ("use_dpop_nonce", nonces.current())
    good = head(dpop(nonce=denial.nonce))
    assert prove(TOKEN, bound(thumbprint()), good, Connection(), demanding, NOW) == DPOP
    clock.now += NONCE_SECONDS
    assert nonces.is_good(denial.nonce or "")
    clock.now += NONCE_SECONDS
    assert not nonces.is_good(denial.nonce or "")
    assert not nonces.is_good("")


def test_a_nonce_that_nobody_demanded_is_asked_for_without_one() -> None:
    odd = terms(rules=DpopRules(nonce_is_good=lambda _: False))
    denial = refused(prove(TOKEN, bound(thumbprint()), head(dpop()), Connection(), odd, NOW))
    assert (denial.error, denial.nonce) == ("use_dpop_nonce", None)


# Certificates


def told(certificate: bytes) -> bytes:
    return b":" + base64.b64encode(certificate) + b":"


DIGEST = hashlib.sha256(CERTIFICATE).digest()
TOLD = head(client_cert=(told(CERTIFICATE),))


@pytest.mark.parametrize(
    ("connection", "request_head", "changes", "good"),
    [
        (Connection(client_certificate=DIGEST), head(), {}, True),
        (Connection(client_certificate=hashlib.sha256(b"x").digest()), head(), {}, False),
        (Connection(), head(), {}, False),
        (Connection(), TOLD, {"certificate_field": True, "trusted_proxies": PROXY}, True),
        (Connection(), TOLD, {"trusted_proxies": PROXY}, False),
        (Connection("11.0.0.1"), TOLD, {"certificate_field": True, "trusted_proxies": PROXY}, False),
        (Connection(client_certificate=b"x" * 32), TOLD, {"certificate_field": True, "trusted_proxies": PROXY}, False),
        *(
            (Connection(), head(client_cert=values), {"certificate_field": True, "trusted_proxies": PROXY}, False)
            for values in (
                (told(CERTIFICATE), told(CERTIFICATE)),
                (told(b"another"),),
                (base64.b64encode(CERTIFICATE),),
                (b":" + base64.b64encode(CERTIFICATE),),
                (b":",),
                (b":!:",),
                (b"",),
                (told(b"x" * 20_000),),
            )
        ),
    ],
)
def test_a_token_that_is_bound_to_a_certificate_needs_it(
    connection: Connection, request_head: RequestHead, changes: dict[str, Any], *, good: bool
) -> None:
    outcome = prove(PLAIN, bound(x5t=certificate_thumbprint()), request_head, connection, terms(**changes), NOW)
    if good:
        assert outcome == MTLS
    else:
        refused(outcome)


def test_a_token_that_is_bound_to_both_needs_both() -> None:
    claims = bound(thumbprint(), certificate_thumbprint())
    shown = Connection(client_certificate=DIGEST)
    assert prove(TOKEN, claims, head(dpop()), shown, terms(), NOW) == BOTH
    refused(prove(TOKEN, claims, head(dpop()), Connection(), terms(), NOW))
    refused(prove(TOKEN, claims, head(), shown, terms(), NOW))


# A memory that workers share


@pytest.fixture
def table() -> Any:
    file = create()
    yield f"/proc/{os.getpid()}/fd/{file}"
    os.close(file)


def digest(number: int, bucket: int = 0) -> bytes:
    return bucket.to_bytes(4, "big") + number.to_bytes(28, "big")


def test_what_one_worker_took_no_other_takes(table: str) -> None:
    clock = Clock()
    one, other = SharedReplayStore(table, clock), SharedReplayStore(table, clock)
    assert one.admit(digest(1), NOW + 60) is Admission.NEW
    assert other.admit(digest(1), NOW + 60) is Admission.REPLAYED
    assert other.admit(digest(2), NOW + 60) is Admission.NEW
    clock.now = NOW + 60
    assert one.admit(digest(1), NOW + 120) is Admission.REPLAYED
    clock.now = NOW + 61
    assert one.admit(digest(1), NOW + 120) is Admission.NEW
    one.close()
    other.close()


def test_a_full_bucket_admits_nothing_until_something_expires(table: str) -> None:
    clock = Clock()
    store = SharedReplayStore(table, clock)
    for number in range(SLOTS):
        assert store.admit(digest(number), NOW + 1 + number) is Admission.NEW
    assert store.admit(digest(SLOTS), NOW + 60) is Admission.FULL
    assert store.admit(digest(0, bucket=1), NOW + 60) is Admission.NEW
    clock.now = NOW + 2
    assert store.admit(digest(SLOTS), NOW + 60) is Admission.NEW
    assert store.admit(digest(1), NOW + 60) is Admission.REPLAYED
    store.close()


def test_a_table_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SharedReplayStore(str(tmp_path / "none"), Clock())
