"""Where an issuer's keys come from: fetched beside the request path, kept when a fetch fails.

A request never fetches. It takes the keys at hand, and only when they can't judge a token does it wait for the one
flight that all waiting requests share; a flood of unknown key identifiers causes one fetch in a cooldown, whatever
identifiers it brings.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from gateway.client.discovery import IssuerMetadata, discover
from gateway.client.fetch import JsonAnswer, MalformedAnswer, Unreachable, fetch_json
from gateway.client.token_source import NoToken, TokenSource
from gateway.tls import ClientFiles, client_context
from gateway.tokens.freshness import clock_ahead, fresh_for
from gateway.tokens.issuer_clock import LastMinute
from gateway.tokens.key_store import KeptKeys, KeyStore
from gateway.tokens.keys import KeySet, KeySetError, read_key_set
from gateway.tokens.static_keys import read_keys_file

log = logging.getLogger(__name__)

FIRST_RETRY = 1.0
LONGEST_RETRY = 30.0
"""Seconds between attempts after a failure: doubled from the first to the longest."""

JITTER = 0.1
"""The part of every wait that is drawn by chance, so that replicas do not fetch in step."""


@dataclass(frozen=True, slots=True)
class KeySettings:
    """How an issuer's keys are fetched.

    Attributes:
        name: the issuer's key in the configuration.
        issuer: its identifier, for discovery.
        jwks_uri: where its keys are; None finds that by discovery (RFC 8414, OpenID Connect Discovery).
        metadata: where its metadata is, if that is not where discovery looks.
        refresh: seconds between two fetches at most; what the issuer's Cache-Control says may shorten it.
        shortest_refresh: seconds between two fetches at least, whatever it says.
        stale_for: seconds after the last good fetch until which its keys are used while fetches fail.
        folder: where the last good set is kept for a restart; None keeps it in memory only.
        cooldown: seconds in which unknown key identifiers cause one fetch at most.
        timeout: seconds that a fetch may take.
        tls: files for TLS with the issuer; None trusts what the system trusts, and shows no certificate.
    """

    name: str
    issuer: str
    jwks_uri: str | None = None
    metadata: str | None = None
    refresh: float = 300.0
    shortest_refresh: float = 0.0
    stale_for: float = 86_400.0
    folder: Path | None = None
    cooldown: float = 30.0
    timeout: float = 5.0
    tls: ClientFiles | None = None


@dataclass(frozen=True, slots=True)
class KeySourceStatus:
    """What an operator wants to know of an issuer's keys; times in seconds since the epoch, None for never.

    Attributes:
        refresh_at: when they are fetched next.
        unknown_keys: how often a token named a key that is not among them.
        unknown_keys_per_minute: how often within the last minute.
        clock_ahead: seconds by which the issuer's clock is ahead, by the Date of its last answer; None if unknown.
    """

    name: str
    kids: tuple[str, ...]
    skipped: tuple[str, ...]
    fetched_at: float | None
    attempted_at: float | None
    error: str | None
    refresh_at: float | None = None
    unknown_keys: int = 0
    clock_ahead: float | None = None
    unknown_keys_per_minute: int = 0


class _InVain:
    """Tokens that named a key which was not at hand."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lately = LastMinute()
        self.total = 0

    def note(self, kid: str | None) -> None:
        """Count it, if it named one."""
        if kid is not None:
            self.total += 1
            self._lately.add(self._clock())

    @property
    def per_minute(self) -> int:
        return self._lately.count(self._clock())


class StaticKeys:
    """Keys out of a file.

    Raises:
        KeySetError: it can't be used, with the reason.
    """

    def __init__(self, name: str, path: Path, clock: Callable[[], float]) -> None:
        self.name = name
        self._read_at = clock()
        self._unknown = _InVain(clock)
        self.current: KeySet = read_keys_file(path)
        if self.current.skipped:
            log.warning("issuer %s: %s", name, _told(self.current))

    error: str | None = None
    revocations_uri: str | None = None
    may_have_changed = False

    async def look_for(self, kid: str | None) -> None:
        """A file does not change by being asked again."""
        self._unknown.note(kid)

    async def refresh(self) -> None:
        """Likewise."""

    async def run(self) -> None:
        """Nothing has to be refreshed."""

    @property
    def status(self) -> KeySourceStatus:
        """For the operator."""
        current = self.current
        return KeySourceStatus(
            self.name,
            _kids(current),
            current.skipped,
            self._read_at,
            self._read_at,
            None,
            unknown_keys=self._unknown.total,
            unknown_keys_per_minute=self._unknown.per_minute,
        )


