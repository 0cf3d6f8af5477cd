"""Mutants of good tokens: nothing but the token itself is accepted, and nothing raises, whatever was changed.

Where a mutant is signed anew by the issuer's key, an independent model says what may be accepted: PyJWT, with the gaps
closed that it leaves open.
"""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
import pytest
from hypothesis import given, strategies as st
from jwt.exceptions import PyJWTError

from gateway.policy.denial import Denial
from gateway.tokens.verify import UnknownKey, Verification, by_iss, verify

from .tokens_case import CLAIMS, ISSUER, KEY_OF, NOW, b64, bearer, encoded, keys_of, private_key, sign, signed

ISSUERS = by_iss([ISSUER])
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ODD = [b"=", b"==", b".", b"?", b"+", b"/", b" ", b"\n", b"\x00", b"\xe9", b"%3D", b"~"]
ALGORITHMS = st.sampled_from(sorted(KEY_OF))

texts = st.text(max_size=8) | st.sampled_from([ISSUER.issuer, "api", "none", "HS256", "RS256", "ES256", "a-RSA", "JWT"])
numbers = st.integers() | st.floats() | st.sampled_from([NOW, NOW - 1, NOW + 1, NOW + 60, 1e300, -0.0, 2**64])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)
HEADER_NAMES = ["alg", "kid", "typ", "cty", "crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc", "vendor"]
CLAIM_NAMES = ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "client_id", "scope", "cnf", "azp", "vendor"]


def changed(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), values, max_size=3)


@lru_cache
def good(algorithm: str) -> bytes:
    return signed(algorithm)


def outcome(token: bytes) -> Verification | UnknownKey | Denial:
    found = verify(bearer(token), ISSUERS, keys_of, NOW)
    assert isinstance(found, Verification | UnknownKey | Denial)
    return found


@given(ALGORITHMS, st.data())
def test_no_changed_bytes_are_accepted(algorithm: str, data: st.DataObject) -> None:
    token = good(algorithm)
    place = data.draw(st.integers(0, len(token)))
    removed = data.draw(st.integers(0, 3))
    added = data.draw(
        st.binary(max_size=3) | st.sampled_from(ODD) | st.sampled_from([bytes([each]) for each in ALPHABET])
    )
    mutant = token[:place] + added + token[place + removed :]
    assert isinstance(outcome(mutant), Verification) is (mutant == token)


@given(ALGORITHMS, ALGORITHMS, st.lists(st.integers(0, 8), max_size=6))
def test_parts_of_good_tokens_make_no_other_good_token(one: str, other: str, order: list[int]) -> None:
    third = signed("ES256", CLAIMS | {"scope": "admin"})
    parts = [part for token in (good(one), good(other), third) for part in token.split(b".")]
    mutant = b".".join(parts[each] for each in order)
    assert isinstance(outcome(mutant), Verification) is (mutant in {good(one), good(other), third})


@given(ALGORITHMS, changed(HEADER_NAMES), changed(CLAIM_NAMES))
def test_what_was_not_signed_is_not_accepted(algorithm: str, header: dict[str, Any], claims: dict[str, Any]) -> None:
    token = good(algorithm)
    first, second, signature = token.split(b".")
    whole = {"alg": algorithm, "kid": f"a-{KEY_OF[algorithm]}"} | header
    for mutant in (
        b".".join([b64(json.dumps(whole).encode()), second, signature]),
        b".".join([first, b64(json.dumps(CLAIMS | claims).encode()), signature]),
    ):
        assert isinstance(outcome(mutant), Verification) is (mutant == token)


@given(ALGORITHMS, st.data())
def test_no_other_signature_is_accepted(algorithm: str, data: st.DataObject) -> None:
    signing_input, _, ours = good(algorithm).rpartition(b".")
    size = len(ours) * 3 // 4
    bare = st.binary(min_size=1, max_size=2 * size) | st.sampled_from([bytes(size), b"\xff" * size, bytes(1)])
    other = data.draw(bare.map(b64) | st.sampled_from([ours + ours, ours[:-4], b"AAAA" + ours, ours[::-1]]))
    assert isinstance(outcome(signing_input + b"." + other), Verification) is (other == ours)


def is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def gaps_closed(header: Mapping[str, Any], claims: Mapping[str, Any], algorithm: str) -> bool:
    """What PyJWT does not look at, or reads more kindly."""
    refused = {"crit", "b64", "jku", "jwk", "x5u", "zip", "enc"}
    kid = header.get("kid", f"a-{KEY_OF[algorithm]}")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    return (
        header.get("alg") == algorithm
        and not refused & header.keys()
        and header.get("cty") is None
        and is_text(header.get("typ"))
        and kid == f"a-{KEY_OF[algorithm]}"
        and claims.get("iss") == ISSUER.issuer
        and "api" in audiences
        and all(isinstance(each, str) for each in audiences)
        and is_time(claims.get("exp"))
        and claims["exp"] > NOW
        and all(
            is_time(claims[name]) and claims[name] <= NOW for name in ("nbf", "iat") if claims.get(name) is not None
        )
        and all(is_text(claims.get(name)) for name in ("sub", "jti", "client_id"))
    )


def pyjwt_accepts(token: bytes, algorithm: str) -> bool:
    """With its clock left out: it reads the machine's."""
    name = "EdDSA" if algorithm == "Ed25519" else algorithm
    lax = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp"]}
    if algorithm == "Ed25519":  # a name that PyJWT does not know: the same key and signature under the older one
        return True
    try:
        key = private_key(KEY_OF[algorithm]).public_key()
        jwt.decode(token, key, algorithms=[name], audience="api", issuer=ISSUER.issuer, options=lax)  # type: ignore[arg-type]  # a dict does
    except (PyJWTError, ValueError):
        return False
    return True


@given(ALGORITHMS, changed(HEADER_NAMES), changed(CLAIM_NAMES))
def test_what_the_issuer_signed_is_accepted_only_if_pyjwt_with_its_gaps_closed_accepts_it(
    algorithm: str, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    members = {"alg": algorithm, "kid": f"a-{KEY_OF[algorithm]}"} | header
    token = resigned(algorithm, members, CLAIMS | claims)
    if isinstance(outcome(token), Verification):
        assert gaps_closed(members, CLAIMS | claims, algorithm)
        assert pyjwt_accepts(token, algorithm)


def resigned(algorithm: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> bytes:
    """Signed by the issuer's key with this algorithm, whatever the header says."""
    key = private_key(KEY_OF[algorithm])
    signing_input = encoded(header) + b"." + encoded(claims)
    return signing_input + b"." + b64(sign(algorithm, key, signing_input))


@pytest.mark.parametrize("algorithm", sorted(KEY_OF))
def test_the_model_is_not_an_empty_one(algorithm: str) -> None:
    members = {"alg": algorithm, "kid": f"a-{KEY_OF[algorithm]}", "typ": "JWT", "vendor": 1}
    token = resigned(algorithm, members, CLAIMS | {"iat": NOW})
    assert isinstance(outcome(token), Verification)
    assert gaps_closed(members, CLAIMS, algorithm)
    assert pyjwt_accepts(token, algorithm)
