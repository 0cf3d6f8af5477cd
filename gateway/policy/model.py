"""The nouns of the journey. All are immutable: what has been judged can't change afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from gateway.policy.circumstances import Hours, Network
from gateway.policy.claim_fields import ClaimField
from gateway.policy.cors import Cors
from gateway.policy.fields import FieldCondition
from gateway.policy.path_rewrite import PathRewrite
from gateway.policy.paths import Oddity
from gateway.policy.rates import RateLimit
from gateway.policy.scopes import ScopeGroup, ScopeMatch, granting, named


class RequestHead(NamedTuple):
    """What is judged of a request. The body is never looked at.

    Attributes:
        method: as received; methods are case-sensitive (RFC 9110 §9.1).
        target: the request target as received; it goes on like that, but for what the route's `rewrite` replaces.
        path: its canonical path, for matching.
        query: all after the first `?`.
        oddities: forms of the path that only a route that names them accepts.
        host: the Host field, or "" where an HTTP/1.0 client sent none.
        authorization: the value of every Authorization field.
        dpop: the value of every DPoP field (RFC 9449 §4.1).
        client_cert: the value of every Client-Cert field (RFC 9440 §2.2); worth what the peer is worth.
        fields: those without a meaning of their own here, which go on: a route may take its token from one.
        upgrades: whether it asks for another protocol.
        forwarding: fields that describe the way of the request to here; worth what the peer is worth.
    """

    method: str
    target: str
    path: str
    query: str
    oddities: frozenset[Oddity]
    host: str
    authorization: tuple[bytes, ...]
    dpop: tuple[bytes, ...] = ()
    client_cert: tuple[bytes, ...] = ()
    fields: Sequence[tuple[bytes, bytes]] = ()
    upgrades: bool = False
    forwarding: Sequence[tuple[bytes, bytes]] = ()


Scheme = Literal["Bearer", "DPoP"]
"""Under which an access token is sent (RFC 6750 §2.1, RFC 9449 §7.1)."""

Proof = Literal["dpop", "mtls"]
"""How a sender proves to hold the key that a token is bound to (RFC 9449, RFC 8705)."""


@dataclass(frozen=True, slots=True)
class TokenFrom:
    """Where a route's token is, if not in Authorization.

    Attributes:
        kind: what it is in.
        name: of the field or cookie; a cookie's is case-sensitive.
    """

    kind: Literal["header", "cookie"]
    name: str

    def __str__(self) -> str:
        return f"{'field' if self.kind == 'header' else 'cookie'} {self.name}"


class BearerToken(NamedTuple):
    """A token as it was sent. It is shown nowhere, its repr included."""

    value: bytes
    scheme: Scheme = "Bearer"

    def __repr__(self) -> str:
        return "BearerToken(***)"

    def __str__(self) -> str:
        return repr(self)


CLIENT_CLAIMS = ("client_id", "azp", "appid", "cid")
"""Where issuers put the client's identifier: RFC 9068; OpenID Connect, Keycloak, Auth0; Entra 1.0; Okta."""

SCOPE_CLAIMS = ("scope", "scp")
"""Where issuers put the scopes: RFC 8693 §4.2 (Keycloak, Oracle, Auth0); Entra, Okta."""

ClaimValue = str | int | bool


class PathVariable(NamedTuple):
    """A variable of the route's path, in the place of a value.

    Attributes:
        name: as the template has it.
        at: which of the path's segments it stands for, counted from 0.
    """

    name: str
    at: int


