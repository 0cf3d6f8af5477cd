"""The token endpoint's decision, without HTTP: a form and a client's proof in, a token or a refusal out."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gateway.issuer.authentication import AuthenticatedClient, AuthenticationMemory, ClientAuthenticator
from gateway.issuer.binding import confirmation
from gateway.issuer.client_request import ClientRequest
from gateway.issuer.errors import TokenError, TokenErrorCode
from gateway.issuer.form import Form
from gateway.issuer.keys import SigningKey
from gateway.issuer.metadata import TOKEN_PATH
from gateway.issuer.scopes import choose
from gateway.issuer.settings import IssuerSettings
from gateway.issuer.tokens import IssuedToken, TokenMint

_log = logging.getLogger(__name__)


class TokenAnswer(NamedTuple):
    """What becomes of a token request, and the client that sent it, where that is proven."""

    outcome: IssuedToken | TokenError
    client: AuthenticatedClient | None = None


class TokenEndpoint:
    """Issues tokens for the client_credentials grant (RFC 6749 §4.4); never a refresh token (§4.4.3)."""

    def __init__(
        self,
        settings: IssuerSettings,
        signing_key: Callable[[], SigningKey],
        authenticator: ClientAuthenticator,
        memory: AuthenticationMemory,
        keep_opaque: Callable[[Mapping[str, Any]], str],
    ) -> None:
        self._settings = settings
        self._address = settings.issuer.rstrip("/") + TOKEN_PATH
        self._authenticator = authenticator
        self._memory = memory
        self._mint = TokenMint(settings, signing_key, memory.clock, keep_opaque)

    async def answer(self, request: ClientRequest) -> TokenAnswer:
        """Answer one request."""
        wrong_grant = _wrong_grant(request.form)
        if wrong_grant is not None:
            return TokenAnswer(wrong_grant)
        client = await self._authenticator.authenticate(request)
        if isinstance(client, TokenError):
            return TokenAnswer(client)
        return TokenAnswer(await self._issue(client, request), client)

    async def _issue(self, client: AuthenticatedClient, request: ClientRequest) -> IssuedToken | TokenError:
        form = request.form
        if not client.settings.may_use_client_credentials:
            return TokenError(
                TokenErrorCode.UNAUTHORIZED_CLIENT,
                "This client may not use client_credentials: the grant is not listed for it.",
            )
        applicable = self._settings.applicable(client.settings)
        grant = choose(applicable, form.get("scope"), form.resources, self._settings.unknown_scopes)
        if isinstance(grant, TokenError):
            return grant
        bound_to = confirmation(client, request, self._address, self._memory.proofs, self._memory.clock())
        if isinstance(bound_to, TokenError):
            return bound_to
        minting = (client.client_id, client.settings, grant, bound_to)
        if self._settings.format(client.settings, grant.audience) == "opaque":
            token = await asyncio.to_thread(self._mint.mint, *minting)  # it writes to the state
        else:
            token = self._mint.mint(*minting)
        _log.info("issued %s to %a: %s at %s", token.jti, client.client_id, " ".join(grant.scopes), grant.audience)
        return token


def _wrong_grant(form: Form) -> TokenError | None:
    grant_type = form.get("grant_type")
    if grant_type is None:
        return TokenError(
            TokenErrorCode.INVALID_REQUEST, "The parameter grant_type is missing: send grant_type=client_credentials."
        )
    if grant_type != "client_credentials":
        return TokenError(
            TokenErrorCode.UNSUPPORTED_GRANT_TYPE, "Only grant_type=client_credentials is supported here."
        )
    return None
