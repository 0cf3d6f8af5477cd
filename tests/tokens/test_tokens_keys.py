"""Which of an issuer's published keys may verify."""

import json
import secrets
from hashlib import sha256
from math import prod
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, strategies as st
from jwt.algorithms import RSAAlgorithm

from gateway.tokens.keys import KeySet, KeySetError, _public_key, read_key_set

from .tokens_case import KEY_OF, b64, key_set, private_key, public_jwk, sign


def whole(number: int) -> str:
    """Base64urlUInt (RFC 7518 §2)."""
    return b64(number.to_bytes((number.bit_length() + 7) // 8 or 1)).decode()


def rsa_jwk(modulus: int, exponent: int = 65537) -> dict[str, object]:
    return {"kty": "RSA", "n": whole(modulus), "e": whole(exponent)}


def odd(bits: int) -> int:
    return 1 << (bits - 1) | secrets.randbits(bits - 1) | 1


def roca(bits: int, power: int = 4711) -> int:
    """A modulus as the faulty library makes it (CVE-2017-15361): a power of 65537 modulo a product of small primes."""
    primorial = prod(p for p in range(2, 168) if all(p % divisor for divisor in range(2, p)))
    return pow(65537, power, primorial) + primorial * (odd(bits) // primorial)


MODULUS = private_key("RSA").public_key().public_numbers().n
BAD_KEYS: dict[str, object] = {
    "a string": "key",
    "null": None,
    "an array": [],
    "empty": {},
    "kty missing": {"n": whole(MODULUS), "e": "AQAB"},
    "kty unknown": public_jwk("RSA", kty="PQ"),
    "kty an array": public_jwk("RSA", kty=["RSA"]),
    "kty an object": public_jwk("RSA", kty={}),
    "kid a number": public_jwk("RSA", kid=7),
    "kid an array": public_jwk("RSA", kid=["k"]),
    "oct": {"kty": "oct", "k": "c2VjcmV0"},
    "oct, empty": {"kty": "oct", "k": ""},
    "oct disguised": public_jwk("RSA", k="c2VjcmV0"),
    "private RSA": RSAAlgorithm.to_jwk(private_key("RSA"), as_dict=True) | {"key_ops": ["verify"]},
    "private, d null": public_jwk("P-256", d=None),
    "use=enc": public_jwk("RSA", use="enc"),
    "use null": public_jwk("RSA", use=None),
    "key_ops without verify": public_jwk("RSA", key_ops=["encrypt"]),
    "key_ops empty": public_jwk("RSA", key_ops=[]),
    "key_ops a string": public_jwk("RSA", key_ops="verify"),
    "RSA 1024": rsa_jwk(odd(1024)),
    "RSA 2047": rsa_jwk(odd(2047)),
    "RSA 16384": rsa_jwk(odd(16384)),
    "RSA e=0": rsa_jwk(MODULUS, 0),
    "RSA e=1": rsa_jwk(MODULUS, 1),
    "RSA e=2": rsa_jwk(MODULUS, 2),
    "RSA e even": rsa_jwk(MODULUS, 65536),
    "RSA e huge": rsa_jwk(MODULUS, MODULUS - 2),
    "RSA n even": rsa_jwk(MODULUS + 1),
    "RSA n missing": {"kty": "RSA", "e": "AQAB"},
    "RSA n empty": {"kty": "RSA", "n": "", "e": "AQAB"},
    "RSA n no base64url": {"kty": "RSA", "n": "***", "e": "AQAB"},
    "RSA n a number": {"kty": "RSA", "n": MODULUS, "e": 65537},
    "RSA n an array": {"kty": "RSA", "n": [1], "e": "AQAB"},
    "RSA ROCA": rsa_jwk(roca(2048)),
    "RSA with alg ES256": public_jwk("RSA", alg="ES256"),
    "RSA with alg HS256": public_jwk("RSA", alg="HS256"),
    "RSA with alg none": public_jwk("RSA", alg="none"),
    "RSA with alg RSA-OAEP": public_jwk("RSA", alg="RSA-OAEP"),
    "RSA with an alg of another case": public_jwk("RSA", alg="rs256"),
    "RSA with alg as an array": public_jwk("RSA", alg=["RS256"]),
    "RSA with alg as an object": public_jwk("RSA", alg={}),
    "P-384 with alg ES256": public_jwk("P-384", alg="ES256"),
    "P-256 with alg RS256": public_jwk("P-256", alg="RS256"),
    "P-521 with alg ES521": public_jwk("P-521", alg="ES521"),
    "Ed25519 with alg ES256": public_jwk("Ed25519", alg="ES256"),
    "Ed25519 with alg as an array": public_jwk("Ed25519", alg=[]),
    "EC without crv": {"kty": "EC", "x": "AA", "y": "AA"},
    "EC of another curve": {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
    "EC named Ed25519": public_jwk("Ed25519", kty="EC"),
    "OKP named P-256": public_jwk("P-256", kty="OKP"),
    "crv an array": public_jwk("P-256", crv=["P-256"]),
    "EC point not on the curve": public_jwk("P-256", y=public_jwk("P-256", "b")["y"]),
    "EC point of another curve": public_jwk("P-256", x=public_jwk("P-384")["x"]),
    "EC x missing": {"kty": "EC", "crv": "P-256", "y": "AA"},
    "OKP x too short": {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
    "OKP X25519": {
        "kty": "OKP",
        "crv": "X25519",
        "x": b64(X25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode(),
    },
}


@pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_one_bad_key_is_skipped_and_reported_and_the_others_work(bad: object) -> None:
    keys = read_key_set({"keys": [public_jwk("P-256"), bad, public_jwk("Ed25519")]})
    assert [key.kid for key in keys.keys] == ["a-P-256", "a-Ed25519"]
    (why,) = keys.skipped
    assert why.startswith("key 2: ")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("RSA 1024", "RSA with 1024 bits: 2048 to 8192 are accepted"),
        ("RSA ROCA", "ROCA"),
        ("RSA n even", "no sound key"),
        ("RSA e huge", "no sound key"),
        ("private RSA", "private or symmetric"),
        ("oct", "kty"),
        ("use=enc", "use is not sig"),
        ("key_ops a string", "key_ops"),
        ("P-384 with alg ES256", "alg does not fit"),
        ("Ed25519 with alg ES256", "alg does not fit"),
        ("EC of another curve", "crv"),
        ("an array", "not a JSON object"),
        ("kid a number", "kid is not a string"),
    ],
)
def test_the_report_says_what_is_wrong_with_a_key(bad: str, words: str) -> None:
    with pytest.raises(KeySetError, match="no usable key") as refused:
        read_key_set({"keys": [BAD_KEYS[bad]]})
    assert words in str(refused.value)


def test_an_error_about_a_private_key_does_not_show_it() -> None:
    private: dict[str, Any] = RSAAlgorithm.to_jwk(private_key("RSA"), as_dict=True)
    with pytest.raises(KeySetError) as refused:
        read_key_set({"keys": [private]})
    assert private["d"] not in str(refused.value)


def test_no_private_key_comes_out_of_the_library() -> None:
    with pytest.raises(KeySetError, match="not a public key"):
        _public_key(RSAAlgorithm.to_jwk(private_key("RSA"), as_dict=True), "RS256")


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"kty": "RSA"}], ids=str)
def test_what_is_no_key_set_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(KeySetError, match="no array 'keys'"):
        read_key_set(document)


def test_a_set_without_a_usable_key_is_refused() -> None:
    with pytest.raises(KeySetError, match="no usable key"):
        read_key_set({"keys": []})


def test_a_set_of_more_keys_than_anyone_needs_is_refused() -> None:
    assert len(key_set(*[public_jwk("P-256")] * 100).keys) == 100
    with pytest.raises(KeySetError, match="101 keys, more than 100"):
        key_set(*[public_jwk("P-256")] * 101)


@pytest.mark.parametrize("bits", [2048, 3072, 4096, 8192])
def test_rsa_keys_of_every_usual_length_are_taken(bits: int) -> None:
    assert not key_set(rsa_jwk(odd(bits)), rsa_jwk(odd(bits), 3)).skipped


@given(st.integers(0, 10**6), st.sampled_from([2048, 3072, 4096]))
def test_every_modulus_of_the_faulty_library_is_found(power: int, bits: int) -> None:
    assert "ROCA" in key_set(public_jwk("P-256"), rsa_jwk(roca(bits, power))).skipped[0]


ALGORITHMS_OF = {
    "RSA": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
    "P-256": {"ES256"},
    "P-384": {"ES384"},
    "P-521": {"ES512"},
    "Ed25519": {"EdDSA", "Ed25519"},
}


@pytest.mark.parametrize("kind", ALGORITHMS_OF)
def test_a_key_that_names_no_algorithm_verifies_those_of_its_type(kind: str) -> None:
    (key,) = key_set(public_jwk(kind, use="sig", key_ops=["verify"])).keys
    assert key.algorithms == ALGORITHMS_OF[kind]


@pytest.mark.parametrize("algorithm", KEY_OF)
def test_a_key_verifies_the_algorithm_that_it_names(algorithm: str) -> None:
    kind = KEY_OF[algorithm]
    (key,) = key_set(public_jwk(kind, alg=algorithm)).keys
    assert key.algorithms == (ALGORITHMS_OF["Ed25519"] if kind == "Ed25519" else {algorithm})
    signature = sign(algorithm, private_key(kind), b"input")
    assert key.verifies(algorithm, b"input", signature)
    assert not key.verifies(algorithm, b"another input", signature)
    assert not key.verifies(algorithm, b"input", signature[:-1])
    assert not key.verifies(algorithm, b"input", b"")
    for other in set(KEY_OF) - key.algorithms:
        assert not key.verifies(other, b"input", signature)


def test_a_thumbprint_is_that_of_rfc_7638() -> None:
    """RFC 7638 §3.1, its example."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n"
        "3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgd"
        "AZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur"
        "-kEgU8awapJzKnqDKgw"
    )
    (key,) = key_set({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}).keys
    assert b64(bytes.fromhex(key.thumbprint)) == b"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_thumbprint_does_not_depend_on_what_a_key_is_called() -> None:
    one, two = key_set(public_jwk("P-256"), public_jwk("P-256", kid="other", use="sig")).keys
    assert one.thumbprint == two.thumbprint
    members = {name: value for name, value in public_jwk("P-256").items() if name != "kid"}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    assert one.thumbprint == sha256(canonical.encode()).hexdigest()


def kids(keys: KeySet, kid: str | None, algorithm: str) -> list[str | None]:
    return [key.kid for key in keys.candidates(kid, algorithm)]


def test_a_kid_chooses_among_the_keys_of_the_algorithm() -> None:
    keys = key_set(public_jwk("RSA"), public_jwk("RSA", "b"), public_jwk("P-256"))
    assert kids(keys, "a-RSA", "RS256") == ["a-RSA"]
    assert kids(keys, "a-RSA", "ES256") == []
    assert kids(keys, "unknown", "RS256") == []
    assert keys.knows("a-RSA")
    assert not keys.knows("unknown")
    assert not keys.knows(None)


def test_without_a_kid_only_an_unambiguous_key_is_chosen() -> None:
    keys = key_set(public_jwk("RSA"), public_jwk("RSA", "b"), public_jwk("P-256"))
    assert kids(keys, None, "ES256") == ["a-P-256"]
    assert kids(keys, None, "RS256") == []
    assert kids(keys, None, "ES384") == []


def test_keys_of_the_same_kid_are_all_tried() -> None:
    """A rotation that reuses the kid publishes both for a while."""
    keys = key_set(public_jwk("RSA", kid="SIGNING_KEY"), public_jwk("RSA", "b", kid="SIGNING_KEY"))
    assert len(keys.candidates("SIGNING_KEY", "RS256")) == 2
    assert len(keys.thumbprints) == 2


def test_a_key_without_a_kid_serves_tokens_without_one() -> None:
    bare = {name: value for name, value in public_jwk("RSA").items() if name != "kid"}
    keys = key_set(bare)
    assert kids(keys, None, "RS256") == [None]
    assert kids(keys, "a-RSA", "RS256") == []


_json: st.SearchStrategy[object] = st.sampled_from([None, True, [], {}]) | st.integers() | st.text(max_size=8)
_members = st.sampled_from(["kty", "crv", "n", "e", "x", "y", "d", "use", "alg", "key_ops", "kid"])


@given(st.sampled_from(sorted(ALGORITHMS_OF)), st.dictionaries(_members, _json, max_size=3))
def test_no_key_whatever_its_members_harms_the_others(kind: str, members: dict[str, object]) -> None:
    keys = key_set(public_jwk("P-256", "b"), public_jwk(kind) | members)
    assert keys.keys[0].kid == "b-P-256"
    assert len(keys.keys) + len(keys.skipped) == 2
