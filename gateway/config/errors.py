"""What is wrong with a configuration file, and where."""

import re
from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""The way from a document's root to one of its values: keys, and 0-based indexes."""

_PLAIN_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One fault of a configuration file. Line and column count from 1; key is "" for the whole file."""

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}:"
        return f"{place} {self.key}: {self.message}" if self.key else f"{place} {self.message}"


def dotted(path: Path) -> str:
    """Spell a path for people: `routes[2].scopes`, `resources["https://a.example"].read`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            quoted = step.encode("unicode_escape").decode().replace('"', '\\"')
            text += f'["{quoted}"]'
    return text


def in_file_order(errors: list[ConfigError]) -> list[ConfigError]:
    """The same errors as a reader meets them, file by file, each once."""
    return sorted(dict.fromkeys(errors), key=lambda error: (error.file, error.line, error.column))
