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

Field = tuple[bytes, bytes]

_SIGNS = b"!#$%&'*+.^_`|~"
"""That may stand in a name (RFC 9110 §5.6.2) beside letters, digits and `-`."""

_ALIKE = bytes.maketrans(_SIGNS, b"-" * len(_SIGNS))
_HINT = "Send each field once, and in its usual spelling."
_ASCII_HINT = "Send nothing but ASCII in a field by which routes are told apart."


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
    """What all names have in common that servers read alike.

    CGI and its kin make a variable of a name, and put `_` in the place of `-`, of `.` or of all but letters and digits.
    """
    return dashed(name.encode()).decode()


def dashed(name: bytes) -> bytes:
    """The same of a name as it came."""
    return name.lower().translate(_ALIKE)


@lru_cache(maxsize=4096)
def _spelling_of(name: bytes) -> str:
    return dashed(name).decode("latin-1")


class FieldSelector:
    """Of several lists of conditions, which is the first that a request's fields meet?

    Args:
        lists: one for each route, in the routes' order.
    """

    def __init__(self, lists: Sequence[Sequence[FieldCondition]]) -> None:
        self._looked_at: dict[str, FieldCondition] = {}
        self._compared = {spelling(each.name) for one in lists for each in one if each.one_of}
        self._spelt: dict[str, bytes | None] = {}
        for condition in (condition for each in lists for condition in each):
            key, lower = spelling(condition.name), condition.name.lower().encode()
            self._looked_at.setdefault(key, condition)
            # Where routes spell it in two ways, each is another spelling than one of them wants.
            self._spelt[key] = lower if self._spelt.get(key, lower) == lower else None
        self._lists = [[(each.name.lower(), frozenset(each.one_of), each.present) for each in one] for one in lists]

    def first(self, fields: Sequence[Field]) -> int | Denial | None:
        """The position of the first list of which all conditions hold; a Denial as below."""
        values = self.values(fields)
        if isinstance(values, Denial):
            return values
        for position, conditions in enumerate(self._lists):
            for name, one_of, present in conditions:
                value = values.get(name)
                if (value is None) is present or (one_of and value not in one_of):
                    break
            else:
                return position
        return None

    def values(self, fields: Sequence[Field]) -> Mapping[str, str] | Denial:
        """The values of the fields that are looked at, by lower-case name.

        Returns:
            The values; or a Denial request_malformed where the upstream could read another one.
        """
        values: dict[str, str] = {}
        for name, value in fields:
            key = _spelling_of(name)
            if key in self._spelt:
                lower = name.lower()
                text = lower.decode("latin-1")
                if text in values or lower != self._spelt[key]:
                    return _ambiguous(self._looked_at[key], [each for each, _ in fields if _spelling_of(each) == key])
                if key in self._compared and not value.isascii():
                    return _foreign(self._looked_at[key], value)
                values[text] = value.decode("latin-1")
        return values


@lru_cache(maxsize=1024)
def selector(conditions: tuple[FieldCondition, ...]) -> FieldSelector:
    """One for a single route."""
    return FieldSelector([conditions])


def fit(conditions: Iterable[FieldCondition], values: Mapping[str, str]) -> bool:
    """Whether all conditions hold of values, which are by lower-case name."""
    return all(condition.holds(values.get(condition.name.lower())) for condition in conditions)


def fields_fit(conditions: tuple[FieldCondition, ...], fields: Sequence[Field]) -> bool:
    """Whether a request has fields of which all conditions hold, and none can be read in another way."""
    return not conditions or selector(conditions).first(fields) == 0


def fields_include(conditions: Sequence[FieldCondition], others: Sequence[FieldCondition]) -> bool:
    """Whether the first conditions hold of every request of which the others hold."""
    return all(
        any(one.name.lower() == other.name.lower() and one.includes(other) for other in others) for one in conditions
    )


def _ambiguous(condition: FieldCondition, names: Sequence[bytes]) -> Denial:
    expected = f"{condition.name} once, in this spelling"
    found = brief(b", ".join(names).decode("latin-1"), 80)
    return replace(unmet(Reason.REQUEST_MALFORMED, "fields", expected, found), hint=_HINT)


def _foreign(condition: FieldCondition, value: bytes) -> Denial:
    """Servers strip what they take for a blank, U+00A0 or U+0085 too, and would read a value that was not judged."""
    expected = f"{condition.name} in ASCII"
    return replace(unmet(Reason.REQUEST_MALFORMED, "fields", expected, value.decode("latin-1")), hint=_ASCII_HINT)
