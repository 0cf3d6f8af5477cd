"""config/issuer.yaml: what the authorization server issues, and to whom."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self, TypeAlias

from cryptography.x509 import Name
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
    written,
)
from gateway.config.binding import bind, merged, prepare
from gateway.config.cross_checks import mapping
from gateway.config.gateway_fields import KeysUrl
from gateway.config.gateway_file import TlsConfig
from gateway.config.redaction import masked
from gateway.issuer.key_times import Plan
from gateway.issuer.keys import Algorithm
from gateway.issuer.scopes import Applicable, UnknownScopes, applicable_scopes
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


# The remedy does not show the value here either: a URL may hold a password.
_State = Annotated[
    Text,
    _checked(
        lambda text: "://" not in text or text.startswith("postgresql://"),
        "must be the path of a SQLite file, or a URL that begins with postgresql://",
    ),
]
_Lifetime = Annotated[Duration, at_least("1s"), at_most("1d")]
TokenFormat: TypeAlias = Literal["jwt", "opaque"]
TokenProfile: TypeAlias = Literal["rfc9068", "oracle"]


def _distinguished_name(text: str) -> str:
    try:
        Name.from_rfc4514_string(text)
    except ValueError:
        remedy = "write it as RFC 4514 has it, such as CN=batch,O=Example; other attributes by their numbers"
        raise ValueError(f"{shown(text)} is no subject: {remedy}") from None
    return text


def _ip_address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is no IP address") from None
    return text


class TlsClientAuthSettings(Section):
    """What a client's certificate must say, when an authority vouches for it: one of these (RFC 8705 §2.1.2)."""

    subject_dn: Annotated[Text, AfterValidator(_distinguished_name)] | None = Field(
        default=None, description="Its subject, as in RFC 4514."
    )
    san_dns: Text | None = Field(default=None, description="One of its DNS names.")
    san_uri: Text | None = Field(default=None, description="One of its URIs.")
    san_ip: Annotated[Text, AfterValidator(_ip_address)] | None = Field(
        default=None, description="One of its IP addresses."
    )
    san_email: Text | None = Field(default=None, description="One of its e-mail addresses.")

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

    type: Literal["trusted", "mobile"] = Field(
        description="A trusted application can keep a secret; a mobile or browser application is refused the grant."
    )
    name: Text | None = Field(default=None, description="What people call it.")
    grants: tuple[Literal["client_credentials"], ...] = Field(
        default=("client_credentials",), description="The grants that it may use; an empty list forbids all."
    )
    secret: _SecretHash | None = Field(
        default=None, repr=False, description="What `scopegate issuer hash-secret` prints; never the secret itself."
    )
    secrets: tuple[_SecretHash, ...] = Field(
        default=(), repr=False, description="More secrets that are taken, while one is replaced."
    )
    shared_secret: _SharedSecret | None = Field(
        default=None, repr=False, description="The secret itself, for client_secret_jwt: write ${file:/path}."
    )
    jwks: dict[str, Any] | None = Field(default=None, description="A JWK Set with the client's public keys.")
    jwks_uri: KeysUrl | None = Field(default=None, description="Where that JWK Set is, instead.")
    certificate: Text | None = Field(
        default=None, description="File with an X.509 certificate of the key that signs its assertions, as PEM."
    )
    certificate_alias: Text | None = Field(
        default=None, description="The `kid` under which assertions name that certificate."
    )
    tls_client_auth: TlsClientAuthSettings | None = Field(
        default=None, description="What the certificate must say that it shows in mutual TLS (RFC 8705)."
    )
    roles: UniqueStrings = Field(default=(), description="What it may do: names of application roles.")
    token_lifetime: _Lifetime | None = Field(default=None, description="How long its tokens are valid.")
    token_format: TokenFormat | None = Field(default=None, description="What its tokens look like.")
    dpop_bound_access_tokens: bool = Field(
        default=False, description="Refuse a request without a DPoP proof (RFC 9449)."
    )
    tls_client_certificate_bound_access_tokens: bool = Field(
        default=False, description="Bind its tokens to the certificate that it shows in mutual TLS (RFC 8705)."
    )
    introspect: bool = Field(
        default=False, description="It may ask about all tokens (RFC 7662); others only about their own."
    )

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

    token_lifetime: _Lifetime | None = Field(default=None, description="How long they are valid.")
    token_format: TokenFormat | None = Field(default=None, description="What they look like.")


