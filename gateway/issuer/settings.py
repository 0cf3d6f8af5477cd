"""config/issuer.yaml: what the authorization server issues, and to whom."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from gateway.config import (
    Address,
    ConfigError,
    Duration,
    Section,
    Text,
    UniqueStrings,
    at_least,
    at_most,
    shown,
)
from gateway.config.binding import bind, merged, prepare
from gateway.config.cross_checks import mapping
from gateway.config.gateway_fields import KeysUrl
from gateway.config.gateway_file import TlsConfig
from gateway.config.redaction import masked
from gateway.issuer.keys import Algorithm
from gateway.issuer.scopes import Applicable, applicable_scopes
from gateway.issuer.secrets import read_hash
from gateway.issuer.settings_faults import faults

_ISSUER = re.compile(r"https?://(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?")


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
_SharedSecret = Annotated[
    str,
    _checked(
        lambda text: len(text.encode()) >= 32,
        "must have 32 bytes or more, since it keys HMAC (RFC 7518 §3.2): write ${{file:/path}} of a long random secret",
    ),
]
_Issuer = Annotated[
    str,
    _checked(
        lambda text: _ISSUER.fullmatch(text) is not None,
        "{} is no issuer: write an http or https URL without query and fragment, such as https://issuer.example",
    ),
]


_Lifetime = Annotated[Duration, at_least("1s"), at_most("1d")]
TokenFormat: TypeAlias = Literal["jwt", "opaque"]
TokenProfile: TypeAlias = Literal["rfc9068", "oracle"]


class TlsClientAuthSettings(Section):
    """What a client's certificate must say, when an authority vouches for it: one of these (RFC 8705 §2.1.2)."""

    subject_dn: Text | None = None
    san_dns: Text | None = None
    san_uri: Text | None = None
    san_ip: Text | None = None
    san_email: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in self.__dict__.values()) != 1:
            raise ValueError(
                "needs exactly one of subject_dn, san_dns, san_uri, san_ip and san_email (RFC 8705 §2.1.2)"
            )
        return self


class ClientSettings(Section):
    """One client application. Only a trusted one can keep a secret, and so use client_credentials (RFC 6749 §4.4).

    Paths are relative to the file.
    """

    type: Literal["trusted", "mobile"]
    name: Text | None = None
    grants: tuple[Literal["client_credentials"], ...] = ("client_credentials",)
    secret: _SecretHash | None = Field(default=None, repr=False)
    secrets: tuple[_SecretHash, ...] = Field(default=(), repr=False)
    shared_secret: _SharedSecret | None = Field(default=None, repr=False)
    jwks: dict[str, Any] | None = None
    jwks_uri: KeysUrl | None = None
    certificate: Text | None = None
    certificate_alias: Text | None = None
    tls_client_auth: TlsClientAuthSettings | None = None
    roles: UniqueStrings = ()
    token_lifetime: _Lifetime | None = None
    token_format: TokenFormat | None = None
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    introspect: bool = False

    @property
    def may_use_client_credentials(self) -> bool:
        """Whether the grant is open to it at all."""
        return self.type == "trusted" and "client_credentials" in self.grants

    @property
    def secret_hashes(self) -> tuple[str, ...]:
        """Every secret that is taken: more than one while secrets are rotated."""
        return (() if self.secret is None else (self.secret,)) + self.secrets


class ResourceSettings(Section):
    """How tokens for one resource differ from the others."""

    token_lifetime: _Lifetime | None = None
    token_format: TokenFormat | None = None


class RotationSettings(Section):
    """When signing keys are replaced. A new key is published `publish_ahead` before it signs."""

    every: Annotated[Duration, at_least("1m")] | None = None
    publish_ahead: Annotated[Duration, at_least("0s")] = Field(default="10m")  # type: ignore[assignment]  # read like YAML


class IssuerSettings(Section):
    """The whole file; durations in seconds.

    `state` is a PostgreSQL URL, or a path relative to the working directory of the process; other paths are relative
    to the file.
    """

    listen: Address
    issuer: _Issuer
    tls: TlsConfig | None = None
    state: Text = Field(repr=False)
    passphrase_file: Text | None = None
    token_lifetime: _Lifetime = Field(default="1h")  # type: ignore[assignment]  # read like YAML
    token_format: TokenFormat = "jwt"  # noqa: S105 - a form, no password
    token_profile: TokenProfile = "rfc9068"  # noqa: S105 - likewise
    tenant: Text | None = None
    signing_algorithm: Algorithm = "RS256"
    rotation: RotationSettings = Field(default_factory=RotationSettings)
    assertion_audience: Literal["lenient", "strict"] = "lenient"
    unknown_scopes: Literal["refuse", "leave_out"] = "refuse"
    issuance_log: Text | None = None
    log_hash_key: Text | None = Field(default=None, repr=False)
    resources: dict[str, dict[str, str]] = Field(min_length=1)
    resource_settings: dict[str, ResourceSettings] = Field(default_factory=dict)
    roles: dict[str, UniqueStrings] = Field(default_factory=dict)
    clients: dict[str, ClientSettings] = Field(repr=False)

    def applicable(self, client: ClientSettings) -> Applicable:
        """Audience -> the scopes that the client's roles give it there."""
        granted = {scope for role in client.roles for scope in self.roles[role]}
        return applicable_scopes(self.resources, granted)

    def lifetime(self, client: ClientSettings, audience: str) -> int:
        """Seconds that a token lives: the shorter of what client and resource say, else what the file says for all."""
        resource = self.resource_settings.get(audience, _NOTHING_SPECIAL)
        said = [each for each in (client.token_lifetime, resource.token_lifetime) if each is not None]
        return int(min(said, default=self.token_lifetime))

    def format(self, client: ClientSettings, audience: str) -> TokenFormat:
        """What a token looks like: as the client says, else the resource, else the file for all."""
        resource = self.resource_settings.get(audience, _NOTHING_SPECIAL)
        return client.token_format or resource.token_format or self.token_format


_NOTHING_SPECIAL = ResourceSettings()


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
    errors = merged(errors, [document.error(path, masked(document, path, text)) for path, text in faults(root)])
    return errors if errors or isinstance(settings, list) else settings
