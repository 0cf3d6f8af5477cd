"""What tells a file from its predecessor, without reading it: whoever depends on a file looks now and then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

Stamp = tuple[int, int, int, int] | None
"""Time of the last change in nanoseconds, size, inode and device, of what a link leads to; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What files said at one moment.

    Attributes:
        outcome: what became of it.
        stamps: of all files that it depends on, each from before it was read.
    """

    outcome: T
    stamps: Mapping[Path, Stamp]

    @property
    def is_stale(self) -> bool:
        """Whether one of the files has changed since."""
        return stamps(self.stamps) != self.stamps


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """The stamp of each, at this moment; of a folder it tells that entries came or went."""
    return {file: stamp(file) for file in files}


def stamp(file: Path) -> Stamp:
    """One file's stamp at this moment."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
