"""A configuration becomes a plan: its sections, in the terms of those who do the work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gateway.build_rule import claims_named, claims_told, rule
from gateway.config.cors_section import CorsConfig
from gateway.config.credentials import CredentialsConfig, IssuerTlsConfig
from gateway.config.gateway_file import GatewayConfig, Limits, TlsConfig
from gateway.config.issuer_section import IssuerConfig
from gateway.config.route_section import RouteConfig
from gateway.config.upstream_section import EjectionConfig, HealthCheckConfig, UpstreamConfig, UpstreamTlsConfig
from gateway.downstream.parties import ClientLimits
from gateway.own_credentials import AssertionSettings, CredentialsSettings
from gateway.plan import IntrospectionPlan, IssuerPlan, KeysFile, NoKeysPlan, Plan, ProofPlan, UpstreamPlan
from gateway.policy.cors import Cors
from gateway.policy.model import Route, RouteTimeouts, TrustedIssuer, WebSocketTerms
from gateway.policy.path_rewrite import PathRewrite
from gateway.policy.rates import RateLimit
from gateway.policy.routes import METHODS
from gateway.tls import ClientFiles, ServerFiles
from gateway.tokens.introspector import IntrospectionSettings
from gateway.tokens.key_source import KeySettings
from gateway.tokens.revocations import FeedSettings
from gateway.tokens.verifier import hash_key
from gateway.upstream.settings import Address, EjectionSettings, HealthSettings, UpstreamSettings

LONGEST_EJECTION = 60.0
"""Seconds to which the time between two trials of a target grows."""


def plan(config: GatewayConfig, base: Path, revision: str) -> Plan:
    """What a configuration says, for a gateway to do.

    Args:
        config: as it was read.
        base: the folder of the configuration's file, to which paths in it are relative.
        revision: names this configuration.
    """
    key, tls = config.log_hash_key, config.tls
    return Plan(
        revision=revision,
        listen=config.listen,
        admin=config.admin,
        tls=None if tls is None else server_files(tls, base),
        access_log=config.access_log,
        log_key=None if key is None else hash_key(key),
        realm=config.realm,
        public_url=config.public_url,
        proofs=ProofPlan(config.proofs.nonces, config.proofs.max_age, config.proofs.certificate_field),
        trusted_proxies=config.trusted_proxies,
        drain_timeout=config.drain_timeout,
        token_cache=config.token_cache,
        connections=config.limits.connections,
        requests=config.limits.requests,
        client_limits=client_limits(config.limits),
        issuers={name: _issuer(name, config, base) for name in config.issuers},
        credentials=own_credentials(config, base),
        embedded={name: base / one.embedded for name, one in config.issuers.items() if one.embedded is not None},
        upstreams={name: _upstream(name, upstream, base) for name, upstream in config.upstreams.items()},
        watch=config.reload.watch,
        newly_allowed=config.reload.newly_allowed,
        routes=tuple(route(entry, config.issuers) for entry in config.routes),
    )


def _issuer(name: str, config: GatewayConfig, base: Path) -> IssuerPlan:
    issuer, cache = config.issuers[name], config.keys_cache
    return IssuerPlan(
        terms=trusted_issuer(name, config),
        keys=keys(name, issuer, base, cache),
        feed=feed(name, issuer, base, cache),
        keys_credentials=issuer.keys_credentials,
        introspection=introspection(name, config, base),
    )


def introspection(name: str, config: GatewayConfig, base: Path) -> IntrospectionPlan | None:
    """How an issuer is asked about tokens; None where it is not."""
    issuer = config.issuers[name]
    asked = issuer.introspection
    if asked is None:
        return None
    client = credentials(asked.credentials, config.credentials[asked.credentials], base)
    settings = IntrospectionSettings(
        name=name,
        issuer=issuer.issuer,
        endpoint=asked.endpoint,
        metadata=issuer.metadata,
        client_id=client.client_id,
        signed=asked.jwt,
        jwts=asked.jwt_tokens,
        keep=asked.cache.active_for,
        keep_inactive=asked.cache.negative_for,
        most_inactive=asked.cache.size,
        at_once=asked.max_requests,
        timeout=asked.timeout,
    )
    return IntrospectionPlan(settings, client, asked.present == "token")


def _upstream(name: str, config: UpstreamConfig, base: Path) -> UpstreamPlan:
    return UpstreamPlan(upstream_settings(name, config), client_files(config.tls, base), config.credentials)


def own_credentials(config: GatewayConfig, base: Path) -> dict[str, CredentialsSettings]:
    """The gateway's own credentials, as far as some other part needs a token of theirs."""
    named = {upstream.credentials for upstream in config.upstreams.values()}
    named |= {issuer.keys_credentials for issuer in config.issuers.values()}
    asking = [issuer.introspection for issuer in config.issuers.values() if issuer.introspection is not None]
    named |= {introspection.credentials for introspection in asking if introspection.present == "token"}
    return {name: credentials(name, one, base) for name, one in config.credentials.items() if name in named}


