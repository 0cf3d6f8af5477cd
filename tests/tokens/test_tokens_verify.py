"""Verification: attacks, algorithms, and agreement with PyJWT on whatever is accepted."""

import hashlib
import hmac
import json
import time
import zlib
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings, strategies as st

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import TrustedIssuer
from gateway.tokens.compact import CompactToken, read_compact
from gateway.tokens.keys import KeySet
from gateway.tokens.verify import UnknownKey, Verification, by_iss, verify

from .tokens_case import (
    CLAIMS,
    ISSUER,
    KEY_OF,
    NOW,
    OTHER,
    b64,
    bearer,
    compact,
    encoded,
    key_set,
    keys_of,
    private_key,
    public_jwk,
    reason,
    sign,
    signed,
)

ISSUERS = by_iss([ISSUER, OTHER])


def outcome(
    token: bytes, issuer: TrustedIssuer = ISSUER, keys: KeySet | None = None, now: float = NOW
) -> Verification | UnknownKey | Denial:
    return verify(bearer(token), {**ISSUERS, issuer.issuer: (issuer,)}, lambda name: keys or keys_of(name), now)


@pytest.mark.parametrize("algorithm", KEY_OF)
def test_a_good_token_of_every_algorithm_is_accepted(algorithm: str) -> None:
    verified = outcome(signed(algorithm))
    assert isinstance(verified, Verification)
    assert (verified.algorithm, verified.key.kid) == (algorithm, f"a-{KEY_OF[algorithm]}")
    assert verified.claims.subject == "batch"


@pytest.mark.parametrize("algorithm", KEY_OF)
def test_an_algorithm_outside_the_issuer_s_list_is_refused(algorithm: str) -> None:
    issuer = replace(ISSUER, algorithms=ISSUER.algorithms - {algorithm})
    assert reason(outcome(signed(algorithm), issuer)) is Reason.ALGORITHM_NOT_ALLOWED


PUBLIC = private_key("RSA").public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SECRETS = {
    "PEM": PEM,
    "PEM without its last newline": PEM.rstrip(),
    "CRLF-PEM": PEM.replace(b"\n", b"\r\n"),
    "PKCS1-PEM": PUBLIC.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "DER": PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "JWK": json.dumps(public_jwk("RSA")).encode(),
    "modulus": public_jwk("RSA")["n"].encode(),
    "empty": b"",
}


def hmac_token(secret: bytes, alg: str = "HS256") -> bytes:
    signing_input = encoded({"alg": alg, "kid": "a-RSA"}) + b"." + encoded(CLAIMS)
    return signing_input + b"." + b64(hmac.digest(secret, signing_input, hashlib.sha256))


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_an_hmac_with_the_public_key_is_refused(secret: bytes) -> None:
    assert reason(outcome(hmac_token(secret))) is Reason.ALGORITHM_NOT_ALLOWED
    lax = replace(ISSUER, algorithms=ISSUER.algorithms | {"HS256"})
    assert reason(outcome(hmac_token(secret), lax)) is Reason.ALGORITHM_NOT_ALLOWED
    assert reason(outcome(hmac_token(secret, "RS256"))) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", "", " ", "rs256", "RS256 ", "RSA256", "HS256"])
def test_no_algorithm_or_an_unknown_one_is_refused(alg: str) -> None:
    good = signed()
    token = compact({"alg": alg, "kid": "a-RSA"}, CLAIMS)
    assert reason(outcome(token)) is Reason.ALGORITHM_NOT_ALLOWED
    empty = encoded({"alg": alg, "kid": "a-RSA"}) + b"." + encoded(CLAIMS) + b"."
    assert reason(outcome(empty)) is Reason.TOKEN_MALFORMED
    swapped = encoded({"alg": alg}) + good[good.index(b".") :]
    assert reason(outcome(swapped)) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize(
    ("claimed", "used"), [("RS256", "PS256"), ("PS256", "RS256"), ("RS256", "RS512"), ("PS384", "PS512")]
)
def test_a_signature_of_another_algorithm_than_the_header_s_is_refused(claimed: str, used: str) -> None:
    signing_input = encoded({"alg": claimed, "kid": "a-RSA"}) + b"." + encoded(CLAIMS)
    token = signing_input + b"." + b64(sign(used, private_key("RSA"), signing_input))
    assert reason(outcome(token)) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("ES256", "P-384"), ("ES384", "P-256"), ("RS256", "P-256"), ("ES256", "RSA"), ("EdDSA", "RSA")],
)
def test_a_key_of_another_algorithm_than_the_header_s_is_refused(algorithm: str, kind: str) -> None:
    token = signed(algorithm, kid=f"a-{kind}")
    assert reason(outcome(token)) is Reason.ALGORITHM_NOT_ALLOWED


