"""A route in the gateway's file: which requests it is for, what it demands, and where they go."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.binding import MisplacedError, Section
from gateway.config.cors_section import CorsConfig
from gateway.config.demand_fields import HOURS_SCHEMA, Clients, Day, ScopeTerm, Times, Zone, hours_as_mapping
from gateway.config.fields import ByteSize, Duration, Name, Text, Timeout, written
from gateway.config.gateway_fields import (
    SCOPES_SCHEMA,
    WEBSOCKET_SCHEMA,
    ClaimValues,
    Hosts,
    IpNetwork,
    Method,
    PathOddity,
    PathTemplate,
    TokenCookie,
    TokenField,
    each_once,
    scopes_as_mapping,
    websocket_as_mapping,
)
from gateway.config.match_fields import Fields
from gateway.config.mode_fields import RouteMode
from gateway.config.rate_section import RateLimits
from gateway.config.route_way import ClaimFields, RewriteConfig, TimeoutsConfig
from gateway.policy.circumstances import DAYS

ScopeTerms = Annotated[tuple[ScopeTerm, ...], Field(min_length=1), AfterValidator(each_once)]


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
    audiences: Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(each_once)] | None = Field(
        default=None, description="Audiences of which one has to be in `aud`; by default any of the token's issuer."
    )
    fields: Fields | None = Field(
        default=None,
        description="What fields of the request have to be: a value, a list of them, true (any) or false (not there).",
    )

    mode: RouteMode = written("enforce", "What becomes of refusals: enforce, shadow, or grace until DATE.")
    grace_clients: Clients | None = Field(
        default=None, description="Clients that still enter until the date of mode: grace, in the form of clients."
    )

    rewrite: RewriteConfig | None = Field(
        default=None, description="Let paths go on with another beginning: {prefix: /maintenance, to: /v2}."
    )
    claim_fields: ClaimFields | None = Field(
        default=None, description="Tell the upstream claims of the token, each in a field: {X-Tenant: tenant}."
    )
    timeouts: TimeoutsConfig | None = Field(
        default=None, description="How long the upstream may take here: {first_byte: 5m}; goes before its own timeouts."
    )

    cors: CorsConfig | None = Field(
        default=None, description="What pages of other origins may do here; the gateway then answers preflights."
    )

    rate_limits: RateLimits = Field(
        default=(), description="How often one caller may call: a list of such as {limit: 100/minute, by: client}."
    )

    @model_validator(mode="after")
    def _websocket_begins_with_get(self) -> Self:
        if self.websocket is not None and self.methods is not None and "GET" not in self.methods:
            remedy = "add it to methods, or remove websocket"
            raise MisplacedError((("websocket",), f"needs GET, with which every WebSocket begins: {remedy}"))
        return self
