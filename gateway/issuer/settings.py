"""config/issuer.yaml: what the authorization server issues, and to whom."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gateway.config import (
    Address,
    ConfigError,
    Duration,
    Section,
    Text,
    UniqueStrings,
    at_least,
    at_most,
    nearest,
    shown,
)
from gateway.config.binding import bind, merged, prepare
from gateway.config.cross_checks import Fault, mapping
from gateway.config.redaction import masked
from gateway.issuer.keys import Algorithm
from gateway.issuer.scopes import MY_SCOPES, Applicable, applicable_scopes, is_resource, is_scope_token
from gateway.issuer.secrets import read_hash

_CLIENT_ID = re.compile(r"[\x20-\x7E]{1,200}")
_ISSUER = re.compile(r"https?://(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?")

_MOBILE_IS_PUBLIC = "a mobile client cannot keep a secret: remove it, or make the client trusted"
_NO_CREDENTIALS = (
    "a trusted client needs a secret or jwks to use client_credentials: "
    "add `secret:` with what `scopegate issuer hash-secret` prints"
)


def _checked(is_right: Callable[[str], bool], remedy: str) -> AfterValidator:
    def check(value: str) -> str:
        if not is_right(value):
            raise ValueError(remedy.format(shown(value)))
        return value

    return AfterValidator(check)


# The remedy does not show the value: what stands here by mistake is a secret.
_SecretHash = Annotated[
    str,
    _checked(
        lambda text: read_hash(text) is not None,
        "must be a hash, never the secret itself: write what `scopegate issuer hash-secret` prints",
    ),
]
_Issuer = Annotated[
    str,
    _checked(
        lambda text: _ISSUER.fullmatch(text) is not None,
        "{} is no issuer: write an http or https URL without query and fragment, such as https://issuer.example",
    ),
]


class ClientSettings(Section):
    """One client application. Only a trusted one can keep a secret, and so use client_credentials (RFC 6749 §4.4)."""

    type: Literal["trusted", "mobile"]
    grants: tuple[Literal["client_credentials"], ...] = ("client_credentials",)
    secret: _SecretHash | None = Field(default=None, repr=False)
    jwks: dict[str, Any] | None = None
    roles: UniqueStrings = ()

    @property
    def may_use_client_credentials(self) -> bool:
        """Whether the grant is open to it at all."""
        return self.type == "trusted" and "client_credentials" in self.grants


class IssuerSettings(Section):
    """The whole file. `state` is relative to the working directory of the process; `token_lifetime` in seconds."""

    listen: Address
    issuer: _Issuer
    state: Text
    token_lifetime: Annotated[Duration, at_least("1s"), at_most("1d")] = Field(default="1h")  # type: ignore[assignment]  # read like YAML
    signing_algorithm: Algorithm = "RS256"
    resources: dict[str, dict[str, str]] = Field(min_length=1)
    roles: dict[str, UniqueStrings] = Field(default_factory=dict)
    clients: dict[str, ClientSettings] = Field(repr=False)

    def applicable(self, client: ClientSettings) -> Applicable:
        """Audience -> the scopes that the client's roles give it there."""
        granted = {scope for role in client.roles for scope in self.roles[role]}
        return applicable_scopes(self.resources, granted)


def parse(text: str, file: str, environ: Mapping[str, str]) -> IssuerSettings | list[ConfigError]:
    """Read the text of an issuer.yaml; `file` names it in errors, `environ` fills `${NAME}`.

    Every fault in one go: what the parts say of each other is judged on the plain data, so that a fault elsewhere
    does not hide it.
    """
    document, errors = prepare(text, file, environ)
    if document is None:
        return errors
    settings = bind(IssuerSettings, document)
    if isinstance(settings, list):
        errors = merged(errors, settings)
    root = mapping(document.data)
    faults = [*_faulty_resources(root), *_faulty_roles(root), *_faulty_clients(root)]
    errors = merged(errors, [document.error(path, masked(document, path, message)) for path, message in faults])
    return errors if errors or isinstance(settings, list) else settings


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
    if kind == "mobile" and "secret" in client:
        yield ("clients", client_id, "secret"), _MOBILE_IS_PUBLIC
    grants = client.get("grants")
    uses_grant = "grants" not in client or (isinstance(grants, list) and "client_credentials" in grants)
    if kind == "trusted" and uses_grant and not {"secret", "jwks"} & client.keys():
        yield ("clients", client_id), _NO_CREDENTIALS


def _texts(items: Any) -> Iterator[tuple[int, str]]:
    """The strings of a list with their positions; nothing where there is no list."""
    if isinstance(items, list):
        yield from ((index, item) for index, item in enumerate(items) if isinstance(item, str))
