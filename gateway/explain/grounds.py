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
from gateway.policy.model import Route, TrustedIssuer
from gateway.policy.routes import RouteTable
from gateway.sources import Sources, sources
from gateway.starting import BadFileError
from gateway.tokens.dpop import DpopRules
from gateway.tokens.proof import ProofTerms
from gateway.tokens.replay import ReplayStore
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

    def audiences(self, issuer: str, route: Route | None) -> tuple[str, ...]:
        """The audiences of an issuer that a route takes, in the file's order; all of them where it takes none."""
        known = self.config.issuers[issuer].audience
        return tuple(each for each in known if route is None or route.rule.takes_audience(issuer, each)) or known

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


def asked(grounds: Grounds, http: aiohttp.ClientSession, clock: Callable[[], float]) -> Sources:
    """What the gateway would ask of others, asked by itself: nothing is asked yet, and nothing is kept on disk.

    Raises:
        GroundsError: a file or a secret can't be used: the gateway would not start.
    """
    config = grounds.config.model_copy(update={"keys_cache": None})
    try:
        return sources(build.plan(config, grounds.file.parent, ""), http, clock)
    except BadFileError as error:
        raise GroundsError(f"{grounds.file}: {error}") from error