def test_a_key_that_names_its_algorithm_verifies_no_other() -> None:
    keys = key_set(public_jwk("RSA", alg="PS256"))
    assert reason(outcome(signed("RS256"), keys=keys)) is Reason.ALGORITHM_NOT_ALLOWED
    assert isinstance(outcome(signed("PS256"), keys=keys), Verification)


def test_an_ecdsa_signature_in_der_or_of_zeros_is_refused() -> None:
    signing_input = encoded({"alg": "ES256", "kid": "a-P-256"}) + b"." + encoded(CLAIMS)
    for signature in (private_key("P-256").sign(signing_input, ec.ECDSA(hashes.SHA256())), bytes(64), bytes(63)):
        assert reason(outcome(signing_input + b"." + b64(signature))) is Reason.SIGNATURE_INVALID


def test_a_key_that_comes_with_the_token_is_not_used() -> None:
    own = public_jwk("RSA", "evil")
    key = private_key("RSA", "evil")
    for header in ({"jwk": own}, {"jku": "https://evil.example"}, {"x5u": "https://evil.example"}):
        assert reason(outcome(signed(key=key, **header))) is Reason.TOKEN_MALFORMED
    assert reason(outcome(signed(key=key, x5c=["MIIB"]))) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "a-rsa", "a-RSA\x00", "", "b-RSA", "*"])
def test_a_kid_that_is_not_in_the_set_is_an_unknown_key_and_nothing_else(kid: str) -> None:
    assert outcome(signed(kid=kid)) == UnknownKey("a", kid)


@pytest.mark.parametrize("kid", [7, ["a-RSA"], {"a": 1}, "k" * 1_000_000], ids=lambda kid: str(kid)[:10])
def test_a_kid_that_no_set_could_hold_is_malformed(kid: object) -> None:
    assert reason(outcome(signed(kid=kid))) is Reason.TOKEN_MALFORMED


def test_a_key_of_one_issuer_signs_nothing_for_another() -> None:
    key = private_key("RSA", "b")
    assert outcome(signed(owner="b")) == UnknownKey("a", "b-RSA")
    assert reason(outcome(signed(key=key))) is Reason.SIGNATURE_INVALID
    for_other = CLAIMS | {"iss": OTHER.issuer}
    assert isinstance(outcome(signed(payload=for_other, owner="b")), Verification)
    assert outcome(signed(payload=for_other)) == UnknownKey("b", "a-RSA")


@pytest.mark.parametrize(
    "iss", ["https://a.exampl", "https://a.example/", "https://A.example", ["https://a.example"], {}, None, 1], ids=str
)
def test_an_issuer_that_is_not_exactly_a_trusted_one_is_refused(iss: object) -> None:
    assert reason(outcome(signed(payload=CLAIMS | {"iss": iss}))) is Reason.ISSUER_UNTRUSTED


def test_a_token_without_issuer_is_refused() -> None:
    payload = {name: value for name, value in CLAIMS.items() if name != "iss"}
    assert reason(outcome(signed(payload=payload))) is Reason.ISSUER_UNTRUSTED


def test_what_is_no_claims_set_is_refused() -> None:
    nested = signed()
    assert reason(outcome(signed(payload=nested))) is Reason.TOKEN_MALFORMED
    assert reason(outcome(signed(payload=nested, cty="JWT"))) is Reason.TOKEN_MALFORMED
    bomb = zlib.compress(bytes(250_000))
    assert reason(outcome(signed(payload=bomb, zip="DEF"))) is Reason.TOKEN_MALFORMED
    assert reason(outcome(signed(payload=json.dumps(CLAIMS).encode("utf-16")))) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("exp", [b'"9"', b"1e400", b"1e30", b"true", b"[]", b"null", b"-1", b"9" * 400, b"{}"])
