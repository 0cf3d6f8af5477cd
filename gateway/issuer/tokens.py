"""Minting access tokens: JWTs in the profile of RFC 9068."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt

from gateway.issuer.keys import SigningKey
from gateway.issuer.scopes import Grant

_JTI_BYTES = 16


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token. Lifetime in seconds; `jti` names it in logs."""

    access_token: str = field(repr=False)
    expires_in: int
    grant: Grant
    jti: str


@dataclass(frozen=True, slots=True)
class TokenMint:
    """Signs tokens in the name of one issuer with one key; lifetime in seconds."""

    issuer: str
    key: SigningKey
    lifetime: int
    clock: Callable[[], float]

    def mint(self, client_id: str, grant: Grant) -> IssuedToken:
        """Mint a token whose subject is the client itself (RFC 9068 §2.2: no resource owner is involved)."""
        issued_at = int(self.clock())
        jti = secrets.token_urlsafe(_JTI_BYTES)
        claims = {
            "iss": self.issuer,
            "sub": client_id,
            "client_id": client_id,
            "aud": grant.audience,
            "iat": issued_at,
            "exp": issued_at + self.lifetime,
            "jti": jti,
            "scope": " ".join(grant.scopes),
        }
        header = {"typ": "at+jwt", "kid": self.key.kid}
        token = jwt.encode(claims, self.key.private_key, algorithm=self.key.algorithm, headers=header)
        return IssuedToken(token, self.lifetime, grant, jti)
