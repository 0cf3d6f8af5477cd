"""The words for times, and the paths that `scopegate explain` proposes."""

import pytest
from hypothesis import given, strategies as st

from gateway.explain.targets import repaired
from gateway.explain.words import distance, span
from gateway.policy.denial import Denial
from gateway.policy.paths import canonical_target

from .explain_case import NOW


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3599, "59 min"),
        (7300, "2 h"),
        (90000, "1 d"),
        (-90, "1 min"),
    ],
)
def test_a_duration_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"), [(True, "true"), (1e30, "1e+30"), ("soon", "soon"), (None, "null"), (-1, "-1")]
)
def test_a_time_that_is_none_is_shown_as_it_is(value: object, words: str) -> None:
    assert distance(value, NOW, ahead="a", past="b") == words


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/./b/../c", "/a/c"),
        ("/../../etc", "/etc"),
        ("//a///b", "/a/b"),
        (r"/a\b", "/a/b"),
        ("/a%5cb", "/a/b"),
        ("/a%2fb", "/a/b"),
        ("/a;x=1/b;y", "/a/b"),
        ("/%41%2e%2e/b", "/A../b"),
        ("/a/..", "/"),
        ("/a/b/.", "/a/b/"),
        ("http://host/a?b=c", "/a"),
        ("*", None),
        ("jobs", "/jobs"),
        ("/a b", "/a%20b"),
        ("/\udcff", "/%FF"),
        ("/a%00", None),
        ("/a%", None),
        ("http://[/a", None),
    ],
)
def test_a_path_is_proposed_only_if_it_is_canonical(target: str, path: str | None) -> None:
    proposed = repaired(target)
    assert proposed == path
    assert proposed is None or not isinstance(canonical_target(proposed), Denial)


@given(st.text("/.%25efc\\;#?:*a\x00\u00e9\udcff ", max_size=20))
def test_whatever_the_target_a_proposed_path_is_canonical(target: str) -> None:
    proposed = repaired(target)
    assert proposed is None or not isinstance(canonical_target(proposed), Denial)
