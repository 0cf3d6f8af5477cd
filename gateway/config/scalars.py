"""What a plain YAML scalar means: YAML 1.2's core, and an error where YAML 1.1 meant something else."""

import math
import re
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_MOST_DIGITS = 32

_YES = "is true to some readers of YAML and a word to others: write true, or quote it"
_NO = "is false to some readers of YAML and a word to others: write false, or quote it"

# One row a surprise: what it looks like, why it is one, and what to write instead.
_SURPRISES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"yes|on|true", re.IGNORECASE), _YES),
    (re.compile(r"no|off|false", re.IGNORECASE), _NO),
    (re.compile(r"null", re.IGNORECASE), "is empty to some readers of YAML: write null, or quote it"),
    (re.compile(r"[-+]?0o?[0-9_]+"), "is octal to some readers of YAML: write it in decimal, or quote it"),
    (re.compile(r"[-+]?0[xb][0-9A-Fa-f_]+"), "is a number to some readers of YAML: write it in decimal, or quote it"),
    (
        re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?"),
        "is a number to some readers of YAML: write it without `_`, or quote it",
    ),
    (
        re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"),
        "is a number in base 60 to some readers of YAML: quote it",
    ),
    (re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE), "is no usable number: write a finite one, or quote it"),
)


def resolve_plain(text: str) -> Scalar | ValueError:
    """The value of a scalar without quotes; a ValueError (returned, not raised) says how to write what was meant."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        return _number(text)
    for pattern, remedy in _SURPRISES:
        if pattern.fullmatch(text):
            return ValueError(f"{text!r} {remedy}")
    return text


def _number(text: str) -> int | float | ValueError:
    if len(text) > _MOST_DIGITS:
        return ValueError("a number of so many digits is not kept exactly: shorten it, or quote it")
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else ValueError(f"{text!r} is out of range: write less, or quote it")
