"""Expressions of typed variables, and the automata that they become."""

import re

import pytest
from hypothesis import given, strategies as st

from gateway.policy.patterns import TYPES, Pattern, compiled

UUID = "123e4567-e89b-12d3-a456-426614174000"
TAKEN: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    ("int", ("0", "007", "18446744073709551616"), ("", "-1", "1.0", "1a", "%31", "\N{ARABIC-INDIC DIGIT ONE}")),
    ("uuid", (UUID, UUID.upper()), ("", UUID[1:], f"{UUID}0", UUID.replace("-", ""), f"{{{UUID}}}", UUID[:-1] + "g")),
    ("[a-z]+", ("a", "az"), ("", "A", "a1", "a-b", "a%20")),
    ("[A-Z_][A-Z0-9_]*", ("A", "_9", "A0"), ("9", "a")),
    (r"\d{4}-\d{2}", ("2026-11",), ("2026-1", "2026-111", "202611")),
    (r"\w+\.json", ("a_1.json",), (".json", "a.jsonl", "a-json")),
    ("read|write", ("read", "write"), ("readwrite", "reading", "")),
    ("v(1|2(beta)?)", ("v1", "v2", "v2beta"), ("v", "v1beta", "v2bet")),
    ("a{2,3}", ("aa", "aaa"), ("a", "aaaa")),
    ("a{2,}", ("aa", "aaaaaa"), ("a", "")),
    ("(ab){0,2}c", ("c", "abc", "ababc"), ("abababc", "ab")),
    ("[a-z]*", ("a",), ("",)),
    ("(a?b?)*", ("ab", "ba", "bbb"), ("", "c")),
    ("[-+]?[0-9]", ("-1", "+1", "1"), ("--1",)),
    ("[+-]", ("-", "+"), (",",)),
    ("[.$()*+]", (".", "$", "(", ")", "*", "+"), (",", "a")),
    (r"[\d\-]", ("1", "-"), ("a",)),
    (r"\$\(\)\*\+", ("$()*+",), ("$",)),
    ("a&b'c,d=e:f@g~h!", ("a&b'c,d=e:f@g~h!",), ("a",)),
    ("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", ("a", "a-b", "a" * 63), ("-a", "a-", "a" * 64)),
]


@pytest.mark.parametrize(("source", "taken", "others"), TAKEN, ids=[source for source, _, _ in TAKEN])
def test_a_pattern_takes_whole_texts(source: str, taken: tuple[str, ...], others: tuple[str, ...]) -> None:
    pattern = compiled(source)
    assert [text for text in taken if not pattern.fits(text)] == []
    assert [text for text in others if pattern.fits(text)] == []


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        (".+", r"or write '\.' for a dot"),
        ("^a", "remove '^'"),
        ("a$", "remove '$'"),
        ("[^a]", "list what it takes"),
        ("[]", "list what it takes"),
        ("[a", "'[' without its ']'"),
        ("a]", "remove it"),
        ("(a", "'(' without its ')'"),
        ("a)", "')' without its '('"),
        ("(?:a)", "write plain groups"),
        ("*a", r"write '\*' for the character"),
        ("a|+", r"write '\+' for the character"),
        ("a+?", "put the first into a group"),
        ("a{2}{3}", "put the first into a group"),
        ("a{3,2}", "smaller number first"),
        ("a{x}", "begins no count"),
        ("a{1000}", "begins no count"),
        ("[z-a]", "write 'a-z'"),
        ("[a-Z]", r"write '\-'"),
        ("[+-9]", r"write '\-'"),
        ("[?]", "no segment of a path holds '?'"),
        ("[{]", "no segment of a path holds '{'"),
        ("[[]", "no segment of a path holds '['"),
        ("a b", "no segment of a path holds ' '"),
        ("a%20", "no expression takes an escape"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "no segment of a path holds"),
        (r"\s", r"'\s' is no escape"),
        (r"\%", r"'\%' is no escape"),
        ("a\\", "is no escape"),
        ("", "an alternative is empty"),
        ("a|", "write ? behind"),
        ("()", "an alternative is empty"),
        ("a{0}", "takes no text at all"),
        ("a" * 201, "more than 200 characters"),
        ("(a{100}){100}", "when its repetitions are written out"),
        ("(a{100,}){100,}", "when its repetitions are written out"),
        ("(a|b)*a(a|b){20}", "write it simpler"),
    ],
)
def test_an_expression_that_cannot_be_meant_is_refused_with_the_remedy(source: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=re.escape(remedy)):
        compiled(source)