class RotationSettings(Section):
    """When signing keys are replaced. A new key is published `publish_ahead` before it signs."""

    every: Annotated[Duration, at_least("1m")] | None = Field(
        default=None, description="How long a key signs; by default until it is replaced by command."
    )
    publish_ahead: Annotated[Duration, at_least("0s")] = written(
        "10m", "How long a new key is published before it signs."
    )


class IssuerSettings(Section):
    """The whole file; durations in seconds.

    `state` is a PostgreSQL URL, or a path relative to the working directory of the process; other paths are relative
    to the file.
    """

    listen: Address = Field(description="Where it listens.")
    issuer: _Issuer = Field(description="The `iss` of every token, and the base of its endpoints' addresses.")
    tls: TlsConfig | None = Field(
        default=None, description="Speak TLS where clients connect; by default it is plain HTTP."
    )
    state: _State = Field(
        repr=False, description="SQLite file with keys, used assertions and revocations, or a postgresql:// URL."
    )
    passphrase_file: Text | None = Field(
        default=None, description="File with the passphrase that encrypts the private keys in the state."
    )
    token_lifetime: _Lifetime = written("1h", "How long a token is valid.")
    token_format: TokenFormat = written("jwt", "What a token looks like: verified by anyone, or by asking here.")
    token_profile: TokenProfile = written(
        "rfc9068", "Which claims a JWT has: those of RFC 9068, or those of Oracle identity domains."
    )
    tenant: Text | None = Field(default=None, description="The tenant that tokens of the Oracle profile name.")
    signing_algorithm: Algorithm = written("RS256", "How tokens are signed.")
    rotation: RotationSettings = Field(default_factory=RotationSettings, description="When signing keys are replaced.")
    assertion_audience: Literal["lenient", "strict"] = written(
        "lenient", "Whether an assertion's `aud` may be the token endpoint, or has to be the issuer."
    )
    unknown_scopes: UnknownScopes = written(
        "refuse", "Whether scopes that the roles do not give are refused, or left out of the token."
    )
    issuance_log: Text | None = Field(
        default=None, description="File for one JSON line a token request; - is standard output."
    )
    log_hash_key: Text | None = Field(
        default=None,
        repr=False,
        description="Secret that keys the hash of token ids in the log: write ${NAME} or ${file:/path}.",
    )
    resources: dict[str, dict[str, str]] = Field(
        min_length=1, description="Each API (the token's `aud`), with the scopes that it defines and their meaning."
    )
    resource_settings: dict[str, ResourceSettings] = Field(
        default_factory=dict, description="How tokens for one resource differ, by audience."
    )
    roles: dict[str, UniqueStrings] = Field(
        default_factory=dict, description="Application roles: which scopes each gives."
    )
    clients: dict[str, ClientSettings] = Field(repr=False, description="The applications that may ask, by client id.")

    def applicable(self, client: ClientSettings) -> Applicable:
        """Audience -> the scopes that the client's roles give it there."""
        granted = {scope for role in client.roles for scope in self.roles[role]}
        return applicable_scopes(self.resources, granted)

    def lifetime(self, client: ClientSettings, audience: str) -> int:
        """Seconds that a token lives: the shorter of what client and resource say, else what the file says for all."""
        resource = self.resource_settings.get(audience, _NOTHING_SPECIAL)
        said = [each for each in (client.token_lifetime, resource.token_lifetime) if each is not None]
        return int(min(said, default=self.token_lifetime))

    @property
    def longest_lifetime(self) -> float:
        """Seconds that a token may live at most, whoever gets it for whatever resource."""
        of_clients = [client.token_lifetime or 0.0 for client in self.clients.values()]
        of_resources = [resource.token_lifetime or 0.0 for resource in self.resource_settings.values()]
        return max(self.token_lifetime, *of_clients, *of_resources)

    @property
    def key_plan(self) -> Plan:
        """When which key signs."""
        rotation = self.rotation
        return Plan(self.signing_algorithm, rotation.every, rotation.publish_ahead, self.longest_lifetime)

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
    elif (fault := settings.key_plan.fault) is not None:
        errors = merged(errors, [document.error(("rotation", "every"), fault)])
    root = mapping(document.data)
    errors = merged(errors, [document.error(path, masked(document, path, text)) for path, text in faults(root)])
    return errors if errors or isinstance(settings, list) else settings
