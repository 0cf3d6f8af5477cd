"""Claims in fields of their own towards an upstream, in a form that no claim's content can break out of.

What is no printable ASCII is percent-encoded as UTF-8, and so is `%` itself: undoing the escapes gives the claim back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

from gateway.policy.fields import spelling

_ENDS = r"\A +|(?<! ) +\Z"
"""Blanks at an end would be taken for none (RFC 9110 §5.5). A run in the middle is looked at once, not from each on."""

_ALONE = re.compile(rf"[^ -~]|%|{_ENDS}")
_IN_LIST = re.compile(rf"[^ -~]|[%,]|{_ENDS}")

Field = tuple[bytes, bytes]


class ClaimField(NamedTuple):
    """A field towards the upstream, and the path of the claim that it holds."""

    name: str
    claim: str


def field_text(value: object) -> str:
    """A claim as the value of a field: text, number, true or false, or those of a list, separated by commas.

    It is "" where the claim is something else. A comma within a member of a list is encoded; in a text of its own it is
    none that separates.
    """
    if isinstance(value, list):
        texts = [text for text in map(_text, value) if text is not None]
        return ",".join(_IN_LIST.sub(_encoded, text) for text in texts)
    text = _text(value)
    return "" if text is None else _ALONE.sub(_encoded, text)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return json.dumps(value)
    return None


def _encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def claim_lines(fields: Iterable[ClaimField], told: Iterable[tuple[str, str]]) -> bytes:
    """The field lines: every field, empty where its claim is missing.

    Args:
        fields: of the route.
        told: claims by their paths, as `field_text` gives them.
    """
    texts = dict(told)
    return "".join(f"{field.name}: {texts.get(field.claim, '')}\r\n" for field in fields).encode("ascii")


@lru_cache(maxsize=1024)
def spellings(fields: tuple[ClaimField, ...]) -> frozenset[str]:
    """What of a client's fields has to stay here, as `spelling` gives it."""
    return frozenset(spelling(field.name) for field in fields)


def without_spelled(fields: Iterable[Field], names: frozenset[str]) -> list[Field]:
    """The fields but for those that some server would take for one of these names."""
    return [field for field in fields if spelling(field[0].decode("latin-1")) not in names]
