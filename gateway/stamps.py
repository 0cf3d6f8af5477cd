"""What tells a file from its predecessor, without reading it: whoever depends on a file looks now and then."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[int, int, int, int] | None
"""Time of the last change in nanoseconds, size, inode and device, of what a link leads to; None where nothing is."""


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
