"""What a client presents, read by a library of others."""

import base64
import hashlib
import json
from urllib.parse import unquote_plus

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, strategies as st
from joserfc import jwt as jose_jwt
from joserfc.jwk import JWKRegistry, Key, OctKey
from joserfc.jws import JWSRegistry

from gateway.client import CertificateShown, ClientAssertion, ClientSecretBasic, TokenEndpoint
from gateway.client.assertions import ASSERTION_TYPE, SharedSecret
from gateway.client.client_keys import ClientKey, PrivateKey, certificate_members, make_key, read_key

from .peer import NOW

ENDPOINT = TokenEndpoint("https://login.example/token", "https://login.example")
SECRET = "s" * 64
PRIVATE: dict[str, PrivateKey] = {
    "RSA": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
SIGNING = [
    *(("RSA", algorithm) for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    *[("P-256", "ES256"), ("P-384", "ES384"), ("P-521", "ES512"), ("Ed25519", "EdDSA")],
]
TYPES = {"RSA": "RSA", "P-256": "EC", "P-384": "EC", "P-521": "EC", "Ed25519": "OKP"}


def pem(kind: str, password: bytes | None = None) -> bytes:
    how = NoEncryption() if password is None else BestAvailableEncryption(password)
    return PRIVATE[kind].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def others_key(kind: str) -> Key:
    """The public half, as the other library has it."""
    public = PRIVATE[kind].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return JWKRegistry.import_key(public, TYPES[kind])


def jwk(kind: str, **members: str) -> bytes:
    private = JWKRegistry.import_key(pem(kind), TYPES[kind]).as_dict(private=True)
    return json.dumps(dict(private) | members).encode()


def assertion_of(key: ClientKey | SharedSecret, audience: str = "issuer", endpoint: TokenEndpoint = ENDPOINT) -> str:
    headers, parameters = ClientAssertion("signer", key, audience).present(endpoint, NOW)
    assert headers == {}
    assert parameters.keys() == {"client_id", "client_assertion_type", "client_assertion"}
    assert parameters["client_assertion_type"] == ASSERTION_TYPE
    return parameters["client_assertion"]


def read(token: str, key: Key, algorithm: str) -> jose_jwt.Token:
    return jose_jwt.decode(token, key, registry=JWSRegistry(algorithms=[algorithm]))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(("kind", "algorithm"), SIGNING)
@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_an_assertion_is_signed_with_the_client_s_key(kind: str, algorithm: str, form: str) -> None:
    key = read_key(pem(kind) if form == "pem" else jwk(kind), algorithm, "signer-1")
    token = read(assertion_of(key), others_key(kind), algorithm)
    assert token.header == {"alg": algorithm, "kid": "signer-1", "typ": "JWT"}
    jti = token.claims.pop("jti")
    expected = {"iss": "signer", "sub": "signer", "aud": "https://login.example", "iat": NOW, "exp": NOW + 60}
    assert token.claims == expected
    assert len(jti) >= 22


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_an_assertion_is_signed_with_the_client_s_secret(algorithm: str) -> None:
    token = read(assertion_of(SharedSecret(SECRET, algorithm)), OctKey.import_key(SECRET), algorithm)
    assert token.claims["sub"] == "signer"


def test_no_two_assertions_are_the_same() -> None:
    key = read_key(pem("P-256"))
    jtis = {read(assertion_of(key), others_key("P-256"), "ES256").claims["jti"] for _ in range(50)}
    assert len(jtis) == 50


@pytest.mark.parametrize(
    ("audience", "issuer", "expected"),
    [
        ("issuer", "https://login.example", "https://login.example"),
        ("issuer", None, "https://login.example/token"),
        ("token_endpoint", "https://login.example", "https://login.example/token"),
        ("https://identity.oraclecloud.com/", "https://login.example", "https://identity.oraclecloud.com/"),
    ],
)
def test_an_assertion_is_for_whom_one_says(audience: str, issuer: str | None, expected: str) -> None:
    assertion = assertion_of(read_key(pem("P-256")), audience, TokenEndpoint("https://login.example/token", issuer))
    assert read(assertion, others_key("P-256"), "ES256").claims["aud"] == expected


@pytest.mark.parametrize("kind", TYPES)
def test_a_key_s_algorithm_is_what_it_gives_unless_told(kind: str) -> None:
    usual = {"RSA": "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
    assert read_key(pem(kind)).algorithm == usual[kind]


def test_a_jwk_brings_its_name_and_its_algorithm_with_it() -> None:
    key = read_key(jwk("RSA", kid="k1", alg="PS256", x5t="thumb"))
    assert (key.algorithm, dict(key.named)) == ("PS256", {"kid": "k1", "x5t": "thumb"})
    assert read_key(jwk("RSA", kid="k1"), "RS512", "k2").named == {"kid": "k2"}


def test_a_certificate_is_named_by_its_thumbprints() -> None:
    leaf = trustme.CA().issue_cert("signer.example")
    blob = leaf.cert_chain_pems[0].bytes()
    der = base64.b64decode("".join(blob.decode().splitlines()[1:-1]))
    for name, digest in (("x5t", hashlib.sha1(der)), ("x5t#S256", hashlib.sha256(der))):
        assert base64.urlsafe_b64decode(certificate_members(blob)[name] + "==") == digest.digest()
    with pytest.raises(ValueError, match="no certificate"):
        certificate_members(b"nothing")


@pytest.mark.parametrize(
    ("raw", "algorithm", "words"),
    [
        (b"", None, "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None, "no private key"),
        (PRIVATE["RSA"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), None, "no private"),
        (pem("RSA", b"hunter2"), None, "passphrase"),
        (pem("RSA"), "ES256", "signs with RS256, .*, not with ES256"),
        (pem("P-256"), "ES384", "signs with ES256, not with ES384"),
        (pem("RSA"), "none", "not with none"),
        (b"{", None, "is no JSON"),
        (b'{"keys": []}', None, "key set"),
        (b'{"kty": "oct", "k": "AAAA"}', None, "symmetric"),
        (json.dumps(others_key("P-256").as_dict()).encode(), None, "public key"),
        (b'{"kty": "RSA", "d": "AA"}', None, "no JWK that can be used"),
        (b'{"kty": 7, "d": "AA"}', None, "no JWK that can be used"),
        (jwk("P-256", alg="RS256"), None, "not with RS256"),
    ],
)
def test_a_key_that_is_of_no_use_says_why(raw: bytes, algorithm: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_key(raw, algorithm)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (rsa.generate_private_key(public_exponent=65537, key_size=1024), "RSA with 1024 bits"),
        (ec.generate_private_key(ec.SECP256K1()), "curve"),
    ],
)
def test_a_weak_key_or_an_odd_curve_is_refused(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, words: str) -> None:
    raw = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match=words):
        read_key(raw)


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 31), ("HS384", 47), ("HS512", 63)])
def test_a_secret_has_to_be_long_enough_to_sign(algorithm: str, length: int) -> None:
    with pytest.raises(ValueError, match=f"{length + 1} bytes or more"):
        SharedSecret("s" * length, algorithm)


def test_a_new_key_is_one_that_can_be_read() -> None:
    first, second = read_key(make_key()), read_key(make_key())
    assert first.algorithm == "ES256"
    assert first.thumbprint != second.thumbprint


@given(client_id=st.text(min_size=1), secret=st.text(min_size=1))
def test_any_id_and_secret_survive_basic(client_id: str, secret: str) -> None:
    try:
        (client_id + secret).encode()
    except UnicodeEncodeError:
        return
    headers, parameters = ClientSecretBasic(client_id, secret).present(ENDPOINT, NOW)
    pair = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode("ascii")
    assert tuple(map(unquote_plus, pair.split(":"))) == (client_id, secret)
    assert parameters == {}


def test_with_a_certificate_the_request_only_names_the_client() -> None:
    assert CertificateShown("machine").present(ENDPOINT, NOW) == ({}, {"client_id": "machine"})


def test_keys_and_secrets_do_not_show_in_a_repr() -> None:
    shown = repr((SharedSecret(SECRET), read_key(pem("P-256"))))
    assert SECRET not in shown
    assert "PrivateKey" not in shown
