"""What becomes of tokens, over HTTP: introspection (RFC 7662), revocation (RFC 7009), and the feed for gateways."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import orjson
from aiohttp import web

from gateway.issuer.answers import NO_STORE, invalid_request, only_post, refusal, request_form
from gateway.issuer.authentication import AuthenticatedClient
from gateway.issuer.errors import TokenError, allowed_text
from gateway.issuer.form import Form
from gateway.issuer.introspection import IntrospectionEndpoint
from gateway.issuer.metadata import INTROSPECTION_PATH, REVOCATION_PATH, REVOCATIONS_PATH
from gateway.issuer.own_tokens import OwnTokens
from gateway.issuer.revocation import RevocationEndpoint
from gateway.issuer.revocation_feed import RevocationFeed
from gateway.issuer.settings import IssuerSettings

_log = logging.getLogger(__name__)

_REVALIDATED = {"Cache-Control": "no-cache"}

Authenticate: TypeAlias = Callable[[web.Request, Form], Awaitable[AuthenticatedClient | TokenError]]
"""Finds out which client sent a request."""


class TokenStatus:
    """The endpoints about tokens that were issued.

    Args:
        tokens: this issuer's.
        feed: what was revoked.
        authenticate: clients, as the token endpoint does.
        settings: the settings in force, asked for with each request.
        body_seconds: for a body to arrive.
    """

    def __init__(
        self,
        tokens: OwnTokens,
        feed: RevocationFeed,
        authenticate: Authenticate,
        settings: Callable[[], IssuerSettings],
        body_seconds: float,
    ) -> None:
        self._tokens = tokens
        self._feed = feed
        self._authenticate = authenticate
        self._settings = settings
        self._body_seconds = body_seconds
        self._revocation = RevocationEndpoint(tokens, feed)

    def add_routes(self, router: web.UrlDispatcher, prefix: str) -> None:
        """Serve them below a prefix."""
        router.add_route("*", prefix + INTROSPECTION_PATH, self._introspect)
        router.add_route("*", prefix + REVOCATION_PATH, self._revoke)
        router.add_get(prefix + REVOCATIONS_PATH, self._tell_revocations)

    async def _introspect(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return only_post("introspection")
        asked = await self._asked(request)
        if isinstance(asked, TokenError):
            return refusal(asked)
        document = await IntrospectionEndpoint(self._settings(), self._tokens, self._feed).answer(*asked)
        return web.Response(body=orjson.dumps(document), content_type="application/json", headers=NO_STORE)

    async def _revoke(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return only_post("revocation")
        asked = await self._asked(request)
        error = asked if isinstance(asked, TokenError) else await self._revocation.revoke(*asked)
        return web.Response(headers=NO_STORE) if error is None else refusal(error)

    async def _asked(self, request: web.Request) -> tuple[AuthenticatedClient, str] | TokenError:
        """Who asks, and about which token."""
        form = await request_form(request, self._body_seconds)
        if isinstance(form, TokenError):
            return form
        caller = await self._authenticate(request, form)
        if isinstance(caller, TokenError):
            _log.info("refused %s: %s: %s", request.remote, caller.code.value, allowed_text(caller.description))
            return caller
        token = form.get("token")
        return invalid_request("The parameter token is missing.") if token is None else (caller, token)

    async def _tell_revocations(self, request: web.Request) -> web.Response:
        """Public, as keys are: of tokens and clients there are digests only."""
        feed = await self._feed.current()
        unchanged = any(tag.value in (feed.cursor, "*") for tag in request.if_none_match or ())
        response = (
            web.Response(status=304, headers=_REVALIDATED)
            if unchanged
            else web.Response(body=feed.body, content_type="application/json", headers=_REVALIDATED)
        )
        response.etag = feed.cursor
        return response
