"""The table in which requests are counted, alone and shared by processes."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from subprocess import PIPE, Popen

import pytest
from hypothesis import given, settings, strategies as st

from gateway.rates import counts
from gateway.rates.counts import BUCKETS, SIZE, SLOTS, RateCounts, create

NOON = 1_800_000_000 // 86400 * 86400 + 43200.0
KEY = b"a key"


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table() -> Iterator[str]:
    file = create()
    yield f"/proc/{os.getpid()}/fd/{file}"
    os.close(file)


@pytest.fixture(params=["alone", "shared"])
def counting(request: pytest.FixtureRequest, clock: Clock, table: str) -> Iterator[RateCounts]:
    view = RateCounts(clock, KEY, None if request.param == "alone" else table)
    yield view
    view.close()


def taken(view: RateCounts, caller: str, times: int, limit: int = 3, seconds: int = 60) -> int:
    """How many of so many requests there is room for."""
    return sum(view.take(caller, limit, seconds) for _ in range(times))


def test_a_limit_is_kept_for_each_caller(counting: RateCounts) -> None:
    assert taken(counting, "a", 5) == 3
    assert taken(counting, "b", 5) == 3
    assert counting.counted("a", 60)[:2] == (0, 3)
    assert counting.counted("c", 60)[:2] == (0, 0)


def test_a_refused_request_does_not_count(counting: RateCounts, clock: Clock) -> None:
    taken(counting, "a", 1000)
    clock.now += 60
    assert counting.counted("a", 60) == (3, 0, 0.0)
    clock.now += 40
    assert taken(counting, "a", 5) == 2


def test_no_burst_of_twice_the_limit_where_two_windows_meet(counting: RateCounts, clock: Clock) -> None:
    clock.now += 59
    assert taken(counting, "a", 5) == 3
    clock.now += 2
    assert taken(counting, "a", 5) == 1


def test_after_two_windows_nothing_counts(counting: RateCounts, clock: Clock) -> None:
    taken(counting, "a", 5)
    clock.now += 120
    assert counting.counted("a", 60)[:2] == (0, 0)
    assert taken(counting, "a", 5) == 3


def test_a_clock_that_is_set_back_locks_nobody_out(counting: RateCounts, clock: Clock) -> None:
    taken(counting, "a", 5)
    clock.now -= 3600
    assert taken(counting, "a", 5) == 3


def test_a_request_can_be_taken_out_of_the_count_while_its_window_lasts(counting: RateCounts, clock: Clock) -> None:
    taken(counting, "a", 3)
    counting.give_back("a", 60)
    counting.give_back("nobody", 60)
    assert counting.counted("a", 60)[:2] == (0, 2)
    assert taken(counting, "a", 5) == 1
    clock.now += 60
    counting.give_back("a", 60)
    assert counting.counted("a", 60)[:2] == (3, 0)
    clock.now += 1
    assert taken(counting, "a", 1) == 1
    counting.give_back("a", 60)
    counting.give_back("a", 60)
    assert counting.counted("a", 60)[:2] == (3, 0)


def test_a_caller_can_be_counted_anew(counting: RateCounts) -> None:
    taken(counting, "a", 5)
    taken(counting, "b", 5)
    counting.forget("a")
    counting.forget("nobody")
    assert (taken(counting, "a", 5), taken(counting, "b", 5)) == (3, 0)
    counting.forget_all()
    assert (taken(counting, "a", 5), taken(counting, "b", 5)) == (3, 3)


@pytest.mark.parametrize("caller", ["", "a/b", "\0", "ü", "\ud800", "x" * 100_000])
def test_any_text_may_be_a_caller(counting: RateCounts, caller: str) -> None:
    assert taken(counting, caller, 2, limit=1) == 1


def test_the_table_is_bounded_and_who_used_most_of_a_limit_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(counts, "BUCKETS", 1)
    view = RateCounts(clock, KEY)
    taken(view, "greedy", 9, limit=10)
    taken(view, "modest", 2, limit=10)
    for number in range(10 * SLOTS):
        assert view.take(f"stranger {number}", 10, 60)
    assert view.counted("greedy", 60)[:2] == (0, 9)
    assert view.counted("modest", 60)[:2] == (0, 2)
    assert view.counted("stranger 0", 60)[:2] == (0, 0)
    assert sum(view.counted(f"stranger {number}", 60).within for number in range(10 * SLOTS)) == SLOTS - 2
    clock.now += 120
    assert all(view.take(f"another {number}", 10, 60) for number in range(SLOTS))
    assert view.counted("greedy", 60)[:2] == (0, 0)
    view.close()


def test_a_caller_is_found_only_where_an_entry_begins(counting: RateCounts) -> None:
    digest, start = counting._place("a")
    counting._table[start + 8 : start + 8 + len(digest)] = digest
    assert counting.counted("a", 60)[:2] == (0, 0)
    assert taken(counting, "a", 5) == 3


def test_the_room_for_callers_is_as_documented() -> None:
    assert BUCKETS * SLOTS == 131_072
    assert SIZE < 5 << 20


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 90)), max_size=60),
    st.integers(1, 4),
)
def test_nobody_gets_more_than_one_above_the_limit_and_what_comes_free_meanwhile(
    steps: list[tuple[str, float]], limit: int
) -> None:
    clock = Clock()
    view = RateCounts(clock, KEY)
    let_in: dict[str, list[float]] = {}
    for caller, passed in steps:
        clock.now += passed
        if view.take(caller, limit, 60):
            let_in.setdefault(caller, []).append(clock.now)
    view.close()
    for moments in let_in.values():
        for first, begin in enumerate(moments):
            for last, end in enumerate(moments[first:], first):
                share = (end - begin) / 60
                assert share > 1 or last - first + 1 < limit + 1 + limit * share + 1e-6


# Shared


def test_what_one_process_counts_the_others_know(table: str, clock: Clock) -> None:
    one, other = RateCounts(clock, KEY, table), RateCounts(clock, KEY, table)
    assert taken(one, "a", 2) == 2
    assert taken(other, "a", 2) == 1
    assert taken(one, "a", 1) == 0
    one.close()
    third = RateCounts(clock, KEY, table)
    assert taken(third, "a", 1) == 0
    other.close()
    third.close()


TAKE_MANY = f"""
import sys
from gateway.rates.counts import RateCounts
view = RateCounts(lambda: {NOON}, {KEY!r}, sys.argv[1])
print(sum(view.take("a", 500, 60) for _ in range(400)))
"""


def test_processes_that_count_at_once_let_in_no_more_than_the_limit(table: str) -> None:
    command = [sys.executable, "-c", TAKE_MANY, table]
    with ExitStack() as running:
        both = [running.enter_context(Popen(command, stdout=PIPE, text=True)) for _ in range(2)]
        found = [int(process.communicate(timeout=30)[0]) for process in both]
    assert sum(found) == 500


def test_a_table_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        RateCounts(Clock(), KEY, "/nowhere/table")
