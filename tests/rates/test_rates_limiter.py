"""Whether a caller may call once more."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, Route, Rule
from gateway.policy.rates import Counted, RateLimit
from gateway.rates.counts import RateCounts
from gateway.rates.limiter import RateLimiter, caller
from gateway.rates.storage import TableStorage

from .test_rates_counts import KEY, Clock

BATCH = Claims("local", "https://issuer.example", "job-1", "batch", ("api",), (), 0, None, "1")
ROUTE = Route("jobs", "/jobs", frozenset({"GET"}), Rule(), "api", rate_limits=(RateLimit(3, 60, "client"),))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counting(clock: Clock) -> Iterator[RateCounts]:
    view = RateCounts(clock, KEY)
    yield view
    view.close()


@pytest.fixture
def limiter(counting: RateCounts) -> RateLimiter:
    return RateLimiter(counting)


def limited(*limits: RateLimit, route: str = "jobs") -> Route:
    return replace(ROUTE, id=route, rate_limits=limits)


def taken(limiter: RateLimiter, route: Route, times: int, claims: Claims | None = BATCH, address: str = "") -> int:
    return sum(limiter.take(route, claims, address) is None for _ in range(times))


def refused(limiter: RateLimiter, route: Route, claims: Claims | None = BATCH, address: str = "") -> Denial:
    denial = limiter.take(route, claims, address)
    assert denial is not None
    assert denial.reason is Reason.RATE_LIMITED
    return denial


def test_a_client_may_call_so_often_and_is_told_when_to_come_again(limiter: RateLimiter, clock: Clock) -> None:
    clock.now += 20
    assert taken(limiter, ROUTE, 5) == 3
    denial = refused(limiter, ROUTE)
    assert denial.retry_after == 41
    assert "3/minute by client" in denial.expected
    assert "local/batch" in denial.found
    clock.now += 40
    refused(limiter, ROUTE)
    clock.now += 1
    assert taken(limiter, ROUTE, 5) == 1


@pytest.mark.parametrize(
    ("by", "alike", "others"),
    [
        ("client", [BATCH._replace(subject="x", jti="2")], [BATCH._replace(client_id="reports")]),
        ("subject", [BATCH._replace(client_id="x")], [BATCH._replace(subject="job-2"), BATCH._replace(subject="")]),
    ],
)
def test_one_is_counted_as_oneself_and_by_one_issuer(
    limiter: RateLimiter, by: str, alike: list[Claims], others: list[Claims]
) -> None:
    limit = RateLimit(3, 60, "client" if by == "client" else "subject")
    route = limited(limit)
    assert taken(limiter, route, 5) == 3
    assert [taken(limiter, route, 5, claims) for claims in alike] == [0] * len(alike)
    others = [*others, BATCH._replace(issuer_name="other")]
    assert [taken(limiter, route, 5, claims) for claims in others] == [3] * len(others)


def test_an_address_is_counted_whoever_calls_from_it(limiter: RateLimiter) -> None:
    route = limited(RateLimit(3, 60, "address"))
    assert taken(limiter, route, 2, None, "192.0.2.1") == 2
    assert taken(limiter, route, 2, BATCH, "::ffff:192.0.2.1") == 1
    assert taken(limiter, route, 2, None, "192.0.2.2") == 2
    assert taken(limiter, route, 2, None, "2001:db8::1") == 2
    assert taken(limiter, route, 2, None, "2001:db8::2") == 1


def test_each_route_and_each_limit_is_counted_by_itself(limiter: RateLimiter) -> None:
    other = limited(RateLimit(3, 60, "client"), route="reports")
    assert (taken(limiter, ROUTE, 5), taken(limiter, other, 5)) == (3, 3)
    assert taken(limiter, limited(RateLimit(4, 60, "client")), 5) == 4
    assert taken(limiter, limited(RateLimit(3, 120, "client")), 5) == 3


def test_of_several_limits_all_hold_and_a_request_that_one_refuses_counts_by_none(
    limiter: RateLimiter, clock: Clock
) -> None:
    route = limited(RateLimit(2, 1, "client"), RateLimit(5, 3600, "client"))
    assert taken(limiter, route, 10) == 2
    clock.now += 2
    assert taken(limiter, route, 10) == 2
    clock.now += 2
    assert taken(limiter, route, 10) == 1
    denial = refused(limiter, route)
    assert "5/hour" in denial.expected
    clock.now += 2
    assert refused(limiter, route).retry_after == (denial.retry_after or 0) - 2


def test_who_used_up_two_limits_waits_for_the_longer_one(limiter: RateLimiter, clock: Clock) -> None:
    for limits in (
        (RateLimit(2, 1, "client"), RateLimit(2, 3600, "client")),
        (RateLimit(2, 3600, "subject"), RateLimit(2, 1, "subject")),
    ):
        route = limited(*limits)
        assert taken(limiter, route, 3) == 2
        denial = refused(limiter, route)
        assert (denial.retry_after or 0) > 1800
        assert "2/hour" in denial.expected


def test_where_a_new_window_begins_during_a_refusal_the_wait_is_a_second(clock: Clock) -> None:
    class Late(RateCounts):
        """Looks when two windows are over."""

        def counted(self, caller: str, seconds: int) -> Counted:
            clock.now += 2 * seconds
            return super().counted(caller, seconds)

    view = Late(clock, KEY)
    assert taken(RateLimiter(view), ROUTE, 3) == 3
    assert refused(RateLimiter(view), ROUTE).retry_after == 1
    view.close()


def test_no_text_of_a_token_is_counted_as_another_one() -> None:
    names = [
        caller(by, BATCH._replace(issuer_name=issuer, client_id=text, subject=text), "")
        for by in ("client",)
        for issuer in ("a", "a.b", "a-b")
        for text in ("", "b", "b/c", "/b", "a/b")
    ]
    assert len(set(names)) == len(names)


def test_a_client_is_only_known_by_its_token() -> None:
    with pytest.raises(TypeError, match="no client without a token"):
        caller("client", None, "192.0.2.1")


# The library's side


def test_the_strategy_of_the_library_tells_what_is_left(counting: RateCounts) -> None:
    windows, item = SlidingWindowCounterRateLimiter(TableStorage(counting)), RateLimitItemPerMinute(3)
    assert windows.test(item, "a")
    assert [windows.hit(item, "a") for _ in range(4)] == [True, True, True, False]
    assert not windows.test(item, "a")
    assert windows.get_window_stats(item, "a").remaining == 0
    windows.clear(item, "a")
    assert windows.get_window_stats(item, "a").remaining == 3


def test_what_is_not_counted_here_is_refused_to_the_library(counting: RateCounts) -> None:
    storage = TableStorage(counting)
    assert storage.check()
    fixed = FixedWindowRateLimiter(storage)
    for ask in (fixed.hit, fixed.test, fixed.get_window_stats):
        with pytest.raises(NotImplementedError, match="SlidingWindowCounterRateLimiter"):
            ask(RateLimitItemPerMinute(3), "a")
    with pytest.raises(NotImplementedError, match="SlidingWindowCounterRateLimiter"):
        storage.get_expiry("a")
    with pytest.raises(NotImplementedError, match="counts once"):
        SlidingWindowCounterRateLimiter(storage).hit(RateLimitItemPerMinute(3), "a", cost=2)
    storage.clear("a")
    storage.reset()


def test_a_table_that_fails_lets_nobody_in(counting: RateCounts, limiter: RateLimiter) -> None:
    counting.close()
    with pytest.raises(ValueError, match="closed"):
        limiter.take(ROUTE, BATCH, "")
