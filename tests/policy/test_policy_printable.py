"""Text of strangers shows itself and does nothing else."""

import pytest
from hypothesis import given, strategies as st

from gateway.policy.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text: {}", "plain text: {}"),
        ("", ""),
        ("a\nb", "a\\nb"),
        ("\u2028", "\\u2028"),
        ("\x1b[2J", "\\x1b[2J"),
        ("é", "\\xe9"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_not_printable_ascii_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_nothing_but_printable_ascii_comes_out(text: str) -> None:
    assert printable(text).isascii()
    assert printable(text).isprintable()
