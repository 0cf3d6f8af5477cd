"""Feeds of revocations over real sockets, from issuers that misbehave on command."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.client.fetch import MOST_BYTES
from gateway.tokens.key_source import KeySettings, KeySource, RemoteKeys, StaticKeys
from gateway.tokens.revocations import FeedSettings, RevocationFeed, follow
from gateway.tokens.revoked import RevokedTokens

from .tokens_case import NOW, Clock, public_jwk

Behaviour = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

JTI = {"kind": "jti", "hash": "ab" * 32, "until": NOW + 60}
KEY = {"kind": "key", "kid": "a-P-256", "until": NOW + 60}


def tells(*entries: object, status: int = 200) -> Behaviour:
    document = {"cursor": "x", "revocations": list(entries)}
    tag = f'"{sha256(repr(entries).encode()).hexdigest()[:16]}"'

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.json_response(document, status=status, headers={"ETag": tag})

    return answer


def answers(body: bytes, status: int = 200) -> Behaviour:
    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body, status=status)

    return answer


async def hangs_up(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@dataclass
class Issuer:
    """An issuer that tells what it is told to, and keeps what it was asked."""

    url: str = ""
    feed: Behaviour = field(default_factory=tells)
    names_its_feed: bool = True
    kinds: list[str] = field(default_factory=lambda: ["P-256"])
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self.answer_for(request)
        self.asked.append((request.path, response.status))
        return response

    async def answer_for(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/feed":
            return await self.feed(request)
        if request.path == "/keys":
            return web.json_response({"keys": [public_jwk(kind) for kind in self.kinds]})
        metadata = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return web.json_response(metadata | ({"revocations_uri": f"{self.url}/feed"} if self.names_its_feed else {}))

    @property
    def feed_answers(self) -> list[int]:
        return [status for path, status in self.asked if path == "/feed"]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    runner = web.ServerRunner(web.Server(issuer.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = site.name
    yield issuer
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revoked() -> dict[str, RevokedTokens]:
    return {}


@pytest.fixture
def keys(issuer: Issuer, http: aiohttp.ClientSession, clock: Clock) -> RemoteKeys:
    return RemoteKeys(KeySettings("a", issuer.url), http, clock)


@pytest.fixture
def feed(
    issuer: Issuer, http: aiohttp.ClientSession, clock: Clock, keys: RemoteKeys, revoked: dict[str, RevokedTokens]
) -> RevocationFeed:
    return following(http, clock, keys, revoked, f"{issuer.url}/feed")


def following(
    http: aiohttp.ClientSession,
    clock: Clock,
    keys: KeySource,
    revoked: dict[str, RevokedTokens],
    uri: str | None = None,
) -> RevocationFeed:
    return RevocationFeed(FeedSettings("a", uri, interval=0.001, timeout=5), http, clock, keys, revoked)


def told(feed: RevocationFeed) -> tuple[int, float | None, str | None]:
    """Count, last answer and error."""
    status = feed.status
    assert status is not None
    return status.count, status.answered_at, status.error


async def test_what_the_feed_tells_is_in_force_until_it_tells_otherwise(
    issuer: Issuer, feed: RevocationFeed, revoked: dict[str, RevokedTokens], clock: Clock
) -> None:
    assert told(feed) == (0, None, None)
    issuer.feed = tells(JTI)
    await feed.poll()
    assert revoked["a"].jtis == {"ab" * 32}
    assert told(feed) == (1, NOW, None)
    clock.now += 1
    issuer.feed = tells()
    await feed.poll()
    assert revoked == {}
    assert told(feed) == (0, NOW + 1, None)


async def test_an_issuer_that_has_revoked_nothing_is_not_looked_for_by_the_verifier(
    feed: RevocationFeed, revoked: dict[str, RevokedTokens]
) -> None:
    await feed.poll()
    assert revoked == {}


async def test_a_feed_that_did_not_change_is_not_sent_again(
    issuer: Issuer, feed: RevocationFeed, revoked: dict[str, RevokedTokens], clock: Clock
) -> None:
    issuer.feed = tells(JTI)
    await feed.poll()
    before = revoked["a"]
    clock.now += 1
    await feed.poll()
    assert issuer.feed_answers == [200, 304]
    assert revoked["a"] is before
    assert told(feed) == (1, NOW + 1, None)


@pytest.mark.parametrize(
    "fault",
    [
        (tells(status=500), "/feed answered 500"),
        (answers(b"", 304), "/feed answered 304"),
        (answers(b"[]"), "/feed answered with no JSON object"),
        (answers(b"{}"), "/feed: the feed has no array 'revocations'"),
        (tells({"kind": "jti"}), "/feed: an entry of the feed lacks what its kind needs"),
        (answers(b"", 307), "/feed redirects, and redirects are not followed"),
        (hangs_up, "/feed cannot be reached: Server disconnected"),
    ],
    ids=lambda fault: fault[1],
)
async def test_what_was_revoked_stays_so_while_the_issuer_does_not_answer(
    issuer: Issuer,
    feed: RevocationFeed,
    revoked: dict[str, RevokedTokens],
    clock: Clock,
    fault: tuple[Behaviour, str],
) -> None:
    issuer_does, why = fault
    issuer.feed = tells(JTI)
    await feed.poll()
    clock.now += 1
    issuer.feed = issuer_does
    feed._tag = None
    await feed.poll()
    assert revoked["a"].jtis == {"ab" * 32}
    assert told(feed) == (1, NOW, issuer.url + why)
    issuer.feed = tells()
    await feed.poll()
    assert told(feed) == (0, NOW + 1, None)


async def test_a_feed_that_takes_too_long_is_no_answer(
    issuer: Issuer, http: aiohttp.ClientSession, clock: Clock, keys: RemoteKeys, revoked: dict[str, RevokedTokens]
) -> None:
    never = asyncio.Event()

    async def waits(_request: web.BaseRequest) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    issuer.feed = waits
    settings = FeedSettings("a", f"{issuer.url}/feed", timeout=0.01)
    feed = RevocationFeed(settings, http, clock, keys, revoked)
    await feed.poll()
    assert told(feed) == (0, None, f"{issuer.url}/feed did not answer within 0.01 s")
    never.set()


async def test_a_feed_may_be_larger_than_other_documents(
    issuer: Issuer, feed: RevocationFeed, revoked: dict[str, RevokedTokens]
) -> None:
    entries = [JTI | {"hash": f"{number:064x}"} for number in range(MOST_BYTES // 100)]
    issuer.feed = tells(*entries)
    await feed.poll()
    assert len(revoked["a"]) == len(entries)


async def test_an_entry_of_an_unknown_kind_is_reported_and_the_others_are_in_force(
    issuer: Issuer, feed: RevocationFeed, revoked: dict[str, RevokedTokens]
) -> None:
    issuer.feed = tells(JTI, {"kind": "audience"})
    await feed.poll()
    await feed.poll()
    assert len(revoked["a"]) == 1
    assert told(feed) == (1, NOW, "1 entries are of a kind that is not known here")


async def test_keys_are_fetched_anew_when_one_is_revoked_and_then_not_again(
    issuer: Issuer, feed: RevocationFeed, keys: RemoteKeys
) -> None:
    await keys.refresh()
    issuer.kinds = ["RSA"]
    issuer.feed = tells(KEY)
    await feed.poll()
    assert keys.status.kids == ("a-RSA",)
    issuer.feed = tells(KEY, JTI)
    await feed.poll()
    assert [path for path, _ in issuer.asked].count("/keys") == 2


async def test_a_revoked_key_out_of_a_file_needs_no_fetch(
    issuer: Issuer, http: aiohttp.ClientSession, clock: Clock, revoked: dict[str, RevokedTokens], tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [public_jwk("RSA")]}))
    issuer.feed = tells(KEY)
    feed = following(http, clock, StaticKeys("a", file, Clock()), revoked, f"{issuer.url}/feed")
    await feed.poll()
    assert revoked["a"].kids == {"a-P-256"}


async def test_the_feed_is_found_in_the_metadata_that_is_read_for_the_keys(
    issuer: Issuer, http: aiohttp.ClientSession, clock: Clock, keys: RemoteKeys, revoked: dict[str, RevokedTokens]
) -> None:
    issuer.feed = tells(JTI)
    feed = following(http, clock, keys, revoked)
    await feed.poll()
    assert (feed.uri, feed.status, issuer.asked) == (None, None, [])
    await keys.refresh()
    await feed.poll()
    assert feed.uri == f"{issuer.url}/feed"
    assert told(feed) == (1, NOW, None)


async def test_an_issuer_without_a_feed_is_not_asked_for_one(
    issuer: Issuer, http: aiohttp.ClientSession, clock: Clock, keys: RemoteKeys, revoked: dict[str, RevokedTokens]
) -> None:
    issuer.names_its_feed = False
    await keys.refresh()
    feed = following(http, clock, keys, revoked)
    await feed.poll()
    assert feed.status is None
    assert issuer.feed_answers == []


async def test_in_the_background_it_is_asked_again_and_again(
    issuer: Issuer, feed: RevocationFeed, revoked: dict[str, RevokedTokens]
) -> None:
    running = asyncio.create_task(follow([feed]))
    while len(issuer.feed_answers) < 3:  # noqa: ASYNC110 - the other side of a socket sets no event here
        await asyncio.sleep(0.001)
    issuer.feed = tells(JTI)
    while not revoked:  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0.001)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_only_changes_are_logged(issuer: Issuer, feed: RevocationFeed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for behaviour in (tells(), tells(JTI), hangs_up, hangs_up, tells(JTI)):
        issuer.feed = behaviour
        await feed.poll()
    logged = [record.getMessage() for record in caplog.records if record.name == "gateway.tokens.revocations"]
    assert logged == [
        "issuer a: 1 revocations in force",
        f"issuer a: revocations: {issuer.url}/feed cannot be reached: Server disconnected",
        "issuer a: revocations: the feed answers again",
    ]


async def test_an_unforeseen_fault_is_logged_and_the_next_question_asked(
    clock: Clock, keys: RemoteKeys, revoked: dict[str, RevokedTokens], caplog: pytest.LogCaptureFixture
) -> None:
    async with aiohttp.ClientSession() as http:
        feed = following(http, clock, keys, revoked, "http://127.0.0.1:1/feed")
    feed._http = None  # type: ignore[assignment]  # what can't happen
    await feed.poll()
    assert told(feed) == (0, None, "an unexpected error, see the gateway's log")
    assert "failed unexpectedly" in caplog.text


# What is kept for a restart


@pytest.fixture
def keeping(
    issuer: Issuer, http: aiohttp.ClientSession, clock: Clock, revoked: dict[str, RevokedTokens], tmp_path: Path
) -> Callable[[], RevocationFeed]:
    """A gateway that starts, with whatever was kept before; it knows nothing of the issuer yet."""

    def start() -> RevocationFeed:
        revoked.clear()
        keys = RemoteKeys(KeySettings("a", issuer.url), http, clock)
        settings = FeedSettings("a", issuer=issuer.url, folder=tmp_path / "kept")
        return RevocationFeed(settings, http, clock, keys, revoked)

    return start


async def kept(issuer: Issuer, start: Callable[[], RevocationFeed], *entries: object) -> Path:
    """The file of a gateway that was told these revocations."""
    feed = start()
    await feed._keys.refresh()
    issuer.feed = tells(*entries)
    await feed.poll()
    assert feed._kept is not None
    return feed._kept.path


async def test_a_restart_while_the_issuer_is_down_does_not_let_in_what_it_revoked(
    issuer: Issuer, keeping: Callable[[], RevocationFeed], revoked: dict[str, RevokedTokens], clock: Clock
) -> None:
    file = await kept(issuer, keeping, JTI, KEY)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    clock.now += 60
    restarted = keeping()
    assert len(revoked["a"]) == 2
    issuer.feed = hangs_up
    await restarted.poll()
    assert len(revoked["a"]) == 2
    assert told(restarted) == (2, NOW, f"{issuer.url}/feed cannot be reached: Server disconnected")
    issuer.feed = tells()
    await restarted.poll()
    assert revoked == {}
    assert keeping().status is not None
    assert revoked == {}


async def test_before_the_first_answer_nothing_is_kept(
    keeping: Callable[[], RevocationFeed], revoked: dict[str, RevokedTokens]
) -> None:
    assert keeping().status is None
    assert revoked == {}


@pytest.mark.parametrize(
    "fault",
    [
        (lambda _: b"{", "kept revocations cannot be used"),
        (lambda _: b"[]", "holds no revocations of"),
        (lambda kept: kept.replace(b"127.0.0.1", b"127.0.0.2"), "holds no revocations of"),
        (lambda kept: kept.replace(b'"uri"', b'"url"'), "the revocations that were kept cannot be used: the file has"),
        (lambda kept: kept.replace(b'"kid"', b'"kd"'), "the revocations that were kept cannot be used: an entry"),
    ],
)
async def test_a_kept_file_that_cannot_be_used_is_told_and_left(
    issuer: Issuer,
    keeping: Callable[[], RevocationFeed],
    revoked: dict[str, RevokedTokens],
    caplog: pytest.LogCaptureFixture,
    fault: tuple[Callable[[bytes], bytes], str],
) -> None:
    change, why = fault
    file = await kept(issuer, keeping, KEY)
    file.write_bytes(change(file.read_bytes()))
    keeping()
    assert revoked == {}
    assert why in caplog.text


async def test_a_folder_that_cannot_be_written_is_told_and_no_reason_to_stop(
    issuer: Issuer,
    keeping: Callable[[], RevocationFeed],
    revoked: dict[str, RevokedTokens],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    (tmp_path / "kept").touch()
    await kept(issuer, keeping, JTI)
    assert len(revoked["a"]) == 1
    assert "revocations cannot be kept: " in caplog.text
