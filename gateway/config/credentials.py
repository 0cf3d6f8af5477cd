"""Credentials of the gateway's own: the client that it is towards an issuer, and what other parts say of it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.config.binding import Section, nearest
from gateway.config.cross_checks import Fault, items, mapping, pair_faults, sections
from gateway.config.errors import ConfigError, Path, in_file_order
from gateway.config.fields import Duration, Text, at_least, at_most, shown, written
from gateway.config.gateway_fields import IssuerUrl, ScopeToken, each_once, http_url, is_loopback
from gateway.config.reading import Document
from gateway.config.redaction import masked

Authentication = Literal[
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
]
"""How a client authenticates, by the names of IANA's registry (RFC 7591 §4.2)."""

AssertionAlgorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "HS256",
    "HS384",
    "HS512",
]

_NEEDS: Final[Mapping[str, str]] = {
    "client_secret_basic": "client_secret",
    "client_secret_post": "client_secret",
    "client_secret_jwt": "client_secret",
    "private_key_jwt": "assertion_key",
}
_ONLY_FOR: Final[Mapping[str, tuple[str, ...]]] = {
    "client_secret": ("client_secret_basic", "client_secret_post", "client_secret_jwt"),
    "assertion_key": ("private_key_jwt",),
    "assertion_certificate": ("private_key_jwt",),
    "assertion_kid": ("private_key_jwt", "client_secret_jwt"),
    "assertion_algorithm": ("private_key_jwt", "client_secret_jwt"),
    "assertion_audience": ("private_key_jwt", "client_secret_jwt"),
}


def _token_url(text: str) -> str:
    url = http_url(text)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError(f"{shown(text)} must begin with https://: secrets must not travel in the clear")
    return text


TokenUrl = Annotated[
    str,
    AfterValidator(_token_url),
    WithJsonSchema({"type": "string", "pattern": r"^https?://[^#@\s]+$", "examples": ["https://login.example/token"]}),
]


class IssuerTlsConfig(Section):
    """TLS towards an issuer. Files are relative to this one."""

    ca: Text | None = Field(
        default=None, description="File with the authorities to trust, as PEM; by default those of the system."
    )
    certificate: Text | None = Field(
        default=None, description="File with the client certificate to show, as PEM (RFC 8705); needs key."
    )
    key: Text | None = Field(default=None, description="File with that certificate's private key, as PEM.")


class CredentialsConfig(Section):
    """One client that the gateway is towards an issuer."""

    issuer: IssuerUrl | None = Field(default=None, description="The issuer; its token endpoint is found by discovery.")
    token_endpoint: TokenUrl | None = Field(
        default=None, description="Where tokens are asked for; by default found by discovery."
    )
    client_id: Text = Field(description="The client's id.")
    authentication: Authentication = Field(
        default="client_secret_basic", description="How the client authenticates (RFC 7591 §4.2)."
    )
    client_secret: Text | None = Field(
        default=None, repr=False, description="The client's secret: write ${NAME} or ${file:/path}."
    )
    assertion_key: Text | None = Field(
        default=None, description="File with the private key that signs client assertions, as PEM or JWK."
    )
    assertion_kid: Text | None = Field(default=None, description="The key's name in the assertion.")
    assertion_certificate: Text | None = Field(
        default=None, description="File with the key's certificate, as PEM: the assertion names it by x5t and x5t#S256."
    )
    assertion_algorithm: AssertionAlgorithm | None = Field(
        default=None, description="The assertion's algorithm; by default RS256, EdDSA, HS256, or what the curve gives."
    )
    assertion_audience: Text = written(
        "issuer", "Whom the assertion is for: issuer, token_endpoint, or a text of your own."
    )
    tls: IssuerTlsConfig | None = Field(
        default=None, description="What TLS towards the issuer needs to know beyond the URL."
    )
    scopes: Annotated[tuple[ScopeToken, ...], AfterValidator(each_once)] = Field(
        default=(), description="Scopes to ask for; by default all that the client may have."
    )
    resource: Text | None = Field(default=None, description="The resource that the token is for (RFC 8707).")
    audience: Text | None = Field(
        default=None, description="The same for issuers that want audience in place of resource."
    )
    timeout: Annotated[Duration, at_least("10ms"), at_most("1m")] = written(
        "5s", "Time to obtain a token; a request waits no longer for it."
    )


