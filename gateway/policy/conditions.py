"""Conditions on what else a token says: its client, and claims that are compared with values or with the path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from gateway.policy.claims import shown_claim
from gateway.policy.model import ClaimCondition, Claims, ClaimValue, PathVariable, Rule


class Compared(NamedTuple):
    """What became of one condition.

    Attributes:
        name: the claim's path; "" of the client.
        met: whether it holds.
        expected: in words.
        found: in words.
    """

    name: str
    met: bool
    expected: str
    found: str

    @property
    def of_client(self) -> bool:
        """Whether it is about the client, and not about a claim."""
        return not self.name

    @property
    def called(self) -> str:
        """What it is about."""
        return "client" if self.of_client else self.name


def compare(rule: Rule, claims: Claims, path: str) -> Iterator[Compared]:
    """Every condition of a rule, in the order in which it is told.

    Args:
        rule: that sets them.
        claims: of the verified token.
        path: of the request in its canonical form.
    """
    if rule.clients is not None:
        names = sorted(client for issuer, client in rule.clients if issuer == claims.issuer_name)
        met = bool(claims.client_id) and (claims.issuer_name, claims.client_id) in rule.clients
        yield Compared("", met, " or ".join(names) or f"none of {claims.issuer_name}", claims.client_id or "none")
    if rule.conditions:
        kept = dict(claims.kept)
        for condition in rule.conditions:
            found = kept.get(condition.claim)
            met = any(_meets(item, value, path) for item in found or () for value in condition.one_of)
            yield Compared(condition.claim, met, _expected(condition, path), _found(found))


def _meets(item: ClaimValue, value: ClaimValue | PathVariable, path: str) -> bool:
    """Whether a claim's value is this one; `true` is not 1, and a number is compared with the path as it is written."""
    if isinstance(value, PathVariable):
        text = segment(path, value.at)
        return text is not None and (item == text or (type(item) is int and str(item) == text))
    return type(item) is type(value) and item == value


def segment(path: str, at: int) -> str | None:
    """One segment of a canonical path, its escapes undone; None where that is no text."""
    segments = path.split("/")
    if at + 1 >= len(segments):
        return None
    try:
        return unquote(segments[at + 1], errors="strict")
    except UnicodeDecodeError:
        return None


def _expected(condition: ClaimCondition, path: str) -> str:
    return " or ".join(
        f"{shown_claim(segment(path, value.at))} (the path's {{{value.name}}})"
        if isinstance(value, PathVariable)
        else shown_claim(value)
        for value in condition.one_of
    )


def _found(values: tuple[ClaimValue, ...] | None) -> str:
    if values is None:
        return "none"
    return shown_claim(values[0] if len(values) == 1 else list(values))
