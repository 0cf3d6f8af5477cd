"""Opaque tokens: random, and of no meaning to anyone but the introspection endpoint.

The state keeps a digest of each with its claims, until it expires; so whoever reads the state has no token.
"""

import secrets
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import delete, insert, select

from gateway.issuer.state import IssuerState
from gateway.issuer.tables import OPAQUE_TOKENS

_TOKEN_BYTES = 32
_PURGE_SECONDS = 60.0


class OpaqueTokens:
    """The opaque tokens in the state. Each method blocks, and raises StateError where the state cannot be used."""

    def __init__(self, state: IssuerState, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._purged_at = 0.0

    def keep(self, claims: Mapping[str, Any]) -> str:
        """Make a token that stands for these claims until their `exp`."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        row = {"digest": _digest(token), "claims": orjson.dumps(claims).decode(), "expires_at": float(claims["exp"])}
        now = self._clock()
        with self._state.begin() as connection:
            if not 0 <= now - self._purged_at < _PURGE_SECONDS:
                connection.execute(delete(OPAQUE_TOKENS).where(OPAQUE_TOKENS.c.expires_at <= now))
                self._purged_at = now
            connection.execute(insert(OPAQUE_TOKENS).values(row))
        return token

    def find(self, token: str) -> dict[str, Any] | None:
        """The claims that a token stands for; None where it expired, or never was one."""
        wanted = select(OPAQUE_TOKENS.c.claims).where(
            OPAQUE_TOKENS.c.digest == _digest(token), OPAQUE_TOKENS.c.expires_at > self._clock()
        )
        with self._state.read() as connection:
            claims: str | None = connection.execute(wanted).scalar()
        return None if claims is None else orjson.loads(claims)


def _digest(token: str) -> str:
    """No salt: the token is random, and long enough that nobody finds it by trying."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
