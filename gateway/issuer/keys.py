"""Signing keys, at rest as PKCS #8, and their public half as a JWK Set (RFC 7517)."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, TypeAlias, get_args

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import get_default_algorithms

Algorithm: TypeAlias = Literal["RS256", "PS256", "ES256", "EdDSA"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_RSA_BITS = 2048
_THUMBPRINT_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_ENCRYPTED = "-----BEGIN ENCRYPTED PRIVATE KEY-----"


class PassphraseError(ValueError):
    """A private key cannot be read for want of its passphrase; says whether it is missing or wrong."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key for one algorithm. `kid` is its RFC 7638 thumbprint; `public_jwk` is fit to publish."""

    algorithm: Algorithm
    kid: str
    private_key: PrivateKey = field(repr=False)
    public_jwk: dict[str, Any] = field(repr=False)

    def private_pem(self, passphrase: bytes | None = None) -> str:
        """The private key as PKCS #8, encrypted if there is a passphrase."""
        encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def create_key(algorithm: Algorithm) -> SigningKey:
    """Create a key: RSA with 2048 bits, P-256 or Ed25519."""
    if algorithm == "ES256":
        return _signing_key(algorithm, ec.generate_private_key(ec.SECP256R1()))
    if algorithm == "EdDSA":
        return _signing_key(algorithm, ed25519.Ed25519PrivateKey.generate())
    return _signing_key(algorithm, rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS))


def read_key(algorithm: str, private_pem: str, passphrase: bytes | None = None) -> SigningKey:
    """Read what private_pem wrote, whether it is encrypted or not.

    Raises:
        PassphraseError: it is encrypted, and there is no passphrase, or another one.
        ValueError: it is no private key, or does not belong to the algorithm.
    """
    encrypted = is_encrypted(private_pem)
    if encrypted and passphrase is None:
        raise PassphraseError("is encrypted, and there is no passphrase")
    try:
        private_key = load_pem_private_key(private_pem.encode(), passphrase if encrypted else None)
    except ValueError as error:
        if encrypted:
            raise PassphraseError("is encrypted with another passphrase") from error
        raise
    for known in ALGORITHMS:
        if known == algorithm and isinstance(private_key, PrivateKey) and _fits(known, private_key):
            return _signing_key(known, private_key)
    raise ValueError(f"does not fit its algorithm {algorithm!r}")


def is_encrypted(private_pem: str) -> bool:
    """Whether a passphrase is needed to read it."""
    return private_pem.startswith(_ENCRYPTED)


def jwk_set(keys: Iterable[SigningKey]) -> dict[str, Any]:
    """The JWK Set (RFC 7517 §5) to publish: public keys only."""
    return {"keys": [key.public_jwk for key in keys]}


def thumbprint(jwk: dict[str, Any]) -> str:
    """The JWK's thumbprint: base64url of SHA-256 over its required members (RFC 7638 §3)."""
    required = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(sha256(canonical).digest()).rstrip(b"=").decode()


def _fits(algorithm: Algorithm, key: PrivateKey) -> bool:
    if algorithm == "ES256":
        return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    return isinstance(key, ed25519.Ed25519PrivateKey if algorithm == "EdDSA" else rsa.RSAPrivateKey)


def _signing_key(algorithm: Algorithm, private_key: PrivateKey) -> SigningKey:
    jwk = get_default_algorithms()[algorithm].to_jwk(private_key.public_key(), as_dict=True)
    kid = thumbprint(jwk)
    public = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    return SigningKey(algorithm, kid, private_key, public | {"use": "sig", "alg": algorithm, "kid": kid})
