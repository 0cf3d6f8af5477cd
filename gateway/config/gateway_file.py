"""The gateway's own file: its models, and `parse`."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from gateway.config.binding import MisplacedError, Section, bind, merged, prepare
from gateway.config.credentials import CredentialsConfig, credentials_check
from gateway.config.cross_checks import cross_check
from gateway.config.demand_fields import HOURS_SCHEMA, Clients, Day, ScopeTerm, Times, Zone, hours_as_mapping
from gateway.config.errors import ConfigError
from gateway.config.fields import Address, ByteSize, Duration, StringOrList, Text, at_least, at_most, written
from gateway.config.gateway_fields import (
    ALGORITHMS,
    DEFAULT_ADDRESSES,
    SCOPES_SCHEMA,
    WEBSOCKET_SCHEMA,
    Algorithm,
    ClaimValues,
    HealthPath,
    Hosts,
    IpNetwork,
    IssuerUrl,
    KeysUrl,
    Method,
    Origin,
    Origins,
    PathOddity,
    PathTemplate,
    Revocations,
    ServerName,
    Statuses,
    TokenCookie,
    TokenField,
    each_once,
    scopes_as_mapping,
    websocket_as_mapping,
)
from gateway.config.reading import Document
from gateway.config.route_groups import single_routes
from gateway.config.rule_tests import Case
from gateway.policy.circumstances import DAYS
from gateway.policy.model import CLIENT_CLAIMS, SCOPE_CLAIMS

FILE = "config/gateway.yaml"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Timeout = Annotated[Duration, at_least("1ms")]
ScopeTerms = Annotated[tuple[ScopeTerm, ...], Field(min_length=1), AfterValidator(each_once)]
Paths = Annotated[tuple[Text, ...], AfterValidator(each_once)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


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


class IntrospectionCacheConfig(Section):
    """How long the issuer's word about a token counts."""

    active_for: Annotated[Duration, at_least("1s"), Field(alias="for")] = written(
        "1m", "How long a token that the issuer calls active is taken without asking again; never past its exp."
    )
    negative_for: Annotated[Duration, at_most("5m")] = written(
        "5s", "How long a token that was refused is refused again without asking."
    )
    size: Count = Field(default=10_000, description="Most refused tokens to remember, per process.")


class IntrospectionConfig(Section):
    """How the issuer is asked about tokens (RFC 7662)."""

    endpoint: KeysUrl | None = Field(
        default=None, description="Where it is asked. By default found by discovery (RFC 8414)."
    )
    credentials: Text = Field(description="Name of the credentials with which the gateway asks.")
    present: Literal["client", "token"] = written(
        "client", "Whether the gateway authenticates as that client, or with a token that the client obtains."
    )
    jwt: bool = Field(default=False, description="Ask for signed answers, and take no others (RFC 9701).")
    jwt_tokens: Literal["verify", "ask", "refuse"] = written(
        "verify", "This issuer's JWTs: verify them with its keys, ask about them, too, or take none."
    )
    cache: IntrospectionCacheConfig = written({}, "How long answers are remembered.")
    timeout: Annotated[Duration, at_least("10ms"), at_most("1m")] = written("5s", "Time for one question.")
    max_requests: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=64, description="Most questions under way, per process; tokens beyond them are answered 503."
    )


