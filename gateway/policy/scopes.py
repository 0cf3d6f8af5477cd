"""Scopes that a rule demands: all of some, one of others, nested in each other; and which scopes grant which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

ScopeMatch = Literal["exact", "hierarchic", "wildcard"]
"""Which scopes of a token grant one that is demanded: itself; those above it, too; `jobs.*`, too."""

_SEPARATOR = re.compile(r"[.:/]")


@dataclass(frozen=True, slots=True)
class ScopeGroup:
    """Scopes, and groups of such, of which all or at least one are demanded.

    Attributes:
        kind: which of the two.
        terms: in the file's order; never empty.
    """

    kind: Literal["all", "any"]
    terms: tuple[str | ScopeGroup, ...]

    def __str__(self) -> str:
        """In words: `one of a (all of b c)`."""
        terms = " ".join(term if isinstance(term, str) else f"({term})" for term in self.terms)
        return f"one of {terms}" if self.kind == "any" else terms if len(self.terms) == 1 else f"all of {terms}"


def named(term: str | ScopeGroup) -> Iterator[str]:
    """Every scope in a term, in order."""
    if isinstance(term, str):
        yield term
    else:
        for inner in term.terms:
            yield from named(inner)


def granting(scope: str, match: ScopeMatch) -> frozenset[str]:
    """The scopes that grant one that is demanded, itself among them.

    `jobs.read.all` is granted hierarchically by `jobs.read` and `jobs`, and by wildcard by `jobs.read.*` and `jobs.*`;
    `.`, `:` and `/` separate. A `*` alone grants nothing.
    """
    ends = [] if match == "exact" else [found.start() for found in _SEPARATOR.finditer(scope) if found.start() > 0]
    above = (scope[:end] if match == "hierarchic" else f"{scope[: end + 1]}*" for end in ends)
    return frozenset([scope, *above])


def lacking(terms: Iterable[str | ScopeGroup], held: frozenset[str]) -> list[str]:
    """The scopes with which every term would be met, alternatives included; none where every one is met.

    Args:
        terms: that are demanded together.
        held: of the scopes in them, those that the token grants.
    """
    missing = []
    for term in terms:
        if isinstance(term, str):
            missing += [] if term in held else [term]
        elif term.kind == "all":
            missing += lacking(term.terms, held)
        else:
            alternatives = [lacking([inner], held) for inner in term.terms]
            missing += [scope for each in alternatives for scope in each] if all(alternatives) else []
    return missing
