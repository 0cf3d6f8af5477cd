"""The gateway's own file: its model as a whole, and `parse`."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints

from gateway.config.binding import Section, bind, merged, prepare
from gateway.config.credentials import CredentialsConfig, credentials_check
from gateway.config.cross_checks import cross_check
from gateway.config.errors import ConfigError
from gateway.config.fields import Address, ByteSize, Count, Duration, Name, Text, Timeout, at_least, at_most, written
from gateway.config.gateway_fields import DEFAULT_ADDRESSES, IpNetwork, Origin
from gateway.config.issuer_section import IssuerConfig
from gateway.config.reading import Document
from gateway.config.route_groups import single_routes
from gateway.config.route_section import RouteConfig
from gateway.config.rule_tests import Case
from gateway.config.upstream_section import UpstreamConfig

FILE = "config/gateway.yaml"


class Limits(Section):
    """What one client may take up."""

    head_bytes: Annotated[ByteSize, Field(ge=1024, le=1 << 20)] = written(
        "32KiB", "Most bytes of a request line and its fields; more is refused."
    )
    head_timeout: Timeout = written("10s", "Time for a request's head to arrive.")
    body_idle_timeout: Timeout = written("60s", "Longest pause between two parts of a request's body.")
    body_timeout: Timeout = written("10m", "Longest time in which less than 64 KiB of a request's body come.")
    keep_alive_timeout: Timeout = written("75s", "How long an idle client connection stays open.")
    connections: Count = Field(default=10_000, description="Most client connections at a time, per process.")
    requests: Count = Field(default=5_000, description="Most requests in flight, per process; more are answered 503.")


class TlsConfig(Section):
    """TLS towards clients. Files are relative to this one, and taken anew when they change."""

    certificate: Text = Field(description="File with the certificate chain as PEM, the gateway's own first.")
    key: Text = Field(description="File with the certificate's private key as PEM, without a passphrase.")
    client_ca: Text | None = Field(
        default=None, description="File with the authorities that vouch for clients' certificates, as PEM."
    )
    client_certificate: Literal["required", "optional", "none"] = written(
        "none", "Whether a client has to show a certificate, may show one, or is not asked for one."
    )


class ProofsConfig(Section):
    """How the senders of bound tokens prove that they may use them (RFC 9449, RFC 8705)."""

    nonces: bool = Field(default=False, description="Demand that DPoP proofs bear a nonce that the gateway gave out.")
    max_age: Annotated[Duration, at_least("1s"), at_most("5m")] = written(
        "60s", "How old a DPoP proof may be; so long is it remembered, so that it is taken once."
    )
    certificate_field: bool = Field(
        default=False, description="Believe trusted proxies that tell of their client's certificate (Client-Cert)."
    )


class ReloadConfig(Section):
    """How a changed configuration is taken while the gateway runs."""

    watch: bool = Field(
        default=True, description="Take changed files by themselves; with false, only at SIGHUP or scopegate reload."
    )
    newly_allowed: Literal["take", "refuse"] = Field(
        default="take", description="Whether a reload may let in requests that are kept out so far."
    )


class GatewayConfig(Section):
    """Scopegate's configuration: where it listens, whom it trusts, what it protects."""

    listen: Address = written(DEFAULT_ADDRESSES["listen"], "Where clients connect.")
    admin: Address = written(
        DEFAULT_ADDRESSES["admin"], "The operator's page, metrics and health; keep it off public networks."
    )
    tls: TlsConfig | None = Field(
        default=None, description="Speak TLS where clients connect; by default it is plain HTTP."
    )
    access_log: Text = written(
        "logs/access.jsonl", "File for access records, one JSON object a line; - is standard output."
    )
    log_hash_key: Text | None = Field(
        default=None,
        repr=False,
        description="Secret that keys the hash of token ids in the log: write ${NAME} or ${file:/path}.",
    )
    realm: Annotated[str, StringConstraints(pattern=r"^[ !#-\[\]-~]{1,64}$")] = written(
        "scopegate", "The realm that a refusal's challenge names (RFC 9110 §11.5)."
    )
    public_url: Origin | None = Field(
        default=None,
        description="Where clients reach the gateway: DPoP proofs name it, and its metadata (RFC 9728) are then told.",
    )
    proofs: ProofsConfig = Field(default_factory=ProofsConfig, description="How bound tokens are proven.")
    trusted_proxies: tuple[IpNetwork, ...] = Field(
        default=(), description="Networks whose forwarding fields (X-Forwarded-For and the like) are believed."
    )
    drain_timeout: Duration = written("30s", "At shutdown, time for requests in flight to end.")
    reload: ReloadConfig = Field(
        default_factory=ReloadConfig, description="How a changed configuration is taken while the gateway runs."
    )
    token_cache: Count = Field(default=50_000, description="Most verified tokens to remember, per process.")
    keys_cache: Text | None = Field(
        default=None,
        description="Folder where fetched keys are kept, so that a restart can do without the issuer.",
    )
    limits: Limits = Field(default_factory=Limits, description="Bounds on what one client may take up.")
    issuers: dict[Name, IssuerConfig] = Field(default={}, description="Trusted issuers, by a name of your choice.")
    credentials: dict[Name, CredentialsConfig] = Field(
        default={}, description="Clients that the gateway itself is towards issuers, by a name of your choice."
    )
    upstreams: Annotated[dict[Name, UpstreamConfig], Field(min_length=1)] = Field(
        description="The APIs behind the gateway, by a name of your choice."
    )
    routes: Annotated[tuple[RouteConfig, ...], Field(min_length=1)] = Field(
        description="Who may call what. The first match wins; what matches no route is refused."
    )
    tests: tuple[Case, ...] = Field(
        default=(), description="Cases that the rules have to satisfy; where one fails, the gateway does not start."
    )


