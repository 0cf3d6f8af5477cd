"""The one canonical form of a request target, or a Denial.

The target that is judged is the target that is forwarded, byte for byte; so whatever two servers may read differently
is refused here rather than repaired. What remains are escapes that every reader agrees on (RFC 3986 §6.2.2): they are
undone for the comparison with route templates only.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from gateway.policy.denial import Denial, Reason


class Oddity(StrEnum):
    """A form that servers read differently, which a route may accept by name (`allow_in_path`)."""

    ENCODED_SLASH = "encoded_slash"
    PATH_PARAMETERS = "path_parameters"
    EMPTY_SEGMENTS = "empty_segments"


class CanonicalTarget(NamedTuple):
    """A request target that may be judged.

    Attributes:
        path: the path for matching, with escapes of characters undone that may as well stand unescaped.
        query: all after the first `?`, as received; never matched.
        oddities: forms that the route has to allow by name.
    """

    path: str
    query: str
    oddities: frozenset[Oddity]


_SAFE = r"A-Za-z0-9_~!$&'()*+,=:@\-"
_PLAIN = re.compile(rf"(?:/[{_SAFE}][{_SAFE}.]*)+/?\Z|/\Z")
"""Paths without a single doubtful character: the common case, decided by one match."""

_NEVER: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[^\x21-\x7e]"), "a control, blank or non-ASCII character"),
    (re.compile(r"#"), "a fragment"),
    (re.compile(r"\\|%5[cC]"), "a backslash"),
    (re.compile(r"%(?![0-9A-Fa-f]{2})"), "a percent sign that is no escape"),
    (re.compile(r"%[01][0-9A-Fa-f]|%7[fF]"), "an escaped control character"),
    (re.compile(r"%25[0-9A-Fa-f]{2}"), "a double escape"),
    (re.compile(r"%[cC][01]%[89aAbB]|%[eE]0%[89]|%[fF]0%8"), "an overlong encoding of a character"),
    (re.compile(r"(?:/|%2[fF])(?:\.|%2[eE]){1,2}(?:[/;]|%2[fF]|%3[bB]|\Z)"), "a dot segment"),
    (re.compile(r"%(?:3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe]|2[dDeE])"), "a needless escape"),
    (re.compile(r"""["<>^`{|}\[\]]"""), "a character that RFC 3986 does not allow in a path"),
)
_BY_CHOICE: tuple[tuple[re.Pattern[str], Oddity], ...] = (
    (re.compile(r"%2[fF]"), Oddity.ENCODED_SLASH),
    (re.compile(r";|%3[bB]"), Oddity.PATH_PARAMETERS),
    (re.compile(r"//"), Oddity.EMPTY_SEGMENTS),
)
_QUERY = re.compile(r"[\x21\x22\x24-\x7e]*\Z")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_MAY_STAND_UNESCAPED = frozenset("!$&'()*+,=:@")
_NONE: frozenset[Oddity] = frozenset()


def canonical_target(target: str) -> CanonicalTarget | Denial:
    """Judge the form of a request target (RFC 9112 §3.2): only the origin form is taken."""
    if _PLAIN.match(target) is not None:
        return CanonicalTarget(target, "", _NONE)
    path, _, query = target.partition("?")
    if query and _QUERY.match(query) is None:
        return _invalid("the query holds a fragment, or a control, blank or non-ASCII character")
    if _PLAIN.match(path) is not None:
        return CanonicalTarget(path, query, _NONE)
    return _doubtful(path, query)


def _doubtful(path: str, query: str) -> CanonicalTarget | Denial:
    if not path.startswith("/"):
        return _invalid("the target is not an absolute path (absolute, authority and asterisk forms are not taken)")
    for pattern, name in _NEVER:
        if pattern.search(path):
            return _invalid(f"the path holds {name}")
    oddities = frozenset(oddity for pattern, oddity in _BY_CHOICE if pattern.search(path))
    return CanonicalTarget(_ESCAPE.sub(_undo, path), query, oddities)


def _undo(escape: re.Match[str]) -> str:
    """Undo an escape where RFC 3986 §3.3 (pchar) lets the character stand; else its hex digits in upper case."""
    character = chr(int(escape[1], 16))
    return character if character in _MAY_STAND_UNESCAPED else escape[0].upper()


def _invalid(detail: str) -> Denial:
    return Denial(Reason.TARGET_INVALID, detail)


_LOGGABLE_KEY = re.compile(r"[A-Za-z0-9._\[\]-]{1,64}\Z")
_PLAIN_WORD = re.compile(r"[A-Za-z_-]{1,16}\Z")


def query_keys(query: str) -> tuple[str, ...]:
    """The names of a query's parameters, in order, for the log: never a value.

    Something that stands alone may be a value (or a token), so it shows as `*` unless it is a short plain word.
    """
    if not query:
        return ()
    return tuple([_loggable_key(pair) for pair in query.split("&")])


def _loggable_key(pair: str) -> str:
    key, equals, _ = pair.partition("=")
    form = _LOGGABLE_KEY if equals else _PLAIN_WORD
    return key if form.match(key) else "*"