def credentials(name: str, config: CredentialsConfig, base: Path) -> CredentialsSettings:
    """A client that the gateway is."""
    key, certificate = (
        None if file is None else base / file for file in (config.assertion_key, config.assertion_certificate)
    )
    return CredentialsSettings(
        name=name,
        client_id=config.client_id,
        issuer=config.issuer,
        token_endpoint=config.token_endpoint,
        authentication=config.authentication,
        secret=config.client_secret or "",
        assertion=AssertionSettings(
            key, config.assertion_kid, certificate, config.assertion_algorithm, config.assertion_audience
        ),
        tls=client_files(config.tls, base),
        scope=" ".join(config.scopes) or None,
        resource=config.resource,
        audience=config.audience,
        timeout=config.timeout,
    )


def trusted_issuer(name: str, whole: GatewayConfig) -> TrustedIssuer:
    """An issuer's terms, as the policy knows them."""
    config = whole.issuers[name]
    return TrustedIssuer(
        name=name,
        issuer=config.issuer,
        audiences=frozenset(config.audience),
        algorithms=frozenset(config.algorithms),
        leeway=config.leeway,
        token_types=frozenset({"at+jwt"}) if config.typ == "at+jwt" else frozenset(),
        required_claims=config.required_claims,
        conditions=tuple(config.claims.items()),
        client_claims=config.client_claims,
        scope_claims=config.scope_claims,
        scope_prefix=config.scope_prefix or "",
        max_lifetime=config.max_lifetime,
        max_age=config.max_age,
        kept_claims=claims_named(whole.routes),
        told_claims=claims_told(whole.routes),
    )


def route(config: RouteConfig, issuers: Mapping[str, IssuerConfig]) -> Route:
    """A route, as the policy knows it."""
    websocket, rewrite, timeouts = config.websocket, config.rewrite, config.timeouts
    return Route(
        id=config.id,
        path=config.path,
        hosts=config.host or (),
        methods=frozenset(config.methods or METHODS),
        rule=rule(config, issuers),
        upstream=config.upstream or "",
        forward_token=config.forward_token,
        allow_in_path=frozenset(config.allow_in_path),
        max_body=config.max_body,
        rewrite=None if rewrite is None else PathRewrite(rewrite.prefix, rewrite.to),
        claim_fields=config.claim_fields or (),
        timeouts=None if timeouts is None else RouteTimeouts(timeouts.first_byte, timeouts.idle, timeouts.total),
        fields=config.fields or (),
        cors=None if config.cors is None else cors(config.cors),
        rate_limits=tuple(RateLimit(*one.limit, one.by) for one in config.rate_limits),
        websocket=None if websocket is None else WebSocketTerms(websocket.idle_timeout, websocket.end_at_expiry),
    )


def cors(config: CorsConfig) -> Cors:
    """What pages of other origins may do; browsers count in whole seconds."""
    return Cors(config.origins, config.headers, config.expose, config.credentials, int(config.max_age))


