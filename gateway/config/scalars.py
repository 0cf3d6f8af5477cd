"""What a plain YAML scalar means: YAML 1.2's core, and an error where YAML 1.1 meant something else."""

import math
import re
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_MOST_DIGITS = 32

# One row a surprise: what it looks like, and what to write instead.
_SURPRISES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"yes|on|true", re.I), "write true, or quote it if the word is meant"),
    (re.compile(r"no|off|false", re.I), "write false, or quote it if the word is meant"),
    (re.compile(r"null", re.I), "write null, or quote it if the word is meant"),
    (re.compile(r"[-+]?0o?[0-9_]+"), "is octal to some readers of YAML: write the number in decimal, or quote it"),
    (re.compile(r"[-+]?0[xb][0-9A-Fa-f_]+"), "write the number in decimal, or quote it"),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?"), "write the number without `_`, or quote it"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), "is base 60 to some readers of YAML: quote it"),
    (re.compile(r"[-+]?\.(inf|nan)", re.I), "is no usable number: write a finite one, or quote it"),
)


def resolve_plain(text: str) -> Scalar | ValueError:
    """The value of a scalar without quotes; a ValueError (returned, not raised) says how to write what was meant."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MOST_DIGITS:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    elif _INTEGER.fullmatch(text):
        return ValueError("a number of so many digits cannot be kept exactly: quote it")
    if _FLOAT.fullmatch(text):
        return ValueError("a number out of range: quote it")
    for pattern, remedy in _SURPRISES:
        if pattern.fullmatch(text):
            return ValueError(f"{text!r}: {remedy}" if not remedy.startswith("is ") else f"{text!r} {remedy}")
    return text
