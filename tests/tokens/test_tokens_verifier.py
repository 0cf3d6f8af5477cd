"""What was verified once is remembered for as long as it stays true."""

from dataclasses import dataclass, replace

import pytest

from gateway.policy.denial import Reason
from gateway.policy.headers import identity_lines
from gateway.policy.model import TrustedIssuer
from gateway.tokens.keys import KeySet
from gateway.tokens.verifier import TokenVerifier, VerifiedToken, hash_key, jti_hash
from gateway.tokens.verify import UnknownKey

from .tokens_case import CLAIMS, ISSUER, NOW, bearer, key_set, public_jwk, reason, signed


@dataclass
class Source:
    """Keys that a test exchanges."""

    current: KeySet | None


@pytest.fixture
def source() -> Source:
    return Source(key_set(public_jwk("RSA"), public_jwk("P-256")))


def verifier(source: Source, issuer: TrustedIssuer = ISSUER, capacity: int = 8) -> TokenVerifier:
    return TokenVerifier([issuer], {"a": source}, capacity=capacity, log_key=b"key")


TOKEN = bearer(signed())


def remembering(source: Source, issuer: TrustedIssuer = ISSUER) -> TokenVerifier:
    """A verifier that has verified TOKEN."""
    remembers = verifier(source, issuer)
    assert isinstance(remembers.verify(TOKEN, NOW), VerifiedToken)
    return remembers


def test_a_verified_token_is_recalled_with_all_that_was_computed(source: Source) -> None:
    fresh = verifier(source)
    assert fresh.recall(TOKEN, NOW) is None
    verified = fresh.verify(TOKEN, NOW)
    assert isinstance(verified, VerifiedToken)
    assert fresh.recall(TOKEN, NOW) is verified
    assert (verified.kid, verified.algorithm, verified.leeway) == ("a-RSA", "RS256", 0)
    assert verified.identity.startswith(b"X-Client-Id: \r\nX-Token-Subject: batch\r\n")
    assert verified.jti_hash == jti_hash(b"key", ISSUER.issuer, "1")


def test_a_token_whose_sender_proved_nothing_is_recorded_and_names_nobody_to_the_upstream(source: Source) -> None:
    known = remembering(source).recall(TOKEN, NOW)
    assert isinstance(known, VerifiedToken)
    told = known._replace(claims=known.claims._replace(kept=(("a", ("b",)),), told=(("c", "d"),)))
    unproven = told.unproven
    assert unproven.identity == identity_lines(None)
    assert (unproven.claims.kept, unproven.claims.told) == ((), ())
    assert (unproven.record, unproven.claims.scopes) == (known.record, known.claims.scopes)


def test_recall_ends_at_exp(source: Source) -> None:
    remembers = remembering(source)
    assert isinstance(remembers.recall(TOKEN, NOW + 59.999), VerifiedToken)
    assert reason(remembers.recall(TOKEN, NOW + 60)) is Reason.TOKEN_EXPIRED
    assert len(remembers) == 0
    assert remembers.recall(TOKEN, NOW + 60) is None
    assert reason(remembers.verify(TOKEN, NOW + 60)) is Reason.TOKEN_EXPIRED


def test_recall_grants_the_issuer_s_leeway_and_no_more(source: Source) -> None:
    remembers = remembering(source, replace(ISSUER, leeway=30))
    assert isinstance(remembers.recall(TOKEN, NOW + 89), VerifiedToken)
    assert reason(remembers.recall(TOKEN, NOW + 90)) is Reason.TOKEN_EXPIRED


def test_recall_ends_when_the_key_leaves_the_set(source: Source) -> None:
    remembers = remembering(source)
    source.current = key_set(public_jwk("P-256"))
    assert remembers.recall(TOKEN, NOW) is None
    assert len(remembers) == 0
    assert remembers.verify(TOKEN, NOW) == UnknownKey("a", "a-RSA")


def test_recall_ends_when_another_key_takes_the_kid(source: Source) -> None:
    remembers = remembering(source)
    source.current = key_set(public_jwk("RSA", "b", kid="a-RSA"))
    assert remembers.recall(TOKEN, NOW) is None
    assert reason(remembers.verify(TOKEN, NOW)) is Reason.SIGNATURE_INVALID


