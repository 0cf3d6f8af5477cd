"""Sets of patterns: what each takes alone, in one walk, within bounds."""

import sys
from string import ascii_lowercase
from types import FrameType

import pytest
from hypothesis import given, strategies as st

from gateway.policy.pattern_sets import Memory, PatternSet, _State
from gateway.policy.patterns import Pattern, compiled

SOURCES = ["int", "[a-c]+", "a(b|c)*", "[ab]*a[ab]{2}", "a|ab|abc", "(aa)+", "[0-9a-c]{2,4}", "c?b?a", "uuid", "[b-d]"]


def set_of(memory: Memory, *sources: str) -> PatternSet:
    found = PatternSet(memory)
    assert [found.number(compiled(source)) for source in sources] == list(range(len(sources)))
    return found


def one_by_one(patterns: list[Pattern], text: str) -> tuple[int, ...]:
    return tuple(number for number, pattern in enumerate(patterns) if pattern.fits(text))


def held(patterns: PatternSet) -> int:
    """The cells that a set can still reach, as its memory counts them, without the state that all texts begin in."""
    start = patterns._begin() if patterns._start is None else patterns._start
    known, waiting = {id(start)}, [start]
    cells = 0
    while waiting:
        state: _State = waiting.pop()
        cells += len(state.steps) + (len(state.alive) + 8 if state.alive and state is not start else 0)
        for following in state.steps.values():
            if id(following) not in known:
                known.add(id(following))
                waiting.append(following)
    return cells


def calls_of(name: str, patterns: PatternSet, text: str) -> int:
    count = 0

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_name == name

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        patterns.fitting(text)
    finally:
        sys.setprofile(before)
    return count


_sources = st.lists(st.sampled_from(SOURCES), unique=True)
_texts = st.lists(st.text("abc1d-%", max_size=8) | st.sampled_from(["a" * 40, "ab" * 20, "7" * 30]), max_size=12)


@given(_sources, _sources, _texts, st.sampled_from([0, 12, 30, 100, 1000]))
def test_a_set_takes_what_its_patterns_take_one_by_one_and_remembers_no_more_than_it_may(
    some: list[str], others: list[str], texts: list[str], most: int
) -> None:
    memory = Memory(most)
    for patterns, sources in ((set_of(memory, *some), some), (set_of(memory, *others), others)):
        for text in texts:
            assert patterns.fitting(text) == one_by_one([compiled(source) for source in sources], text)
            assert sum(map(held, memory.sets)) <= memory.cells <= most


def test_a_pattern_that_joins_later_is_looked_for_from_then_on() -> None:
    patterns = set_of(Memory(), "[a-z]+")
    assert patterns.fitting("ab") == (0,)
    assert patterns.number(compiled("a[a-z]")) == 1
    assert patterns.number(compiled("[a-z]+")) == 0
    assert patterns.fitting("ab") == (0, 1)


@pytest.mark.parametrize("count", [1, 500])
def test_a_text_is_walked_once_however_many_patterns_there_are(count: int) -> None:
    patterns = set_of(Memory(), *(f"[a-z]+{number}" for number in range(count)))
    text = f"{ascii_lowercase}{count - 1}"
    assert calls_of("_step", patterns, text) == len(text)
    assert calls_of("_step", patterns, text) == 0
    assert patterns.fitting(text)[-1:] == (count - 1,)


def test_what_no_pattern_takes_ends_the_walk_at_once() -> None:
    patterns = PatternSet.of(map(compiled, SOURCES))
    assert calls_of("_step", patterns, "x" * 5000) == 1
    assert calls_of("_step", patterns, "x" * 5000) == 0


def test_texts_that_lead_to_ever_new_states_cost_one_step_a_character_and_no_more_memory() -> None:
    memory = Memory(2000)
    patterns = set_of(memory, *(f"[ab]*a[ab]{{{number}}}" for number in range(1, 8)))
    for number in range(200):
        text = f"{number * 7919 % 2**14:014b}".replace("0", "a").replace("1", "b")
        assert calls_of("_step", patterns, text) <= len(text)
        assert held(patterns) <= memory.cells <= 2000
