"""One path of every kind that some templates tell apart.

The templates are put into one tree, which is walked with all of its places that a path has reached at a time. At each
step it suffices to try the literals that stand there, and one text of each kind beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.policy.paths import Oddity
from gateway.policy.pattern_sets import PatternSet
from gateway.policy.patterns import Pattern
from gateway.policy.routes import Literal, Rest, Segment, parse_template
from gateway.prove.segments import TooManyKindsError, texts

MOST_PATHS = 100_000
"""Kinds of path beyond which nothing is proven: tables that people write stay far below."""

_ODD = {Oddity.PATH_PARAMETERS: ";x", Oddity.ENCODED_SLASH: "%2Fx"}


class _Place:
    """A place in the tree of templates: whether one ends here or takes the rest, and where segments lead."""

    __slots__ = ("ends", "literals", "patterns", "rest", "typed", "variable")

    def __init__(self) -> None:
        self.ends = False
        self.rest = False
        self.literals: dict[str, _Place] = {}
        self.typed: dict[Pattern, _Place] = {}
        self.patterns: PatternSet | None = None
        self.variable: _Place | None = None

    def add(self, segments: tuple[Segment, ...]) -> None:
        place = self
        for segment in segments:
            if isinstance(segment, Rest):
                place.rest = True
                return
            if isinstance(segment, Literal):
                place = place.literals.setdefault(segment.text, _Place())
            elif segment.pattern is not None:
                place = place.typed.setdefault(segment.pattern, _Place())
            else:
                place.variable = place.variable or _Place()
                place = place.variable
        place.ends = True

    def led(self, text: str) -> Iterator[_Place]:
        """Where a segment leads."""
        if text in self.literals:
            yield self.literals[text]
        if text and self.variable is not None:
            yield self.variable
        if self.typed:
            self.patterns = self.patterns or PatternSet.of(self.typed)
            places = tuple(self.typed.values())
            yield from (places[number] for number in self.patterns.fitting(text))


class _Reached(NamedTuple):
    """How far a path has come.

    Attributes:
        path: so far.
        places: that it has reached.
        rests: places above whose rest takes all that follows.
        odd: the doubtful form in it, of which one suffices.
    """

    path: str
    places: tuple[_Place, ...]
    rests: frozenset[_Place]
    odd: Oddity | None

    @property
    def kind(self) -> object:
        """What all paths have in common that the templates can't tell from this one."""
        return (frozenset(place for place in self.places if place.ends), self.rests, self.odd)


def paths(templates: Iterable[str], oddities: frozenset[Oddity] = frozenset()) -> Iterator[str]:
    """One path of each kind: that differs from the others in which templates fit it, or in its doubtful form.

    Args:
        templates: of all routes in question.
        oddities: the doubtful forms that some route accepts; where none does, they are refused everywhere alike.

    Raises:
        TooManyKindsError: there are more than MOST_PATHS.
    """
    root, seen = _Place(), set()
    for template in templates:
        root.add(parse_template(template))
    waiting = [_Reached("", (root,), frozenset(), None)]
    for _ in range(MOST_PATHS):
        if not waiting:
            return
        reached = waiting.pop()
        if reached.path and reached.kind not in seen:
            seen.add(reached.kind)
            yield reached.path
        waiting.extend(_further(reached, oddities))
    raise TooManyKindsError


def _further(reached: _Reached, oddities: frozenset[Oddity]) -> Iterator[_Reached]:
    """All kinds of one more segment."""
    if not reached.places:
        return
    literals = frozenset(text for place in reached.places for text in place.literals)
    patterns = frozenset(pattern for place in reached.places for pattern in place.typed)
    unknown, *known = texts(patterns, literals)
    for text in (*sorted(literals | {""}, reverse=True), *known, unknown):
        yield _with(reached, f"/{text}", text)
    for odd in sorted(oddities) if reached.odd is None else ():
        if odd is Oddity.EMPTY_SEGMENTS:
            yield _with(reached, f"//{unknown}", None)._replace(odd=odd)
        else:
            text = f"{unknown}{_ODD[odd]}"
            yield _with(reached, f"/{text}", text)._replace(odd=odd)


def _with(reached: _Reached, more: str, segment: str | None) -> _Reached:
    """With one more segment; None for several, which only a rest takes."""
    rests = reached.rests | {place for place in reached.places if place.rest}
    led = () if segment is None else tuple(below for place in reached.places for below in place.led(segment))
    return _Reached(reached.path + more, led, rests, reached.odd)