class ClaimCondition(NamedTuple):
    """What a claim has to be, or (a list) to hold: one of these values."""

    claim: str
    one_of: tuple[ClaimValue | PathVariable, ...]


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer whose tokens are taken, and on which terms.

    A claim is named by its path: `realm_access.roles` is the member of a member, unless a member bears that very name.

    Attributes:
        name: its key in the configuration.
        issuer: compared exactly with `iss`.
        audiences: one of them has to be in `aud`.
        algorithms: JWS algorithm names (RFC 7518 §3.1, RFC 8037, RFC 9864) that are accepted.
        leeway: seconds by which the clocks may differ.
        token_types: accepted `typ` values in lower case without `application/`; empty accepts any, and none.
        required_claims: have to be there, whatever their value.
        conditions: what a claim has to be, or (a list) to hold: one of these values.
        client_claims: where the client's identifier is; the first one that is there counts.
        scope_claims: where the scopes are; the first one that is there counts.
        scope_prefix: which every scope bears in the token, and none in a rule (Oracle: the audience); a scope without
            it grants nothing.
        max_lifetime: seconds from `iat` to `exp` at most; None for any.
        max_age: seconds since `iat` at most; None for any.
        kept_claims: that some route sets a condition on.
        told_claims: that some route tells its upstream in a field.
    """

    name: str
    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    leeway: float = 0.0
    token_types: frozenset[str] = frozenset()
    required_claims: tuple[str, ...] = ()
    conditions: tuple[tuple[str, tuple[ClaimValue, ...]], ...] = ()
    client_claims: tuple[str, ...] = CLIENT_CLAIMS
    scope_claims: tuple[str, ...] = SCOPE_CLAIMS
    scope_prefix: str = ""
    max_lifetime: float | None = None
    max_age: float | None = None
    kept_claims: tuple[str, ...] = ()
    told_claims: tuple[str, ...] = ()


class Confirmation(NamedTuple):
    """The keys that a token is bound to, as SHA-256 thumbprints in base64url; None where it is not (RFC 7800 §3).

    Attributes:
        jkt: of the key that signs DPoP proofs (RFC 9449 §6.1).
        x5t_s256: of the client's certificate (RFC 8705 §3.1).
    """

    jkt: str | None
    x5t_s256: str | None


class Claims(NamedTuple):
    """A token's verified claims. To hold one means that verification passed.

    Attributes:
        issuer_name: the TrustedIssuer's name.
        issuer: `iss`.
        subject: `sub`, or "".
        client_id: `client_id` or what the issuer calls it, or "".
        audience: `aud`, always as a tuple.
        scopes: the granted scopes in the token's order, those of RFC 6749 §3.3's grammar only.
        expires_at: `exp` in seconds since the epoch.
        not_before: the later of `nbf` and `iat`, or None.
        jti: `jti`, or "".
        confirmation: `cnf`: to which keys the token is bound; None where it is a bearer token.
        acr: `acr`, how the subject was authenticated (RFC 9470 §6), or "".
        auth_time: when that was, in seconds since the epoch, or None.
        issued_at: `iat`, or None.
        ends_by_age: whether it ends by its issuer's `max_age`, ahead of `exp`.
        kept: of the issuer's `kept_claims` those that are there: each with its value, or the values that it lists.
        told: the issuer's `told_claims`, each as the value of a field, see `claim_fields.field_text`.
    """

    issuer_name: str
    issuer: str
    subject: str
    client_id: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    expires_at: float
    not_before: float | None
    jti: str
    issued_at: float | None = None
    confirmation: Confirmation | None = None
    acr: str = ""
    auth_time: float | None = None
    ends_by_age: bool = False
    kept: tuple[tuple[str, tuple[ClaimValue, ...]], ...] = ()
    told: tuple[tuple[str, str], ...] = ()

    @property
    def scope_set(self) -> frozenset[str]:
        """The granted scopes, for comparison."""
        return _scope_set(self.scopes)


@lru_cache(maxsize=1024)
def _scope_set(scopes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(scopes)


_granting = lru_cache(maxsize=4096)(granting)


ModeName = Literal["enforce", "shadow", "grace"]


@dataclass(frozen=True, slots=True)
class Mode:
    """How a route's refusals are taken.

    Attributes:
        name: of the mode.
        until: when grace ends, in seconds since the epoch; of no meaning elsewhere.
        clients: issuer and client id of those who are in grace.
    """

    name: ModeName = "enforce"
    until: float = 0.0
    clients: frozenset[tuple[str, str]] = frozenset()


ENFORCE = Mode()


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route demands.

    Attributes:
        public: no token is asked for, and none is looked at.
        deny: nobody enters, and no token is looked at.
        issuers: names of the issuers whose tokens are taken.
        asks: the one of them that is asked about opaque tokens (RFC 7662); None where none is.
        all_of: scopes that the token must carry, every one, in the file's order.
        any_of: scopes of which the token must carry at least one; empty demands none.
        require_proof: how the sender has to prove that the token is its own; None takes bearer tokens, too.
        acr: of which one has to be the token's `acr`; empty demands none (RFC 9470 §3).
        max_age: seconds since `auth_time` at most; None for any.
        token_from: where the token is; None for Authorization.
        clients: issuer and client id of those that enter; None for any.
        conditions: on claims, all of which hold.
        networks: from which requests are taken; none for any.
        hours: at which requests are taken; None for any.
        mode: how a refusal is taken.
        nested: further scopes, every one of the groups.
        scope_match: which scopes of a token grant those that are demanded.
        audiences: issuer and audience of the tokens that are taken; None for any that the issuer is trusted for.
        scopes_named: every scope of those lists and groups, each once.
        compares_plainly: whether the two lists are all of it, and a scope grants itself alone.
        takes_token: whether a token is demanded, wherever it is.
        is_plain: whether a token is demanded, in Authorization.
        is_bounded: whether it demands something of where or when a request comes from, a public one included.
        has_conditions: whether it demands a client, or something of claims.
        is_demanding: whether it demands more than an issuer and scopes.
    """

    public: bool = False
    issuers: frozenset[str] = frozenset()
    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    require_proof: Proof | None = None
    acr: tuple[str, ...] = ()
    max_age: float | None = None
    token_from: TokenFrom | None = None
    asks: str | None = None
    deny: bool = False
    clients: frozenset[tuple[str, str]] | None = None
    conditions: tuple[ClaimCondition, ...] = ()
    nested: tuple[ScopeGroup, ...] = ()
    scope_match: ScopeMatch = "exact"
    networks: tuple[Network, ...] = ()
    hours: Hours | None = None
    mode: Mode = ENFORCE
    audiences: frozenset[tuple[str, str]] | None = None
    scopes_named: tuple[str, ...] = field(init=False, repr=False)
    compares_plainly: bool = field(init=False, repr=False)
    takes_token: bool = field(init=False, repr=False)
    is_plain: bool = field(init=False, repr=False)
    is_bounded: bool = field(init=False, repr=False)
    has_conditions: bool = field(init=False, repr=False)
    is_demanding: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        in_groups = [scope for group in self.nested for scope in named(group)]
        object.__setattr__(self, "scopes_named", tuple(dict.fromkeys((*self.all_of, *self.any_of, *in_groups))))
        object.__setattr__(self, "compares_plainly", not self.nested and self.scope_match == "exact")
        object.__setattr__(self, "takes_token", not self.public and not self.deny)
        object.__setattr__(self, "is_plain", self.takes_token and self.token_from is None)
        object.__setattr__(self, "has_conditions", self.clients is not None or bool(self.conditions))
        of_sender = self.require_proof is not None or bool(self.acr) or self.max_age is not None
        object.__setattr__(self, "is_bounded", bool(self.networks) or self.hours is not None)
        demands_more = of_sender or self.has_conditions or self.is_bounded or self.audiences is not None
        object.__setattr__(self, "is_demanding", demands_more)

    def takes_audience(self, issuer: str, audience: str) -> bool:
        """Whether it takes tokens of an issuer for an audience."""
        return self.audiences is None or (issuer, audience) in self.audiences

    @property
    def scope_terms(self) -> tuple[str | ScopeGroup, ...]:
        """All that is demanded of scopes."""
        return (*self.all_of, *((ScopeGroup("any", self.any_of),) if self.any_of else ()), *self.nested)

    def held(self, granted: frozenset[str]) -> frozenset[str]:
        """Of the scopes that are demanded those that a token's grant."""
        return frozenset(
            scope for scope in self.scopes_named if not granted.isdisjoint(_granting(scope, self.scope_match))
        )