class IssuerConfig(Section):
    """One issuer whose tokens are taken."""

    issuer: IssuerUrl = Field(description="The issuer's identifier, compared byte for byte with the claim `iss`.")
    embedded: Text | None = Field(
        default=None, description="Start the embedded authorization server with this file, relative to this one."
    )
    audience: StringOrList = Field(
        description="Who the token must be meant for: one match with the claim `aud` suffices."
    )
    jwks_uri: KeysUrl | None = Field(
        default=None, description="Where the issuer publishes its keys. By default found by discovery (RFC 8414)."
    )
    jwks_file: Text | None = Field(
        default=None, description="A file with the issuer's keys, as JWK Set or PEM, relative to this one."
    )
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1), AfterValidator(each_once)] = Field(
        default=ALGORITHMS, description="Signature algorithms that are accepted, all of them asymmetric."
    )
    leeway: Annotated[Duration, at_most("5m")] = written(
        "0s", "By how much the issuer's clock and ours may differ; at most 5m."
    )
    typ: Literal["any", "at+jwt"] = written(
        "any", "The token's `typ`: `at+jwt` demands RFC 9068; many issuers send `JWT` or none."
    )
    required_claims: Paths = Field(default=(), description="Claims that a token has to carry, whatever their value.")
    claims: dict[Text, ClaimValues] = Field(
        default={}, description="What a claim has to be, or (a list) to hold: a value, or a list of which one suffices."
    )
    client_claims: Paths = Field(
        default=CLIENT_CLAIMS, description="Where the client's identifier is; the first claim that is there counts."
    )
    scope_claims: Paths = Field(
        default=SCOPE_CLAIMS, description="Where the scopes are; the first claim that is there counts."
    )
    scope_prefix: Text | None = Field(
        default=None, description="What every scope begins with in the token, and not in the routes; others count not."
    )
    max_lifetime: Duration | None = Field(default=None, description="Longest time from `iat` to `exp` that is taken.")
    max_age: Duration | None = Field(default=None, description="Longest time since `iat`; a token ends with it.")
    keys_refresh: Annotated[Duration, at_least("1s")] = written(
        "5m", "How often keys are fetched at least; the issuer's Cache-Control may shorten it."
    )
    keys_refresh_min: Timeout = written(
        "30s", "How often keys are fetched at most, whatever the issuer's Cache-Control says."
    )
    keys_stale_for: Duration = written("24h", "How long keys are used while they cannot be fetched anew.")
    metadata: KeysUrl | None = Field(
        default=None, description="Where the issuer's metadata is, if it is not where `issuer` says (RFC 8414)."
    )
    unknown_key_cooldown: Timeout = written(
        "30s", "After a fetch for an unknown key, the time until unknown keys may cause another."
    )
    keys_timeout: Timeout = written("5s", "Time for one fetch of keys.")
    keys_credentials: Text | None = Field(
        default=None, description="Name of the credentials whose token a fetch of keys bears; by default it bears none."
    )
    revocations: Revocations = written(
        "auto", "Where the issuer tells which tokens it revoked: auto asks its metadata, a URL is asked as it is."
    )
    introspection: IntrospectionConfig | None = Field(
        default=None, description="Take opaque tokens, too: the issuer is asked about them (RFC 7662)."
    )


class UpstreamTlsConfig(Section):
    """TLS towards an upstream whose url begins with https. Its certificate is always verified."""

    ca: Text | None = Field(
        default=None, description="File with the authorities to trust, as PEM; by default those of the system."
    )
    certificate: Text | None = Field(
        default=None, description="File with the client certificate to show, as PEM; needs key."
    )
    key: Text | None = Field(default=None, description="File with that certificate's private key, as PEM.")
    server_name: ServerName | None = Field(
        default=None, description="Name to ask for and to find in the certificate; by default the url's host."
    )


class HealthCheckConfig(Section):
    """How a target is asked for its health."""

    path: HealthPath = Field(description="What is asked for, with GET; a query may follow.")
    interval: Annotated[Duration, at_least("10ms")] = written("5s", "From one check to the next.")
    timeout: Timeout = written("2s", "Time for one check, the connection included.")
    healthy_after: Count = Field(default=1, description="Good checks in a row that bring a target back.")
    unhealthy_after: Count = Field(default=2, description="Failed checks in a row that take a target out.")
    status: Statuses = written("200-399", "Which statuses are good: a range, or a list of statuses and ranges.")


class EjectionConfig(Section):
    """When a target is left alone because requests fail there."""

    failures: Count = Field(default=5, description="Failures in a row that eject a target.")
    seconds: Timeout = Field(default="10s", alias="for", description="Time until one request tries it again.")  # type: ignore[assignment]  # spelt as in YAML
    count_5xx: bool = Field(default=False, description="Count the target's own answers from 500 on, too.")


