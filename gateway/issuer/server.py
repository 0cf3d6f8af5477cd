"""The embedded authorization server's HTTP side. The gateway meets it over HTTP only."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import orjson
from aiohttp import web

from gateway.issuer.answers import NO_STORE, issued, only_post, refusal, request_form
from gateway.issuer.authentication import AuthenticatedClient, AuthenticationMemory, ClientAuthenticator
from gateway.issuer.client_request import client_request
from gateway.issuer.errors import StateError, TokenError, allowed_text
from gateway.issuer.form import MOST_BODY_BYTES, Form
from gateway.issuer.issuance_log import IssuanceLog
from gateway.issuer.key_ring import KeyRing
from gateway.issuer.metadata import JWKS_PATH, TOKEN_PATH, issuer_path, metadata, metadata_paths
from gateway.issuer.opaque_tokens import OpaqueTokens
from gateway.issuer.own_tokens import OwnTokens
from gateway.issuer.revocation_feed import RevocationFeed
from gateway.issuer.revocations import Revocations
from gateway.issuer.settings import IssuerSettings
from gateway.issuer.state import IssuerState
from gateway.issuer.token_endpoint import TokenAnswer, TokenEndpoint
from gateway.issuer.token_status import TokenStatus
from gateway.issuer.used_assertions import UsedAssertions

_log = logging.getLogger(__name__)

_BODY_SECONDS = 10.0
_CACHEABLE = {"Cache-Control": "public, max-age=300"}

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _no_change() -> None:
    """Keys that nobody else changes."""


class AuthorizationServer:
    """All endpoints of one issuer.

    Args:
        settings: issuer.yaml.
        keys: that are published, and sign.
        clock: seconds since the epoch.
        state: keeps what must outlive a restart.
        base: the folder of issuer.yaml.
        authorities: the certificates, as DER, of those who vouch for clients' certificates at the moment.
        refill: takes over what other processes did to the keys in the state.
        log: takes one record a token request.
        body_seconds: for a body to arrive.
    """

    def __init__(  # noqa: PLR0913 - what the server is made of, each by its name
        self,
        settings: IssuerSettings,
        keys: KeyRing,
        clock: Callable[[], float],
        state: IssuerState,
        *,
        base: Path = Path(),
        authorities: Callable[[], frozenset[bytes]] = frozenset,
        refill: Callable[[], Awaitable[None]] = _no_change,
        log: IssuanceLog | None = None,
        body_seconds: float = _BODY_SECONDS,
    ) -> None:
        self._ring = keys
        self._base = base
        self._memory = AuthenticationMemory(clock, UsedAssertions(state, clock), authorities)
        self._clock, self._log = clock, log
        self._opaque = OpaqueTokens(state, clock)
        self._status = TokenStatus(
            OwnTokens(settings.issuer, keys.keys, self._opaque, clock),
            RevocationFeed(Revocations(state, clock), settings.issuer, keys_revoked=refill),
            self._authenticate,
            lambda: self._settings,
            body_seconds,
        )
        self._body_seconds = body_seconds
        self._issuer = settings.issuer
        self.adopt(settings)

    def adopt(self, settings: IssuerSettings) -> None:
        """Answer by these settings from the next request on; those in flight finish under the ones they began with.

        The issuer's identifier stays what it was.
        """
        may_show_certificates = settings.tls is not None and settings.tls.client_certificate != "none"
        scopes = (scope for defined in settings.resources.values() for scope in defined)
        description = orjson.dumps(metadata(settings.issuer, scopes, mutual_tls=may_show_certificates))
        self._authenticator = ClientAuthenticator(settings, self._memory, self._base)
        self._endpoint = TokenEndpoint(
            settings, self._ring.signing_key, self._authenticator, self._memory, self._opaque.keep
        )
        self._settings = settings
        self._metadata = description

    def application(self) -> web.Application:
        """The routes, at the root and below the issuer's own path, where a proxy in front may have kept it."""
        app = web.Application(client_max_size=MOST_BODY_BYTES, middlewares=[_plain_faults])
        for prefix in dict.fromkeys(("", issuer_path(self._issuer))):
            app.router.add_route("*", prefix + TOKEN_PATH, self._token)
            app.router.add_get(prefix + JWKS_PATH, self._keys)
            self._status.add_routes(app.router, prefix)
        for path in metadata_paths(self._issuer):
            app.router.add_get(path, self._describe)
        app.router.add_get("/healthz", _health)
        app.on_response_prepare.append(_nameless)
        app.on_cleanup.append(self._close)
        return app

    @property
    def own_certificates(self) -> frozenset[bytes]:
        """The certificates, as DER, that clients may show in mutual TLS though nobody vouches for them."""
        return self._authenticator.own_certificates

    async def _close(self, _app: web.Application) -> None:
        await self._memory.close()

    async def _keys(self, _request: web.Request) -> web.Response:
        published = self._ring.published
        cacheable = {"Cache-Control": f"public, max-age={published.max_age}"}
        return web.Response(body=published.body, content_type="application/jwk-set+json", headers=cacheable)

    async def _describe(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metadata, content_type="application/json", headers=_CACHEABLE)

    async def _token(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return only_post("token")
        endpoint, settings = self._endpoint, self._settings
        form = await request_form(request, self._body_seconds)
        if isinstance(form, TokenError):
            asked, answer = None, TokenAnswer(form)
        else:
            asked = client_request(request, form)
            answer = await endpoint.answer(asked)
        if self._log is not None:
            self._log.write(settings, self._clock(), request.remote or "", asked, answer)
        outcome = answer.outcome
        if isinstance(outcome, TokenError):
            _log.info("refused %s: %s: %s", request.remote, outcome.code.value, allowed_text(outcome.description))
            return refusal(outcome)
        return issued(outcome)

    async def _authenticate(self, request: web.Request, form: Form) -> AuthenticatedClient | TokenError:
        return await self._authenticator.authenticate(client_request(request, form))


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


@web.middleware
async def _plain_faults(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Say 404 and 405 in the issuer's own words."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return web.json_response({"error": "not_found"}, status=404)
    except web.HTTPMethodNotAllowed as error:
        allow = ", ".join(sorted(error.allowed_methods))
        return web.json_response({"error": "method_not_allowed"}, status=405, headers={"Allow": allow})
    except StateError as error:
        _log.error("%s %s: %s", request.method, request.path, error)
        fields = NO_STORE | {"Retry-After": "5"}
        return web.json_response({"error": "temporarily_unavailable"}, status=503, headers=fields)


async def _nameless(_request: web.Request, response: web.StreamResponse) -> None:
    """Which software answers is no one's business."""
    response.headers.popall("Server", None)