def server_files(config: TlsConfig, base: Path) -> ServerFiles:
    """What clients are met with over TLS."""
    return ServerFiles(
        certificate=base / config.certificate,
        key=base / config.key,
        client_ca=None if config.client_ca is None else base / config.client_ca,
        client_certificate=config.client_certificate,
    )


def client_files(config: UpstreamTlsConfig | IssuerTlsConfig | None, base: Path) -> ClientFiles | None:
    """What an upstream or issuer is met with over TLS; None where nothing is said of it."""
    if config is None:
        return None
    ca, certificate, key = (
        None if name is None else base / name for name in (config.ca, config.certificate, config.key)
    )
    return ClientFiles(ca, certificate, key)


def upstream_settings(name: str, config: UpstreamConfig) -> UpstreamSettings:
    """Where an upstream is."""
    health, ejection = config.health_check, config.ejection
    if ejection is None and len(config.origins) > 1:
        ejection = EjectionConfig()
    return UpstreamSettings(
        name=name,
        addresses=tuple(_address(origin, config.tls) for origin in config.origins),
        connect_timeout=config.connect_timeout,
        first_byte_timeout=config.first_byte_timeout,
        idle_timeout=config.idle_timeout,
        total_timeout=config.total_timeout,
        max_connections=config.max_connections,
        max_waiting=config.max_waiting,
        preserve_host=config.preserve_host,
        health=None if health is None else _health(health),
        ejection=None if ejection is None else _ejection(ejection, alone=len(config.origins) == 1),
    )


def _address(origin: str, config: UpstreamTlsConfig | None) -> Address:
    url = urlsplit(origin)
    host, tls = url.hostname or "", url.scheme == "https"
    named = None if config is None else config.server_name
    return Address(host, url.port or (443 if tls else 80), (named or host) if tls else None)


def _health(config: HealthCheckConfig) -> HealthSettings:
    return HealthSettings(
        path=config.path,
        interval=config.interval,
        timeout=config.timeout,
        healthy_after=config.healthy_after,
        unhealthy_after=config.unhealthy_after,
        statuses=config.status,
    )


def _ejection(config: EjectionConfig, *, alone: bool) -> EjectionSettings:
    """Where there is no other target, the time until the next trial stays as it is: waiting longer helps nobody."""
    longest = config.seconds if alone else LONGEST_EJECTION
    return EjectionSettings(config.failures, config.seconds, longest, config.count_5xx)


def keys(name: str, config: IssuerConfig, base: Path, cache: str | None) -> KeySettings | KeysFile | NoKeysPlan:
    """Where an issuer's keys come from; `cache` is the folder where those are kept that were fetched."""
    asked = config.introspection
    if asked is not None and asked.jwt_tokens != "verify" and not asked.jwt:
        return NoKeysPlan(name)
    if config.jwks_file is not None:
        return KeysFile(name, base / config.jwks_file)
    return KeySettings(
        name=name,
        issuer=config.issuer,
        jwks_uri=config.jwks_uri,
        metadata=config.metadata,
        refresh=config.keys_refresh,
        shortest_refresh=min(config.keys_refresh_min, config.keys_refresh),
        stale_for=config.keys_stale_for,
        folder=None if cache is None else Path(cache),
        cooldown=config.unknown_key_cooldown,
        timeout=config.keys_timeout,
        tls=client_files(config.tls, base),
    )


def feed(name: str, config: IssuerConfig, base: Path, cache: str | None) -> FeedSettings | None:
    """How an issuer's revocations are followed; None where nobody wants to know them."""
    if config.revocations == "off":
        return None
    uri = None if config.revocations == "auto" else config.revocations
    folder, tls = None if cache is None else Path(cache), client_files(config.tls, base)
    return FeedSettings(name, uri, issuer=config.issuer, folder=folder, tls=tls)


def client_limits(config: Limits) -> ClientLimits:
    """What one client connection may use."""
    return ClientLimits(
        head_bytes=config.head_bytes,
        head_timeout=config.head_timeout,
        body_idle_timeout=config.body_idle_timeout,
        body_timeout=config.body_timeout,
        keep_alive_timeout=config.keep_alive_timeout,
    )