@dataclass(frozen=True, slots=True)
class WebSocketTerms:
    """On which terms a route takes a WebSocket.

    Attributes:
        idle_timeout: seconds without a byte in either direction.
        end_at_expiry: whether it ends when the token expires with which it was opened.
    """

    idle_timeout: float
    end_at_expiry: bool


class RouteTimeouts(NamedTuple):
    """How long the upstream may take on a route, in seconds; None where it is what the upstream's own settings say.

    Attributes:
        first_byte: from the last byte of the request to the first of the answer.
        idle: between two parts of the answer.
        total: for the whole of a request and its answer.
    """

    first_byte: float | None = None
    idle: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of the route table.

    Attributes:
        id: its name in log, metrics and explanations.
        path: the template, see `routes.parse_template`.
        hosts: of which the request names one, see `hosts.read_host`; none for any host.
        methods: the methods that it takes.
        rule: what it demands.
        upstream: the name of the upstream that answers; "" where nobody enters.
        forward_token: whether the token goes on to the upstream, in the field that it came in.
        allow_in_path: doubtful forms that this route accepts.
        websocket: None where nothing may be upgraded.
        max_body: bytes of a request's body at most; None for any number.
        fields: what fields of the request have to be, all of them.
        rewrite: with what its paths begin when they go on; None where they go on as they came.
        claim_fields: that tell the upstream claims of the token.
        timeouts: that go before those of its upstream; None where there are none.
        cors: what pages of other origins may do; None where the upstream tells them.
        rate_limits: how often one caller may call, all of them.
        alters_head: whether something of target and fields goes on otherwise than for all routes.
    """

    id: str
    path: str
    methods: frozenset[str]
    rule: Rule
    upstream: str
    forward_token: bool = False
    allow_in_path: frozenset[Oddity] = frozenset()
    websocket: WebSocketTerms | None = None
    max_body: int | None = None
    hosts: tuple[str, ...] = ()
    fields: tuple[FieldCondition, ...] = ()
    rewrite: PathRewrite | None = None
    claim_fields: tuple[ClaimField, ...] = ()
    timeouts: RouteTimeouts | None = None
    cors: Cors | None = None
    rate_limits: tuple[RateLimit, ...] = ()
    alters_head: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        alters = self.rule.token_from is not None or self.rewrite is not None or bool(self.claim_fields)
        object.__setattr__(self, "alters_head", alters)

    def destination(self, target: str) -> tuple[str, str]:
        """To which upstream a request goes that this route lets in, and with which target."""
        return self.upstream, target if self.rewrite is None else self.rewrite.apply(target)
