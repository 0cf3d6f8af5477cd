"""What the authorization server says about itself (RFC 8414), and where."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105  # a path, no password
JWKS_PATH = "/oauth2/v1/jwks"
INTROSPECTION_PATH = "/oauth2/v1/introspect"
REVOCATION_PATH = "/oauth2/v1/revoke"
REVOCATIONS_PATH = "/oauth2/v1/revocations"
WELL_KNOWN = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


def metadata(issuer: str, scopes: Iterable[str]) -> dict[str, Any]:
    """The metadata document. Members that would be empty arrays are left out (RFC 8414 §3.2)."""
    base = issuer.rstrip("/")
    document: dict[str, Any] = {
        "issuer": issuer,
        "token_endpoint": base + TOKEN_PATH,
        "jwks_uri": base + JWKS_PATH,
        "introspection_endpoint": base + INTROSPECTION_PATH,
        "revocation_endpoint": base + REVOCATION_PATH,
        "revocations_uri": base + REVOCATIONS_PATH,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "scopes_supported": list(dict.fromkeys(scopes)),
    }
    return {name: value for name, value in document.items() if value != []}


def metadata_paths(issuer: str) -> tuple[str, ...]:
    """Where clients look: inserted before the issuer's path (RFC 8414 §3.1), and behind it (OpenID Connect)."""
    path = issuer_path(issuer)
    places = [(well_known + path, path + well_known, well_known) for well_known in WELL_KNOWN]
    return tuple(dict.fromkeys(place for group in places for place in group))


def issuer_path(issuer: str) -> str:
    """The issuer's path without a slash at its end: `` or `/tenant`."""
    return urlsplit(issuer).path.rstrip("/")
