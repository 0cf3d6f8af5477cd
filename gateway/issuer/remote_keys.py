"""Keys that a client publishes at its `jwks_uri`: fetched when an assertion needs them, and not for each one."""

import asyncio
import logging
from collections.abc import Callable

import aiohttp

from gateway.client.fetch import JsonAnswer, fetch_json
from gateway.tokens.keys import KeySet, KeySetError, VerificationKey, read_key_set

REFRESH = 300.0
"""Seconds after which keys are fetched anew."""

COOLDOWN = 30.0
"""Seconds in which a set is fetched once at most, whatever keys assertions name."""

KEPT = 3600.0
"""Seconds for which the last good keys stay in force though they cannot be fetched anew."""

_SECONDS = 5.0
_log = logging.getLogger(__name__)


class RemoteKeySet:
    """The keys at one address; assertions that come at the same time wait for one fetch."""

    def __init__(self, uri: str, fetcher: "KeyFetcher", clock: Callable[[], float]) -> None:
        self._uri = uri
        self._fetcher = fetcher
        self._clock = clock
        self._current: KeySet | None = None
        self._fetched_at = float("-inf")
        self._attempted_at = float("-inf")
        self._flight: asyncio.Task[None] | None = None

    async def candidates(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys that may have signed; looked for anew when there is none, or when those at hand are old."""
        if not 0 <= self._clock() - self._fetched_at < REFRESH:
            await self._refresh()
        return self._fitting(kid, algorithm) or (await self._refresh() and self._fitting(kid, algorithm)) or ()

    def _fitting(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        if self._current is None or self._clock() - self._fetched_at >= KEPT:
            return ()
        return fitting(self._current, kid, algorithm)

    async def _refresh(self) -> bool:
        """Fetch, or wait for the fetch under way; False where the last one is too recent."""
        if self._flight is None or self._flight.done():
            if 0 <= self._clock() - self._attempted_at < COOLDOWN:
                return False
            self._attempted_at = self._clock()
            self._flight = asyncio.create_task(self._fetch())
        await asyncio.shield(self._flight)
        return True

    async def _fetch(self) -> None:
        answer = await self._fetcher.fetch(self._uri)
        if isinstance(answer, str):
            _log.warning("keys of a client cannot be fetched: %s", answer)
        else:
            self._current, self._fetched_at = answer, self._clock()


class KeyFetcher:
    """Fetches key sets: bounded in time and size, never redirected. Close it when done."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None

    async def fetch(self, uri: str) -> KeySet | str:
        """The key set, or in words why there is none."""
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        answer = await fetch_json(self._http, uri, seconds=_SECONDS)
        if not isinstance(answer, JsonAnswer):
            return answer.detail
        if answer.status != 200 or answer.document is None:
            return f"{uri} answered {answer.status}" + ("" if answer.document else " with no JSON object")
        try:
            return read_key_set(answer.document)
        except KeySetError as error:
            return f"{uri}: {error}"

    async def close(self) -> None:
        """Close its connections. May be called twice."""
        if self._http is not None:
            await self._http.close()
            self._http = None


def fitting(keys: KeySet, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
    """The keys that may have signed: those of this kid; all of the algorithm where an assertion names none."""
    if kid is not None:
        return keys.candidates(kid, algorithm)
    return tuple(key for key in keys.keys if algorithm in key.algorithms)
