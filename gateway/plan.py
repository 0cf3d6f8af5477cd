"""What a gateway shall be: a configuration that was read, checked and put into the terms of those who do the work.

Whoever runs a plan needs neither the configuration's models nor what reads them. It is made of frozen dataclasses of
the standard library, so it can be handed to another process. It may hold secrets: its `repr` shows none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.downstream.parties import ClientLimits
from gateway.host_port import HostPort
from gateway.own_credentials import CredentialsSettings
from gateway.policy.circumstances import Network
from gateway.policy.model import Route, TrustedIssuer
from gateway.tls import ClientFiles, ServerFiles
from gateway.tokens.introspector import IntrospectionSettings
from gateway.tokens.key_source import KeySettings
from gateway.tokens.revocations import FeedSettings
from gateway.upstream.settings import UpstreamSettings


@dataclass(frozen=True, slots=True)
class KeysFile:
    """An issuer's keys are in a file.

    Attributes:
        name: the issuer's key in the configuration.
        path: of the file.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class NoKeysPlan:
    """An issuer needs no keys: no token of it is verified with one.

    Attributes:
        name: the issuer's key in the configuration.
    """

    name: str


@dataclass(frozen=True, slots=True)
class IntrospectionPlan:
    """An issuer is asked about tokens.

    Attributes:
        settings: how.
        client: who the gateway is there.
        by_token: whether a token authenticates it, in place of the client itself.
    """

    settings: IntrospectionSettings
    client: CredentialsSettings
    by_token: bool


@dataclass(frozen=True, slots=True)
class IssuerPlan:
    """An issuer whose tokens are taken.

    Attributes:
        terms: what its tokens have to be.
        keys: where its keys come from.
        feed: how its revocations are followed; None where nobody wants to know them.
        keys_credentials: name of the gateway's own credentials that a fetch of keys bears; None for none.
        introspection: how it is asked about opaque tokens; None where none are taken.
    """

    terms: TrustedIssuer
    keys: KeySettings | KeysFile | NoKeysPlan
    feed: FeedSettings | None
    keys_credentials: str | None = None
    introspection: IntrospectionPlan | None = None


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """An API behind the gateway.

    Attributes:
        settings: where it is, and how it is spoken to.
        tls: files for TLS towards it; None where nothing is said of it.
        credentials: name of the gateway's own credentials that requests bear there; None for none.
    """

    settings: UpstreamSettings
    tls: ClientFiles | None
    credentials: str | None = None


@dataclass(frozen=True, slots=True)
class ProofPlan:
    """How bound tokens are proven.

    Attributes:
        nonces: whether DPoP proofs have to bear a nonce of ours.
        max_age: seconds since its `iat` for which a DPoP proof is good.
        certificate_field: whether trusted proxies tell of their client's certificate (Client-Cert).
    """

    nonces: bool
    max_age: float
    certificate_field: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a gateway is told before it starts; every path is absolute, or relative to the working directory.

    Attributes:
        revision: names the configuration in log and status.
        listen: where clients connect.
        admin: where operators connect.
        tls: what clients are met with over TLS; None for plain HTTP.
        access_log: path of the access log; - is standard output.
        log_key: keys the `jti_hash`; None where the configuration gives none.
        realm: that a challenge names.
        public_url: under which clients know the gateway; None if it is not told.
        proofs: how bound tokens are proven.
        trusted_proxies: networks whose forwarding fields are believed.
        drain_timeout: seconds for requests in flight at the end.
        token_cache: most verified tokens to remember.
        connections: most client connections.
        requests: most requests in flight.
        client_limits: what one client connection may use.
        issuers: by name.
        credentials: the gateway's own that some other part names, by name.
        embedded: files of the authorization servers to run beside, by the issuer's name.
        upstreams: by name.
        routes: in the file's order.
        watch: whether a change of the configuration's files is taken while it runs.
        newly_allowed: whether a reload may let in requests that are kept out so far.
    """

    revision: str
    listen: HostPort
    admin: HostPort
    tls: ServerFiles | None
    access_log: str
    log_key: bytes | None = field(repr=False)
    realm: str
    public_url: str | None
    proofs: ProofPlan
    trusted_proxies: tuple[Network, ...]
    drain_timeout: float
    token_cache: int
    connections: int
    requests: int
    client_limits: ClientLimits
    issuers: Mapping[str, IssuerPlan]
    credentials: Mapping[str, CredentialsSettings]
    embedded: Mapping[str, Path]
    upstreams: Mapping[str, UpstreamPlan]
    routes: tuple[Route, ...]
    watch: bool = True
    newly_allowed: Literal["take", "refuse"] = "take"