class NoKeys:
    """In the place of keys where an issuer's tokens are never verified with any: it is asked about them."""

    current = KeySet(())
    error: str | None = None
    revocations_uri: str | None = None
    may_have_changed = False

    def __init__(self, name: str) -> None:
        self.name = name

    async def look_for(self, kid: str | None) -> None:
        """There are none."""

    async def refresh(self) -> None:
        """Nothing has to be fetched."""

    async def run(self) -> None:
        """Likewise."""

    @property
    def status(self) -> KeySourceStatus:
        """For the operator."""
        return KeySourceStatus(self.name, (), (), None, None, None)


class RemoteKeys:
    """Keys that an issuer publishes.

    Args:
        settings: where, and how often.
        http: fetches; shared by all issuers.
        clock: seconds since the epoch.
        credentials: whose token a fetch bears; None where anyone may have the keys.

    Raises:
        TlsFileError: a file for TLS can't be used.

    Attributes:
        current: the last good set; None until the first fetch succeeds.
        error: why the last fetch failed, None after a good one.
        revocations_uri: where the issuer tells what it revoked; None where its metadata does not say, or is not read.
    """

    def __init__(
        self,
        settings: KeySettings,
        http: aiohttp.ClientSession,
        clock: Callable[[], float],
        credentials: TokenSource | None = None,
    ) -> None:
        self.settings = settings
        self._credentials = credentials
        self._tls = None if settings.tls is None else client_context(settings.tls)
        self.current: KeySet | None = None
        self.error: str | None = None
        self.revocations_uri: str | None = None
        self._http = http
        self._clock = clock
        self._jwks_uri = settings.jwks_uri
        self._fetched_at: float | None = None
        self._attempted_at: float | None = None
        self._refresh_at: float | None = None
        self._fresh_for = settings.refresh
        self._clock_ahead: float | None = None
        self._unknown = _InVain(clock)
        self._store = None if settings.folder is None else KeyStore(settings.folder, settings.name, settings.issuer)
        self._flight: asyncio.Task[None] | None = None

    @property
    def status(self) -> KeySourceStatus:
        """For the operator."""
        current = self.current
        return KeySourceStatus(
            name=self.settings.name,
            kids=_kids(current),
            skipped=() if current is None else current.skipped,
            fetched_at=self._fetched_at,
            attempted_at=self._attempted_at,
            error=self.error,
            refresh_at=self._refresh_at,
            unknown_keys=self._unknown.total,
            unknown_keys_per_minute=self._unknown.per_minute,
            clock_ahead=self._clock_ahead,
        )

    @property
    def may_have_changed(self) -> bool:
        """Whether a signature that fails is worth a fetch: some issuers put a new key under an old name (Oracle)."""
        return self._under_way() is not None or self._is_cool()

    async def look_for(self, kid: str | None) -> None:
        """Look for a key that is not in the set, unless that was tried within the cooldown; returns when looked for.

        Before the first good fetch there is nothing to protect by a cooldown but the issuer: the background's own
        retries are then all that happens.
        """
        # Which one is unknown must not matter, or a flood of invented ones would be a flood of fetches.
        self._unknown.note(kid)
        if self._under_way() is None and not self._is_cool():
            return
        await self.refresh()

    def _is_cool(self) -> bool:
        if self._attempted_at is None:
            return True
        wait = self.settings.cooldown if self.current is not None else FIRST_RETRY
        return not 0 <= self._clock() - self._attempted_at < wait

    async def refresh(self) -> None:
        """Fetch now, or wait for the flight that is under way."""
        flight = self._under_way()
        if flight is None:
            self._flight = flight = asyncio.create_task(self._fetch_once())
        await asyncio.shield(flight)

    def _under_way(self) -> asyncio.Task[None] | None:
        return None if self._flight is None or self._flight.done() else self._flight

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        retry = FIRST_RETRY
        while True:
            await self.refresh()
            if self.error is None:
                wait, retry = self._fresh_for, FIRST_RETRY
            else:
                wait, retry = min(retry, self.settings.refresh), min(retry * 2, LONGEST_RETRY)
            wait *= 1 - JITTER * random.random()  # noqa: S311 - jitter is no secret
            self._refresh_at = self._clock() + wait
            await asyncio.sleep(wait)

    async def _fetch_once(self) -> None:
        self._attempted_at = self._clock()
        try:
            async with asyncio.timeout(self.settings.timeout):
                fetched = await self._fetch()
        except TimeoutError:
            fetched = f"no answer within {self.settings.timeout:g} s"
        except Exception:
            log.exception("issuer %s: the fetch of keys failed unexpectedly", self.settings.name)
            fetched = "an unexpected error, see the gateway's log"
        self._take(fetched)

    async def _fetch(self) -> JsonAnswer | str:
        """The answer that holds the key set, or in words why there is none."""
        uri = self._jwks_uri
        if uri is None:
            metadata = await discover(self._http, self.settings.issuer, self._tls, at=self.settings.metadata)
            if not isinstance(metadata, IssuerMetadata):
                return metadata.detail
            if metadata.jwks_uri is None:
                return "the issuer's metadata names no jwks_uri"
            uri, self.revocations_uri = metadata.jwks_uri, metadata.revocations_uri
        answer = await self._ask(uri)
        if isinstance(answer, NoToken):
            return answer.detail
        if not isinstance(answer, JsonAnswer):
            return answer.detail
        if answer.status != 200 or answer.document is None:
            return f"{uri} answered {answer.status}" + ("" if answer.document else " with no JSON object")
        return answer

    async def _ask(self, uri: str) -> JsonAnswer | Unreachable | MalformedAnswer | NoToken:
        """Fetch the key set, with a token if it needs one; one that is not taken is not used again."""
        if self._credentials is None:
            return await fetch_json(self._http, uri, seconds=self.settings.timeout, tls=self._tls)
        bearer = await self._credentials.wait()
        if isinstance(bearer, NoToken):
            return bearer
        headers = {"Authorization": bearer.decode()}
        answer = await fetch_json(self._http, uri, headers=headers, seconds=self.settings.timeout, tls=self._tls)
        if isinstance(answer, JsonAnswer) and answer.status == 401:
            self._credentials.refused(bearer)
        return answer

    def _take(self, answer: JsonAnswer | str) -> None:
        """Keep what was fetched; after a failure the last good set stays in force for a while."""
        if isinstance(answer, str):
            self._failed(answer)
            return
        document, now = answer.document or {}, self._clock()
        try:
            fetched = read_key_set(document)
        except KeySetError as error:
            self._failed(str(error))
            return
        self._fresh_for = fresh_for(answer.headers, self.settings.shortest_refresh, self.settings.refresh)
        self._clock_ahead = clock_ahead(answer.headers, now)
        if self._store is not None:
            self._store.save(KeptKeys(document, now))
        self._use(fetched, now)
        self.error = None

    def _use(self, fetched: KeySet, fetched_at: float) -> None:
        """Only a change is logged."""
        before = self.current
        if before is None or self.error is not None or _identity(before) != _identity(fetched):
            log.log(
                logging.WARNING if fetched.skipped else logging.INFO,
                "issuer %s: %s",
                self.settings.name,
                _told(fetched),
            )
        self.current, self._fetched_at = fetched, fetched_at

    def _failed(self, error: str) -> None:
        """Say so once, and let the keys go when they have become too old."""
        before, had_keys = self.error, self.current is not None
        if not had_keys:
            self._restore()
        elif self._is_stale(self._fetched_at):
            self.current = None
        self.error = error
        has_keys = self.current is not None
        if before is None or has_keys != had_keys:
            kept = "the last good keys stay in force" if has_keys else "its routes answer keys_unavailable"
            log.warning("issuer %s: keys cannot be fetched (%s); %s", self.settings.name, error, kept)

    def _restore(self) -> None:
        """Use what was kept on disk, unless it is too old."""
        kept = None if self._store is None else self._store.load()
        if kept is None or self._is_stale(kept.fetched_at):
            return
        try:
            self._use(read_key_set(kept.document), kept.fetched_at)
        except KeySetError as error:
            log.warning("issuer %s: the keys that were kept cannot be used: %s", self.settings.name, error)

    def _is_stale(self, fetched_at: float | None) -> bool:
        return fetched_at is None or not 0 <= self._clock() - fetched_at <= self.settings.stale_for


KeySource = StaticKeys | RemoteKeys | NoKeys


def _kids(keys: KeySet | None) -> tuple[str, ...]:
    return () if keys is None else tuple(key.kid or "(none)" for key in keys.keys)


def _identity(keys: KeySet) -> tuple[frozenset[str], tuple[str, ...]]:
    """What makes a set another one to an operator."""
    return keys.thumbprints, keys.skipped


def _told(keys: KeySet) -> str:
    return f"{len(keys.keys)} keys" + "".join(f"; {why}" for why in keys.skipped)
