r"""The regular expressions that a path template may hold, read into a tree.

Characters, classes such as `[a-z0-9]`, `\d` and `\w`, groups, `|`, and `?`, `*`, `+`, `{4}`, `{2,}`, `{2,8}`. An
expression always stands for a whole segment. It names the characters that it takes, so there is neither `.` nor
`[^...]`: what nobody thought of is not taken. For the same reason no expression takes an escape such as `%20`.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

MOST_CHARACTERS = 200

_DIGITS = frozenset("0123456789")
_WORD = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_TAKEN = _WORD | frozenset(".~!$&'()*+,=:@-")
"""What can stand in a segment of a path as it is (RFC 3986 §3.3, pchar)."""
_SETS = {"d": _DIGITS, "w": _WORD}
_COUNT = re.compile(r"\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}")
_RANGE = re.compile(r"([a-z])-([a-z])|([A-Z])-([A-Z])|([0-9])-([0-9])")
_SIGNS = {"?": (0, 1), "*": (0, None), "+": (1, None)}
_REMEDIES = {
    ".": "'.' would take any character: list those that may stand, such as [a-z0-9], or write '\\.' for a dot",
    "^": "an expression stands for the whole segment anyway: remove '^'",
    "$": "an expression stands for the whole segment anyway: remove '$', or write '\\$' for the character",
    ")": "a ')' without its '(': remove it, or write '\\)' for the character",
    "]": "a ']' without its '[': remove it",
    "{": "'{' begins no count such as {4}, {2,} or {2,8}",
}


class OneOf(NamedTuple):
    """One character out of a set."""

    characters: frozenset[str]


class Choice(NamedTuple):
    """One of several."""

    items: tuple[Expression, ...]


class Sequence(NamedTuple):
    """One after the other."""

    items: tuple[Expression, ...]


class Repeated(NamedTuple):
    """The same so many times; `most` None for any number."""

    item: Expression
    least: int
    most: int | None


Expression = OneOf | Choice | Sequence | Repeated


def read_expression(source: str) -> Expression:
    """Read an expression.

    Raises:
        ValueError: with what is wrong and what to write instead.
    """
    if len(source) > MOST_CHARACTERS:
        raise ValueError(f"an expression of more than {MOST_CHARACTERS} characters: write it shorter")
    reader = _Reader(source)
    whole = reader.choice()
    reader.end()
    return whole


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def choice(self) -> Expression:
        items = [self._sequence()]
        while self._skip("|"):
            items.append(self._sequence())
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def end(self) -> None:
        if self._next:
            self._fail(_REMEDIES[")"])

    @property
    def _next(self) -> str:
        """The character that comes, "" at the end."""
        return self._source[self._at : self._at + 1]

    def _skip(self, character: str) -> bool:
        found = self._next == character
        self._at += found
        return found

    def _fail(self, remedy: str) -> NoReturn:
        raise ValueError(f"'{self._source}': {remedy}")

    def _sequence(self) -> Expression:
        items = []
        while self._next not in {"", "|", ")"}:
            items.append(self._repeated())
        if not items:
            self._fail("an alternative is empty: write ? behind what may be left out")
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _repeated(self) -> Expression:
        item = self._item()
        count = self._count()
        if count is None:
            return item
        if self._next in {*_SIGNS, "{"}:
            self._fail("two counts in a row: put the first into a group, such as (a{2})*")
        return Repeated(item, *count)

    def _count(self) -> tuple[int, int | None] | None:
        if self._next in _SIGNS:
            self._at += 1
            return _SIGNS[self._source[self._at - 1]]
        found = _COUNT.match(self._source, self._at)
        if found is None:
            return None
        self._at = found.end()
        least = int(found[1])
        most = int(found[3]) if found[3] else None if found[2] else least
        if most is not None and most < least:
            self._fail(f"{found[0]} counts down: write the smaller number first")
        return least, most

    def _item(self) -> Expression:
        if self._skip("("):
            if self._next == "?":
                self._fail("a group cannot begin with '?': write plain groups, such as (a|b)")
            inner = self.choice()
            if not self._skip(")"):
                self._fail("a '(' without its ')': add it, or write '\\(' for the character")
            return inner
        if self._skip("["):
            return OneOf(self._class())
        return OneOf(self._character(within=""))

    def _class(self) -> frozenset[str]:
        if self._next == "^":
            self._fail("a class cannot say what it does not take: list what it takes")
        found: frozenset[str] = frozenset()
        while not self._skip("]"):
            if found and self._next == "-" and not self._source.startswith("-]", self._at):
                self._fail("a '-' that spans no range such as a-z: write '\\-' for the character")
            if not self._next:
                self._fail("a '[' without its ']': add it")
            span = _RANGE.match(self._source, self._at)
            if span is None:
                found |= self._character(within=".$()*+?{")
            else:
                found |= self._span(span)
        if not found:
            self._fail("an empty class '[]': list what it takes")
        return found

    def _span(self, span: re.Match[str]) -> frozenset[str]:
        first, last = span[0][0], span[0][2]
        if first > last:
            self._fail(f"{span[0]} counts down: write '{last}-{first}'")
        self._at = span.end()
        return frozenset(map(chr, range(ord(first), ord(last) + 1)))

    def _character(self, within: str) -> frozenset[str]:
        """One character, or an escape; those of `within` mean themselves."""
        character = self._next
        if self._skip("\\"):
            character = self._next
            if character in _SETS:
                self._at += 1
                return _SETS[character]
            if character in _WORD or character not in _TAKEN:
                self._fail(f"'\\{character}' is no escape: there are \\d, \\w and those of punctuation such as \\.")
        elif character in _SIGNS and character not in within:
            self._fail(f"'{character}' has nothing to repeat: write '\\{character}' for the character")
        elif character in _REMEDIES and character not in within:
            self._fail(_REMEDIES[character])
        if character not in _TAKEN:
            self._fail(f"no segment of a path holds '{character}' as it is, and no expression takes an escape")
        self._at += 1
        return frozenset({character})
