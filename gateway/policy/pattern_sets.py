"""Many patterns at one place of the route table: which of them take a segment, found in one walk over it.

A walk goes through states that say where each pattern is. A state is worked out when a text first leads to it, and
remembered; so many patterns cost what one costs. Work and memory are bounded whatever is asked: a step that is not
remembered takes as long as it takes each pattern alone, and when too much is remembered, all of it is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.policy.patterns import START, Pattern

MOST_CELLS = 100_000
"""What the sets of one table remember together: about 10 MiB."""

_CELLS_OF_A_STATE = 8


class _State:
    """A point of a walk.

    Attributes:
        alive: the patterns that may still take the text, by number, each with its own state.
        fitting: the numbers of those that take it if it ends here.
        steps: to which state a character leads, as far as it is known.
    """

    __slots__ = ("alive", "fitting", "steps")

    def __init__(self, alive: tuple[tuple[int, int], ...], fitting: tuple[int, ...]) -> None:
        self.alive = alive
        self.fitting = fitting
        self.steps: dict[str, _State] = {}


_DEAD: Final = _State((), ())


class Memory:
    """What some sets of patterns remember, and may remember together. A cell is a pattern of a state, or a step."""

    def __init__(self, most: int = MOST_CELLS) -> None:
        self.sets: list[PatternSet] = []
        self.cells = 0
        self._most = most

    def take(self, cells: int) -> None:
        """Some more; where that is too much, everything is forgotten."""
        self.cells += cells
        if self.cells > self._most:
            self.cells = 0
            for each in self.sets:
                each.forget()


class PatternSet:
    """Some patterns, numbered from 0 in the order in which they came."""

    __slots__ = ("_memory", "_numbers", "_patterns", "_start", "_states")

    def __init__(self, memory: Memory) -> None:
        self._patterns: list[Pattern] = []
        self._numbers: dict[Pattern, int] = {}
        self._memory = memory
        memory.sets.append(self)
        self.forget()

    @classmethod
    def of(cls, patterns: Iterable[Pattern]) -> PatternSet:
        """A set that remembers for itself alone."""
        found = cls(Memory())
        for pattern in patterns:
            found.number(pattern)
        return found

    def number(self, pattern: Pattern) -> int:
        """The number of a pattern, which joins the set if it is new."""
        if pattern not in self._numbers:
            self._numbers[pattern] = len(self._patterns)
            self._patterns.append(pattern)
            self.forget()
        return self._numbers[pattern]

    def forget(self) -> None:
        """Begin anew. A walk that is under way ends as it would have."""
        self._start: _State | None = None
        self._states: dict[tuple[tuple[int, int], ...], _State] = {}

    def fitting(self, text: str) -> tuple[int, ...]:
        """The numbers of the patterns that take a text, ascending."""
        state = self._start or self._begin()
        for character in text:
            state = state.steps.get(character) or self._step(state, character)
            if state is _DEAD:
                break
        return state.fitting

    def _begin(self) -> _State:
        self._start = _State(tuple((number, START) for number in self._numbers.values()), ())
        return self._start

    def _step(self, state: _State, character: str) -> _State:
        patterns = self._patterns
        alive = tuple(
            (number, following)
            for number, at in state.alive
            if (following := patterns[number].steps[at].get(character)) is not None
        )
        found = self._states.get(alive) if alive else _DEAD
        if found is None:
            fitting = tuple(number for number, at in alive if at in patterns[number].ends)
            found = self._states[alive] = _State(alive, fitting)
            self._memory.take(len(alive) + _CELLS_OF_A_STATE)
        state.steps[character] = found
        self._memory.take(1)
        return found
