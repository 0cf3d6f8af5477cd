"""DPoP proofs: the twelve checks of RFC 9449 §4.3, each with what fails it."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.client.client_keys import make_key, read_key
from gateway.client.dpop_proof import DpopKey
from gateway.tokens.dpop import MAX_PROOF, DpopProof, DpopRules, ProofFault, ProvenRequest, check_proof, normal_url

from .tokens_case import KEY_OF, NOW, b64, encoded, private_key, public_jwk, signed

URL = "https://issuer.example/oauth2/v1/token"
REQUEST = ProvenRequest("POST", URL)
RULES = DpopRules()
TOKEN = b"an.access.token"
CLAIMS: dict[str, object] = {"jti": "1", "htm": "POST", "htu": URL, "iat": NOW}


def bare_jwk(kind: str, **members: object) -> dict[str, Any]:
    return {name: value for name, value in public_jwk(kind).items() if name != "kid"} | members


def proof(algorithm: str = "ES256", *, header: dict[str, Any] | None = None, **claims: Any) -> bytes:
    """A proof; claims of None are left out."""
    members: dict[str, Any] = {"typ": "dpop+jwt", "jwk": bare_jwk(KEY_OF[algorithm]), "kid": None} | (header or {})
    payload = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return signed(algorithm, payload, **members)


def check(*fields: bytes, request: ProvenRequest = REQUEST, rules: DpopRules = RULES) -> DpopProof | ProofFault:
    return check_proof(fields, request, rules, NOW)


def fault(*fields: bytes, request: ProvenRequest = REQUEST, rules: DpopRules = RULES) -> str:
    outcome = check(*fields, request=request, rules=rules)
    assert isinstance(outcome, ProofFault), outcome
    assert not outcome.wants_nonce
    return outcome.detail


@pytest.mark.parametrize("algorithm", KEY_OF)
def test_a_proof_by_every_asymmetric_algorithm_is_taken(algorithm: str) -> None:
    assert isinstance(check(proof(algorithm)), DpopProof)


def test_the_clients_own_proofs_are_taken_and_name_the_key_by_its_thumbprint() -> None:
    key = DpopKey(read_key(make_key()))
    written = key.proof("GET", "https://API.example:443/a?b=c", NOW, nonce="n", access_token=TOKEN.decode())
    request = ProvenRequest("GET", "https://api.example/a", TOKEN, key.thumbprint)
    outcome = check(written.encode(), request=request, rules=DpopRules(nonce_is_good="n".__eq__))
    assert isinstance(outcome, DpopProof)
    assert (outcome.thumbprint, outcome.until) == (key.thumbprint, NOW + RULES.max_age)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((), "there are 0 DPoP fields"),
        ((proof(), proof()), "there are 2 DPoP fields"),
        ((b"x" * (MAX_PROOF + 1),), "longer than 8192"),
        ((b"",), "three base64url parts"),
        ((b"a.b",), "three base64url parts"),
        ((b"e30.e30.!",), "no alg"),
        ((b"A" * 5000 + b".e30.AA",), "header is longer"),
        ((b"W10.e30.AA",), "not a JSON object"),
        ((proof() + b"=",), "base64url"),
        ((proof() + b"," + proof(),), "three base64url parts"),
        ((signed("ES256", b"[]", typ="dpop+jwt", jwk=bare_jwk("P-256")),), "not a JSON object"),
    ],
)
def test_what_is_not_one_well_formed_proof_is_refused(fields: tuple[bytes, ...], words: str) -> None:
    assert words in fault(*fields)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"typ": None}, "typ"),
        ({"typ": "JWT"}, "typ"),
        ({"alg": "none"}, "alg is not one that is taken"),
        ({"alg": "HS256"}, "alg is not one that is taken"),
        ({"alg": "RS256"}, "alg is not one of its key"),
        ({"alg": 1}, "no alg"),
        ({"jwk": None}, "no jwk"),
        ({"jwk": "x"}, "no jwk"),
        ({"jwk": {}}, "kty"),
        ({"jwk": {"kty": ["RSA"]}}, "kty"),
        ({"jwk": {"kty": "EC", "crv": "P-256", "x": 10**40, "y": 1e300}}, "make no key"),
        ({"jwk": {"kty": "oct", "k": "AAAA"}}, "private or symmetric"),
        ({"jwk": bare_jwk("P-256", d="AAAA")}, "private or symmetric"),
        ({"jwk": bare_jwk("P-256", oth=[1])}, "private or symmetric"),
        ({"jwk": bare_jwk("P-256", alg="ES384")}, "alg"),
        ({"jku": "https://evil.example"}, "key address"),
        ({"x5u": "https://evil.example"}, "certificate address"),
        ({"crit": ["b64"]}, "critical"),
        ({"cty": "JWT"}, "token within a token"),
        ({"jwk": bare_jwk("Ed25519"), "alg": "EdDSA"}, "signature"),
    ],
)
def test_a_header_that_is_not_that_of_a_proof_is_refused(header: dict[str, Any], words: str) -> None:
    assert words in fault(proof(header=header))


def test_a_proof_by_another_key_than_its_own_is_refused() -> None:
    forged = signed("ES256", CLAIMS, key=private_key("P-256", "b"), kid=None, typ="dpop+jwt", jwk=bare_jwk("P-256"))
    assert "signature" in fault(forged)


def test_an_algorithm_that_the_rules_leave_out_is_refused() -> None:
    assert "alg" in fault(proof(), rules=DpopRules(algorithms=frozenset({"EdDSA"})))


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"htm": None}, "htm"),
        ({"htm": "post"}, "htm"),
        ({"htm": "GET"}, "htm"),
        ({"htu": None}, "htu"),
        ({"htu": 1}, "htu"),
        ({"htu": "nonsense"}, "htu"),
        ({"htu": URL + "s"}, "htu"),
        ({"htu": URL.replace("https", "http")}, "htu"),
        ({"iat": None}, "no time"),
        ({"iat": "1800000000"}, "no time"),
        ({"iat": True}, "no time"),
        ({"iat": NOW + 11}, "future"),
        ({"iat": 10**400}, "future"),
        ({"iat": NOW - 61}, "too old"),
    ],
)
def test_a_claim_that_does_not_fit_the_request_is_refused(claims: dict[str, Any], words: str) -> None:
    assert words in fault(proof(**claims))


@pytest.mark.parametrize("claims", [{"iat": NOW + 10}, {"iat": NOW - 60}, {"iat": NOW - 0.5}, {"htu": URL + "?a#b"}])
def test_a_proof_at_the_edge_of_its_bounds_is_taken(claims: dict[str, Any]) -> None:
    assert isinstance(check(proof(**claims)), DpopProof)


def test_a_proof_for_a_token_names_that_token_and_its_key() -> None:
    bound = check(proof())
    assert isinstance(bound, DpopProof)
    request = REQUEST._replace(access_token=TOKEN, thumbprint=bound.thumbprint)
    ath = b64(sha256(TOKEN).digest()).decode()
    assert isinstance(check(proof(ath=ath), request=request), DpopProof)
    assert "ath" in fault(proof(), request=request)
    assert "ath" in fault(proof(ath=b64(sha256(b"other").digest()).decode()), request=request)
    assert "another key" in fault(proof(ath=ath), request=request._replace(thumbprint="x"))


@pytest.mark.parametrize("claims", [{}, {"nonce": "old"}, {"nonce": 1}])
def test_without_the_servers_nonce_a_client_is_told_to_try_again_with_it(claims: dict[str, Any]) -> None:
    rules = DpopRules(nonce_is_good="new".__eq__)
    outcome = check(proof(**claims), rules=rules)
    assert isinstance(outcome, ProofFault)
    assert outcome.wants_nonce
    assert isinstance(check(proof(nonce="new"), rules=rules), DpopProof)


def test_a_proof_is_known_by_its_key_and_jti() -> None:
    outcomes = [check(each) for each in (proof(), proof(iat=NOW - 1), proof(jti="2"), proof("EdDSA"))]
    digests = [outcome.digest for outcome in outcomes if isinstance(outcome, DpopProof)]
    assert digests[0] == digests[1]
    assert len(digests) == 4
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://a.example", "https://a.example/"),
        ("HTTPS://A.example:443/x", "https://a.example/x"),
        ("http://a.example:80?q#f", "http://a.example/"),
        ("http://a.example:/", "http://a.example/"),
        ("http://a.example:443/", "http://a.example:443/"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://a.example/%7eb/%2fc%3a", "https://a.example/~b/%2Fc%3A"),
        ("https://a.example/a/./b/../c", "https://a.example/a/c"),
        ("https://a.example/../a/..", "https://a.example/"),
        ("https://a.example/a/.", "https://a.example/a/"),
        ("https://a.example//a/", "https://a.example//a/"),
        ("https://a.example/%2e%2e/a", "https://a.example/a"),
        ("ftp://a.example/", None),
        ("https:///x", None),
        ("/oauth2/v1/token", None),
        ("https://user@a.example/", None),
        ("https://a.example:99999/", None),
        ("https://[a/", None),
        ("https://a.example/ü", None),
        ("https://a.example/a b", None),
        ("", None),
    ],
)
def test_addresses_are_compared_in_their_normal_form(url: str, normal: str | None) -> None:
    assert normal_url(url) == normal


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40))
def test_a_normal_form_is_its_own(rest: str) -> None:
    normal = normal_url(f"https://a.example/{rest}")
    assert normal is None or normal_url(normal) == normal


@given(st.binary(max_size=60), st.integers(0, 2))
def test_no_bytes_are_a_proof(noise: bytes, place: int) -> None:
    parts = proof().split(b".")
    parts[place] = noise
    fault(b".".join(parts))
    parts[place] = encoded(noise)
    fault(b".".join(parts))
