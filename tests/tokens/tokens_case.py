"""Keys and tokens that the tests in this folder verify; each key is made once per run."""

import base64
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import BearerToken, TrustedIssuer
from gateway.tokens.keys import ALGORITHMS, KeySet, read_key_set

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey

NOW = 1_800_000_000
ISSUER = TrustedIssuer("a", "https://a.example", frozenset({"api"}), frozenset(ALGORITHMS))
OTHER = TrustedIssuer("b", "https://b.example", frozenset({"api"}), frozenset(ALGORITHMS))
CLAIMS: dict[str, object] = {"iss": ISSUER.issuer, "aud": "api", "exp": NOW + 60, "sub": "batch", "jti": "1"}
_MAKERS: dict[str, Callable[[], PrivateKey]] = {
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": Ed25519PrivateKey.generate,
}
KEY_OF = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def private_key(kind: str, owner: str = "a") -> Any:
    """A private key of a kind (RSA or a curve) for each owner."""
    return _made_once(kind, owner)


@lru_cache
def _made_once(kind: str, _owner: str) -> PrivateKey:
    return _MAKERS[kind]()


def public_jwk(kind: str, owner: str = "a", **members: object) -> dict[str, Any]:
    """The public key as it stands in a key set, under the owner's and the kind's name as `kid`."""
    public = private_key(kind, owner).public_key()
    if kind == "RSA":
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif kind == "Ed25519":
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    bare = {name: jwk[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in jwk}
    return bare | {"kid": f"{owner}-{kind}"} | members


def key_set(*entries: Mapping[str, object]) -> KeySet:
    return read_key_set({"keys": list(entries)})


@lru_cache
def keys_of(owner: str) -> KeySet:
    """One key of each kind."""
    return key_set(*(public_jwk(kind, owner) for kind in _MAKERS))


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def encoded(value: Mapping[str, object] | bytes) -> bytes:
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def compact(
    header: Mapping[str, object] | bytes, payload: Mapping[str, object] | bytes, signature: bytes = b"signature"
) -> bytes:
    """Any three parts, joined."""
    return b".".join([encoded(header), encoded(payload), b64(signature)])


def sign(algorithm: str, key: PrivateKey, signing_input: bytes) -> bytes:
    """A signature, made by PyJWT."""
    name = "EdDSA" if algorithm == "Ed25519" else algorithm
    return get_default_algorithms()[name].sign(signing_input, key)


def signed(
    algorithm: str = "RS256",
    payload: Mapping[str, object] | bytes = CLAIMS,
    *,
    owner: str = "a",
    key: PrivateKey | None = None,
    **header: object,
) -> bytes:
    """A token with a good signature by the owner's key, or by another one; header members of None are left out."""
    kind = KEY_OF[algorithm]
    members = {"alg": algorithm, "kid": f"{owner}-{kind}"} | header
    present = {name: value for name, value in members.items() if value is not None}
    signing_input = encoded(present) + b"." + encoded(payload)
    return signing_input + b"." + b64(sign(algorithm, key or private_key(kind, owner), signing_input))


def bearer(token: bytes) -> BearerToken:
    return BearerToken(token)


def reason(outcome: object) -> Reason:
    """Why something was refused; fails where it was not."""
    assert isinstance(outcome, Denial), outcome
    return outcome.reason
