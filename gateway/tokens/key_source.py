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
from gateway.tokens.keys import KeySet, KeySetError, read_key_set
from gateway.tokens.strict_json import JsonError, read_object

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
        refresh: seconds between two fetches.
        cooldown: seconds in which unknown key identifiers cause one fetch at most.
        timeout: seconds that a fetch may take.
    """

    name: str
    issuer: str
    jwks_uri: str | None = None
    refresh: float = 300.0
    cooldown: float = 30.0
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class KeySourceStatus:
    """What an operator wants to know of an issuer's keys; times in seconds since the epoch, None for never."""

    name: str
    kids: tuple[str, ...]
    skipped: tuple[str, ...]
    fetched_at: float | None
    attempted_at: float | None
    error: str | None


class StaticKeys:
    """Keys out of a file (a JWK Set).

    Raises:
        KeySetError: it can't be read, with the reason.
    """

    def __init__(self, name: str, path: Path, now: float) -> None:
        self.name = name
        self._read_at = now
        try:
            self.current: KeySet = read_key_set(read_object(path.read_bytes()))
        except OSError as error:
            raise KeySetError(f"{path}: {error.strerror}") from error
        except (JsonError, KeySetError) as error:
            raise KeySetError(f"{path}: {error}") from error

    error: str | None = None
    revocations_uri: str | None = None

    async def look_for(self, kid: str | None) -> None:
        """A file does not change by being asked again."""

    async def refresh(self) -> None:
        """Likewise."""

    async def run(self) -> None:
        """Nothing has to be refreshed."""

    @property
    def status(self) -> KeySourceStatus:
        """For the operator."""
        return _status(self.name, self.current, self._read_at, self._read_at, None)


class RemoteKeys:
    """Keys that an issuer publishes.

    Args:
        settings: where, and how often.
        http: fetches; shared by all issuers.
        clock: seconds since the epoch.
        credentials: whose token a fetch bears; None where anyone may have the keys.

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
        self.current: KeySet | None = None
        self.error: str | None = None
        self.revocations_uri: str | None = None
        self._http = http
        self._clock = clock
        self._jwks_uri = settings.jwks_uri
        self._fetched_at: float | None = None
        self._attempted_at: float | None = None
        self._flight: asyncio.Task[None] | None = None

    @property
    def status(self) -> KeySourceStatus:
        """For the operator."""
        return _status(self.settings.name, self.current, self._fetched_at, self._attempted_at, self.error)

    async def look_for(self, kid: str | None) -> None:
        """Look for a key that is not in the set, unless that was tried within the cooldown; returns when looked for.

        Before the first good fetch there is nothing to protect by a cooldown but the issuer: the background's own
        retries are then all that happens.
        """
        del kid  # which one is unknown must not matter, or a flood of invented ones would be a flood of fetches
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
                wait, retry = self.settings.refresh, FIRST_RETRY
            else:
                wait, retry = min(retry, self.settings.refresh), min(retry * 2, LONGEST_RETRY)
            await asyncio.sleep(wait * (1 - JITTER * random.random()))  # noqa: S311 - jitter is no secret

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

    async def _fetch(self) -> KeySet | str:
        """The key set, or in words why there is none."""
        uri = self._jwks_uri
        if uri is None:
            metadata = await discover(self._http, self.settings.issuer)
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
        try:
            return read_key_set(answer.document)
        except KeySetError as error:
            return f"{uri}: {error}"

    async def _ask(self, uri: str) -> JsonAnswer | Unreachable | MalformedAnswer | NoToken:
        """Fetch the key set, with a token if it needs one; one that is not taken is not used again."""
        if self._credentials is None:
            return await fetch_json(self._http, uri, seconds=self.settings.timeout)
        bearer = await self._credentials.wait()
        if isinstance(bearer, NoToken):
            return bearer
        headers = {"Authorization": bearer.decode()}
        answer = await fetch_json(self._http, uri, headers=headers, seconds=self.settings.timeout)
        if isinstance(answer, JsonAnswer) and answer.status == 401:
            self._credentials.refused(bearer)
        return answer

    def _take(self, fetched: KeySet | str) -> None:
        """Keep what was fetched; the last good set stays in force after a failure. Only a change is logged."""
        name, before = self.settings.name, self.error
        if isinstance(fetched, str):
            self.error = fetched
            if before is None:
                kept = "the last good keys stay in force" if self.current else "its routes answer keys_unavailable"
                log.warning("issuer %s: keys cannot be fetched (%s); %s", name, fetched, kept)
            return
        if self.current is None or self.current.thumbprints != fetched.thumbprints or before is not None:
            log.info("issuer %s: %d keys%s", name, len(fetched.keys), "".join(f"; {why}" for why in fetched.skipped))
        self.current, self.error, self._fetched_at = fetched, None, self._clock()


KeySource = StaticKeys | RemoteKeys


def _status(
    name: str, current: KeySet | None, fetched_at: float | None, attempted_at: float | None, error: str | None
) -> KeySourceStatus:
    keys = () if current is None else current.keys
    return KeySourceStatus(
        name=name,
        kids=tuple(key.kid or "(none)" for key in keys),
        skipped=() if current is None else current.skipped,
        fetched_at=fetched_at,
        attempted_at=attempted_at,
        error=error,
    )
