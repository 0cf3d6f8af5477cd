"""What a typed variable takes, such as `{id:int}` or `{name:[a-z]+}`: small regular expressions, as automata.

An automaton looks at each character once, whatever the expression, so no request can make it slow. And it answers
questions about all texts at once: whether one expression takes all that another does, and what both take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import NamedTuple

from gateway.policy.expressions import Expression, OneOf, Repeated, Sequence, read_expression

TYPES: Mapping[str, str] = {
    "int": "[0-9]+",
    "uuid": "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
}
"""Expressions that have a name: decimal digits, and RFC 9562 §4 in either case."""

MOST_POSITIONS = 500
MOST_STATES = 500
START = 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """A deterministic automaton. It takes whole texts, and never the empty one.

    Attributes:
        source: the expression.
        steps: for each state, to which state a character leads; from every state there is a way to an end.
        ends: states in which a text may end; 0, in which every text begins, is none of them.
        shortest: a text that it takes, none shorter.
    """

    source: str
    steps: tuple[Mapping[str, int], ...] = field(compare=False, repr=False)
    ends: frozenset[int] = field(compare=False, repr=False)
    shortest: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shortest", self.common(self) or "")

    def fits(self, text: str) -> bool:
        """Whether it takes a text."""
        steps, state = self.steps, START
        for character in text:
            following = steps[state].get(character)
            if following is None:
                return False
            state = following
        return state in self.ends

    def includes(self, other: Pattern) -> bool:
        """Whether it takes every text that the other one takes."""
        if not self.fits(other.shortest):
            return False
        seen = {(START, START)}
        waiting = [(START, START)]
        while waiting:
            mine, theirs = waiting.pop()
            if theirs in other.ends and mine not in self.ends:
                return False
            for character, following in other.steps[theirs].items():
                here = self.steps[mine].get(character)
                if here is None:
                    return False
                if (here, following) not in seen:
                    seen.add((here, following))
                    waiting.append((here, following))
        return True

    def common(self, other: Pattern) -> str | None:
        """A text that both take, none shorter; None where there is none. With itself: one that it takes."""
        reached = {(START, START): ""}
        waiting = deque(reached)
        while waiting:
            pair = waiting.popleft()
            mine, theirs = pair
            if mine in self.ends and theirs in other.ends:
                return reached[pair]
            for character in sorted(self.steps[mine].keys() & other.steps[theirs].keys()):
                following = (self.steps[mine][character], other.steps[theirs][character])
                if following not in reached:
                    reached[following] = reached[pair] + character
                    waiting.append(following)
        return None


@lru_cache(maxsize=4096)
def compiled(source: str) -> Pattern:
    """The automaton of an expression, or of a type's name.

    Raises:
        ValueError: with what is wrong and what to write instead.
    """
    expression = read_expression(TYPES.get(source, source))
    if _size(expression) > MOST_POSITIONS:
        raise ValueError(f"'{source}' is longer than {MOST_POSITIONS} characters when its repetitions are written out")
    positions = _Positions()
    whole = positions.place(expression)
    found = _determined(positions, whole)
    if found is None:
        raise ValueError(f"'{source}' needs more than {MOST_STATES} states: write it simpler")
    if not found[1]:
        raise ValueError(f"'{source}' takes no text at all: a segment is never empty")
    return Pattern(source, *found)


def _size(expression: Expression) -> int:
    """How many positions an expression takes, repetitions written out."""
    if isinstance(expression, OneOf):
        return 1
    if isinstance(expression, Repeated):
        return _size(expression.item) * (expression.least + 1 if expression.most is None else expression.most)
    return sum(map(_size, expression.items))


class _Part(NamedTuple):
    """A part of an expression: whether it may be nothing, at which positions it can begin, and at which end."""

    nothing: bool
    first: frozenset[int]
    last: frozenset[int]


_NOTHING = _Part(nothing=True, first=frozenset(), last=frozenset())


class _Positions:
    """The positions of an expression: what each takes, and which may follow it (Glushkov's construction)."""

    def __init__(self) -> None:
        self.taken: list[frozenset[str]] = []
        self.following: list[set[int]] = []

    def place(self, expression: Expression) -> _Part:
        if isinstance(expression, OneOf):
            return self._one(expression.characters)
        if isinstance(expression, Repeated):
            return self._repeated(expression)
        if isinstance(expression, Sequence):
            return reduce(self._joined, map(self.place, expression.items), _NOTHING)
        parts = [self.place(item) for item in expression.items]
        first = frozenset().union(*(part.first for part in parts))
        last = frozenset().union(*(part.last for part in parts))
        return _Part(any(part.nothing for part in parts), first, last)

    def _one(self, characters: frozenset[str]) -> _Part:
        here = frozenset({len(self.taken)})
        self.taken.append(characters)
        self.following.append(set())
        return _Part(nothing=False, first=here, last=here)

    def _joined(self, one: _Part, other: _Part) -> _Part:
        for position in one.last:
            self.following[position] |= other.first
        first = one.first | other.first if one.nothing else one.first
        last = one.last | other.last if other.nothing else other.last
        return _Part(one.nothing and other.nothing, first, last)

    def _repeated(self, repeated: Repeated) -> _Part:
        item, least, most = repeated
        whole = _NOTHING
        for _ in range(least):
            whole = self._joined(whole, self.place(item))
        if most is None:
            again = self.place(item)
            self._joined(again, again)
            return self._joined(whole, again._replace(nothing=True))
        for _ in range(most - least):
            whole = self._joined(whole, self.place(item)._replace(nothing=True))
        return whole


def _determined(positions: _Positions, whole: _Part) -> tuple[tuple[Mapping[str, int], ...], frozenset[int]] | None:
    """One state for each set of positions that a text can lead to, the first for no text; None for too many."""
    numbers: dict[frozenset[int], int] = {}
    following: list[frozenset[int]] = [whole.first]
    steps: list[dict[str, int]] = []
    ends: set[int] = set()
    while len(steps) < len(following):
        moves: dict[str, set[int]] = {}
        for position in following[len(steps)]:
            for character in positions.taken[position]:
                moves.setdefault(character, set()).add(position)
        step: dict[str, int] = {}
        for character, reached in moves.items():
            state = frozenset(reached)
            number = step[character] = numbers.setdefault(state, len(following))
            if number == len(following):
                following.append(frozenset().union(*(positions.following[position] for position in state)))
                if state & whole.last:
                    ends.add(number)
        steps.append(step)
        if len(following) > MOST_STATES:
            return None
    return tuple(steps), frozenset(ends)
