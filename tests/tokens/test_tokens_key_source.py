"""Keys out of files and over real sockets, from issuers that misbehave on command."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.client.fetch import MOST_BYTES
from gateway.tokens.key_source import KeySettings, RemoteKeys, StaticKeys
from gateway.tokens.key_store import KeptKeys, KeyStore
from gateway.tokens.keys import KeySetError

from .tokens_case import NOW, Clock, public_jwk

Behaviour = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def json_answer(document: object, status: int = 200) -> Behaviour:
    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(document, status=status)

    return answer


def publishes(*kinds: str) -> Behaviour:
    return json_answer({"keys": [public_jwk(kind) for kind in kinds]})


@dataclass
class Publisher:
    """An issuer that does what it is told to, and keeps which paths it was asked for."""

    url: str = ""
    keys: Behaviour = field(default_factory=lambda: publishes("P-256"))
    metadata: Behaviour = field(default_factory=lambda: json_answer({}, 404))
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/keys":
            return await self.keys(request)
        if request.path == "/.well-known/oauth-authorization-server":
            return await self.metadata(request)
        return web.json_response({}, status=404)


@pytest.fixture
async def issuer() -> AsyncIterator[Publisher]:
    publisher = Publisher()
    runner = web.ServerRunner(web.Server(publisher.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    publisher.url = site.name
    yield publisher
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def clock() -> Clock:
    return Clock()


def remote(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, *, found: bool = False, timeout: float = 5.0
) -> RemoteKeys:
    """Keys of the publisher, at a configured address or found by discovery."""
    uri = None if found else f"{issuer.url}/keys"
    return RemoteKeys(KeySettings("a", issuer.url, uri, refresh=0.01, timeout=timeout), http, clock)


def kids(source: RemoteKeys | StaticKeys) -> tuple[str, ...]:
    return source.status.kids


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the background; the run's own time limit ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - the other side of a socket sets no event here
        await asyncio.sleep(0.002)


async def test_keys_are_fetched_from_their_address(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    source = remote(issuer, http, clock)
    assert (source.current, source.status.fetched_at, source.status.kids) == (None, None, ())
    await source.look_for("a-P-256")
    assert kids(source) == ("a-P-256",)
    assert (source.error, source.status.fetched_at, source.status.attempted_at) == (None, NOW, NOW)
    assert issuer.asked == ["/keys"]


async def test_the_address_is_found_by_discovery(issuer: Publisher, http: aiohttp.ClientSession, clock: Clock) -> None:
    issuer.metadata = json_answer({"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"})
    source = remote(issuer, http, clock, found=True)
    await source.look_for(None)
    assert kids(source) == ("a-P-256",)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "names no jwks_uri"),
        ({"jwks_uri": 7}, "jwks_uri is no string"),
        ({"jwks_uri": "file:///etc/passwd"}, "not safe"),
        ({"jwks_uri": "http://keys.example/keys"}, "not safe"),
        ({"issuer": "https://other.example"}, "its metadata is for https://other.example"),
    ],
    ids=str,
)
async def test_metadata_that_leads_astray_is_not_followed(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, members: dict[str, object], words: str
) -> None:
    issuer.metadata = json_answer({"issuer": issuer.url} | members)
    source = remote(issuer, http, clock, found=True)
    await source.refresh()
    assert words in (source.error or "")
    assert "/keys" not in issuer.asked


async def test_all_who_wait_share_one_flight(issuer: Publisher, http: aiohttp.ClientSession, clock: Clock) -> None:
    released = asyncio.Event()

    async def held(request: web.BaseRequest) -> web.StreamResponse:
        await released.wait()
        return await publishes("P-256")(request)

    issuer.keys = held
    source = remote(issuer, http, clock)
    waiting = [asyncio.create_task(source.look_for(f"kid {number}")) for number in range(50)]
    await until(lambda: len(issuer.asked) == 1)
    waiting[0].cancel()
    late = asyncio.create_task(source.look_for("late"))
    released.set()
    await asyncio.gather(*waiting[1:], late)
    assert waiting[0].cancelled()
    assert issuer.asked == ["/keys"]
    assert kids(source) == ("a-P-256",)


async def test_unknown_kids_cause_one_fetch_a_cooldown_however_many_they_are(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    source = remote(issuer, http, clock)
    await source.refresh()
    for _ in range(3):
        for number in range(1000):
            await source.look_for(f"kid {number}")
        clock.now += source.settings.cooldown - 0.001
        await source.look_for("still too early")
        fetched = len(issuer.asked)
        clock.now += 0.001
        await asyncio.gather(*(source.look_for(f"kid {number}") for number in range(100)))
        assert len(issuer.asked) == fetched + 1
    assert len(issuer.asked) == 4


async def test_a_failed_look_counts_for_the_cooldown(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    source = remote(issuer, http, clock)
    await source.refresh()
    issuer.keys = json_answer({}, 500)
    clock.now += source.settings.cooldown
    for number in range(10):
        await source.look_for(f"kid {number}")
    assert len(issuer.asked) == 2


async def test_before_the_first_keys_a_request_asks_once_a_second(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    issuer.keys = json_answer({}, 500)
    source = remote(issuer, http, clock)
    for _ in range(10):
        await source.look_for("a-P-256")
    assert len(issuer.asked) == 1
    clock.now += 1
    issuer.keys = publishes("P-256")
    await source.look_for("a-P-256")
    assert kids(source) == ("a-P-256",)


async def test_a_clock_that_is_set_back_does_not_stop_looking(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    source = remote(issuer, http, clock)
    await source.refresh()
    clock.now -= 3600
    await source.look_for("another")
    assert len(issuer.asked) == 2


async def silent(_request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def redirect(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/elsewhere"})


async def text(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="<html>")


async def twice(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text='{"keys":[],' + json.dumps({"keys": [public_jwk("P-256", "b")]})[1:])


async def nested(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text='{"keys":' + "[" * 1000 + "]" * 1000 + "}")


async def cut_off(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"keys":')
    assert request.transport is not None
    request.transport.abort()
    return response


MISBEHAVIOURS: dict[str, tuple[Behaviour, str]] = {
    "500": (json_answer({"error": "x"}, 500), "answered 500"),
    "404 without JSON": (json_answer([], 404), "answered 404 with no JSON object"),
    "204": (json_answer({"keys": []}, 204), "answered 204"),
    "garbage": (text, "answered 200 with no JSON object"),
    "members that stand twice": (twice, "a member stands twice"),
    "nested deeply": (nested, "answered 200"),
    "an array": (json_answer([public_jwk("P-256")]), "no JSON object"),
    "an empty object": (json_answer({}), "no array 'keys'"),
    "no keys": (json_answer({"keys": []}), "no usable key"),
    "weak keys only": (json_answer({"keys": [public_jwk("RSA", use="enc")]}), "use is not sig"),
    "too many keys": (json_answer({"keys": [{}] * 101}), "more than 100"),
    "redirect": (redirect, "redirects are not followed"),
    "cut off": (cut_off, "broke off"),
}


@pytest.mark.parametrize(("behaviour", "words"), MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
async def test_after_a_failure_the_last_good_keys_stay_and_a_good_answer_recovers(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, behaviour: Behaviour, words: str
) -> None:
    source = remote(issuer, http, clock)
    await source.refresh()
    good = source.current
    issuer.keys = behaviour
    clock.now += 100
    await source.refresh()
    assert source.current is good
    assert words in (source.error or "")
    assert (source.status.fetched_at, source.status.attempted_at) == (NOW, NOW + 100)
    assert set(issuer.asked) == {"/keys"}
    issuer.keys = publishes("P-256", "P-384")
    await source.refresh()
    assert source.error is None
    assert kids(source) == ("a-P-256", "a-P-384")


async def test_a_body_without_end_is_not_read_to_the_end(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    sent = 0

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(1 << 30)})
        await response.prepare(request)
        while sent < 1 << 30:
            await response.write(b" " * 65_536)
            sent += 65_536
        return response

    issuer.keys = endless
    source = remote(issuer, http, clock)
    await source.refresh()
    assert "more than 1 MiB" in (source.error or "")
    assert sent < 32 * MOST_BYTES


async def test_a_slow_drip_ends_at_the_time_limit(issuer: Publisher, http: aiohttp.ClientSession, clock: Clock) -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    issuer.keys = drip
    source = remote(issuer, http, clock, timeout=0.1)
    await source.refresh()
    assert "within 0.1 s" in (source.error or "")


async def test_discovery_and_keys_share_the_time_limit(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    issuer.metadata = silent
    source = remote(issuer, http, clock, found=True, timeout=0.1)
    await source.refresh()
    assert source.error == "no answer within 0.1 s"


async def test_an_issuer_that_is_not_there_is_told_so(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, unused_tcp_port: int
) -> None:
    settings = KeySettings("a", issuer.url, f"http://127.0.0.1:{unused_tcp_port}/keys")
    source = RemoteKeys(settings, http, clock)
    await source.refresh()
    assert "cannot be reached" in (source.error or "")
    assert source.current is None


async def test_an_unforeseen_error_is_logged_and_shows_as_a_failure(
    issuer: Publisher, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with aiohttp.ClientSession() as closed:
        pass
    source = remote(issuer, closed, clock)
    await source.refresh()
    assert source.error == "an unexpected error, see the gateway's log"
    assert "failed unexpectedly" in caplog.text


@pytest.mark.parametrize("asked", [[], ["/keys"]], ids=["before it began", "on its way"])
async def test_a_flight_that_was_cancelled_does_not_stop_the_next(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, asked: list[str]
) -> None:
    issuer.keys = silent
    source = remote(issuer, http, clock)
    waiting = asyncio.create_task(source.refresh())
    await asyncio.sleep(0)
    await until(lambda: issuer.asked == asked)
    assert source._flight is not None
    source._flight.cancel()
    issuer.keys = publishes("P-256")
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await source.refresh()
    assert kids(source) == ("a-P-256",)


async def test_one_bad_key_shows_in_the_status_and_in_the_log(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.tokens.key_source")
    issuer.keys = json_answer({"keys": [{"kty": "oct", "k": ""}, public_jwk("P-256", kid=None)]})
    source = remote(issuer, http, clock)
    await source.refresh()
    assert source.status.kids == ("(none)",)
    assert source.status.skipped == ("key 1: its kty is not RSA, EC or OKP",)
    assert "issuer a: 1 keys; key 1: its kty is not RSA, EC or OKP" in caplog.text


async def test_only_a_change_is_logged(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.tokens.key_source")
    source = remote(issuer, http, clock)
    bad, good, more = json_answer({}, 500), publishes("P-256"), publishes("P-256", "P-384")
    expected = [(bad, "keys_unavailable"), (good, "1 keys"), (bad, "stay in force"), (good, "1 keys"), (more, "2 keys")]
    for behaviour, words in expected:
        issuer.keys = behaviour
        caplog.clear()
        for _ in range(3):
            await source.refresh()
        (message,) = caplog.messages
        assert words in message


async def test_keys_are_kept_fresh_in_the_background_through_failures(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    source = remote(issuer, http, clock)
    running = asyncio.create_task(source.run())
    await until(lambda: len(issuer.asked) >= 3)
    assert kids(source) == ("a-P-256",)
    issuer.keys = json_answer({}, 500)
    await until(lambda: source.error is not None)
    asked = len(issuer.asked)
    await until(lambda: len(issuer.asked) >= asked + 3)
    assert kids(source) == ("a-P-256",)
    issuer.keys = publishes("P-384")
    await until(lambda: kids(source) == ("a-P-384",))
    assert source.error is None
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await source.refresh()


async def test_keys_out_of_a_file_do_not_change(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [public_jwk("RSA"), {}]}))
    source = StaticKeys("a", path, Clock())
    path.write_text("gone")
    await source.look_for("unknown")
    await source.run()
    status = source.status
    assert (status.name, status.kids, status.fetched_at, status.error) == ("a", ("a-RSA",), NOW, None)
    assert len(status.skipped) == 1
    assert source.error is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"keys":[],"keys":[]}', "stands twice"),
        (b"{}", "no array 'keys'"),
        (b'{"keys":[]}', "no usable key"),
        (b'{"keys":[{"kty":"oct"}]}', "key 1: its kty"),
    ],
)
def test_a_file_of_keys_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeySetError) as refused:
        StaticKeys("a", path, Clock())
    assert str(refused.value).startswith(f"{path}: ")
    assert words in str(refused.value)


# How long keys are used


def kept(issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, folder: Path) -> RemoteKeys:
    settings = KeySettings("a", issuer.url, f"{issuer.url}/keys", stale_for=3600, folder=folder)
    return RemoteKeys(settings, http, clock)


async def test_the_issuers_cache_control_says_when_keys_are_fetched_next(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    async def brief(request: web.BaseRequest) -> web.StreamResponse:
        answer = await publishes("P-256")(request)
        answer.headers["Cache-Control"] = "max-age=60"
        answer.headers["Date"] = "Fri, 15 Jan 2027 08:00:05 GMT"
        return answer

    issuer.keys = brief
    source = RemoteKeys(KeySettings("a", issuer.url, f"{issuer.url}/keys", refresh=300), http, clock)
    running = asyncio.create_task(source.run())
    await until(lambda: source.status.refresh_at is not None)
    running.cancel()
    refresh_at = source.status.refresh_at
    assert refresh_at is not None
    assert NOW + 54 <= refresh_at <= NOW + 60
    assert source.status.clock_ahead == 5


async def test_the_last_good_keys_are_used_for_a_while_and_then_no_more(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = kept(issuer, http, clock, tmp_path)
    await source.refresh()
    issuer.keys = json_answer({}, 500)
    caplog.clear()
    for minute in range(0, 61, 5):
        clock.now = NOW + minute * 60
        await source.refresh()
        assert source.current is not None
    assert len(caplog.records) == 1
    clock.now = NOW + 3601
    await source.refresh()
    assert source.current is None
    assert [record.getMessage().rpartition("; ")[2] for record in caplog.records] == [
        "the last good keys stay in force",
        "its routes answer keys_unavailable",
    ]


async def test_a_restart_while_the_issuer_is_down_uses_what_was_kept_on_disk(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, tmp_path: Path
) -> None:
    await kept(issuer, http, clock, tmp_path).refresh()
    issuer.keys = json_answer({}, 500)
    clock.now += 3600
    again = kept(issuer, http, clock, tmp_path)
    await again.refresh()
    assert kids(again) == ("a-P-256",)
    assert (again.status.fetched_at, again.error) == (NOW, f"{issuer.url}/keys answered 500 with no JSON object")
    clock.now += 1
    late = kept(issuer, http, clock, tmp_path)
    await late.refresh()
    assert late.current is None


async def test_kept_keys_that_cannot_be_used_are_said(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    KeyStore(tmp_path, "a", issuer.url).save(KeptKeys({"keys": []}, NOW))
    issuer.keys = json_answer({}, 500)
    source = kept(issuer, http, clock, tmp_path)
    await source.refresh()
    assert source.current is None
    assert "the keys that were kept cannot be used" in caplog.text


async def test_a_fresh_set_replaces_what_was_kept(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock, tmp_path: Path
) -> None:
    await kept(issuer, http, clock, tmp_path).refresh()
    issuer.keys = publishes("RSA")
    source = kept(issuer, http, clock, tmp_path)
    await source.refresh()
    assert kids(source) == ("a-RSA",)


async def test_metadata_is_where_the_settings_say_and_still_names_the_issuer(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    shared = "https://identity.example/"
    at = f"{issuer.url}/.well-known/oauth-authorization-server"
    issuer.metadata = json_answer({"issuer": shared, "jwks_uri": f"{issuer.url}/keys"})
    source = RemoteKeys(KeySettings("a", shared, metadata=at), http, clock)
    await source.refresh()
    assert kids(source) == ("a-P-256",)
    other = RemoteKeys(KeySettings("a", "https://other.example", metadata=at), http, clock)
    await other.refresh()
    assert other.current is None


async def test_tokens_that_name_an_unknown_key_are_counted(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    source = remote(issuer, http, clock)
    await source.look_for(None)
    for number in range(3):
        await source.look_for(f"k{number}")
    assert (source.status.unknown_keys, source.status.unknown_keys_per_minute) == (3, 3)
    clock.now += 60
    assert (source.status.unknown_keys, source.status.unknown_keys_per_minute) == (3, 0)


async def test_a_failed_signature_is_worth_a_fetch_once_in_a_cooldown(
    issuer: Publisher, http: aiohttp.ClientSession, clock: Clock
) -> None:
    source = remote(issuer, http, clock)
    worth = [source.may_have_changed]
    await source.refresh()
    worth.append(source.may_have_changed)
    clock.now += 30
    worth.append(source.may_have_changed)
    assert worth == [True, False, True]
