"""What a token endpoint answers (RFC 6749 §5)."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

import orjson

from gateway.client.fetch import JsonAnswer, MalformedAnswer, Unreachable, printable

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
    """The server said no (RFC 6749 §5.2). Error and description in printable ASCII; `retry_after` in seconds."""

    status: int
    error: str
    description: str | None
    retry_after: float | None = None

    @property
    def detail(self) -> str:
        """The refusal in one line."""
        return f"{self.error}: {self.description}" if self.description else self.error


TokenFailure: TypeAlias = Unreachable | Refused | MalformedAnswer


def read_response(answer: JsonAnswer, url: str, now: float) -> TokenResponse | TokenFailure:
    """What an answer means; `now` in seconds since the epoch."""
    document = answer.document or {}
    error = document.get("error")
    wait = _retry_after(answer.headers, now)
    if 400 <= answer.status < 500 and isinstance(error, str) and error:
        description = document.get("error_description")
        told = printable(description) if isinstance(description, str) and description else None
        return Refused(answer.status, printable(error), told, wait)
    if answer.status >= 500 or answer.status == 429:
        return Unreachable(f"{url} answered {answer.status}", wait)
    if answer.status != 200 or answer.document is None:
        return MalformedAnswer(f"{url} is no token endpoint: it answered {answer.status} without a known document")
    return _token(document, url)


def lifetime(response: TokenResponse, now: float) -> float | None:
    """Seconds for which a token is good: `expires_in`, else the `exp` of a JWT; None where neither is told."""
    if response.expires_in is not None:
        return float(response.expires_in)
    parts = response.access_token.split(".")
    try:
        payload = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        return float(payload["exp"]) - now
    except (ValueError, LookupError, TypeError, OverflowError):
        return None


def _token(document: dict[str, Any], url: str) -> TokenResponse | MalformedAnswer:
    token, kind = document.get("access_token"), document.get("token_type")
    if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        return MalformedAnswer(f"{url}: access_token is missing or no printable string")
    if not (isinstance(kind, str) and _TOKEN.fullmatch(kind)):
        return MalformedAnswer(f"{url}: token_type is missing or no printable string")
    expires_in, scope = document.get("expires_in"), document.get("scope")
    if expires_in is not None and (isinstance(expires_in, bool) or not isinstance(expires_in, int) or expires_in < 0):
        return MalformedAnswer(f"{url}: expires_in is no whole number of seconds")
    if not (scope is None or isinstance(scope, str)):
        return MalformedAnswer(f"{url}: scope is no string")
    return TokenResponse(token, kind, expires_in, None if scope is None else printable(scope))


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that Retry-After asks for, as a number or as a date (RFC 9110 §10.2.3)."""
    value = headers.get("Retry-After", "")
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds())
