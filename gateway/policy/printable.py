"""Text of strangers, made safe for a line of a log or a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text of a request or a token, made safe for a line: printable ASCII, the rest as escapes.

    U+2028, C1 controls and terminal escapes end lines or worse for some reader.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape", "backslashreplace").decode("ascii")
