"""Asking for a token with the client_credentials grant (RFC 6749 §4.4)."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import aiohttp

from gateway.client.authentication import ClientCredentials, TokenEndpoint
from gateway.client.discovery import DiscoveryFailure, IssuerMetadata, discover
from gateway.client.dpop_proof import DpopKey
from gateway.client.fetch import SECONDS, JsonAnswer, MalformedAnswer, Unreachable, fetch_json, is_safe_url
from gateway.client.token_response import TokenFailure, TokenResponse, read_response

_LONGEST_NONCE: Final = 1024

TokenOutcome: TypeAlias = TokenResponse | TokenFailure | DiscoveryFailure


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is asked for, and by whom.

    Attributes:
        credentials: the client, and how it authenticates.
        scope: space separated, None for all that the client may have.
        resource: RFC 8707.
        audience: what some issuers take in place of `resource`.
        dpop: a key that the token shall be bound to.
        tls: whom to trust, and the certificate to show; what the system trusts, and none, by default.
        shows_certificate: whether `tls` has one.
        seconds: for each answer.
    """

    credentials: ClientCredentials
    scope: str | None = None
    resource: str | None = None
    audience: str | None = None
    dpop: DpopKey | None = None
    tls: ssl.SSLContext | None = None
    shows_certificate: bool = False
    seconds: float = SECONDS


class TokenClient:
    """Asks one issuer for tokens, again and again.

    Args:
        http: fetches.
        request: what is asked for.
        clock: seconds since the epoch.
        issuer: whose endpoint is found by discovery, unless it is given; also what a client assertion is meant for.
        token_endpoint: where to ask.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        request: TokenRequest,
        clock: Callable[[], float],
        *,
        issuer: str | None = None,
        token_endpoint: str | None = None,
    ) -> None:
        self._http = http
        self._request = request
        self._clock = clock
        self._issuer = issuer
        self._given = None if token_endpoint is None else TokenEndpoint(token_endpoint, issuer)
        self._found: TokenEndpoint | None = None

    async def obtain(self) -> TokenOutcome:
        """Ask for a token. An endpoint that was found is kept as long as it is of use."""
        endpoint = self._given or self._found or await self._discover()
        if not isinstance(endpoint, TokenEndpoint):
            return endpoint
        outcome = await fetch_token(self._http, endpoint, self._request, self._clock)
        self._found = endpoint if isinstance(outcome, TokenResponse) else None
        return outcome

    async def _discover(self) -> TokenEndpoint | TokenFailure | DiscoveryFailure:
        if self._issuer is None:
            raise ValueError("neither an issuer nor a token endpoint is given")
        found = await discover(self._http, self._issuer, self._request.tls)
        if not isinstance(found, IssuerMetadata):
            return found
        url = (found.mtls_token_endpoint if self._request.shows_certificate else None) or found.token_endpoint
        if url is None:
            return MalformedAnswer(f"the metadata of {self._issuer} does not tell its token endpoint: give it")
        return TokenEndpoint(url, self._issuer)


async def fetch_token(
    http: aiohttp.ClientSession, endpoint: TokenEndpoint, request: TokenRequest, clock: Callable[[], float]
) -> TokenResponse | TokenFailure:
    """Ask an endpoint for a token. Where it wants a nonce in the DPoP proof, ask once more with it (RFC 9449 §8).

    Raises ValueError for an address that is neither https nor loopback: no secret goes there.
    """
    if not is_safe_url(endpoint.url):
        raise ValueError(f"{endpoint.url} is neither https nor on the loopback: a secret would travel in the clear")
    answer = await _ask(http, endpoint, request, clock(), None)
    nonce = _nonce_wanted(answer) if request.dpop is not None else None
    if nonce is not None:
        answer = await _ask(http, endpoint, request, clock(), nonce)
    if not isinstance(answer, JsonAnswer):
        return answer
    outcome = read_response(answer, endpoint.url, clock())
    if request.dpop is not None and isinstance(outcome, TokenResponse) and outcome.token_type.lower() != "dpop":
        return MalformedAnswer(
            f"{endpoint.url} answered with a token of type {outcome.token_type}, although a DPoP proof was sent: "
            "it binds no token to a key"
        )
    return outcome


async def _ask(
    http: aiohttp.ClientSession, endpoint: TokenEndpoint, request: TokenRequest, now: float, nonce: str | None
) -> JsonAnswer | Unreachable | MalformedAnswer:
    """One request; each has its own assertion and proof, which nobody may use twice."""
    headers, parameters = request.credentials.present(endpoint, now)
    if request.dpop is not None:
        headers = headers | {"DPoP": request.dpop.proof("POST", endpoint.url, now, nonce=nonce)}
    wanted = {"scope": request.scope, "resource": request.resource, "audience": request.audience}
    asked = {name: value for name, value in wanted.items() if value}
    data = {"grant_type": "client_credentials"} | asked | parameters
    return await fetch_json(http, endpoint.url, data=data, headers=headers, seconds=request.seconds, tls=request.tls)


def _nonce_wanted(answer: JsonAnswer | Unreachable | MalformedAnswer) -> str | None:
    if not isinstance(answer, JsonAnswer) or answer.status not in {400, 401} or answer.document is None:
        return None
    nonce = answer.headers.get("DPoP-Nonce")
    wanted = answer.document.get("error") == "use_dpop_nonce"
    return nonce if wanted and nonce and len(nonce) <= _LONGEST_NONCE else None
