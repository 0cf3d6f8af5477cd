"""What is asked of others: issuers' keys, what they revoke, what opaque tokens mean, tokens of the gateway's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp

from gateway.background import in_background
from gateway.client import TokenSource
from gateway.client.introspection_request import JSON, SIGNED, IntrospectionClient
from gateway.own_credentials import CredentialsError, CredentialsSettings, questioner, token_source
from gateway.plan import IntrospectionPlan, IssuerPlan, KeysFile, NoKeysPlan, Plan
from gateway.starting import BadFileError
from gateway.tls import TlsFileError
from gateway.tokens.introspector import Introspector
from gateway.tokens.key_source import KeySettings, KeySource, NoKeys, RemoteKeys, StaticKeys
from gateway.tokens.keys import KeySetError
from gateway.tokens.revocations import RevocationFeed, follow
from gateway.tokens.revoked import RevokedTokens

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Sources:
    """All of them; each mapping is by the name in the configuration.

    Attributes:
        introspectors: ask the issuers that are asked about tokens.
        revoked: what the feeds have told so far.
    """

    credentials: Mapping[str, TokenSource]
    keys: Mapping[str, KeySource]
    introspectors: Mapping[str, Introspector]
    feeds: Mapping[str, RevocationFeed]
    revoked: Mapping[str, RevokedTokens]

    async def start(self, running: AsyncExitStack) -> None:
        """Keep them fresh as long as that runs; returns when each issuer was asked once for keys and revocations."""
        for source in self.credentials.values():
            running.push_async_callback(source.close)
            source.start()
        for introspector in self.introspectors.values():
            running.push_async_callback(introspector.close)
        first = [asyncio.create_task(source.look_for(None)) for source in self.keys.values()]
        running.push_async_callback(in_background(*(source.run() for source in self.keys.values())))
        await asyncio.gather(*first)
        await asyncio.gather(*(feed.poll() for feed in self.feeds.values()))
        running.push_async_callback(in_background(follow(self.feeds.values())))


def sources(plan: Plan, http: aiohttp.ClientSession, clock: Clock) -> Sources:
    """All that a plan needs; nothing is fetched yet.

    Raises:
        BadFileError: a file or a secret can't be used.
    """
    credentials = token_sources(plan.credentials, http, clock)
    keys = key_sources(plan.issuers, http, clock, credentials)
    revoked: dict[str, RevokedTokens] = {}
    return Sources(
        credentials,
        keys,
        introspectors(plan.issuers, keys, http, clock, credentials),
        revocation_feeds(plan.issuers.values(), keys, http, clock, revoked),
        revoked,
    )


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


def key_sources(
    issuers: Mapping[str, IssuerPlan],
    http: aiohttp.ClientSession,
    clock: Clock,
    credentials: Mapping[str, TokenSource],
) -> dict[str, KeySource]:
    """Where each issuer's keys come from; nothing is fetched yet.

    Raises:
        BadFileError: they are in a file that can't be used, or TLS needs one that can't.
    """
    sources = {}
    for name, issuer in issuers.items():
        try:
            bearing = None if issuer.keys_credentials is None else credentials[issuer.keys_credentials]
            sources[name] = key_source(issuer.keys, http, clock, bearing)
        except KeySetError as error:
            raise BadFileError(f"issuers.{name}.jwks_file: {error}") from error
        except TlsFileError as error:
            raise _bad_tls(name, error) from error
    return sources


def introspectors(
    issuers: Mapping[str, IssuerPlan],
    keys: Mapping[str, KeySource],
    http: aiohttp.ClientSession,
    clock: Clock,
    credentials: Mapping[str, TokenSource],
) -> dict[str, Introspector]:
    """What asks each issuer about tokens, where it is asked; nothing is asked yet.

    Raises:
        BadFileError: a file or a secret of the gateway's own credentials can't be used.
    """
    asking = {}
    for name, issuer in issuers.items():
        if issuer.introspection is not None:
            settings = issuer.introspection.settings
            client = introspection_client(issuer.introspection, http, clock, credentials)
            asking[name] = Introspector(settings, issuer.terms, client, keys[name], clock)
    return asking


def introspection_client(
    plan: IntrospectionPlan, http: aiohttp.ClientSession, clock: Clock, credentials: Mapping[str, TokenSource]
) -> IntrospectionClient:
    """What asks one issuer.

    Raises:
        BadFileError: a file or a secret can't be used.
    """
    settings, client = plan.settings, plan.client
    try:
        asks = questioner(client, credentials[client.name] if plan.by_token else None)
    except CredentialsError as error:
        raise BadFileError(f"credentials.{client.name}.{error}") from error
    return IntrospectionClient(
        http,
        asks,
        clock,
        issuer=settings.issuer,
        endpoint=settings.endpoint,
        metadata=settings.metadata,
        accept=SIGNED if settings.signed else JSON,
        seconds=settings.timeout,
    )


def key_source(
    keys: KeySettings | KeysFile | NoKeysPlan,
    http: aiohttp.ClientSession,
    clock: Clock,
    credentials: TokenSource | None = None,
) -> KeySource:
    """Where one issuer's keys come from.

    Raises:
        KeySetError: they are in a file that can't be used.
        TlsFileError: a file for TLS with the issuer can't be used.
    """
    if isinstance(keys, NoKeysPlan):
        return NoKeys(keys.name)
    if isinstance(keys, KeysFile):
        return StaticKeys(keys.name, keys.path, clock)
    return RemoteKeys(keys, http, clock, credentials)


def revocation_feeds(
    issuers: Iterable[IssuerPlan],
    keys: Mapping[str, KeySource],
    http: aiohttp.ClientSession,
    clock: Clock,
    revoked: dict[str, RevokedTokens],
) -> dict[str, RevocationFeed]:
    """What follows each issuer's revocations and writes them into `revoked`; none where nobody wants to know them.

    Raises:
        BadFileError: a file for TLS with an issuer can't be used.
    """
    feeds = {}
    for issuer in issuers:
        if (feed := issuer.feed) is not None:
            try:
                feeds[feed.name] = RevocationFeed(feed, http, clock, keys[feed.name], revoked)
            except TlsFileError as error:
                raise _bad_tls(feed.name, error) from error
    return feeds


def _bad_tls(issuer: str, error: TlsFileError) -> BadFileError:
    return BadFileError(f"issuers.{issuer}.tls.{error.key}: {error.message}")
