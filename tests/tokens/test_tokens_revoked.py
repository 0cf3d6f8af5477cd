"""What an issuer's feed says is revoked, and that no remembered verification outlives it."""

from dataclasses import dataclass
from hashlib import sha256

import pytest
from hypothesis import given, strategies as st

from gateway.policy.denial import Reason
from gateway.tokens.keys import KeySet
from gateway.tokens.revoked import FeedError, RevokedTokens, digest, read_feed
from gateway.tokens.verifier import TokenVerifier, VerifiedToken
from gateway.tokens.verify import UnknownKey

from .tokens_case import CLAIMS, ISSUER, NOW, bearer, key_set, public_jwk, reason, signed

BATCH = CLAIMS | {"client_id": "nightly-batch", "iat": NOW - 30}
TOKEN = bearer(signed(payload=BATCH))


@dataclass
class Source:
    """Keys that a test exchanges."""

    current: KeySet | None


def hashed(identifier: str, issuer: str = ISSUER.issuer) -> str:
    return sha256(f"{issuer}\0{identifier}".encode()).hexdigest()


def feed(*entries: object) -> dict[str, object]:
    return {"cursor": "1", "revocations": list(entries)}


def by_jti(jti: str = "1") -> dict[str, object]:
    return {"kind": "jti", "hash": hashed(jti), "until": NOW + 60}


def by_client(client_id: str = "nightly-batch", before: float = NOW) -> dict[str, object]:
    return {"kind": "client", "hash": hashed(client_id), "before": before, "until": NOW + 60}


def by_key(kid: str = "a-RSA") -> dict[str, object]:
    return {"kind": "key", "kid": kid, "until": NOW + 60}


@pytest.fixture
def source() -> Source:
    return Source(key_set(public_jwk("RSA"), public_jwk("P-256")))


@pytest.fixture
def revoked() -> dict[str, RevokedTokens]:
    return {}


@pytest.fixture
def verifier(source: Source, revoked: dict[str, RevokedTokens]) -> TokenVerifier:
    return TokenVerifier([ISSUER], {"a": source}, capacity=8, log_key=b"key", revoked=revoked)


REVOKING = pytest.mark.parametrize(
    "entry", [by_jti(), by_client(), by_client(before=NOW - 29), by_key()], ids=lambda entry: entry["kind"]
)
LEAVING = pytest.mark.parametrize(
    "entry",
    [
        by_jti("2"),
        by_client("daily-batch"),
        by_client(before=NOW - 30),
        by_key("a-P-256"),
        {"kind": "jti", "hash": hashed("1", "https://b.example"), "until": NOW},
        {"kind": "client", "hash": hashed("nightly-batch", "https://b.example"), "before": NOW, "until": NOW},
    ],
    ids=str,
)


@REVOKING
def test_a_revoked_token_is_refused_when_it_first_comes(
    verifier: TokenVerifier, revoked: dict[str, RevokedTokens], entry: object
) -> None:
    revoked["a"] = read_feed(feed(entry))
    assert reason(verifier.verify(TOKEN, NOW)) is Reason.TOKEN_REVOKED
    assert reason(verifier.recall(TOKEN, NOW)) is Reason.TOKEN_REVOKED


@REVOKING
def test_a_verification_ends_when_its_token_is_revoked(
    verifier: TokenVerifier, revoked: dict[str, RevokedTokens], entry: object
) -> None:
    known = verifier.verify(TOKEN, NOW)
    assert isinstance(known, VerifiedToken)
    assert verifier.holds(known, NOW)
    revoked["a"] = read_feed(feed(entry))
    assert not verifier.holds(known, NOW)
    assert reason(verifier.recall(TOKEN, NOW)) is Reason.TOKEN_REVOKED
    assert reason(verifier.verify(TOKEN, NOW)) is Reason.TOKEN_REVOKED


@LEAVING
def test_what_is_revoked_elsewhere_leaves_the_token_alone(
    verifier: TokenVerifier, revoked: dict[str, RevokedTokens], entry: object
) -> None:
    revoked["a"] = read_feed(feed(entry))
    known = verifier.verify(TOKEN, NOW)
    assert isinstance(known, VerifiedToken)
    assert verifier.holds(known, NOW)
    assert verifier.recall(TOKEN, NOW) is known


