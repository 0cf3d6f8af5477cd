"""Keys and tokens, good and bad, as the tests need them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

NOW = 1_800_000_000
ISSUER = "https://issuer.example"
OTHER_ISSUER = "https://other.example"
AUDIENCE = "https://api.example"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Sign = Callable[[bytes], bytes]


def rsa_key(name: str = "rsa") -> rsa.RSAPrivateKey:
    """A key of that name, the same for the whole run."""
    return _rsa_key(name)


@lru_cache
def _rsa_key(name: str) -> rsa.RSAPrivateKey:
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@lru_cache
def ec_key(name: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """A key on the curve of that name."""
    return ec.generate_private_key({"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[name])


def jwk(key: PrivateKey, **members: object) -> dict[str, Any]:
    """The public half as a JWK."""
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = "RS256"
    else:
        algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"
    public: dict[str, Any] = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    public.pop("key_ops", None)
    return public | members


def key_set(*keys: Mapping[str, Any]) -> dict[str, Any]:
    """A JWK Set."""
    return {"keys": list(keys)}


def claims(**changes: object) -> dict[str, object]:
    """Good claims with changes; None removes one."""
    good: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "batch",
        "client_id": "nightly-batch",
        "scope": "admin",
        "exp": NOW + 600,
        "iat": NOW - 10,
        "jti": "c0ffee",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def mint(
    payload: Mapping[str, object] | None = None,
    key: PrivateKey | None = None,
    alg: str = "RS256",
    **header: object,
) -> str:
    """A token by the issuer's first key, unless told otherwise; a header member that is None is left out."""
    members = {"typ": "at+jwt", "kid": "rsa"} | header
    return sealed(
        {"alg": alg} | {name: value for name, value in members.items() if value is not None},
        claims() if payload is None else payload,
        signs(key or rsa_key(), alg),
    )


def signs(key: PrivateKey, alg: str) -> Sign:
    """Signatures of a key."""
    algorithm = get_default_algorithms()[alg]
    return lambda signed: algorithm.sign(signed, key)


def sealed(header: object, payload: object, sign: Sign) -> str:
    """A compact token out of parts that may be anything: bytes go in as they are, all else as JSON."""
    signed = f"{part(header)}.{part(payload)}"
    return f"{signed}.{base64url(sign(signed.encode()))}"


def part(value: object) -> str:
    """One part of a compact token."""
    return base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


def base64url(data: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hmac_with(secret: bytes) -> Sign:
    """What a forger does with a public key as the secret; PyJWT itself would refuse to."""
    return lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()


def authorization(token: str) -> str:
    """The field line."""
    return f"Authorization: Bearer {token}"
