"""Asking for a token with the client_credentials grant (RFC 6749 §4.4)."""

import base64
import re
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import quote_plus

import aiohttp

from gateway.client.fetch import JsonAnswer, MalformedAnswer, Unreachable, fetch_json, is_safe_url, printable

ClientAuthentication: TypeAlias = Literal["client_secret_basic", "client_secret_post"]

_TOKEN = re.compile(r"[\x21-\x7E]+")


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """The answer of RFC 6749 §5.1. `expires_in` in seconds; None where the server does not tell."""

    access_token: str = field(repr=False)
    token_type: str
    expires_in: int | None
    scope: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The server said no (RFC 6749 §5.2). Error and description in printable ASCII."""

    status: int
    error: str
    description: str | None

    @property
    def detail(self) -> str:
        """The refusal in one line."""
        return f"{self.error}: {self.description}" if self.description else self.error


TokenFailure: TypeAlias = Unreachable | Refused | MalformedAnswer


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Who asks, and how it proves that."""

    client_id: str
    secret: str = field(repr=False)
    authentication: ClientAuthentication = "client_secret_basic"

    def header(self) -> dict[str, str]:
        """The field that authenticates, form-urlencoded as RFC 6749 §2.3.1 has it; empty for client_secret_post."""
        if self.authentication == "client_secret_post":
            return {}
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def parameters(self) -> dict[str, str]:
        """The parameters that authenticate; empty for client_secret_basic."""
        if self.authentication == "client_secret_basic":
            return {}
        return {"client_id": self.client_id, "client_secret": self.secret}


async def fetch_token(
    http: aiohttp.ClientSession,
    token_endpoint: str,
    credentials: ClientCredentials,
    *,
    scope: str | None = None,
    resource: str | None = None,
) -> TokenResponse | TokenFailure:
    """Ask for a token. `scope` is space separated, None for all; `resource` is RFC 8707's.

    Raises ValueError for an address that is neither https nor loopback: no secret goes there.
    """
    if not is_safe_url(token_endpoint):
        raise ValueError(f"{token_endpoint} is neither https nor on the loopback: a secret would travel in the clear")
    wanted = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
    data = {name: value for name, value in wanted.items() if value} | credentials.parameters()
    answer = await fetch_json(http, token_endpoint, data=data, headers=credentials.header())
    if isinstance(answer, JsonAnswer):
        return _outcome(answer, token_endpoint)
    return answer


def _outcome(answer: JsonAnswer, url: str) -> TokenResponse | TokenFailure:
    document = answer.document or {}
    error = document.get("error")
    if 400 <= answer.status < 500 and isinstance(error, str) and error:
        description = document.get("error_description")
        told = printable(description) if isinstance(description, str) and description else None
        return Refused(answer.status, printable(error), told)
    if answer.status >= 500:
        return Unreachable(f"{url} answered {answer.status}")
    if answer.status != 200 or answer.document is None:
        return MalformedAnswer(f"{url} is no token endpoint: it answered {answer.status} without a known document")
    return _token(document, url)


def _token(document: dict[str, Any], url: str) -> TokenResponse | MalformedAnswer:
    token, kind = document.get("access_token"), document.get("token_type")
    if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        return MalformedAnswer(f"{url}: access_token is missing or no printable string")
    if not (isinstance(kind, str) and _TOKEN.fullmatch(kind)):
        return MalformedAnswer(f"{url}: token_type is missing or no printable string")
    lifetime, scope = document.get("expires_in"), document.get("scope")
    if lifetime is not None and (isinstance(lifetime, bool) or not isinstance(lifetime, int) or lifetime < 0):
        return MalformedAnswer(f"{url}: expires_in is no whole number of seconds")
    if not (scope is None or isinstance(scope, str)):
        return MalformedAnswer(f"{url}: scope is no string")
    return TokenResponse(token, kind, lifetime, None if scope is None else printable(scope))