def test_recall_ends_when_no_keys_are_left(source: Source) -> None:
    remembers = remembering(source)
    source.current = None
    assert remembers.recall(TOKEN, NOW) is None


def test_recall_goes_on_when_other_keys_come_and_go(source: Source) -> None:
    remembers = remembering(source)
    source.current = key_set(public_jwk("P-384"), public_jwk("RSA"))
    assert isinstance(remembers.recall(TOKEN, NOW), VerifiedToken)


def test_another_verifier_remembers_nothing(source: Source) -> None:
    """A reload replaces the verifier."""
    remembering(source)
    assert verifier(source).recall(TOKEN, NOW) is None


def test_what_is_remembered_is_bounded(source: Source) -> None:
    small = verifier(source, capacity=3)
    tokens = [bearer(signed("ES256", CLAIMS | {"jti": str(number)})) for number in range(10)]
    for token in tokens:
        assert isinstance(small.verify(token, NOW), VerifiedToken)
    assert len(small) == 3
    assert small.recall(tokens[0], NOW) is None
    assert isinstance(small.recall(tokens[-1], NOW), VerifiedToken)


def test_a_refused_token_is_not_remembered(source: Source) -> None:
    fresh = verifier(source)
    assert reason(fresh.verify(bearer(signed(payload=CLAIMS | {"aud": "x"})), NOW)) is Reason.AUDIENCE_MISMATCH
    assert fresh.verify(bearer(signed(kid="unknown")), NOW) == UnknownKey("a", "unknown")
    assert len(fresh) == 0


@pytest.mark.parametrize("ending", [b"=", b"A", b" ", b"?"])
def test_another_spelling_of_a_remembered_token_is_another_token(source: Source, ending: bytes) -> None:
    remembers = remembering(source)
    other = bearer(TOKEN.value + ending)
    assert remembers.recall(other, NOW) is None
    assert not isinstance(remembers.verify(other, NOW), VerifiedToken)


def test_the_token_is_kept_nowhere(source: Source) -> None:
    remembers = remembering(source)
    verified = remembers.recall(TOKEN, NOW)
    signature = TOKEN.value.rsplit(b".", 1)[1]
    kept = repr((verified, list(remembers._verified.items())))
    assert signature.decode() not in kept
    assert "***" in repr(TOKEN)
    assert signature.decode() not in repr(TOKEN)


def test_a_secret_in_a_file_stands_for_a_key_of_its_own() -> None:
    assert len(hash_key("secret")) == 32
    assert hash_key("secret") != hash_key("another")
    assert jti_hash(hash_key("x" * 1000), "https://a.example", "1") is not None


def test_a_jti_is_hashed_with_key_and_issuer() -> None:
    hashed = jti_hash(b"key", "https://a.example", "1")
    assert hashed is not None
    assert len(hashed) == 32
    others = [jti_hash(b"other", "https://a.example", "1"), jti_hash(b"key", "https://b.example", "1")]
    assert hashed not in others
    assert jti_hash(b"key", "https://a.example", "") is None


def test_what_was_verified_holds_until_exp_and_from_nbf_on_as_long_as_its_key_is_published(source: Source) -> None:
    remembers = remembering(source)
    known = remembers.recall(TOKEN, NOW)
    assert isinstance(known, VerifiedToken)
    assert remembers.holds(known, NOW + 59.999)
    assert not remembers.holds(known, NOW + 60)
    begun = known._replace(valid_from=NOW)
    assert remembers.holds(begun, NOW)
    assert not remembers.holds(begun, NOW - 1)
    source.current = key_set(public_jwk("P-256"))
    assert not remembers.holds(known, NOW)
    source.current = None
    assert not remembers.holds(known, NOW)


def test_a_renewed_verifier_remembers_nothing_and_takes_the_issuers_as_they_are_now(source: Source) -> None:
    remembers = remembering(source)
    remembers.renew([ISSUER])
    assert (len(remembers), remembers.recall(TOKEN, NOW)) == (0, None)
    assert isinstance(remembers.verify(TOKEN, NOW), VerifiedToken)
    remembers.renew([replace(ISSUER, audiences=frozenset({"another"}))])
    assert reason(remembers.verify(TOKEN, NOW)) is Reason.AUDIENCE_MISMATCH