class GatewayFile(NamedTuple):
    """The gateway's file, read: what it means, and where everything in it stands."""

    config: GatewayConfig
    document: Document


def parse(text: str, file: str = FILE, environ: Mapping[str, str] | None = None) -> GatewayConfig | list[ConfigError]:
    """The configuration alone, read as by `read_gateway_file`; `environ` is empty unless given."""
    read = read_gateway_file(text, file, environ or {})
    return read.config if isinstance(read, GatewayFile) else read


def read_gateway_file(text: str, file: str, environ: Mapping[str, str]) -> GatewayFile | list[ConfigError]:
    """Read the gateway's file.

    Relative paths in it stay as they are written: they are relative to the directory of `file`.

    Args:
        text: the file's text.
        file: what errors call the file.
        environ: variables for `${NAME}`.

    Returns:
        What it says, or every fault of the file in its order.
    """
    document, errors = documented(text, file, environ)
    if document is None:
        return errors
    config = bind(GatewayConfig, document)
    if isinstance(config, list):
        # Routes that could not be read leave a gap, which is no fault of its own.
        errors = merged(errors, [error for error in config if not errors or error.key != "routes"])
    errors = merged(errors, [*cross_check(document), *credentials_check(document)])
    return errors if errors or isinstance(config, list) else GatewayFile(config, document)


def documented(text: str, file: str, environ: Mapping[str, str]) -> tuple[Document | None, list[ConfigError]]:
    """What the file says, as plain data with its places, and with nothing but single routes in its list.

    Returns:
        The document, None where the text can't be read at all; and what is wrong so far.
    """
    document, errors = prepare(text, file, environ)
    if document is None:
        return None, errors
    document, unread = single_routes(document, environ)
    return document, merged(errors, unread)


def included_by(text: str, file: str, environ: Mapping[str, str]) -> tuple[FilePath, ...]:
    """The files that the file includes, and the folders in which more of them could appear."""
    document = documented(text, file, environ)[0] if "include" in text else None
    return () if document is None else document.included
