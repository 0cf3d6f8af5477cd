"""How the tests read a page: its tables, its sections, its examples."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def examples(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [body for found, body in _FENCE.findall(text) if found == language]


def sections(text: str, level: int) -> dict[str, str]:
    """Heading -> all that stands beneath it, for headings of one level (outside of fences)."""
    parts = re.split(rf"^{'#' * level} (.+)$", _FENCE.sub("", text), flags=re.MULTILINE)
    return {title.strip("`"): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each table row whose first cell is code; that cell without its backticks."""
    for line in text.splitlines():
        if line.startswith("| `"):
            first, *others = (cell.strip() for cell in line.strip("|").split(" | "))
            yield [first.strip("`"), *(other.removesuffix(" |") for other in others)]


def code(cell: str) -> list[str]:
    """What stands in backticks."""
    return _CODE.findall(cell)
