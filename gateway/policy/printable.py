"""Text of strangers, made safe for a line of a log or a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text of a request or a token, made safe for a line: printable ASCII, the rest as escapes.

    U+2028, C1 controls and terminal escapes end lines or worse for some reader.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape", "backslashreplace").decode("ascii")


def brief(text: str, longest: int = 200) -> str:
    """The same, and no longer than so many characters: a claim may be as long as its issuer likes."""
    shown = printable(text[:longest])
    return shown if len(text) <= longest >= len(shown) else f"{shown[: longest - 3]}..."
