"""The fewest scopes that meet a rule, in every way: whatever meets it holds one of these sets."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice, product

from gateway.policy.model import Rule
from gateway.policy.scopes import ScopeGroup, granting

MOST_SETS = 200
"""Sets of a rule beyond which it is not compared any more."""


@lru_cache(maxsize=4096)
def fewest_scopes(rule: Rule) -> tuple[tuple[str, ...], ...]:
    """Each set in the order in which the rule names its scopes; one set more than MOST_SETS where there are more."""
    sets = _together([_sets(term, rule) for term in rule.scope_terms])
    return tuple(tuple(dict.fromkeys(each)) for each in sets)


def has_too_many(rule: Rule) -> bool:
    """Whether there are more sets than are compared."""
    return len(fewest_scopes(rule)) > MOST_SETS


def _sets(term: str | ScopeGroup, rule: Rule) -> list[tuple[str, ...]]:
    if isinstance(term, str):
        others = granting(term, rule.scope_match) - {term}
        return [(scope,) for scope in (term, *sorted(others))]
    inner = [_sets(each, rule) for each in term.terms]
    return _together(inner) if term.kind == "all" else [each for sets in inner for each in sets][: MOST_SETS + 1]


def _together(parts: list[list[tuple[str, ...]]]) -> list[tuple[str, ...]]:
    """One set of each part, in every combination."""
    combined = (tuple(scope for each in chosen for scope in each) for chosen in product(*parts))
    return list(islice(combined, MOST_SETS + 1))
