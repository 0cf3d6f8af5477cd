"""How often one caller may call, and when there is room again."""

import pytest
from hypothesis import example, given, settings, strategies as st

from gateway.policy.denial import Reason, refuse
from gateway.policy.rates import Counted, RateLimit, exceeded, site


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (RateLimit(100, 60, "client"), "100/minute by client"),
        (RateLimit(10, 1, "address"), "10/second by address"),
        (RateLimit(5, 90, "subject"), "5/90 seconds by subject"),
        (RateLimit(5, 900, "subject"), "5/15 minutes by subject"),
        (RateLimit(1, 86400, "client"), "1/day by client"),
        (RateLimit(1, 129600, "client"), "1/36 hours by client"),
    ],
)
def test_a_limit_is_told_in_the_words_of_the_configuration(limit: RateLimit, words: str) -> None:
    assert str(limit) == words


@pytest.mark.parametrize(
    ("counted", "room", "wait"),
    [
        (Counted(0, 0, 30), True, 0),
        (Counted(0, 9, 30), True, 0),
        (Counted(0, 10, 30), False, 31),  # the next window begins in 30 s, and then all ten count in full
        (Counted(0, 10, 0), False, 61),
        (Counted(10, 0, 0), False, 1),
        (Counted(10, 0, 0.1), True, 0),
        (Counted(10, 5, 30), False, 1),
        (Counted(10, 5, 31), True, 0),
        (Counted(10, 9, 0), False, 55),
        (Counted(10, 0, 60), True, 0),
        (Counted(0, 20, 30), False, 61),  # more than the limit: half of it is gone half a window later
    ],
)
def test_the_window_before_counts_by_the_share_of_it_that_is_not_over(
    counted: Counted, wait: int, *, room: bool
) -> None:
    assert counted.has_room(10, 60) is room
    assert counted.retry_after(10, 60) == wait


@example(limit=1, seconds=1, before=1.0, within=0.0, share=1e-117)
@settings(max_examples=300)
@given(
    limit=st.integers(1, 10_000_000),
    seconds=st.integers(1, 31 * 86400),
    before=st.floats(0, 1),
    within=st.floats(0, 1),
    share=st.floats(0, 1, exclude_max=True),
)
def test_after_the_wait_there_is_room_and_not_long_before(
    limit: int, seconds: int, before: float, within: float, share: float
) -> None:
    now = Counted(round(before * limit), round(within * limit), share * seconds)
    wait = now.retry_after(limit, seconds)
    assert (wait == 0) is now.has_room(limit, seconds)
    assert later(now, wait, seconds).has_room(limit, seconds)
    # Less than a second too long; beside that, the last digits of a float.
    assert wait <= 1 or not later(now, wait - 1.001, seconds).has_room(limit, seconds)


def later(counted: Counted, after: float, seconds: int) -> Counted:
    """The same so many seconds later, if nobody calls."""
    windows, elapsed = divmod(counted.elapsed + after, seconds)
    if windows == 0:
        return counted._replace(elapsed=elapsed)
    return Counted(counted.within if windows == 1 else 0, 0, elapsed)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("somewhere", "somewhere"),
    ],
)
def test_an_address_stands_for_all_that_one_customer_has(address: str, counted: str) -> None:
    assert site(address) == counted


def test_a_refusal_names_the_limit_and_the_caller_and_says_when_to_come_again() -> None:
    denial = exceeded(RateLimit(100, 60, "client"), "local/nightly\n-batch", 12)
    assert denial.reason is Reason.RATE_LIMITED
    assert denial.detail == (
        "rate limit: expected at most 100/minute by client, "
        r"found all of it used by client local/nightly\n-batch, for 12 s more"
    )
    refusal = refuse(denial, "here", "1")
    assert refusal.status == 429
    assert (b"Retry-After", b"12") in refusal.fields
    assert b"nightly" not in refusal.body


def test_callers_whose_address_is_not_known_are_told_as_one() -> None:
    denial = exceeded(RateLimit(100, 60, "address"), "", 12)
    assert denial.detail == (
        "rate limit: expected at most 100/minute by address, "
        "found all of it used by callers whose address is not known, for 12 s more"
    )
