"""One set of fields of every kind that the routes at one place tell apart."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from math import prod

from gateway.policy.model import Route
from gateway.prove.segments import TooManyKindsError

Fields = tuple[tuple[str, str], ...]
"""Names and values of a request."""

_FOREIGN = "\N{LATIN SMALL LETTER E WITH ACUTE}"

MOST_KINDS = 2_000
"""At one place, beyond which nothing is proven."""


def field_kinds(routes: Iterable[Route]) -> tuple[Fields, ...]:
    """Fields of each kind; the first are none.

    Of each field that is looked at: none, each value that is named, another one, one that is not ASCII, and the field
    twice. The last two are refused, the one where a value is named, the other wherever a route looks at it. So is
    another spelling, which is no further kind.

    Raises:
        TooManyKindsError: there are too many to try.
    """
    named: dict[str, dict[str, None]] = {}
    spelt: dict[str, str] = {}
    for each in (condition for route in routes for condition in route.fields):
        spelt.setdefault(each.name.lower(), each.name)
        named.setdefault(each.name.lower(), {}).update(dict.fromkeys(each.one_of))
    choices = [_choices(spelt[name], values) for name, values in named.items()]
    if prod(map(len, choices)) > MOST_KINDS:
        raise TooManyKindsError
    return tuple(tuple(field for part in picked for field in part) for picked in product(*choices))


def _choices(name: str, values: Iterable[str]) -> tuple[Fields, ...]:
    known = tuple(values)
    other = (name, next(text for text in ("any", *(f"any-{n}" for n in range(len(known)))) if text not in known))
    foreign = [((name, _FOREIGN),)] if known else []
    return ((), *(((name, value),) for value in known), (other,), *foreign, (other, other))


def is_usual(fields: Fields) -> bool:
    """Whether no route refuses fields for their form."""
    return len(dict(fields)) == len(fields) and all(value.isascii() for _, value in fields)