class UpstreamConfig(Section):
    """One API behind the gateway."""

    url: Origin | None = Field(default=None, description="Scheme, host and port of the API, without a path.")
    urls: Origins | None = Field(
        default=None, description="Instead of url: two or more targets, each of which can answer every request."
    )
    connect_timeout: Timeout = written("5s", "Time to open a connection.")
    first_byte_timeout: Timeout = written("60s", "Time from the request's end to the answer's head.")
    idle_timeout: Timeout = written("60s", "Longest pause between two parts of an answer.")
    total_timeout: Timeout | None = Field(
        default=None, description="Time for the whole of a request and its answer; by default unbounded."
    )
    max_connections: Count = Field(default=100, description="Most connections to each target, per process.")
    max_waiting: Count = Field(default=1_000, description="Most requests that wait for a connection, per process.")
    preserve_host: bool = Field(
        default=False, description="Send the client's Host field instead of the upstream's own."
    )
    health_check: HealthCheckConfig | None = Field(
        default=None, description="Ask each target for its health, beside the requests."
    )
    ejection: EjectionConfig | None = Field(
        default=None, description="Leave a target alone where requests fail. By default so with urls, not with url."
    )

    @property
    def origins(self) -> tuple[str, ...]:
        """All targets."""
        return self.urls or ((self.url,) if self.url is not None else ())

    tls: UpstreamTlsConfig | None = Field(default=None, description="What TLS needs to know beyond the url.")
    credentials: Text | None = Field(
        default=None, description="Name of the credentials whose token is sent in place of the caller's."
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


class ScopesConfig(Section):
    """Scopes that a route demands; both conditions hold together. Either list may hold such sections, too."""

    all_of: ScopeTerms = Field(default=(), alias="all", description="Every one of these.", validate_default=False)
    any_of: ScopeTerms = Field(default=(), alias="any", description="At least one of these.", validate_default=False)


class WebSocketConfig(Section):
    """How long a WebSocket may last."""

    idle_timeout: Timeout = written("5m", "Longest time without a byte in either direction.")
    end_at_expiry: bool = Field(default=True, description="End it when the token expires with which it was opened.")


class TokenFromConfig(Section):
    """Where a route's token is, if not in Authorization: exactly one of these."""

    header: TokenField | None = Field(default=None, description="Name of a field that holds the token, and no other.")
    cookie: TokenCookie | None = Field(
        default=None, description="Name of a cookie; unsafe methods then need a page of the gateway's own origin."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise MisplacedError(((), "must name exactly one place: write {header: X-Api-Token} or {cookie: NAME}"))
        return self


class HoursConfig(Section):
    """At which times a route takes requests."""

    times: Times = Field(description="Windows of the day: 08:00-18:00, or a list of such.")
    days: Annotated[tuple[Day, ...], Field(min_length=1), AfterValidator(each_once)] = Field(
        default=DAYS, description="Days of the week on which they begin."
    )
    zone: Zone = Field(default="UTC", description="Whose clocks show these times, such as Europe/Berlin.")


class RouteConfig(Section):
    """One entry of the route table."""

    id: Name = Field(description="The route's name in log, metrics and explanations.")
    methods: Annotated[tuple[Method, ...], Field(min_length=1), AfterValidator(each_once)] | None = Field(
        default=None, description="HTTP methods; by default GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS."
    )
    host: Hosts | None = Field(
        default=None,
        description="Host that the request names, a list of hosts, or *.example.com; by default any.",
    )
    path: PathTemplate = Field(
        description="Path template: {x} is one segment, {x:int}, {x:uuid}, {x:[a-z]+} one of a kind, {x...} the rest."
    )
    issuers: Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(each_once)] | None = Field(
        default=None, description="Names of the issuers whose tokens are taken; by default every issuer."
    )
    scopes: Annotated[ScopesConfig, BeforeValidator(scopes_as_mapping), SCOPES_SCHEMA] | None = Field(
        default=None, description="Scopes that the token must carry: a list of all, or {all: [...], any: [...]}."
    )
    public: bool = Field(default=False, description="Open to everyone: no token is asked for, and none is looked at.")
    deny: bool = Field(default=False, description="Closed to everyone, whatever routes below would take.")
    scope_match: Literal["exact", "hierarchic", "wildcard"] = Field(
        default="exact", description="Which scopes grant a demanded one: itself, those above it, too, or jobs.*, too."
    )
    networks: Annotated[tuple[IpNetwork, ...], Field(min_length=1), AfterValidator(each_once)] | None = Field(
        default=None,
        description="Networks from which requests are taken, of public routes, too; by default any.",
    )
    hours: Annotated[HoursConfig, BeforeValidator(hours_as_mapping), HOURS_SCHEMA] | None = Field(
        default=None,
        description="Times at which requests are taken: 08:00-18:00, or {times: ..., zone: ...}.",
    )
    clients: Clients | None = Field(
        default=None, description="Clients that may enter: a list, or {ISSUER: [...]} where several issuers are taken."
    )
    claims: dict[Text, ClaimValues] = Field(
        default={}, description="What claims have to be, or (lists) to hold: values, or a variable of the path, {name}."
    )
    require_proof: Literal["dpop", "mtls"] | None = Field(
        default=None,
        description="Demand a token that is bound to its sender's key, and the proof; by default by token.",
    )
    token_from: TokenFromConfig | None = Field(
        default=None, description="Take the token from here alone: {header: NAME} or {cookie: NAME}."
    )
    acr: tuple[Text, ...] = Field(default=(), description="Demand that the token's `acr` is one of these (RFC 9470).")
    max_age: Duration | None = Field(
        default=None, description="Demand that the token's `auth_time` is at most so long ago (RFC 9470)."
    )
    upstream: Text | None = Field(
        default=None, description="Name of the upstream that answers; required, unless the route says deny: true."
    )
    forward_token: bool = Field(
        default=False, description="Send the token on to the upstream, in the field that it came in."
    )
    allow_in_path: Annotated[tuple[PathOddity, ...], AfterValidator(each_once)] = Field(
        default=(), description="Doubtful forms of a path that this route accepts."
    )
    websocket: Annotated[WebSocketConfig | None, BeforeValidator(websocket_as_mapping), WEBSOCKET_SCHEMA] = Field(
        default=None, description="Take WebSockets here: true, or {idle_timeout: 10m, end_at_expiry: false}."
    )
    max_body: ByteSize | None = Field(
        default=None, description="Most bytes of a request's body; by default any number, since bodies are streamed."
    )

    @model_validator(mode="after")
    def _websocket_begins_with_get(self) -> Self:
        if self.websocket is not None and self.methods is not None and "GET" not in self.methods:
            remedy = "add it to methods, or remove websocket"
            raise MisplacedError((("websocket",), f"needs GET, with which every WebSocket begins: {remedy}"))
        return self


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


def parse(text: str, file: str = FILE, environ: Mapping[str, str] | None = None) -> GatewayConfig | list[ConfigError]:
    """Read the gateway's file.

    Relative paths in it stay as they are written: they are relative to the directory of `file`.

    Args:
        text: the file's text.
        file: what errors call the file.
        environ: variables for `${NAME}`; none by default.

    Returns:
        The configuration, or every fault of the file in its order.
    """
    document, errors = documented(text, file, environ or {})
    if document is None:
        return errors
    config = bind(GatewayConfig, document)
    if isinstance(config, list):
        # Routes that could not be read leave a gap, which is no fault of its own.
        errors = merged(errors, [error for error in config if not errors or error.key != "routes"])
    errors = merged(errors, [*cross_check(document), *credentials_check(document)])
    return errors if errors or isinstance(config, list) else config


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
