"""Token introspection (RFC 7662), without HTTP."""

from typing import Any, Final

from gateway.issuer.authentication import AuthenticatedClient
from gateway.issuer.own_tokens import OwnToken, OwnTokens
from gateway.issuer.revocation_feed import RevocationFeed
from gateway.issuer.settings import IssuerSettings

INACTIVE: Final[dict[str, Any]] = {"active": False}
"""All that is told of a token that is not active, or that is none of the caller's business (RFC 7662 §2.2)."""


class IntrospectionEndpoint:
    """Tells what a token means, to its own client and to those that the settings let introspect."""

    def __init__(self, settings: IssuerSettings, tokens: OwnTokens, feed: RevocationFeed) -> None:
        self._settings = settings
        self._tokens = tokens
        self._feed = feed

    async def answer(self, caller: AuthenticatedClient, token: str) -> dict[str, Any]:
        """The answer's JSON object.

        Raises:
            StateError: the state cannot be read.
        """
        found = await self._tokens.find(token)
        if found is None or not (caller.settings.introspect or caller.client_id == found.client_id):
            return INACTIVE
        if not self._is_granted(found) or found.is_among((await self._feed.current()).revoked):
            return INACTIVE
        return {"active": True, **found.claims, "token_type": token_type(found.claims)}

    def _is_granted(self, token: OwnToken) -> bool:
        """Whether the settings still give the token's client all of its scopes; they may have changed since."""
        client = self._settings.clients.get(token.client_id)
        if client is None or not client.may_use_client_credentials:
            return False
        given = self._settings.applicable(client).get(str(token.claims["aud"]), ())
        return set(str(token.claims["scope"]).split(" ")) <= set(given)


def token_type(claims: dict[str, Any]) -> str:
    """How the token is presented (RFC 6749 §7.1): with a proof (RFC 9449 §5), or just so."""
    return "DPoP" if "jkt" in claims.get("cnf", {}) else "Bearer"
