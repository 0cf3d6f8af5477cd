"""Fields by which routes are told apart."""

import pytest
from hypothesis import given, strategies as st

from gateway.policy.denial import Denial, Reason
from gateway.policy.fields import FieldCondition, field_values, fields_fit, fields_include

TWO = FieldCondition("X-Version", ("2",))
EITHER = FieldCondition("x-version", ("2", "3"))
SOME = FieldCondition("X-Version")
NONE = FieldCondition("X-Version", present=False)
TWICE = ((b"X-Version", b"2"), (b"x-version", b"2"))


@pytest.mark.parametrize(
    ("condition", "fields", "fits"),
    [
        (TWO, ((b"X-Version", b"2"),), True),
        (TWO, ((b"x-vERSION", b"2"),), True),
        (TWO, ((b"X-Version", b"3"),), False),
        (TWO, ((b"X-Version", b"2, 3"),), False),
        (TWO, ((b"X-Version", b""),), False),
        (TWO, ((b"X-Versions", b"2"),), False),
        (TWO, (), False),
        (EITHER, ((b"X-Version", b"3"),), True),
        (SOME, ((b"X-Version", b""),), True),
        (SOME, ((b"X-Version", b"\xe9"),), True),
        (SOME, ((b"X-\xe9", b"2"),), False),
        (NONE, ((b"X-Version", b""),), False),
        (NONE, ((b"X-Other", b"2"),), True),
        *((each, TWICE, False) for each in (TWO, EITHER, SOME, NONE)),
        *((each, ((b"X_Version", b"2"),), False) for each in (TWO, EITHER, SOME, NONE)),
        *((each, ((b"x.version", b"2"),), False) for each in (TWO, EITHER, SOME, NONE)),
    ],
)
def test_a_condition_holds_of_one_field_in_its_own_spelling(
    condition: FieldCondition, fields: tuple[tuple[bytes, bytes], ...], *, fits: bool
) -> None:
    assert fields_fit([condition], fields) is fits


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (TWICE, "X-Version, x-version"),
        (((b"X_Version", b"2"),), "X_Version"),
        (((b"X-Version", b"2"), (b"X.Version", b"2")), "X-Version, X.Version"),
        (((b"X_VERSION\x85", b"2"), (b"X_VERSION", b"2")), "X_VERSION"),
    ],
)
def test_a_field_that_the_upstream_may_read_otherwise_is_refused(
    fields: tuple[tuple[bytes, bytes], ...], found: str
) -> None:
    denial = field_values([FieldCondition("X-Other"), SOME], fields)
    assert isinstance(denial, Denial)
    assert (denial.reason, denial.check, denial.found) == (Reason.REQUEST_MALFORMED, "fields", found)
    assert denial.hint == "Send each field once, and in its usual spelling."


def test_what_no_condition_looks_at_may_come_as_it_likes() -> None:
    assert field_values([FieldCondition("X-Other")], TWICE) == {}


@pytest.mark.parametrize(
    ("condition", "words"),
    [(TWO, "X-Version: 2"), (EITHER, "x-version: 2 or 3"), (SOME, "some X-Version"), (NONE, "no X-Version")],
)
def test_a_condition_is_told_in_words(condition: FieldCondition, words: str) -> None:
    assert str(condition) == words


_conditions = st.builds(
    lambda name, values, present: FieldCondition(name, values if present else (), present),
    st.sampled_from(["A", "a", "B"]),
    st.lists(st.sampled_from(["1", "2", "3"]), unique=True, max_size=2).map(tuple),
    st.booleans(),
)
_one_each = st.lists(_conditions, max_size=2, unique_by=lambda each: each.name.lower())
_fields = st.lists(
    st.tuples(st.sampled_from([b"A", b"b"]), st.sampled_from([b"", b"1", b"2", b"3", b"9"])), max_size=2
).map(tuple)


@given(_one_each, _one_each, _fields)
def test_conditions_that_include_others_hold_wherever_those_hold(
    wide: list[FieldCondition], narrow: list[FieldCondition], fields: tuple[tuple[bytes, bytes], ...]
) -> None:
    if fields_include(wide, narrow) and fields_fit(narrow, fields):
        assert fields_fit(wide, fields)


@given(_conditions, _conditions)
def test_a_condition_that_does_not_include_another_on_its_field_shows_it(
    wide: FieldCondition, narrow: FieldCondition
) -> None:
    if wide.name.lower() == narrow.name.lower():
        values = (None, "1", "2", "3", "9")
        assert wide.includes(narrow) == all(wide.holds(value) for value in values if narrow.holds(value))
