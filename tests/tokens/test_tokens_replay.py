"""What must be taken only once."""

import pytest
from hypothesis import given, strategies as st

from gateway.tokens.replay import Admission, ReplayStore

from .tokens_case import NOW, Clock


def test_a_digest_is_admitted_once_until_its_time_is_over() -> None:
    clock = Clock()
    store = ReplayStore(clock)
    assert store.admit(b"a", NOW + 60) is Admission.NEW
    assert store.admit(b"b", NOW + 90) is Admission.NEW
    clock.now += 60
    assert store.admit(b"a", NOW + 120) is Admission.REPLAYED
    clock.now += 0.1
    assert store.admit(b"a", NOW + 120) is Admission.NEW
    assert len(store) == 2


def test_a_full_store_admits_nothing_until_there_is_room() -> None:
    clock = Clock()
    store = ReplayStore(clock, most=2)
    assert [store.admit(digest, NOW + 1) for digest in (b"a", b"b", b"c", b"a")] == [
        Admission.NEW,
        Admission.NEW,
        Admission.FULL,
        Admission.REPLAYED,
    ]
    clock.now += 2
    assert store.admit(b"c", NOW + 3) is Admission.NEW
    assert len(store) == 1


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.integers(0, 5), st.integers(0, 3)), max_size=40)
)
def test_no_digest_is_admitted_twice_while_it_is_good(steps: list[tuple[bytes, int, int]]) -> None:
    clock = Clock()
    store = ReplayStore(clock, most=3)
    good: dict[bytes, float] = {}
    for digest, lifetime, passed in steps:
        clock.now += passed
        if store.admit(digest, clock.now + lifetime) is Admission.NEW:
            assert good.get(digest, 0.0) < clock.now
            good[digest] = clock.now + lifetime
        assert len(store) <= 3


@pytest.mark.parametrize("most", [0, 1])
def test_a_store_is_as_large_as_it_was_made(most: int) -> None:
    store = ReplayStore(Clock(), most=most)
    admitted = [store.admit(digest, NOW + 1) for digest in (b"a", b"b")]
    assert admitted.count(Admission.NEW) == most
