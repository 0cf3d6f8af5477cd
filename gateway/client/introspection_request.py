"""Asking an authorization server what a token means (RFC 7662 §2.1)."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from gateway.client.authentication import ClientCredentials, Presented, TokenEndpoint
from gateway.client.discovery import IssuerMetadata, discover
from gateway.client.fetch import BodyAnswer, MalformedAnswer, Unreachable, fetch_body
from gateway.client.token_source import NoToken, TokenSource

MOST_BYTES: Final = 1 << 16
"""Of an answer; a real one has some 500."""

JSON: Final = "application/json"
SIGNED: Final = "application/token-introspection+jwt"
"""Media types of an answer (RFC 7662 §2.2, RFC 9701 §5)."""


@dataclass(frozen=True, slots=True)
class Questioner:
    """Who asks, and how it proves that it may.

    Attributes:
        client: authenticates itself as it would at the token endpoint; None where a token does.
        token: whose token authenticates (RFC 7662 §2.1); None where the client does itself.
        tls: whom to trust, and the certificate to show; what the system trusts, and none, by default.
        shows_certificate: whether `tls` has one.
    """

    client: ClientCredentials | None = None
    token: TokenSource | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    shows_certificate: bool = False


class IntrospectionClient:
    """Asks one issuer about tokens, again and again.

    Args:
        http: fetches.
        questioner: who asks.
        clock: seconds since the epoch.
        issuer: whose endpoint is found by discovery, unless it is given; also what a client assertion is meant for.
        endpoint: where to ask.
        metadata: where the issuer's metadata is, if that is not where discovery looks.
        accept: the media type of the answers.
        seconds: for each of them.
    """

    def __init__(  # noqa: PLR0913 - what it depends on, each by its name
        self,
        http: aiohttp.ClientSession,
        questioner: Questioner,
        clock: Callable[[], float],
        *,
        issuer: str,
        endpoint: str | None = None,
        metadata: str | None = None,
        accept: str = JSON,
        seconds: float = 5.0,
    ) -> None:
        self._http = http
        self._questioner = questioner
        self._clock = clock
        self._issuer = issuer
        self._metadata = metadata
        self._accept = accept
        self._seconds = seconds
        self._given = endpoint
        self._found: str | None = None

    async def ask(self, token: str) -> BodyAnswer | str:
        """What the endpoint answers, whatever its status; or in words why there is no answer.

        An endpoint that was found is kept as long as it answers.
        """
        url = self._given or self._found
        if url is None:
            found = await self._discover()
            if isinstance(found, MalformedAnswer):
                return found.detail
            url = found
        answer = await self._post(url, token)
        if not isinstance(answer, BodyAnswer):
            self._found = None
            return answer.detail
        self._found = None if answer.status == 404 else url
        return answer

    async def _post(self, url: str, token: str) -> BodyAnswer | Unreachable | MalformedAnswer | NoToken:
        who, presented = self._questioner, Presented({}, {})
        if who.client is not None:
            presented = who.client.present(TokenEndpoint(url, self._issuer), self._clock())
        bearer = None if who.token is None else await who.token.wait()
        if isinstance(bearer, NoToken):
            return bearer
        headers = {"Accept": self._accept, **presented.headers}
        if bearer is not None:
            headers["Authorization"] = bearer.decode()
        data = {"token": token, "token_type_hint": "access_token", **presented.parameters}
        answer = await fetch_body(
            self._http, url, data=data, headers=headers, seconds=self._seconds, tls=who.tls, most_bytes=MOST_BYTES
        )
        if bearer is not None and who.token is not None and isinstance(answer, BodyAnswer) and answer.status == 401:
            who.token.refused(bearer)
        return answer

    async def _discover(self) -> str | MalformedAnswer:
        found = await discover(self._http, self._issuer, self._questioner.tls, at=self._metadata)
        if not isinstance(found, IssuerMetadata):
            return MalformedAnswer(found.detail)
        aliased = found.mtls_introspection_endpoint if self._questioner.shows_certificate else None
        url = aliased or found.introspection_endpoint
        return url or MalformedAnswer(
            f"the metadata of {self._issuer} does not tell its introspection endpoint: give it"
        )
