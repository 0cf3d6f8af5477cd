"""An issuer in the gateway's file: whose tokens are taken, on which terms, and where its keys come from."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config.binding import Section
from gateway.config.credentials import IssuerTlsConfig
from gateway.config.fields import Count, Duration, StringOrList, Text, Timeout, at_least, at_most, written
from gateway.config.gateway_fields import ALGORITHMS, Algorithm, ClaimValues, IssuerUrl, KeysUrl, Revocations, each_once
from gateway.policy.model import CLIENT_CLAIMS, SCOPE_CLAIMS

Paths = Annotated[tuple[Text, ...], AfterValidator(each_once)]


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
    tls: IssuerTlsConfig | None = Field(
        default=None,
        description="What TLS towards the issuer needs to know for its keys, its metadata and what it revoked.",
    )
    revocations: Revocations = written(
        "auto", "Where the issuer tells which tokens it revoked: auto asks its metadata, a URL is asked as it is."
    )
    introspection: IntrospectionConfig | None = Field(
        default=None, description="Take opaque tokens, too: the issuer is asked about them (RFC 7662)."
    )
