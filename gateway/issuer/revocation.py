"""Token revocation (RFC 7009), without HTTP."""

from gateway.issuer.authentication import AuthenticatedClient
from gateway.issuer.errors import TokenError, TokenErrorCode
from gateway.issuer.own_tokens import OwnTokens
from gateway.issuer.revocation_feed import RevocationFeed
from gateway.issuer.revocations import revoke_token


class RevocationEndpoint:
    """Revokes tokens for the clients that they were issued to."""

    def __init__(self, tokens: OwnTokens, feed: RevocationFeed) -> None:
        self._tokens = tokens
        self._feed = feed

    async def revoke(self, caller: AuthenticatedClient, token: str) -> TokenError | None:
        """Revoke a token. One that is unknown or has expired is as good as revoked (RFC 7009 §2.2).

        Raises:
            StateError: the state cannot be read or written.
        """
        found = await self._tokens.find(token)
        if found is None:
            return None
        if found.client_id != caller.client_id:
            return TokenError(TokenErrorCode.INVALID_GRANT, "The token was issued to another client.")
        await self._feed.revoke(revoke_token(str(found.claims["jti"]), float(found.claims["exp"])))
        return None
