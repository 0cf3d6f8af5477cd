"""Fields by which routes are told apart."""

import pytest
from hypothesis import given, strategies as st

from gateway.policy.denial import Denial, Reason
from gateway.policy.fields import FieldCondition, FieldSelector, fields_fit, fields_include, fit

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
        *((each, ((b"X~Version", b"2"),), False) for each in (TWO, EITHER, SOME, NONE)),
    ],
)
def test_a_condition_holds_of_one_field_in_its_own_spelling(
    condition: FieldCondition, fields: tuple[tuple[bytes, bytes], ...], *, fits: bool
) -> None:
    assert fields_fit((condition,), fields) is fits


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
    denial = FieldSelector([[FieldCondition("X-Other")], [SOME]]).first(fields)
    assert isinstance(denial, Denial)
    assert (denial.reason, denial.check, denial.found) == (Reason.REQUEST_MALFORMED, "fields", found)
    assert denial.hint == "Send each field once, and in its usual spelling."


@pytest.mark.parametrize("value", [b"2\xa0", b"2\x85", b"\xa02", b"2\xc2\xa0", b"\xef\xbc\x92"])
def test_a_value_that_is_not_ascii_is_refused_where_it_is_compared(value: bytes) -> None:
    denial = FieldSelector([[SOME], [TWO]]).first([(b"X-Version", value)])
    assert isinstance(denial, Denial)
    assert (denial.reason, denial.check, denial.expected) == (
        *(Reason.REQUEST_MALFORMED, "fields"),
        "X-Version in ASCII",
    )
    assert FieldSelector([[SOME], [NONE]]).first([(b"X-Version", value)]) == 0


def test_what_no_condition_looks_at_may_come_as_it_likes() -> None:
    assert FieldSelector([[FieldCondition("X-Other")], []]).first(TWICE) == 1


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
_one_each = st.lists(_conditions, max_size=2, unique_by=lambda each: each.name.lower()).map(tuple)
_fields = st.lists(
    st.tuples(st.sampled_from([b"A", b"b"]), st.sampled_from([b"", b"1", b"2", b"3", b"9"])), max_size=2
).map(tuple)


@given(st.lists(_one_each, max_size=3), _fields)
def test_the_first_list_of_which_all_conditions_hold_is_selected(
    lists: list[tuple[FieldCondition, ...]], fields: tuple[tuple[bytes, bytes], ...]
) -> None:
    values = {name.decode().lower(): value.decode() for name, value in fields}
    found = FieldSelector(lists).first(fields)
    looked_at = {condition.name.lower() for each in lists for condition in each}
    if any([name.decode().lower() for name, _ in fields].count(name) > 1 for name in looked_at):
        assert isinstance(found, Denial)
    else:
        assert found == next((at for at, each in enumerate(lists) if fit(each, values)), None)


def test_a_field_that_routes_spell_in_two_ways_is_taken_in_neither() -> None:
    both = FieldSelector([[FieldCondition("X-Version", ("1",))], [FieldCondition("x_version", ("1",))], []])
    assert both.first(()) == 2
    for name in (b"X-Version", b"X_Version"):
        assert isinstance(both.first(((name, b"1"),)), Denial)


@given(_one_each, _one_each, _fields)
def test_conditions_that_include_others_hold_wherever_those_hold(
    wide: tuple[FieldCondition, ...], narrow: tuple[FieldCondition, ...], fields: tuple[tuple[bytes, bytes], ...]
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