def test_a_signed_exp_that_is_no_date_is_refused(exp: bytes) -> None:
    payload = b'{"iss":"https://a.example","aud":"api","exp":' + exp + b"}"
    assert reason(outcome(signed(payload=payload))) is Reason.CLAIM_INVALID


@pytest.mark.parametrize("exp", [b"NaN", b"Infinity", b'1800000060,"exp":1900000000', b"9" * 5000])
def test_a_signed_exp_that_is_no_strict_json_is_refused(exp: bytes) -> None:
    payload = b'{"iss":"https://a.example","aud":"api","exp":' + exp + b"}"
    assert reason(outcome(signed(payload=payload))) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": NOW}, Reason.TOKEN_EXPIRED),
        ({"nbf": NOW + 1}, Reason.TOKEN_NOT_YET_VALID),
        ({"nbf": False}, Reason.CLAIM_INVALID),
        ({"aud": "api-evil"}, Reason.AUDIENCE_MISMATCH),
        ({"aud": {"api": 1}}, Reason.CLAIM_INVALID),
        ({"cnf": {"jkt": "x"}}, Reason.PROOF_INVALID),
    ],
    ids=str,
)
def test_claims_are_judged_only_behind_a_good_signature(changes: dict[str, object], expected: Reason) -> None:
    assert reason(outcome(signed(payload=CLAIMS | changes))) is expected
    forged = signed(payload=CLAIMS | changes, key=private_key("RSA", "evil"))
    assert reason(outcome(forged)) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("typ", "accepted"),
    [("at+jwt", True), ("application/at+jwt", True), ("AT+JWT", True), ("JWT", False), (None, False), ("", False)],
)
def test_an_issuer_may_be_held_to_a_type(typ: str | None, accepted: bool) -> None:  # noqa: FBT001 - a table
    strict = replace(ISSUER, token_types=frozenset({"at+jwt"}))
    assert isinstance(outcome(signed(typ=typ), strict), Verification) is accepted
    assert isinstance(outcome(signed(typ=typ)), Verification)
    if not accepted:
        assert reason(outcome(signed(typ=typ), strict)) is Reason.CLAIM_INVALID


def test_without_keys_a_token_is_neither_good_nor_bad() -> None:
    assert verify(bearer(signed()), ISSUERS, lambda _: None, NOW) == UnknownKey("a", "a-RSA")
    assert verify(bearer(signed(kid=None)), ISSUERS, lambda _: None, NOW) == UnknownKey("a", None)


def test_a_token_without_kid_is_verified_with_the_only_key_that_fits() -> None:
    assert isinstance(outcome(signed(kid=None)), Verification)
    assert reason(outcome(signed(kid=None, key=private_key("RSA", "b")))) is Reason.SIGNATURE_INVALID
    two = key_set(public_jwk("RSA"), public_jwk("RSA", "b"))
    assert outcome(signed(kid=None), keys=two) == UnknownKey("a", None)


def test_each_key_of_a_kid_that_is_used_twice_is_tried() -> None:
    keys = key_set(public_jwk("RSA", "b", kid="SIGNING_KEY"), public_jwk("RSA", kid="SIGNING_KEY"))
    verified = outcome(signed(kid="SIGNING_KEY"), keys=keys)
    assert isinstance(verified, Verification)
    assert verified.key == keys.keys[1]


@settings(max_examples=200)
@given(st.data())
def test_no_changed_byte_of_a_token_is_accepted(data: st.DataObject) -> None:
    token = signed("ES256", kid="a-P-256")
    place = data.draw(st.integers(0, len(token) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != token[place]))
    assert not isinstance(outcome(token[:place] + bytes([byte]) + token[place + 1 :]), Verification)


ABSENT = object()
_REAL_NOW = int(time.time())
"""PyJWT reads the machine's clock, which goes on while the suite runs: hours keep both on one side of every date."""

