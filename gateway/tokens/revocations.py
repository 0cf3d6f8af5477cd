"""Following what issuers revoke: their feeds are asked every second, beside the requests.

A feed that did not change answers 304 and is not read. While an issuer gives no answer, what it revoked stays revoked.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import aiohttp

from gateway.client.fetch import JsonAnswer, fetch_json
from gateway.tokens.key_source import JITTER, KeySource
from gateway.tokens.revoked import NOTHING_REVOKED, FeedError, RevokedTokens, read_feed

log = logging.getLogger(__name__)

MOST_FEED_BYTES = 16 << 20
"""Of a feed: some 100,000 revocations."""


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """How an issuer's feed is followed.

    Attributes:
        name: the issuer's key in the configuration.
        uri: where its feed is; None for where its metadata says, if that is read for its keys.
        interval: seconds from an answer to the next question.
        timeout: seconds that an answer may take.
    """

    name: str
    uri: str | None = None
    interval: float = 1.0
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """What an operator wants to know of a feed.

    Attributes:
        count: revocations in force.
        answered_at: seconds since the epoch of the last good answer, None for never.
        error: why the last question had none, None where it had one.
    """

    count: int
    answered_at: float | None
    error: str | None


class RevocationFeed:
    """One issuer's feed.

    Args:
        settings: where, and how often.
        http: asks; shared by all issuers.
        clock: seconds since the epoch.
        keys: the issuer's, fetched anew when one of them is revoked, since another one signs from then on.
        revoked: what the verifier looks at: by issuer, without those that have revoked nothing.
    """

    def __init__(
        self,
        settings: FeedSettings,
        http: aiohttp.ClientSession,
        clock: Callable[[], float],
        keys: KeySource,
        revoked: dict[str, RevokedTokens],
    ) -> None:
        self.settings = settings
        self._http = http
        self._clock = clock
        self._keys = keys
        self._revoked = revoked
        self._current = NOTHING_REVOKED
        self._tag: str | None = None
        self._answered_at: float | None = None
        self._error: str | None = None

    @property
    def uri(self) -> str | None:
        """Where the feed is, as far as that is known yet."""
        return self.settings.uri or self._keys.revocations_uri

    @property
    def status(self) -> FeedStatus | None:
        """For the operator; None where the issuer has no feed."""
        return None if self.uri is None else FeedStatus(len(self._current), self._answered_at, self._error)

    async def run(self) -> None:
        """Follow the feed until cancelled."""
        while True:
            await asyncio.sleep(self.settings.interval * (1 - JITTER * random.random()))  # noqa: S311 - no secret
            await self.poll()

    async def poll(self) -> None:
        """Ask once; what was known stays in force where there is no answer."""
        uri = self.uri
        if uri is None:
            return
        try:
            answered = await self._ask(uri)
        except Exception:
            log.exception("issuer %s: asking for revocations failed unexpectedly", self.settings.name)
            answered = "an unexpected error, see the gateway's log"
        if isinstance(answered, str):
            self._note(answered)
        else:
            await self._take(answered)

    async def _ask(self, uri: str) -> RevokedTokens | str:
        """What is revoked, or in words why that is not known."""
        headers = {} if self._tag is None else {"If-None-Match": self._tag}
        answer = await fetch_json(
            self._http, uri, headers=headers, seconds=self.settings.timeout, most_bytes=MOST_FEED_BYTES
        )
        if not isinstance(answer, JsonAnswer):
            return answer.detail
        if answer.status == 304 and self._tag is not None:
            return self._current
        if answer.status != 200:
            return f"{uri} answered {answer.status}"
        if answer.document is None:
            return f"{uri} answered with no JSON object"
        try:
            read = read_feed(answer.document)
        except FeedError as error:
            return f"{uri}: {error}"
        self._tag = answer.headers.get("ETag")
        return read

    async def _take(self, read: RevokedTokens) -> None:
        name, before = self.settings.name, self._current
        self._current, self._answered_at = read, self._clock()
        self._note(f"{read.skipped} entries are of a kind that is not known here" if read.skipped else None)
        if read is before:
            return
        if read:
            self._revoked[name] = read
        else:
            self._revoked.pop(name, None)
        if read != before:
            log.info("issuer %s: %d revocations in force", name, len(read))
        if read.kids - before.kids:
            await self._keys.refresh()

    def _note(self, error: str | None) -> None:
        """Only a change is logged."""
        if error != self._error:
            self._error = error
            log.log(
                logging.INFO if error is None else logging.WARNING,
                "issuer %s: revocations: %s",
                self.settings.name,
                error or "the feed answers again",
            )


async def follow(feeds: Iterable[RevocationFeed]) -> None:
    """Follow all of them until cancelled."""
    await asyncio.gather(*(feed.run() for feed in feeds))