def test_what_another_issuer_revoked_leaves_the_token_alone(
    verifier: TokenVerifier, revoked: dict[str, RevokedTokens]
) -> None:
    revoked["b"] = read_feed(feed(by_jti(), by_client(), by_key()))
    known = verifier.verify(TOKEN, NOW)
    assert isinstance(known, VerifiedToken)
    assert verifier.holds(known, NOW)


def test_a_revoked_token_that_has_expired_is_said_to_have_expired(
    verifier: TokenVerifier, revoked: dict[str, RevokedTokens]
) -> None:
    assert isinstance(verifier.verify(TOKEN, NOW), VerifiedToken)
    revoked["a"] = read_feed(feed(by_jti()))
    assert reason(verifier.recall(TOKEN, NOW + 60)) is Reason.TOKEN_EXPIRED
    assert reason(verifier.verify(TOKEN, NOW + 60)) is Reason.TOKEN_EXPIRED


def test_a_revoked_key_is_named_so_after_the_issuer_has_withdrawn_it(
    verifier: TokenVerifier, source: Source, revoked: dict[str, RevokedTokens]
) -> None:
    assert isinstance(verifier.verify(TOKEN, NOW), VerifiedToken)
    source.current = key_set(public_jwk("P-256"))
    revoked["a"] = read_feed(feed(by_key()))
    assert reason(verifier.recall(TOKEN, NOW)) is Reason.TOKEN_REVOKED
    assert reason(verifier.verify(TOKEN, NOW)) is Reason.TOKEN_REVOKED
    assert verifier.verify(bearer(signed(kid="other")), NOW) == UnknownKey("a", "other")


def test_a_token_that_does_not_say_when_it_was_issued_is_revoked_with_its_client(
    verifier: TokenVerifier, revoked: dict[str, RevokedTokens]
) -> None:
    undated = bearer(signed(payload={name: value for name, value in BATCH.items() if name != "iat"}))
    revoked["a"] = read_feed(feed(by_client(before=1)))
    assert reason(verifier.verify(undated, NOW)) is Reason.TOKEN_REVOKED


def test_a_token_without_jti_is_not_revoked_by_one(verifier: TokenVerifier, revoked: dict[str, RevokedTokens]) -> None:
    revoked["a"] = read_feed(feed(by_jti("")))
    nameless = bearer(signed(payload={name: value for name, value in BATCH.items() if name != "jti"}))
    assert isinstance(verifier.verify(nameless, NOW), VerifiedToken)


def test_a_client_that_is_revoked_twice_is_revoked_up_to_the_later_time() -> None:
    read = read_feed(feed(by_client(before=NOW + 5), by_client(before=NOW)))
    assert read.clients == {hashed("nightly-batch"): NOW + 5}


def test_an_entry_of_an_unknown_kind_is_counted_and_the_others_count() -> None:
    read = read_feed(feed({"kind": "audience"}, by_jti(), by_key("k")))
    assert read == RevokedTokens(frozenset({hashed("1")}), {}, frozenset({"k"}), 1)
    assert len(read) == 2


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"revocations": None},
        {"revocations": {}},
        feed(1),
        feed({}),
        feed({"kind": 1}),
        feed({"kind": "jti"}),
        feed(by_jti() | {"hash": hashed("1").upper()}),
        feed(by_jti() | {"hash": hashed("1") + "\n"}),
        feed(by_jti() | {"hash": 1}),
        feed(by_client() | {"before": "1"}),
        feed(by_client() | {"before": None}),
        feed(by_client() | {"hash": "1"}),
        feed(by_key() | {"kid": None}),
    ],
    ids=str,
)
def test_what_is_no_feed_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(FeedError, match="feed"):
        read_feed(document)


@given(st.text(), st.text())
def test_a_digest_is_sha_256_of_issuer_and_identifier_whatever_these_are(issuer: str, identifier: str) -> None:
    assert digest(issuer, identifier) == sha256(f"{issuer}\0{identifier}".encode()).hexdigest()


def test_a_lone_surrogate_which_json_can_hold_has_a_digest() -> None:
    assert digest("https://a.example", "\ud800") != digest("https://a.example", "\ud801")
