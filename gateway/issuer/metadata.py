"""What the authorization server says about itself (RFC 8414), and where."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from gateway.client.authentication import METHODS, WITH_CERTIFICATE
from gateway.issuer.assertion import SIGNING_ALGORITHMS
from gateway.tokens.keys import ALGORITHMS

TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105  # a path, no password
JWKS_PATH = "/oauth2/v1/jwks"
INTROSPECTION_PATH = "/oauth2/v1/introspect"
REVOCATION_PATH = "/oauth2/v1/revoke"
REVOCATIONS_PATH = "/oauth2/v1/revocations"
WELL_KNOWN = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


def metadata(issuer: str, scopes: Iterable[str], *, mutual_tls: bool = False) -> dict[str, Any]:
    """The metadata document; `mutual_tls` says whether clients may show certificates.

    Members that would be empty arrays are left out (RFC 8414 §3.2).
    """
    base = issuer.rstrip("/")
    document: dict[str, Any] = {
        "issuer": issuer,
        "token_endpoint": base + TOKEN_PATH,
        "jwks_uri": base + JWKS_PATH,
        "introspection_endpoint": base + INTROSPECTION_PATH,
        "revocation_endpoint": base + REVOCATION_PATH,
        "revocations_uri": base + REVOCATIONS_PATH,
        "grant_types_supported": ["client_credentials"],
        **_authentication(mutual_tls=mutual_tls),
        "tls_client_certificate_bound_access_tokens": mutual_tls,
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": list(dict.fromkeys(scopes)),
    }
    return {name: value for name, value in document.items() if value != []}


def _authentication(*, mutual_tls: bool) -> dict[str, list[str]]:
    """How clients authenticate: the same way at each endpoint."""
    methods: list[str] = [method for method in METHODS if mutual_tls or method not in WITH_CERTIFICATE]
    said = {
        "auth_methods_supported": methods,
        "auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
    }
    endpoints = ("token", "introspection", "revocation")
    return {f"{endpoint}_endpoint_{member}": values for endpoint in endpoints for member, values in said.items()}


def metadata_paths(issuer: str) -> tuple[str, ...]:
    """Where clients look: inserted before the issuer's path (RFC 8414 §3.1), and behind it (OpenID Connect)."""
    path = issuer_path(issuer)
    places = [(well_known + path, path + well_known, well_known) for well_known in WELL_KNOWN]
    return tuple(dict.fromkeys(place for group in places for place in group))


def issuer_path(issuer: str) -> str:
    """The issuer's path without a slash at its end: `` or `/tenant`."""
    return urlsplit(issuer).path.rstrip("/")
