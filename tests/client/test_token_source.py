"""A token that is always at hand: renewed ahead, one flight, back-off. Time and chance are the test's."""

import asyncio
import base64
import heapq
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from gateway.client import MalformedAnswer, Refused, TokenOutcome, TokenResponse, TokenSource, Unreachable
from gateway.client.token_source import NoToken

from .peer import NOW

DOWN = Unreachable("https://login.example/token answered 503")


@dataclass
class Timer:
    at: float
    callback: Callable[[], None] | None

    def cancel(self) -> None:
        self.callback = None


@dataclass
class Time:
    """A clock and its timers, which go only when the test says so."""

    now: float = NOW
    _timers: list[tuple[float, int, Timer]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self.now + delay, callback)
        heapq.heappush(self._timers, (timer.at, next(self._numbers), timer))
        return timer

    async def go(self, seconds: float) -> None:
        """Let time pass, and whatever is due happen at its moment."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            at, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            if timer.callback is not None:
                timer.callback()
                await settle()
        self.now = end
        await settle()


async def settle() -> None:
    """Let what is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


class Issuer:
    """Gives tokens t1, t2 ..., or what the test says; a gate holds it back."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.asked: list[float] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.lifetime: int | None = 3600
        self.instead: TokenOutcome | Exception | None = None

    async def __call__(self) -> TokenOutcome:
        self.asked.append(self.time.now - NOW)
        number = len(self.asked)
        await self.gate.wait()
        if isinstance(self.instead, Exception):
            raise self.instead
        return self.instead or TokenResponse(f"t{number}", "Bearer", self.lifetime, None)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def issuer(time: Time) -> Issuer:
    return Issuer(time)


@dataclass
class Chance:
    drawn: float = 0.0

    def __call__(self) -> float:
        return self.drawn


def source_of(issuer: Issuer, chance: float = 0.0, timeout: float = 5.0) -> TokenSource:
    time = issuer.time
    return TokenSource("api", issuer, timeout=timeout, clock=time, chance=Chance(chance), call_later=time.call_later)


async def started(issuer: Issuer, chance: float = 0.0) -> TokenSource:
    source = source_of(issuer, chance)
    source.start()
    await settle()
    return source


async def test_a_token_is_at_hand_once_it_was_obtained(issuer: Issuer) -> None:
    source = source_of(issuer)
    before = source.authorization
    source.start()
    await settle()
    assert (before, source.authorization) == (None, b"Bearer t1")
    status = source.status
    assert (status.name, status.obtained_at, status.expires_at) == ("api", NOW, NOW + 3600)
    assert (status.error, status.retry_at) == (None, None)


async def test_all_who_wait_wait_for_one_flight(issuer: Issuer) -> None:
    source = source_of(issuer)
    issuer.gate.clear()
    waiting = [asyncio.create_task(source.wait()) for _ in range(100)]
    await settle()
    assert len(issuer.asked) == 1
    issuer.gate.set()
    assert await asyncio.gather(*waiting) == [b"Bearer t1"] * 100
    assert len(issuer.asked) == 1


async def test_who_stops_waiting_stops_no_flight(issuer: Issuer) -> None:
    source = source_of(issuer)
    issuer.gate.clear()
    one, other = asyncio.create_task(source.wait()), asyncio.create_task(source.wait())
    await settle()
    one.cancel()
    issuer.gate.set()
    assert await other == b"Bearer t1"


@pytest.mark.parametrize(
    ("lifetime", "chance", "renewed"),
    [(3600, 0.0, 3540), (3600, 1.0, 3480), (60, 0.0, 54), (60, 1.0, 48), (2, 0.0, 1.8), (1, 0.0, 1)],
)
async def test_a_token_is_renewed_before_it_expires_and_used_meanwhile(
    issuer: Issuer, time: Time, lifetime: int, chance: float, renewed: float
) -> None:
    issuer.lifetime = lifetime
    source = await started(issuer, chance)
    await time.go(renewed - 0.01)
    assert issuer.asked == [0]
    assert source.authorization == b"Bearer t1" or lifetime == 1
    issuer.gate.clear()
    await time.go(0.02)
    assert issuer.asked == [0, pytest.approx(renewed)]
    assert source.authorization == b"Bearer t1" or lifetime == 1
    issuer.gate.set()
    await settle()
    assert source.authorization == b"Bearer t2"


async def test_a_token_is_dropped_a_little_before_it_expires(issuer: Issuer, time: Time) -> None:
    source = await started(issuer)
    issuer.instead = DOWN
    await time.go(3594.9)
    assert source.authorization == b"Bearer t1"
    await time.go(0.2)
    assert source.authorization is None


async def test_time_that_obtaining_took_counts_against_the_token(issuer: Issuer, time: Time) -> None:
    source = source_of(issuer)
    issuer.gate.clear()
    source.start()
    await settle()
    time.now += 100
    issuer.gate.set()
    await settle()
    assert source.status.expires_at == NOW + 3600
    await time.go(3600 - 60 - 100 - 1)
    assert len(issuer.asked) == 1
    await time.go(1)
    assert len(issuer.asked) == 2


def jwt_of(payload: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip('=')}.sig"


@pytest.mark.parametrize(
    ("token", "seconds"),
    [
        (jwt_of({"exp": NOW + 600}), 600),
        (jwt_of({"exp": NOW + 10**9}), 86400),
        (jwt_of({"exp": 10**30}), 86400),
        (jwt_of({"exp": "soon"}), 300),
        (jwt_of({}), 300),
        (jwt_of([]), 300),
        ("opaque", 300),
        ("a.b.c", 300),
    ],
)
async def test_where_the_issuer_does_not_tell_the_token_itself_may(issuer: Issuer, token: str, seconds: int) -> None:
    issuer.instead = TokenResponse(token, "bearer", None, None)
    source = await started(issuer)
    assert source.status.expires_at == NOW + seconds


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (DOWN, "answered 503"),
        (Refused(401, "invalid_client", "no"), "invalid_client: no"),
        (MalformedAnswer("no JSON"), "no JSON"),
        (TokenResponse("t", "DPoP", 60, None), "of type DPoP"),
        (TokenResponse("t", "Bearer", 0, None), "expired already"),
        (TokenResponse(jwt_of({"exp": NOW - 1}), "Bearer", None, None), "expired already"),
        (ValueError("a bug"), "unexpected error"),
    ],
)
async def test_without_a_usable_token_one_is_told_why_and_at_once(
    issuer: Issuer, outcome: TokenOutcome | Exception, words: str
) -> None:
    issuer.instead = outcome
    source = source_of(issuer)
    for _ in range(3):
        told = await source.wait()
        assert isinstance(told, NoToken)
        assert words in told.detail
        assert told.detail.startswith("credentials api: ")
    assert len(issuer.asked) == 1, "whoever waits causes no attempt before the next one is due"
    assert words in str(source.status.error)


async def test_attempts_come_less_and_less_often_until_one_succeeds(issuer: Issuer, time: Time) -> None:
    issuer.instead = DOWN
    source = await started(issuer)
    assert source.status.retry_at == pytest.approx(NOW + 1)
    await time.go(200)
    assert issuer.asked == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    issuer.instead = None
    await time.go(60)
    assert source.authorization == b"Bearer t10"
    assert source.status.error is None
    issuer.instead = DOWN
    renewed = 243 + 3540
    await time.go(NOW + renewed + 4 - time.now)
    assert [at - renewed for at in issuer.asked[10:]] == [0, 1, 3], "the count begins anew"


async def test_chance_spreads_attempts(issuer: Issuer, time: Time) -> None:
    issuer.instead = DOWN
    await started(issuer, chance=1.0)
    await time.go(3.6)
    assert issuer.asked == [0, 0.5, 1.5, 3.5]


@pytest.mark.parametrize(
    ("failure", "chance", "next_at"),
    [
        (Unreachable("busy", 120.0), 0.0, 120),
        (Unreachable("busy", 120.0), 1.0, 132),
        (Refused(429, "slow_down", None, 30.0), 0.0, 30),
        (Unreachable("busy", 0.0), 0.0, 1),
        (Unreachable("busy", 10.0**8), 0.0, 3600),
    ],
)
async def test_retry_after_is_kept_to(
    issuer: Issuer, time: Time, failure: TokenOutcome, chance: float, next_at: float
) -> None:
    issuer.instead = failure
    source = await started(issuer, chance)
    await time.go(next_at - 0.1)
    assert isinstance(await source.wait(), NoToken)
    assert issuer.asked == [0]
    await time.go(0.2)
    assert len(issuer.asked) == 2


async def test_while_renewing_fails_the_old_token_serves_to_its_end(issuer: Issuer, time: Time) -> None:
    source = await started(issuer)
    issuer.instead = DOWN
    await time.go(3550)
    assert await source.wait() == b"Bearer t1"
    assert source.status.error == DOWN.detail
    assert source.status.expires_at == NOW + 3600
    issuer.instead = None
    await time.go(10)
    assert source.authorization is not None
    assert source.authorization != b"Bearer t1"


async def test_an_attempt_has_its_time(issuer: Issuer) -> None:
    source = source_of(issuer, timeout=0.01)
    issuer.gate.clear()
    told = await source.wait()
    assert told == NoToken("credentials api: no answer within 0.01 s")


async def test_a_token_that_was_refused_is_replaced(issuer: Issuer) -> None:
    source = await started(issuer)
    source.refused(b"Bearer t1")
    assert source.authorization is None
    assert await source.wait() == b"Bearer t2"


async def test_a_token_of_the_past_that_was_refused_changes_nothing(issuer: Issuer) -> None:
    source = await started(issuer)
    source.refused(b"Bearer t0")
    assert source.authorization == b"Bearer t1"


async def test_refusals_cause_one_token_in_a_while(issuer: Issuer, time: Time) -> None:
    source = await started(issuer)
    for _ in range(100):
        source.refused(await source.wait() or b"")  # type: ignore[arg-type]  # there is a token each time
        await settle()
    assert len(issuer.asked) == 2
    await time.go(30)
    source.refused(b"Bearer t2")
    assert await source.wait() == b"Bearer t3"


async def test_a_refused_token_serves_on_where_no_other_is_to_be_had(issuer: Issuer, time: Time) -> None:
    source = await started(issuer)
    issuer.instead = DOWN
    source.refused(b"Bearer t1")
    assert await source.wait() == b"Bearer t1"
    await time.go(30)
    source.refused(b"Bearer t1")
    assert source.authorization == b"Bearer t1", "an attempt is due anyway"
    await time.go(3570)
    assert source.authorization is None


async def test_a_token_that_was_set_aside_and_expired_meanwhile_is_gone(issuer: Issuer, time: Time) -> None:
    source = await started(issuer)
    issuer.gate.clear()
    issuer.instead = DOWN
    source.refused(b"Bearer t1")
    await time.go(3600)
    issuer.gate.set()
    await settle()
    assert source.authorization is None


async def test_once_closed_there_is_no_token_and_nothing_is_asked(issuer: Issuer, time: Time) -> None:
    source = await started(issuer)
    await source.close()
    assert source.authorization is None
    await time.go(10_000)
    assert isinstance(await source.wait(), NoToken)
    assert len(issuer.asked) == 1


async def test_closing_ends_a_flight_and_the_wait_for_it(issuer: Issuer) -> None:
    source = source_of(issuer)
    issuer.gate.clear()
    waiting = asyncio.create_task(source.wait())
    await settle()
    await source.close()
    assert isinstance(await waiting, NoToken)


async def test_only_changes_are_logged(issuer: Issuer, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gateway.client.token_source")
    source = await started(issuer)
    await time.go(3600)
    issuer.instead = DOWN
    await time.go(3600 * 3)
    issuer.instead = None
    await time.go(60)
    assert source.authorization is not None
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" (")[0] for line in lines] == [
        "credentials api: a token is at hand, for 3600 s",
        "credentials api: no token can be obtained",
        "credentials api: a token is at hand, for 3600 s",
    ]
    assert not [line for line in lines if "t1" in line]
