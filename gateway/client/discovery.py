"""Finding an issuer's endpoints by its name (RFC 8414 §3, OpenID Connect Discovery §4)."""

import ssl
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from gateway.client.fetch import JsonAnswer, MalformedAnswer, Unreachable, fetch_json, is_safe_url, printable

_OAUTH = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"
_MEMBERS = ("token_endpoint", "jwks_uri", "revocations_uri", "introspection_endpoint")
_ALIASES = ("token_endpoint", "introspection_endpoint")


@dataclass(frozen=True, slots=True)
class IssuerMetadata:
    """The members that are of use here; None for what the issuer does not tell.

    `mtls_token_endpoint` and `mtls_introspection_endpoint` are where clients go that show a certificate, if that is
    elsewhere (RFC 8705 §5);
    `revocations_uri` where an issuer of this kind tells what it revoked.
    """

    issuer: str
    token_endpoint: str | None
    jwks_uri: str | None
    scopes_supported: tuple[str, ...] = ()
    mtls_token_endpoint: str | None = None
    revocations_uri: str | None = None
    introspection_endpoint: str | None = None
    mtls_introspection_endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class InsecureAddress:
    """A URL that is neither https nor on the loopback: nothing was sent to it."""

    url: str

    @property
    def detail(self) -> str:
        """What is wrong, and the remedy."""
        return f"{self.url} is not safe: use https (http only for 127.0.0.1, ::1 and localhost)"


@dataclass(frozen=True, slots=True)
class IssuerMismatch:
    """The metadata is another issuer's (RFC 8414 §3.3): it must not be used."""

    asked: str
    answered: str

    @property
    def detail(self) -> str:
        """What is wrong, and the remedy."""
        return f"asked for the issuer {self.asked}, and its metadata is for {self.answered}: write it exactly so"


DiscoveryFailure: TypeAlias = Unreachable | MalformedAnswer | InsecureAddress | IssuerMismatch


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata may be, likeliest first: inserted before the issuer's path, then behind it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    places = (_OAUTH + path, path + _OPENID, _OPENID + path)
    return tuple(dict.fromkeys(urlunsplit((parts.scheme, parts.netloc, place, "", "")) for place in places))


async def discover(
    http: aiohttp.ClientSession, issuer: str, tls: ssl.SSLContext | None = None, *, at: str | None = None
) -> IssuerMetadata | DiscoveryFailure:
    """Fetch the issuer's metadata from the first place that has it, or from the place that is named.

    Its `issuer` must be the one asked for, exactly, wherever it was found.
    """
    if not is_safe_url(at or issuer):
        return InsecureAddress(at or issuer)
    failures: list[DiscoveryFailure] = []
    for url in metadata_urls(issuer) if at is None else (at,):
        answer = await fetch_json(http, url, tls=tls)
        if isinstance(answer, Unreachable):
            return answer
        found = _metadata(answer, url, issuer) if isinstance(answer, JsonAnswer) else answer
        if isinstance(found, IssuerMetadata | IssuerMismatch | InsecureAddress):
            return found
        failures.append(found)
    return failures[0]


def _metadata(answer: JsonAnswer, url: str, issuer: str) -> IssuerMetadata | DiscoveryFailure:
    document = answer.document
    if answer.status >= 500:
        return Unreachable(f"{url} answered {answer.status}")
    if answer.status != 200 or document is None:
        return MalformedAnswer(f"{url} has no metadata: it answered {answer.status}")
    answered = document.get("issuer")
    if not isinstance(answered, str):
        return MalformedAnswer(f"{url} does not name its issuer")
    if answered != issuer:
        return IssuerMismatch(issuer, printable(answered))
    return _endpoints(document, url, issuer)


def _endpoints(document: dict[str, Any], url: str, issuer: str) -> IssuerMetadata | DiscoveryFailure:
    aliases = document.get("mtls_endpoint_aliases")
    told = {name: document.get(name) for name in _MEMBERS}
    told |= {f"mtls_{name}": aliases.get(name) if isinstance(aliases, dict) else None for name in _ALIASES}
    for name, endpoint in told.items():
        if not (endpoint is None or isinstance(endpoint, str)):
            return MalformedAnswer(f"{url}: {name} is no string")
        if endpoint is not None and not is_safe_url(endpoint):
            return InsecureAddress(printable(endpoint))
    scopes = document.get("scopes_supported")
    known = tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else ()
    return IssuerMetadata(issuer, **told, scopes_supported=known)
