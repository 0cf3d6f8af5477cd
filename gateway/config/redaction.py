"""Errors quote what they refuse; what a substitution filled is kept out of them."""

import re

from gateway.config.errors import Path
from gateway.config.fields import shown
from gateway.config.reading import Document

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"|`([^`]*)`")
_MOST_SHARED = 8
"""Characters in a row that a message may share with a secret by chance: `https://` is the longest of ours."""


def masked(document: Document, path: Path, message: str) -> str:
    """The message for a path, without anything that a substitution filled at, above or beneath it."""
    for filled in document.filled:
        if filled[: len(path)] == path or path[: len(filled)] == filled:
            message = _without(str(document.at(filled)), message)
    return message


def _without(secret: str, message: str) -> str:
    if not secret:
        return message
    message = message.replace(shown(secret), "***").replace(repr(secret), "***").replace(secret, "***")
    for part in sorted(secret.split("/"), key=len, reverse=True):
        if part:
            message = message.replace(f"'{part}'", "***").replace(shown(part), "***")
    message = _QUOTED.sub(lambda found: _hidden(found, secret), message)
    runs = (message[start : start + _MOST_SHARED + 1] for start in range(len(message) - _MOST_SHARED))
    return "*** does not fit here: look at what fills it" if any(run in secret for run in runs) else message


def _hidden(found: re.Match[str], secret: str) -> str:
    quoted = found[1] or found[2] or found[3]
    return "***" if quoted and quoted in secret else found[0]
