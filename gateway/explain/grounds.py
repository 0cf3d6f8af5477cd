"""The configuration as routes, issuers and keys, built as the gateway builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from gateway import build
from gateway.config import read_file
from gateway.config.gateway_file import GatewayConfig
from gateway.issuer import settings as issuer_settings
from gateway.issuer.settings import IssuerSettings
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.model import TrustedIssuer
from gateway.policy.routes import RouteTable
from gateway.sources import introspection_client, key_source, token_sources
from gateway.starting import BadFileError
from gateway.tokens.dpop import DpopRules
from gateway.tokens.introspector import Introspector
from gateway.tokens.key_source import KeySource
from gateway.tokens.keys import KeySetError
from gateway.tokens.proof import ProofTerms
from gateway.tokens.replay import ReplayStore
from gateway.tokens.revocations import RevocationFeed
from gateway.tokens.revoked import RevokedTokens
from gateway.tokens.verify import IssuersByIss, by_iss


@dataclass(frozen=True, slots=True)
class Embedded:
    """An embedded authorization server's file, under the name that a user of this machine can open it by."""

    file: str
    settings: IssuerSettings


@dataclass(frozen=True, slots=True)
class Grounds:
    """All that a judgement rests on.

    Attributes:
        file: the configuration's file, as the user named it.
        config: what stands in it.
        table: its routes.
        issuers: its trusted issuers, in the file's order.
        embedded: by issuer name, the files of embedded authorization servers.
    """

    file: Path
    config: GatewayConfig
    table: RouteTable
    issuers: tuple[TrustedIssuer, ...]
    embedded: Mapping[str, Embedded]

    @property
    def by_iss(self) -> IssuersByIss:
        """The issuers by the value of `iss`, as `verify` takes them."""
        return by_iss(self.issuers)

    def proofs(self, now: float) -> ProofTerms:
        """How a bound token would have to be proven; each time with an empty memory."""
        config = self.config
        return ProofTerms(
            ReplayStore(lambda: now),
            # Which nonces were given out, the running gateway alone knows: any one will do.
            DpopRules(max_age=config.proofs.max_age, nonce_is_good=bool if config.proofs.nonces else None),
            public_url=config.public_url,
            certificate_field=config.proofs.certificate_field,
            trusted_proxies=TrustedProxies(config.trusted_proxies),
        )


class GroundsError(Exception):
    """A file that the configuration names can't be used; the message names it."""


def lay(file: Path, config: GatewayConfig, environ: Mapping[str, str]) -> Grounds:
    """Build routes and issuers from a configuration that was examined."""
    return Grounds(
        file=file,
        config=config,
        table=RouteTable(build.route(entry, config.issuers) for entry in config.routes),
        issuers=tuple(build.trusted_issuer(name, config) for name in config.issuers),
        embedded=dict(_embedded(file.parent, config, environ)),
    )


def _embedded(base: Path, config: GatewayConfig, environ: Mapping[str, str]) -> list[tuple[str, Embedded]]:
    """Those that can be read: the examination has reported the others."""
    found = []
    for name, issuer in config.issuers.items():
        if issuer.embedded is None:
            continue
        path = base / issuer.embedded
        text = read_file(path, str(path))
        settings = issuer_settings.parse(text, str(path), environ) if isinstance(text, str) else None
        if isinstance(settings, IssuerSettings):
            found.append((name, Embedded(str(path), settings)))
    return found


def key_sources(grounds: Grounds, http: aiohttp.ClientSession, clock: Callable[[], float]) -> dict[str, KeySource]:
    """Where each issuer's keys come from; nothing is fetched yet.

    Raises:
        GroundsError: they are in a file that can't be used: the gateway would not start.
    """
    config, base = grounds.config, grounds.file.parent
    try:
        credentials = token_sources(build.own_credentials(config, base), http, clock)
    except BadFileError as error:
        raise GroundsError(f"{grounds.file}: {error}") from error
    sources = {}
    for name, issuer in config.issuers.items():
        bearing = None if issuer.keys_credentials is None else credentials[issuer.keys_credentials]
        try:
            sources[name] = key_source(build.keys(name, issuer, base), http, clock, bearing)
        except KeySetError as error:
            raise GroundsError(f"{grounds.file}: issuers.{name}.jwks_file: {error}") from error
    return sources


def introspectors(
    grounds: Grounds, keys: Mapping[str, KeySource], http: aiohttp.ClientSession, clock: Callable[[], float]
) -> dict[str, Introspector]:
    """What asks each issuer about tokens, where it is asked; nothing is asked yet.

    Raises:
        GroundsError: a file or a secret of the gateway's own credentials can't be used.
    """
    config, base = grounds.config, grounds.file.parent
    asking = {}
    try:
        credentials = token_sources(build.own_credentials(config, base), http, clock)
        for terms in grounds.issuers:
            plan = build.introspection(terms.name, config, base)
            if plan is not None:
                client = introspection_client(plan, http, clock, credentials)
                asking[terms.name] = Introspector(plan.settings, terms, client, keys[terms.name], clock)
    except BadFileError as error:
        raise GroundsError(f"{grounds.file}: {error}") from error
    return asking


def revocation_feeds(
    grounds: Grounds,
    keys: Mapping[str, KeySource],
    http: aiohttp.ClientSession,
    clock: Callable[[], float],
    revoked: dict[str, RevokedTokens],
) -> dict[str, RevocationFeed]:
    """What asks each issuer what it revoked; nothing is asked yet."""
    feeds = (build.feed(name, issuer) for name, issuer in grounds.config.issuers.items())
    return {feed.name: RevocationFeed(feed, http, clock, keys[feed.name], revoked) for feed in feeds if feed}