def credentials_check(document: Document) -> list[ConfigError]:
    """Every fault of credentials, and of what names them, in the file's order."""
    root = mapping(document.data)
    faults = [fault for name, section in sections(root, "credentials") for fault in _consistent(name, section)]
    faults += [*_named(root, "issuers", "keys_credentials"), *_named(root, "upstreams", "credentials")]
    faults += [*_asking(root)]
    faults += [*_keys_are_fetched(root), *_tls_is_spoken(root), *_sent_instead(root)]
    return in_file_order([document.error(path, masked(document, path, message)) for path, message in faults])


def _consistent(name: str, section: Mapping[str, Any]) -> Iterator[Fault]:
    """What authenticates is there, and nothing else."""
    path: Path = ("credentials", name)
    if not {"issuer", "token_endpoint"} & set(section):
        yield path, "says neither issuer nor token_endpoint: name the issuer, or where tokens are asked for"
    method = section.get("authentication", "client_secret_basic")
    needed = _NEEDS.get(method) if isinstance(method, str) else None
    if needed is not None and needed not in section:
        yield path, f"{method} needs {needed}: add it, or choose another authentication"
    for key, methods in _ONLY_FOR.items():
        if key in section and method not in methods:
            yield (*path, key), f"has no effect with {method}: remove it, or write authentication: {methods[0]}"
    tls = mapping(section.get("tls"))
    if str(method).endswith("tls_client_auth") and "certificate" not in tls:
        yield (*path, "authentication"), f"{method} needs tls: {{certificate: ..., key: ...}}: name both files"
    yield from pair_faults((*path, "tls"), tls)


def _named(root: Mapping[str, Any], part: str, key: str) -> Iterator[Fault]:
    """Whoever names credentials names some that are there."""
    known = mapping(root.get("credentials"))
    for name, section in sections(root, part):
        named = section.get(key)
        if isinstance(named, str) and named not in known:
            yield (part, name, key), f"{named!r} is not there: {nearest(named, known, 'credentials')}"


def _asking(root: Mapping[str, Any]) -> Iterator[Fault]:
    """Who asks about tokens has credentials, and keys for answers that are signed."""
    known = mapping(root.get("credentials"))
    for name, issuer in sections(root, "issuers"):
        section = mapping(issuer.get("introspection"))
        path: Path = ("issuers", name, "introspection")
        named = section.get("credentials")
        if isinstance(named, str) and named not in known:
            yield (*path, "credentials"), f"{named!r} is not there: {nearest(named, known, 'credentials')}"
        keyless = section.get("jwt_tokens") in ("ask", "refuse") and str(section.get("jwt")).lower() != "true"
        for key in ("jwks_uri", "jwks_file", "keys_credentials"):
            if keyless and key in issuer:
                why = f"has no effect: with introspection.jwt_tokens: {section['jwt_tokens']} no keys are needed"
                yield ("issuers", name, key), f"{why}; remove it, or write jwt_tokens: verify"


def _keys_are_fetched(root: Mapping[str, Any]) -> Iterator[Fault]:
    for name, issuer in sections(root, "issuers"):
        if "keys_credentials" in issuer and "jwks_file" in issuer:
            yield ("issuers", name, "keys_credentials"), "has no effect with jwks_file: remove one of the two"


def _tls_is_spoken(root: Mapping[str, Any]) -> Iterator[Fault]:
    """What is said of TLS towards an issuer has an effect."""
    for name, issuer in sections(root, "issuers"):
        if "tls" not in issuer:
            continue
        path: Path = ("issuers", name, "tls")
        yield from pair_faults(path, mapping(issuer["tls"]))
        places = [issuer.get(key) for key in ("jwks_uri", "metadata", "issuer")]
        first = next((place for place in places if isinstance(place, str)), "")
        feed = issuer.get("revocations")
        asked = [] if "jwks_file" in issuer else [first]
        asked += [feed] if isinstance(feed, str) and "://" in feed else []
        if not asked:
            yield path, "has no effect with jwks_file: nothing is asked of the issuer"
        elif all(place.startswith("http://") for place in asked):
            yield path, "has no effect on http://: write https:// instead, or remove tls"


def _sent_instead(root: Mapping[str, Any]) -> Iterator[Fault]:
    """There is one Authorization field: the caller's or the gateway's own."""
    upstreams = mapping(root.get("upstreams"))
    for index, route in items(root, "routes"):
        name = route.get("upstream")
        forwards = str(route.get("forward_token")).lower() == "true"
        if forwards and isinstance(name, str) and "credentials" in mapping(upstreams.get(name)):
            remedy = "remove forward_token, or credentials there"
            yield (
                ("routes", index, "forward_token"),
                f"{name!r} gets a token of the gateway's own in its place (upstreams.{name}.credentials): {remedy}",
            )
