"""One text of every kind that the segments at one place tell apart: which patterns it fits, and that it is no literal.

All patterns read a text at a time; what they have come to together decides the kind. So the kinds are found by looking
at each such state once.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache

from gateway.policy.patterns import Pattern

MOST_STATES = 20_000
"""States of all patterns together beyond which nothing is proven."""

_DEAD = -1
_PLAIN = ("any", "any-1", "ANY_1", "~", "~any")
_ESCAPED = "any%20"
"""An escape that may stand in a path, and that no pattern takes."""


class TooManyKindsError(Exception):
    """There are more kinds than can be tried."""


@lru_cache(maxsize=4096)
def texts(patterns: frozenset[Pattern], literals: frozenset[str]) -> tuple[str, ...]:
    """Texts that are none of the literals, one for each set of patterns that fit; the first fits none.

    Raises:
        TooManyKindsError: there are too many to look at.
    """
    ordered = sorted(patterns, key=lambda pattern: pattern.source)
    found = {frozenset[str](): _fitting_none(ordered, literals)}
    reached: dict[tuple[tuple[int, ...], str | None], str] = {((0,) * len(ordered), _prefix("", literals)): ""}
    waiting = deque(reached)
    while waiting:
        states, prefix = waiting.popleft()
        text = reached[states, prefix]
        ends = frozenset(pattern.source for pattern, at in zip(ordered, states, strict=True) if at in pattern.ends)
        if ends and text not in literals and text not in {".", ".."}:
            found.setdefault(ends, text)
        for character in _characters(ordered, states):
            further = text + character
            moved = tuple(
                _DEAD if at == _DEAD else pattern.steps[at].get(character, _DEAD)
                for pattern, at in zip(ordered, states, strict=True)
            )
            key = (moved, None if prefix is None else _prefix(further, literals))
            if key not in reached:
                reached[key] = further
                waiting.append(key)
        if len(reached) > MOST_STATES:
            raise TooManyKindsError
    return tuple(found.values())


def _fitting_none(patterns: list[Pattern], literals: frozenset[str]) -> str:
    for text in (*_PLAIN, _ESCAPED):
        if text not in literals and not any(pattern.fits(text) for pattern in patterns):
            return text
    return _ESCAPED * (1 + max(len(literal) for literal in literals))


def _prefix(text: str, literals: frozenset[str]) -> str | None:
    """The text while it may still become a literal or a dot segment: then it is not like any other."""
    return text if any(literal.startswith(text) for literal in (*literals, "..")) else None


def _characters(patterns: list[Pattern], states: tuple[int, ...]) -> list[str]:
    """Those that lead some pattern further."""
    leading: set[str] = set()
    for pattern, at in zip(patterns, states, strict=True):
        if at != _DEAD:
            leading |= pattern.steps[at].keys()
    return sorted(leading)
