"""Finding out whether a token is one of this issuer's, whatever its format."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gateway.issuer.keys import SigningKey, jwk_set
from gateway.issuer.opaque_tokens import OpaqueTokens
from gateway.policy.denial import Denial
from gateway.policy.model import Claims
from gateway.tokens.compact import read_compact
from gateway.tokens.keys import KeySet, read_key_set
from gateway.tokens.revoked import RevokedTokens


@dataclass(frozen=True, slots=True)
class OwnToken:
    """A token of this issuer that has not expired: its claims, and the key that signed it (None: it is opaque)."""

    claims: dict[str, Any]
    kid: str | None

    @property
    def client_id(self) -> str:
        """Whose it is."""
        return str(self.claims["client_id"])

    def is_among(self, revoked: RevokedTokens) -> bool:
        """Whether it was revoked, judged as a gateway does."""
        claims = self.claims
        scopes = tuple(str(claims["scope"]).split(" "))
        judged = Claims(
            issuer_name="",
            issuer=claims["iss"],
            subject=claims["sub"],
            client_id=claims["client_id"],
            audience=(claims["aud"],),
            scopes=scopes,
            expires_at=claims["exp"],
            not_before=None,
            jti=claims["jti"],
            issued_at=claims["iat"],
        )
        return revoked.covers(judged, self.kid)


class OwnTokens:
    """All tokens of one issuer.

    Args:
        issuer: its identifier.
        keys: every key whose tokens are still good, asked for each time.
        opaque: the opaque ones.
        clock: seconds since the epoch.
    """

    def __init__(
        self, issuer: str, keys: Callable[[], Iterable[SigningKey]], opaque: OpaqueTokens, clock: Callable[[], float]
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._opaque = opaque
        self._clock = clock
        self._known: tuple[tuple[SigningKey, ...], KeySet] | None = None

    async def find(self, token: str) -> OwnToken | None:
        """The token; None where it is none of this issuer's, malformed, or expired.

        Raises:
            StateError: the state cannot be read.
        """
        if "." in token:
            return self._signed(token)
        claims = await asyncio.to_thread(self._opaque.find, token)
        return None if claims is None else OwnToken(claims, None)

    def _signed(self, token: str) -> OwnToken | None:
        compact = read_compact(token.encode("utf-8", "surrogatepass"))
        if isinstance(compact, Denial) or compact.header.kid is None:
            return None
        header, claims = compact.header, compact.payload
        keys = self._key_set().candidates(header.kid, header.alg)
        if not any(key.verifies(header.alg, compact.signing_input, compact.signature) for key in keys):
            return None
        # The signature is this issuer's own, so the claims are of the form that it gives them.
        expires_at = claims["exp"]
        is_good = claims["iss"] == self._issuer and isinstance(expires_at, int) and self._clock() < expires_at
        return OwnToken(claims, header.kid) if is_good else None

    def _key_set(self) -> KeySet:
        """Read once for each change of the keys."""
        keys = tuple(self._keys())
        if self._known is None or self._known[0] != keys:
            self._known = (keys, read_key_set(jwk_set(keys)))
        return self._known[1]
