"""Client assertions: a JWT by which a client authenticates (RFC 7521 §4.2, RFC 7523 §2.2 and §3)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from gateway.client.client_keys import ClientKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME: Final = 60
"""Seconds: it is used at once, and only once."""

SHARED_ALGORITHMS: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""HMAC algorithms, and how many bytes a secret needs for each (RFC 7518 §3.2)."""


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A client's secret as a key for HMAC.

    Raises:
        ValueError: the secret is too short.
    """

    secret: str = field(repr=False)
    algorithm: str = "HS256"
    named: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needed = SHARED_ALGORITHMS[self.algorithm]
        if len(self.secret.encode()) < needed:
            raise ValueError(f"the secret is too short for {self.algorithm}, which needs {needed} bytes or more")

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """A compact JWS whose header has these members, and `alg`."""
        return jwt.encode(dict(claims), self.secret, self.algorithm, dict(header))


def assertion(client_id: str, audience: str, key: ClientKey | SharedSecret, now: float) -> str:
    """A new assertion: its jti is never used again."""
    issued = int(now)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(24),
        "iat": issued,
        "exp": issued + LIFETIME,
    }
    return key.sign(key.named, claims)
