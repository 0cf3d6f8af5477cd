"""A plan's parts, as the objects that do the work; nothing runs yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ssl import SSLContext

import aiohttp

from gateway.client.token_source import TokenSource
from gateway.deadlines import Deadlines
from gateway.downstream.certificate import ServerTls
from gateway.own_credentials import CredentialsError, CredentialsSettings, token_source
from gateway.plan import IssuerPlan, KeysFile, Plan, UpstreamPlan
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.resource_metadata import resource_metadata
from gateway.policy.routes import RouteTable
from gateway.rules import Rules
from gateway.starting import BadFileError
from gateway.tls import ServerFiles, TlsFileError, client_context
from gateway.tokens.dpop import DpopRules
from gateway.tokens.key_source import KeySettings, KeySource, RemoteKeys, StaticKeys
from gateway.tokens.keys import KeySetError
from gateway.tokens.proof import Nonces, ProofTerms
from gateway.tokens.replay import Replays
from gateway.tokens.revocations import RevocationFeed
from gateway.tokens.revoked import RevokedTokens
from gateway.tokens.verifier import TokenVerifier
from gateway.upstream.pool import Upstream

Clock = Callable[[], float]


def token_sources(
    credentials: Mapping[str, CredentialsSettings], http: aiohttp.ClientSession, clock: Clock
) -> dict[str, TokenSource]:
    """What keeps each token of the gateway's own at hand; none is asked for yet.

    Raises:
        BadFileError: a file or a secret can't be used.
    """
    sources = {}
    for name, settings in credentials.items():
        try:
            sources[name] = token_source(settings, http, clock)
        except CredentialsError as error:
            raise BadFileError(f"credentials.{name}.{error}") from error
    return sources


def rules(  # noqa: PLR0913, PLR0917 - what judging depends on
    plan: Plan,
    keys: Mapping[str, KeySource],
    credentials: Mapping[str, TokenSource],
    deadlines: Deadlines,
    log_key: bytes,
    revoked: dict[str, RevokedTokens],
    proofs: ProofTerms,
) -> Rules:
    """All that the plan says about requests.

    Raises:
        BadFileError: a file for TLS towards an upstream can't be used.
    """
    issuers = [issuer.terms for issuer in plan.issuers.values()]
    algorithms = proofs.rules.algorithms
    public_url = plan.public_url
    return Rules(
        revision=plan.revision,
        table=RouteTable(plan.routes),
        verifier=TokenVerifier(issuers, keys, capacity=plan.token_cache, log_key=log_key, revoked=revoked),
        keys=keys,
        upstreams={
            name: Upstream(
                upstream.settings,
                deadlines,
                tls=_client_tls(name, upstream),
                credentials=None if upstream.credentials is None else credentials[upstream.credentials],
            )
            for name, upstream in plan.upstreams.items()
        },
        realm=plan.realm,
        trusted_proxies=TrustedProxies(plan.trusted_proxies),
        proofs=proofs,
        metadata=None if public_url is None else resource_metadata(public_url, issuers, plan.routes, algorithms),
    )


def proof_terms(plan: Plan, replays: Replays, key: bytes, clock: Clock) -> ProofTerms:
    """How the senders of bound tokens prove that they may use them; `key` keys the nonces."""
    nonces = Nonces(key, clock) if plan.proofs.nonces else None
    rules = DpopRules(max_age=plan.proofs.max_age, nonce_is_good=None if nonces is None else nonces.is_good)
    return ProofTerms(
        replays=replays,
        rules=rules,
        public_url=plan.public_url,
        nonces=nonces,
        certificate_field=plan.proofs.certificate_field,
        trusted_proxies=TrustedProxies(plan.trusted_proxies),
    )


def key_sources(
    issuers: Mapping[str, IssuerPlan],
    http: aiohttp.ClientSession,
    clock: Clock,
    credentials: Mapping[str, TokenSource],
) -> dict[str, KeySource]:
    """Where each issuer's keys come from; nothing is fetched yet.

    Raises:
        BadFileError: they are in a file that can't be used.
    """
    sources = {}
    for name, issuer in issuers.items():
        try:
            bearing = None if issuer.keys_credentials is None else credentials[issuer.keys_credentials]
            sources[name] = key_source(issuer.keys, http, clock, bearing)
        except KeySetError as error:
            raise BadFileError(f"issuers.{name}.jwks_file: {error}") from error
    return sources


def key_source(
    keys: KeySettings | KeysFile, http: aiohttp.ClientSession, clock: Clock, credentials: TokenSource | None = None
) -> KeySource:
    """Where one issuer's keys come from.

    Raises:
        KeySetError: they are in a file that can't be used.
    """
    if isinstance(keys, KeysFile):
        return StaticKeys(keys.name, keys.path, clock())
    return RemoteKeys(keys, http, clock, credentials)


def revocation_feeds(
    issuers: Iterable[IssuerPlan],
    keys: Mapping[str, KeySource],
    http: aiohttp.ClientSession,
    clock: Clock,
    revoked: dict[str, RevokedTokens],
) -> dict[str, RevocationFeed]:
    """What follows each issuer's revocations and writes them into `revoked`; none where nobody wants to know them."""
    feeds = [issuer.feed for issuer in issuers if issuer.feed is not None]
    return {feed.name: RevocationFeed(feed, http, clock, keys[feed.name], revoked) for feed in feeds}


def server_tls(files: ServerFiles | None, clock: Clock) -> ServerTls | None:
    """What clients are met with over TLS.

    Raises:
        BadFileError: a file can't be used.
    """
    try:
        return None if files is None else ServerTls(files, clock)
    except TlsFileError as error:
        raise BadFileError(f"tls.{error}") from error


def _client_tls(name: str, upstream: UpstreamPlan) -> SSLContext | None:
    try:
        return None if upstream.tls is None else client_context(upstream.tls)
    except TlsFileError as error:
        raise BadFileError(f"upstreams.{name}.tls.{error}") from error
