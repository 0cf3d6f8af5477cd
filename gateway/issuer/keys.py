"""Signing keys, and their public half as a JWK Set (RFC 7517)."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, TypeAlias, get_args

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

Algorithm: TypeAlias = Literal["RS256", "ES256"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_RSA_BITS = 2048
_THUMBPRINT_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key for one algorithm. `kid` is its RFC 7638 thumbprint; `public_jwk` is fit to publish."""

    algorithm: Algorithm
    kid: str
    private_key: PrivateKey = field(repr=False)
    public_jwk: dict[str, Any] = field(repr=False)

    def private_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def create_key(algorithm: Algorithm) -> SigningKey:
    """Create a key: RSA with 2048 bits, or P-256."""
    if algorithm == "RS256":
        return _signing_key(algorithm, rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS))
    return _signing_key(algorithm, ec.generate_private_key(ec.SECP256R1()))


def read_key(algorithm: str, private_pem: str) -> SigningKey:
    """Read what private_pem wrote; ValueError when key and algorithm do not belong together."""
    private_key = serialization.load_pem_private_key(private_pem.encode(), password=None)
    if algorithm == "RS256" and isinstance(private_key, rsa.RSAPrivateKey):
        return _signing_key("RS256", private_key)
    if algorithm == "ES256" and isinstance(private_key, ec.EllipticCurvePrivateKey):
        return _signing_key("ES256", private_key)
    raise ValueError(f"a signing key does not fit its algorithm {algorithm!r}")


def jwk_set(keys: Iterable[SigningKey]) -> dict[str, Any]:
    """The JWK Set (RFC 7517 §5) to publish: public keys only."""
    return {"keys": [key.public_jwk for key in keys]}


def thumbprint(jwk: dict[str, Any]) -> str:
    """The JWK's thumbprint: base64url of SHA-256 over its required members (RFC 7638 §3)."""
    required = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(sha256(canonical).digest()).rstrip(b"=").decode()


def _signing_key(algorithm: Algorithm, private_key: PrivateKey) -> SigningKey:
    if isinstance(private_key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
    kid = thumbprint(jwk)
    public = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    return SigningKey(algorithm, kid, private_key, public | {"use": "sig", "alg": algorithm, "kid": kid})