_DATES = [
    *(_REAL_NOW + offset for offset in (-90_000, -9_000, 9_000, 90_000, 9_000.5)),
    str(_REAL_NOW + 9_000),
    True,
    None,
    ABSENT,
]
_CLAIM_CHANGES: dict[str, list[object]] = {
    "iss": [ISSUER.issuer, OTHER.issuer, "", [ISSUER.issuer], ABSENT],
    "aud": ["api", ["api"], ["x", "api"], "api ", [], {}, None, ABSENT],
    "exp": _DATES,
    "nbf": _DATES,
    "iat": _DATES,
    "sub": ["batch", "", 7, None, "é"],
    "jti": ["1", 1, None],
    "scope": ["a b", {}, ["a"], "é"],
    "custom": [1.5, -0.0, 2**70, "é\u2028😀", [{"a": []}]],
}
_HEADER_CHANGES: dict[str, list[object]] = {
    "typ": ["JWT", "at+jwt", None],
    "kid": ["b-RSA", None],
    "x5t": ["abc"],
    "crit": [["exp"]],
    "b64": [False],
}


def changes(table: dict[str, list[object]], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """A few members with one of their values each."""
    member = st.sampled_from([(name, value) for name, values in table.items() for value in values])
    return st.lists(member, max_size=most).map(dict)


@settings(max_examples=300)
@given(
    st.sampled_from(["RS256", "PS256", "ES256", "ES512", "EdDSA"]),
    changes(_CLAIM_CHANGES, 4),
    changes(_HEADER_CHANGES, 1),
    st.sampled_from("ab"),
)
def test_whatever_is_accepted_pyjwt_accepts_with_the_same_claims(
    algorithm: str, claims: dict[str, object], header: dict[str, Any], signer: str
) -> None:
    issuer = ISSUER if signer == "a" else OTHER
    whole = {"iss": issuer.issuer, "aud": "api", "exp": _REAL_NOW + 9_000} | claims
    payload = {name: value for name, value in whole.items() if value is not ABSENT}
    token = signed(algorithm, payload, owner=signer, **header)
    verified = outcome(token, now=_REAL_NOW)
    if not isinstance(verified, Verification):
        return
    decoded = jwt.decode(
        token,
        verified.key.key,
        algorithms=sorted(issuer.algorithms - {"Ed25519"}),
        audience=sorted(issuer.audiences),
        issuer=issuer.issuer,
        options={"require": ["exp"]},
    )
    parts = read_compact(token)
    assert isinstance(parts, CompactToken)
    assert decoded == parts.payload == payload
    assert (decoded["exp"], decoded.get("sub", "")) == (verified.claims.expires_at, verified.claims.subject)


def test_the_comparison_with_pyjwt_is_not_an_empty_one() -> None:
    payload = CLAIMS | {"exp": _REAL_NOW + 9_000, "iat": _REAL_NOW - 9_000, "aud": ["x", "api"]}
    assert isinstance(outcome(signed(payload=payload), now=_REAL_NOW), Verification)


TENANTS = by_iss(replace(ISSUER, name=name, conditions=(("tenant", (name,)),)) for name in ("a", "b"))


def of_tenant(tenant: object, **how: Any) -> bytes:
    return signed(payload=CLAIMS | {"tenant": tenant}, **how)


@pytest.mark.parametrize("tenant", ["a", "b"])
def test_tenants_of_a_shared_issuer_are_told_apart_and_each_has_its_own_keys(tenant: str) -> None:
    found = verify(bearer(of_tenant(tenant, owner=tenant)), TENANTS, keys_of, NOW)
    assert isinstance(found, Verification)
    assert found.claims.issuer_name == tenant


@pytest.mark.parametrize("tenant", ["c", None, ["x"]])
def test_a_tenant_that_nobody_trusts_is_no_trusted_issuer(tenant: object) -> None:
    assert reason(verify(bearer(of_tenant(tenant)), TENANTS, keys_of, NOW)) is Reason.ISSUER_UNTRUSTED


def test_a_tenant_cannot_sign_for_another() -> None:
    unknown = of_tenant("a", owner="b")
    assert verify(bearer(unknown), TENANTS, keys_of, NOW) == UnknownKey("a", "b-RSA")
    forged = of_tenant("a", key=private_key("RSA", "b"))
    assert reason(verify(bearer(forged), TENANTS, keys_of, NOW)) is Reason.SIGNATURE_INVALID
