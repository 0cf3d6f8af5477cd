"""A configuration's sections, as the objects that they describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from gateway.config.gateway_file import IssuerConfig, Limits, RouteConfig, UpstreamConfig
from gateway.downstream.connection import ClientLimits
from gateway.policy.model import Route, Rule, TrustedIssuer, WebSocketTerms
from gateway.policy.routes import METHODS
from gateway.tokens.key_source import KeySettings, KeySource, RemoteKeys, StaticKeys
from gateway.upstream.pool import UpstreamSettings

Clock = Callable[[], float]


def trusted_issuer(name: str, config: IssuerConfig) -> TrustedIssuer:
    """An issuer's terms, as the policy knows them."""
    return TrustedIssuer(
        name=name,
        issuer=config.issuer,
        audiences=frozenset(config.audience),
        algorithms=frozenset(config.algorithms),
        leeway=config.leeway,
        token_types=frozenset({"at+jwt"}) if config.typ == "at+jwt" else frozenset(),
    )


def route(config: RouteConfig, issuers: Mapping[str, IssuerConfig]) -> Route:
    """A route, as the policy knows it."""
    scopes, websocket = config.scopes, config.websocket
    rule = Rule(
        public=config.public,
        issuers=frozenset(config.issuers or issuers),
        all_of=() if scopes is None else scopes.all_of,
        any_of=() if scopes is None else scopes.any_of,
    )
    return Route(
        id=config.id,
        path=config.path,
        methods=frozenset(config.methods or METHODS),
        rule=rule,
        upstream=config.upstream,
        forward_token=config.forward_token,
        allow_in_path=frozenset(config.allow_in_path),
        websocket=None if websocket is None else WebSocketTerms(websocket.idle_timeout, websocket.end_at_expiry),
    )


def upstream_settings(name: str, config: UpstreamConfig) -> UpstreamSettings:
    """Where an upstream is."""
    url = urlsplit(config.url)
    tls = url.scheme == "https"
    return UpstreamSettings(
        name=name,
        host=url.hostname or "",
        port=url.port or (443 if tls else 80),
        tls=tls,
        connect_timeout=config.connect_timeout,
        first_byte_timeout=config.first_byte_timeout,
        idle_timeout=config.idle_timeout,
        max_connections=config.max_connections,
        preserve_host=config.preserve_host,
    )


def key_source(name: str, config: IssuerConfig, base: Path, http: aiohttp.ClientSession, clock: Clock) -> KeySource:
    """Where an issuer's keys come from.

    Raises:
        KeySetError: they are in a file that can't be used.
    """
    if config.jwks_file is not None:
        return StaticKeys(name, base / config.jwks_file, clock())
    fetching = KeySettings(
        name=name,
        issuer=config.issuer,
        jwks_uri=config.jwks_uri,
        refresh=config.keys_refresh,
        cooldown=config.unknown_key_cooldown,
        timeout=config.keys_timeout,
    )
    return RemoteKeys(fetching, http, clock)


def client_limits(config: Limits) -> ClientLimits:
    """What one client connection may use."""
    return ClientLimits(
        head_bytes=config.head_bytes,
        head_timeout=config.head_timeout,
        body_idle_timeout=config.body_idle_timeout,
        keep_alive_timeout=config.keep_alive_timeout,
    )