def test_groups_nest_as_deep_as_an_expression_is_long() -> None:
    assert compiled("(" * 99 + "a" + ")" * 99).fits("a")


_atoms = st.sampled_from(["a", "b", "[ab]", "[b-d]", r"\d", "1", "-"])
_expressions = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: f"({'|'.join(items)})"),
        st.builds("({}){}".format, inner, st.sampled_from(["?", "*", "+", "{2}", "{0,2}", "{1,}"])),
    ),
    max_leaves=6,
)
_texts = st.text("abcd12-", max_size=6)


def accepted(source: str) -> Pattern | None:
    """The automaton; None for an expression that takes no text or needs too many states."""
    try:
        return compiled(source)
    except ValueError:
        return None


@given(_expressions, st.lists(_texts, max_size=20))
def test_a_pattern_takes_what_a_backtracking_engine_takes(source: str, texts: list[str]) -> None:
    pattern = accepted(source)
    known = re.compile(source)
    for text in filter(None, texts):
        assert pattern is None or pattern.fits(text) == (known.fullmatch(text) is not None), text


def test_a_pattern_that_ruins_a_backtracking_engine_costs_one_step_a_character() -> None:
    class Counted(dict[str, int]):
        steps = 0

        def get(self, *key: object) -> int | None:  # type: ignore[override]  # only what an automaton calls
            Counted.steps += 1
            return super().get(*key)  # type: ignore[call-overload,no-any-return]  # likewise

    pattern = compiled("(a|a|aa)*b")
    counted = Pattern(pattern.source, tuple(map(Counted, pattern.steps)), pattern.ends)
    assert not counted.fits("a" * 5000)
    assert Counted.steps == 5000


@pytest.mark.parametrize(
    ("one", "other", "includes", "common"),
    [
        ("a(bc)?", "a(bc?)?", False, "a"),
        ("int", r"\d{4}", True, "0000"),
        (r"\d{4}", "int", False, "0000"),
        ("[a-z]+", "int", False, None),
        ("[a-z0-9]+", "int", True, "0"),
        ("[a-z]+", "[a-m]+|x", True, "a"),
        ("(a|b)*", "(a*b*)*", True, "a"),
        ("a+", "a{3,5}", True, "aaa"),
        ("a{3,5}", "a+", False, "aaa"),
        ("a|b", "b|c", False, "b"),
        ("a|bb", "a|b", False, "a"),
        ("uuid", "uuid", True, "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_what_two_patterns_take_is_compared(one: str, other: str, common: str | None, *, includes: bool) -> None:
    assert compiled(one).includes(compiled(other)) is includes
    assert compiled(one).common(compiled(other)) == common


@given(_expressions, _expressions)
def test_a_common_text_fits_both_and_inclusion_means_that_there_is_one(one: str, other: str) -> None:
    mine, theirs = accepted(one), accepted(other)
    if mine is None or theirs is None:
        return
    common = mine.common(theirs)
    assert common is None or (mine.fits(common) and theirs.fits(common))
    if mine.includes(theirs):
        assert common == theirs.common(theirs)


def test_a_type_is_its_expression() -> None:
    for name, source in TYPES.items():
        assert compiled(name).includes(compiled(source))
        assert compiled(name) != compiled(source)
