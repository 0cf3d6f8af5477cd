"""What the parts of issuer.yaml say of each other, judged on the plain data: a fault elsewhere hides none."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.config import nearest, shown
from gateway.config.cross_checks import Fault, mapping
from gateway.issuer.scopes import MY_SCOPES, is_resource, is_scope_token
from gateway.tokens.keys import KeySetError, read_key

CREDENTIALS = ("secret", "secrets", "shared_secret", "jwks", "jwks_uri", "certificate", "tls_client_auth")
"""Keys of a client that let it prove who it is."""

_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_CLIENT_ID = re.compile(r"[\x20-\x7E]{1,200}")
_MOBILE_IS_PUBLIC = "a mobile client cannot keep a secret: remove it, or make the client trusted"
_BOUND_TO_CERTIFICATE = "tls_client_certificate_bound_access_tokens"
_NEEDS_CERTIFICATES = "needs clients that show certificates: write client_certificate: optional into `tls:` at the top"
_NEEDS_AUTHORITIES = f"{_NEEDS_CERTIFICATES}, and client_ca"
_NO_CREDENTIALS = (
    "a trusted client needs a secret or jwks, or another proof of who it is, to use client_credentials: "
    "add `secret:` with what `scopegate issuer hash-secret` prints"
)


def faults(root: Mapping[str, Any]) -> Iterator[Fault]:
    """Every fault that is one between several values."""
    yield from _faulty_tls(root)
    yield from _faulty_tokens(root)
    yield from _faulty_resources(root)
    yield from _faulty_roles(root)
    yield from _faulty_clients(root)


def _faulty_tls(root: Mapping[str, Any]) -> Iterator[Fault]:
    """What clients need of TLS; that a client's own certificate is known takes no authority (RFC 8705 §2.2)."""
    tls = mapping(root.get("tls"))
    shown_here = tls.get("client_certificate", "none") != "none"
    if "client_ca" in tls and not shown_here:
        yield ("tls", "client_ca"), "has no effect: write client_certificate: required, or optional, or remove it"
    for client_id, client in mapping(root.get("clients")).items():
        if "tls_client_auth" in mapping(client) and not (shown_here and "client_ca" in tls):
            yield ("clients", client_id, "tls_client_auth"), _NEEDS_AUTHORITIES
        if mapping(client).get(_BOUND_TO_CERTIFICATE) is True and not shown_here:
            yield ("clients", client_id, _BOUND_TO_CERTIFICATE), _NEEDS_CERTIFICATES


def _faulty_tokens(root: Mapping[str, Any]) -> Iterator[Fault]:
    if root.get("token_profile") == "oracle" and not root.get("tenant"):
        yield ("token_profile",), "the oracle profile names a tenant in each token: add `tenant:`"
    for audience in mapping(root.get("resource_settings")):
        resources = mapping(root.get("resources"))
        if audience not in resources:
            yield ("resource_settings", audience), f"is no resource: {nearest(audience, resources, 'resources')}"


def _faulty_resources(root: Mapping[str, Any]) -> Iterator[Fault]:
    for audience, scopes in mapping(root.get("resources")).items():
        if not is_resource(audience):
            yield ("resources", audience), "must be an absolute URI without fragment, such as https://api.example"
        for scope in mapping(scopes):
            if not is_scope_token(scope) or scope == MY_SCOPES:
                remedy = "use printable ASCII characters without blanks, quotes and backslashes"
                yield ("resources", audience, scope), f"{shown(scope)} cannot be a scope: {remedy} (RFC 6749 §3.3)"


def _faulty_roles(root: Mapping[str, Any]) -> Iterator[Fault]:
    resources = mapping(root.get("resources"))
    defined = {scope for scopes in resources.values() for scope in mapping(scopes)}
    for role, scopes in mapping(root.get("roles")).items():
        for index, scope in _texts(scopes):
            if scope not in defined:
                advice = nearest(scope, defined, "defined scopes")
                yield ("roles", role, index), f"no resource defines the scope {shown(scope)}: {advice}"


def _faulty_clients(root: Mapping[str, Any]) -> Iterator[Fault]:
    known = mapping(root.get("roles"))
    for client_id, client in mapping(root.get("clients")).items():
        if not _CLIENT_ID.fullmatch(client_id):
            yield ("clients", client_id), "a client id has 1 to 200 printable ASCII characters (RFC 6749 §A.1)"
        if isinstance(client, dict):
            yield from _faulty_credentials(client_id, client)
        for index, role in _texts(mapping(client).get("roles")):
            if role not in known:
                advice = nearest(role, known, "known roles")
                yield ("clients", client_id, "roles", index), f"the role {shown(role)} is not defined: {advice}"


def _faulty_credentials(client_id: str, client: Mapping[str, Any]) -> Iterator[Fault]:
    kind = client.get("type")
    present = [key for key in CREDENTIALS if key in client]
    if kind == "mobile":
        yield from ((("clients", client_id, key), _MOBILE_IS_PUBLIC) for key in present)
    grants = client.get("grants")
    uses_grant = "grants" not in client or (isinstance(grants, list) and "client_credentials" in grants)
    if kind == "trusted" and uses_grant and not present:
        yield ("clients", client_id), _NO_CREDENTIALS
    if isinstance(client.get("jwks"), dict):
        yield from _faulty_keys(client_id, client["jwks"])
    if "jwks" in client and "jwks_uri" in client:
        yield ("clients", client_id, "jwks_uri"), "stands beside jwks, and keys come from one place: remove one of them"
    if "certificate_alias" in client and "certificate" not in client:
        yield ("clients", client_id, "certificate_alias"), "names a certificate, and there is none: add `certificate:`"


def _faulty_keys(client_id: str, jwks: Any) -> Iterator[Fault]:
    """A key set of strangers has keys left out; one in our own file has none that can't be used."""
    path = ("clients", client_id, "jwks")
    entries = mapping(jwks).get("keys")
    if not isinstance(entries, list):
        yield path, "must be a JWK Set: write {keys: [...]}, with a JWK in it for each public key (RFC 7517)"
        return
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and not entry.keys().isdisjoint(_PRIVATE_MEMBERS):
            yield (*path, "keys", index), "is a private or symmetric key: leave its secret members out, and replace it"
            continue
        try:
            read_key(entry)
        except KeySetError as error:
            yield (*path, "keys", index), f"cannot be used: {error}"


def _texts(items: Any) -> Iterator[tuple[int, str]]:
    """The strings of a list with their positions; nothing where there is no list."""
    if isinstance(items, list):
        yield from ((index, item) for index, item in enumerate(items) if isinstance(item, str))
