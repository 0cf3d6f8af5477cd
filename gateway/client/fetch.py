"""Fetching one document, mostly JSON, from an authorization server: bounded in time and size, never redirected."""

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gateway.strict_json import AmbiguousError, JsonError, read_object

MOST_BYTES = 1 << 20
SECONDS = 10.0
_LONGEST_TEXT = 500
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7E]")
_JSON = {"Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer, or one that says that the server is in trouble.

    Attributes:
        detail: which address it is, and why.
        retry_after: seconds for which the server wants to be left alone (RFC 9110 §10.2.3), None if it does not say.
    """

    detail: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class MalformedAnswer:
    """An answer that is not what the protocol says; `detail` says which address and how."""

    detail: str


@dataclass(frozen=True, slots=True)
class BodyAnswer:
    """An HTTP status, the body, and the header fields."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """An HTTP status, the JSON object of the body (None where it is none), and the header fields."""

    status: int
    document: dict[str, Any] | None
    headers: Mapping[str, str] = field(default_factory=dict)


async def fetch_json(  # noqa: PLR0913 - what a request may differ in, each by its name
    http: aiohttp.ClientSession,
    url: str,
    *,
    data: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
    tls: ssl.SSLContext | None = None,
    most_bytes: int = MOST_BYTES,
) -> JsonAnswer | Unreachable | MalformedAnswer:
    """Like `fetch_body`, for a JSON object."""
    answer = await fetch_body(
        http, url, data=data, headers=_JSON | dict(headers or {}), seconds=seconds, tls=tls, most_bytes=most_bytes
    )
    if not isinstance(answer, BodyAnswer):
        return answer
    return _json_answer(url, answer.status, answer.body, answer.headers)


async def fetch_body(  # noqa: PLR0913 - what a request may differ in, each by its name
    http: aiohttp.ClientSession,
    url: str,
    *,
    headers: Mapping[str, str],
    data: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
    tls: ssl.SSLContext | None = None,
    most_bytes: int = MOST_BYTES,
) -> BodyAnswer | Unreachable | MalformedAnswer:
    """GET a document, or POST `data` as a form, and read the answer: `most_bytes`, within `seconds` in all.

    A redirect is no answer: whoever can redirect could lead credentials astray. `tls` is what the system trusts unless
    given.
    """
    timeout = aiohttp.ClientTimeout(total=seconds)
    method = "GET" if data is None else "POST"
    try:
        async with http.request(
            method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False, ssl=tls or True
        ) as answer:
            if 300 <= answer.status < 400 and answer.status != HTTPStatus.NOT_MODIFIED:
                return MalformedAnswer(f"{url} redirects, and redirects are not followed")
            body = await _bounded(answer, most_bytes)
    except TimeoutError:
        return Unreachable(f"{url} did not answer within {seconds:g} s")
    except aiohttp.ClientPayloadError:
        return Unreachable(f"{url} broke off its answer")
    except (aiohttp.ClientError, OSError) as error:
        return Unreachable(f"{url} cannot be reached: {_reason(error)}")
    if body is None:
        return MalformedAnswer(f"{url} answered with more than {_size(most_bytes)}")
    return BodyAnswer(answer.status, body, answer.headers)


def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"


def printable(text: str) -> str:
    """A server's text, made fit for a terminal and a log: printable ASCII, 500 characters at most."""
    return _NOT_PRINTABLE.sub("?", text)[:_LONGEST_TEXT]


def is_safe_url(url: str) -> bool:
    """Whether a secret may travel to the URL: https, or http to this machine's own loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return f"TLS: {cause.reason.lower().replace('_', ' ')}"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number and number > 0 else printable(str(error))


async def _bounded(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes | None:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > most_bytes:
            return None
    return bytes(body)


def _json_answer(url: str, status: int, body: bytes, headers: Mapping[str, str]) -> JsonAnswer | MalformedAnswer:
    try:
        return JsonAnswer(status, read_object(body), headers)
    except AmbiguousError:
        return MalformedAnswer(f"{url} answered with JSON in which a member stands twice")
    except JsonError:
        return JsonAnswer(status, None, headers)
