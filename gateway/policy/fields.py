"""Fields of a request by which routes are told apart: `fields: {X-Api-Version: "2"}`.

What is judged has to be what the upstream reads. So a field that a route looks at may come once, and in no other
spelling than its own: servers map `X_Api_Version` and `X.Api.Version` to the same variable as `X-Api-Version`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.printable import brief

_HINT = "Send each field once, and in its usual spelling."


class FieldCondition(NamedTuple):
    """What a field has to be.

    Attributes:
        name: of it, whatever the case.
        one_of: values, one of which it has to have, case and all; empty takes any.
        present: whether it has to be there; if not, it must not.
    """

    name: str
    one_of: tuple[str, ...] = ()
    present: bool = True

    def holds(self, value: str | None) -> bool:
        """Whether a value is taken; None is that of a field that is not there."""
        if value is None or not self.present:
            return (value is None) != self.present
        return not self.one_of or value in self.one_of

    def includes(self, other: FieldCondition) -> bool:
        """Whether it takes every value that another condition on the same field takes."""
        if not (self.present and other.present):
            return self.present == other.present
        return not self.one_of or (bool(other.one_of) and set(other.one_of) <= set(self.one_of))

    def __str__(self) -> str:
        if not self.present:
            return f"no {self.name}"
        return f"{self.name}: {' or '.join(self.one_of)}" if self.one_of else f"some {self.name}"


@lru_cache(maxsize=4096)
def spelling(name: str) -> str:
    """What all names have in common that servers read alike."""
    return name.lower().replace("_", "-").replace(".", "-")


def field_values(
    conditions: Iterable[FieldCondition], fields: Sequence[tuple[bytes, bytes]]
) -> Mapping[str, str] | Denial:
    """The values of the fields that conditions look at, by lower-case name.

    Args:
        conditions: of all routes in question.
        fields: of a request.

    Returns:
        The values; or a Denial request_malformed where the upstream could read another one.
    """
    carried: dict[str, list[tuple[str, str]]] = {}
    for name, value in fields:
        text = name.decode("latin-1")
        carried.setdefault(spelling(text), []).append((text, value.decode("latin-1")))
    values = {}
    for condition in conditions:
        found = carried.get(spelling(condition.name), [])
        if len(found) > 1 or any(name.lower() != condition.name.lower() for name, _ in found):
            return _ambiguous(condition, [name for name, _ in found])
        values.update({condition.name.lower(): value for _, value in found})
    return values


def fit(conditions: Iterable[FieldCondition], values: Mapping[str, str]) -> bool:
    """Whether all conditions hold."""
    return all(condition.holds(values.get(condition.name.lower())) for condition in conditions)


def fields_fit(conditions: Sequence[FieldCondition], fields: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a request has fields of which all conditions hold, and none can be read in another way."""
    values = field_values(conditions, fields)
    return not isinstance(values, Denial) and fit(conditions, values)


def fields_include(conditions: Sequence[FieldCondition], others: Sequence[FieldCondition]) -> bool:
    """Whether the first conditions hold of every request of which the others hold."""
    return all(
        any(one.name.lower() == other.name.lower() and one.includes(other) for other in others) for one in conditions
    )


def _ambiguous(condition: FieldCondition, names: Sequence[str]) -> Denial:
    expected = f"{condition.name} once, in this spelling"
    found = brief(", ".join(names), 80)
    return replace(unmet(Reason.REQUEST_MALFORMED, "fields", expected, found), hint=_HINT)
