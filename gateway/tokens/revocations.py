"""Following what issuers revoke: their feeds are asked every second, beside the requests.

A feed that did not change answers 304 and is not read. While an issuer gives no answer, what it revoked stays revoked.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from gateway.client.fetch import JsonAnswer, fetch_json
from gateway.tls import ClientFiles, client_context
from gateway.tokens.kept_file import KeptFile
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
        issuer: whose feed it is.
        folder: where the last answer is kept for a restart; None keeps it in memory only.
        tls: files for TLS with the issuer; None trusts what the system trusts, and shows no certificate.
    """

    name: str
    uri: str | None = None
    interval: float = 1.0
    timeout: float = 5.0
    issuer: str = ""
    folder: Path | None = None
    tls: ClientFiles | None = None


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

    Raises:
        TlsFileError: a file for TLS can't be used.
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
        self._tls = None if settings.tls is None else client_context(settings.tls)
        self._http = http
        self._clock = clock
        self._keys = keys
        self._revoked = revoked
        self._current = NOTHING_REVOKED
        self._tag: str | None = None
        self._answered_at: float | None = None
        self._error: str | None = None
        self._kept_uri: str | None = None
        self._kept = None if settings.folder is None else _kept_file(settings.folder, settings)
        self._restore()

    @property
    def uri(self) -> str | None:
        """Where the feed is, as far as that is known yet."""
        return self.settings.uri or self._keys.revocations_uri or self._kept_uri

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
            self._http, uri, headers=headers, seconds=self.settings.timeout, tls=self._tls, most_bytes=MOST_FEED_BYTES
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
        if self._kept is not None:
            kept = {"uri": uri, "answered_at": self._clock(), "feed": answer.document}
            await asyncio.to_thread(self._kept.save, **kept)
        return read

    async def _take(self, read: RevokedTokens) -> None:
        name, before = self.settings.name, self._current
        self._answered_at = self._clock()
        self._note(f"{read.skipped} entries are of a kind that is not known here" if read.skipped else None)
        if read is before:
            return
        self._put_in_force(read)
        if read != before:
            log.info("issuer %s: %d revocations in force", name, len(read))
        if read.kids - before.kids:
            await self._keys.refresh()

    def _put_in_force(self, read: RevokedTokens) -> None:
        self._current = read
        if read:
            self._revoked[self.settings.name] = read
        else:
            self._revoked.pop(self.settings.name, None)

    def _restore(self) -> None:
        """Put in force what was kept on disk: a restart while the issuer is down must not let in what it revoked."""
        kept = None if self._kept is None else self._kept.load()
        if kept is None:
            return
        try:
            self._kept_uri, self._answered_at, read = _read_kept(kept)
        except FeedError as error:
            log.warning("issuer %s: the revocations that were kept cannot be used: %s", self.settings.name, error)
        else:
            self._put_in_force(read)

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


def _kept_file(folder: Path, settings: FeedSettings) -> KeptFile:
    return KeptFile(folder / f"{settings.name}.revocations.json", settings.issuer, "revocations", 2 * MOST_FEED_BYTES)


def _read_kept(kept: Mapping[str, object]) -> tuple[str, float, RevokedTokens]:
    """Where a feed was, when it last told something new, and what. FeedError where the file says no such thing."""
    uri, answered_at, feed = (kept.get(name) for name in ("uri", "answered_at", "feed"))
    if not (isinstance(uri, str) and isinstance(answered_at, int | float) and isinstance(feed, dict)):
        raise FeedError("the file has another form")
    return uri, answered_at, read_feed(feed)
