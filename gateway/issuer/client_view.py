"""One client as an operator may see it: what it is, how it proves who it is, what it may do. Never a secret."""

from collections.abc import Iterator
from typing import Any

from gateway.issuer.settings import ClientSettings, IssuerSettings


def described(settings: IssuerSettings, client_id: str) -> dict[str, Any]:
    """The client as plain data, for people and for JSON; lifetimes in seconds. The client has to exist."""
    client = settings.clients[client_id]
    applicable = settings.applicable(client)
    return {
        "client_id": client_id,
        "type": client.type,
        "name": client.name,
        "grants": list(client.grants) if client.type == "trusted" else [],
        "roles": list(client.roles),
        "scopes": {audience: list(scopes) for audience, scopes in applicable.items()},
        "authentication": list(_methods(settings, client)),
        "secrets": len(client.secret_hashes),
        "keys": [_key(jwk) for jwk in (client.jwks or {}).get("keys", ())],
        "jwks_uri": client.jwks_uri,
        "certificate": client.certificate,
        "tokens": {audience: _tokens(settings, client, audience) for audience in applicable},
        "introspect": client.introspect,
    }


def _methods(settings: IssuerSettings, client: ClientSettings) -> Iterator[str]:
    """The names by which RFC 7591 and RFC 8705 call its ways to authenticate."""
    shows_certificate = settings.tls is not None and settings.tls.client_certificate != "none"
    has_own = client.certificate is not None or any("x5c" in key for key in (client.jwks or {}).get("keys", ()))
    if client.secret_hashes:
        yield from ("client_secret_basic", "client_secret_post")
    if client.shared_secret is not None:
        yield "client_secret_jwt"
    if client.jwks is not None or client.jwks_uri is not None or client.certificate is not None:
        yield "private_key_jwt"
    if client.tls_client_auth is not None:
        yield "tls_client_auth"
    elif has_own and shows_certificate:
        yield "self_signed_tls_client_auth"


def _key(jwk: Any) -> str:
    """A key's type, algorithm and id, as far as it says so."""
    known = jwk if isinstance(jwk, dict) else {}
    said = (known.get("kty"), known.get("crv"), known.get("alg"), known.get("kid"))
    return " ".join(str(each) for each in said if each is not None)


def _tokens(settings: IssuerSettings, client: ClientSettings, audience: str) -> str:
    bound = [
        word
        for word, is_bound in (
            ("bound by DPoP", client.dpop_bound_access_tokens),
            ("bound to its certificate", client.tls_client_certificate_bound_access_tokens),
        )
        if is_bound
    ]
    return ", ".join([settings.format(client, audience), f"{settings.lifetime(client, audience)} s", *bound])
