"""Minting access tokens: JWTs in the profile of RFC 9068 or of Oracle identity domains, or opaque ones."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, TypeAlias

import jwt

from gateway.issuer.keys import SigningKey
from gateway.issuer.scopes import Grant
from gateway.issuer.settings import ClientSettings, IssuerSettings

_JTI_BYTES = 16

TokenType: TypeAlias = Literal["Bearer", "DPoP"]


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token.

    Attributes:
        expires_in: its lifetime in seconds.
        jti: names it in logs.
        kid: of the key that signed it; None: it is opaque.
        algorithm: of that key.
        token_type: how it is presented (RFC 6749 §7.1).
        claims: what it says, or stands for.
    """

    access_token: str = field(repr=False)
    expires_in: int
    grant: Grant
    jti: str
    kid: str | None
    algorithm: str | None
    token_type: TokenType
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TokenMint:
    """Makes tokens in the name of one issuer.

    Attributes:
        settings: the issuer's.
        signing_key: asked for each token.
        clock: seconds since the epoch.
        keep_opaque: makes an opaque token that stands for the claims.
    """

    settings: IssuerSettings
    signing_key: Callable[[], SigningKey]
    clock: Callable[[], float]
    keep_opaque: Callable[[Mapping[str, Any]], str]

    def mint(
        self, client_id: str, client: ClientSettings, grant: Grant, confirmation: Mapping[str, str] | None
    ) -> IssuedToken:
        """Mint a token whose subject is the client itself (RFC 9068 §2.2: no resource owner is involved).

        `confirmation` is what it is bound to, the value of `cnf` (RFC 7800 §3.1). Blocks where the token is opaque.

        Raises:
            StateError: an opaque token cannot be kept.
        """
        lifetime = self.settings.lifetime(client, grant.audience)
        claims = self._claims(client_id, grant, lifetime)
        oracle = self.settings.token_profile == "oracle"  # noqa: S105 - no password
        if oracle:
            claims |= self._oracle_claims(client_id, client)
        if confirmation is not None:
            claims["cnf"] = dict(confirmation)
        token_type: TokenType = "DPoP" if "jkt" in claims.get("cnf", {}) else "Bearer"
        if self.settings.format(client, grant.audience) == "opaque":
            token, kid, algorithm = self.keep_opaque(claims), None, None
        else:
            key = self.signing_key()
            token, kid, algorithm = _signed(claims, key, typ=None if oracle else "at+jwt"), key.kid, key.algorithm
        return IssuedToken(token, lifetime, grant, claims["jti"], kid, algorithm, token_type, claims)

    def _claims(self, client_id: str, grant: Grant, lifetime: int) -> dict[str, Any]:
        """The claims of RFC 9068 §2.2."""
        issued_at = int(self.clock())
        return {
            "iss": self.settings.issuer,
            "sub": client_id,
            "client_id": client_id,
            "aud": grant.audience,
            "iat": issued_at,
            "exp": issued_at + lifetime,
            "jti": secrets.token_urlsafe(_JTI_BYTES),
            "scope": " ".join(grant.scopes),
        }

    def _oracle_claims(self, client_id: str, client: ClientSettings) -> dict[str, Any]:
        """What the tokens of an Oracle identity domain say beyond that, where no user is involved."""
        tenant = self.settings.tenant
        return {
            "tok_type": "AT",
            "sub_type": "client",
            "sub_mappingattr": "userName",
            "client_name": client.name or client_id,
            "client_guid": _guid(self.settings.issuer, client_id),
            "clientAppRoles": list(client.roles),
            "tenant": tenant,
            "client_tenantname": tenant,
            "user.tenant.name": tenant,
        }


def _signed(claims: dict[str, Any], key: SigningKey, *, typ: str | None) -> str:
    # A typ of None is left out; without it, PyJWT would write one of its own.
    return jwt.encode(claims, key.private_key, algorithm=key.algorithm, headers={"typ": typ, "kid": key.kid})


def _guid(issuer: str, client_id: str) -> str:
    """32 hex digits that stand for one client for ever."""
    return sha256(f"{issuer}\0{client_id}".encode()).hexdigest()[:32]
