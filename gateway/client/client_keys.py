"""A client's own keys: what signs its assertions (RFC 7523) and its DPoP proofs (RFC 9449)."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import get_default_algorithms

PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What a private key may sign with."""

MIN_RSA_BITS: Final = 2048
_BY_CURVE: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_CERTIFICATE_MEMBERS: Final = ("x5t", "x5t#S256")


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A private key that signs.

    Attributes:
        key: the key.
        algorithm: JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
        named: header members by which the server finds the public key: `kid`, `x5t`, `x5t#S256`; may be empty.
    """

    key: PrivateKey = field(repr=False)
    algorithm: str
    named: Mapping[str, str] = field(default_factory=dict)

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """A compact JWS whose header has these members, and `alg`."""
        return jwt.encode(dict(claims), self.key, self.algorithm, dict(header))

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half as a JWK, with the members that a thumbprint needs and no others (RFC 7638 §3.2)."""
        jwk = get_default_algorithms()[self.algorithm].to_jwk(self.key.public_key(), as_dict=True)
        return {name: jwk[name] for name in sorted(jwk) if name in {"crv", "e", "kty", "n", "x", "y"}}

    @property
    def thumbprint(self) -> str:
        """The public half's SHA-256 thumbprint (RFC 7638)."""
        canonical = json.dumps(self.public_jwk, sort_keys=True, separators=(",", ":"))
        return base64url(hashlib.sha256(canonical.encode()).digest())


def read_key(raw: bytes, algorithm: str | None = None, kid: str | None = None) -> ClientKey:
    """The private key that a file holds: PEM without a passphrase, or one JWK.

    Args:
        raw: the file's content.
        algorithm: by default what the JWK names, else RS256, EdDSA, or what the curve gives.
        kid: by default what the JWK names.

    Raises:
        ValueError: it is of no use; says why, and what to do.
    """
    members = _jwk_members(raw) if raw.lstrip()[:1] == b"{" else {}
    key = _key_of_jwk(members) if members else _key_of_pem(raw)
    named = {name: members[name] for name in ("kid", *_CERTIFICATE_MEMBERS) if isinstance(members.get(name), str)}
    if kid is not None:
        named["kid"] = kid
    return ClientKey(key, _algorithm(key, algorithm or members.get("alg")), named)


def make_key() -> bytes:
    """A new P-256 key as PEM."""
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_members(pem: bytes) -> dict[str, str]:
    """The header members that name a certificate: `x5t` and `x5t#S256` (RFC 7515 §4.1.7, §4.1.8).

    Raises:
        ValueError: it is no certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise ValueError("holds no certificate in PEM form") from None
    prints = (certificate.fingerprint(hashes.SHA1()), certificate.fingerprint(hashes.SHA256()))  # noqa: S303 - x5t is SHA-1 by its definition
    return dict(zip(_CERTIFICATE_MEMBERS, map(base64url, prints), strict=True))


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwk_members(raw: bytes) -> dict[str, Any]:
    try:
        members = json.loads(raw)
    except ValueError:
        raise ValueError(
            "is no JSON, although it begins with '{': write one private JWK, or a key in PEM form"
        ) from None
    if "keys" in members:
        raise ValueError("is a key set: write the one key that is meant, without `keys` around it")
    return dict(members)


def _key_of_jwk(members: dict[str, Any]) -> PrivateKey:
    if members.get("kty") == "oct":
        raise ValueError("is a symmetric key: give a private one, or use client_secret_jwt with the client's secret")
    if "d" not in members:
        raise ValueError("is a public key: give the private one")
    try:
        key = jwt.PyJWK({name: value for name, value in members.items() if name != "alg"}).key
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        raise ValueError("is no JWK that can be used: RSA, P-256, P-384, P-521 and Ed25519 are") from None
    return _supported(key)


def _key_of_pem(raw: bytes) -> PrivateKey:
    try:
        key = load_pem_private_key(raw, None)
    except TypeError:
        raise ValueError("asks for a passphrase: store the key without one, readable by its user alone") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no private key, neither in PEM form nor as a JWK") from None
    return _supported(key)


def _supported(key: object) -> PrivateKey:
    if not isinstance(key, PrivateKey):
        raise ValueError("is of a kind that signs no JWT here: RSA, P-256, P-384, P-521 and Ed25519 do")  # noqa: TRY004 - what a file holds
    if isinstance(key, RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"is RSA with {key.key_size} bits: make one with {MIN_RSA_BITS} or more (RFC 7518 §3.3)")
    return key


def _algorithm(key: PrivateKey, wanted: object) -> str:
    if isinstance(key, RSAPrivateKey):
        possible = tuple(name for name in ALGORITHMS if name.startswith(("RS", "PS")))
    elif isinstance(key, Ed25519PrivateKey):
        possible = ("EdDSA",)
    else:
        possible = tuple(filter(None, (_BY_CURVE.get(key.curve.name),)))
    if not possible:
        raise ValueError("is on a curve that signs no JWT here: P-256, P-384 and P-521 do")
    if wanted is not None and wanted not in possible:
        raise ValueError(f"signs with {', '.join(possible)}, not with {wanted}")
    return possible[0] if wanted is None else str(wanted)
