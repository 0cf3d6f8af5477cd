"""Files that a plan names: which of them tell that something has changed, though the plan is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

from gateway.plan import Plan


def digests(plan: Plan) -> dict[Path, bytes | None]:
    """What is in the files that workers read when they start, and never again; None for what is no readable file.

    The files of `tls` are not among them, since workers take them anew by themselves, as embedded issuers do theirs.
    """
    return {file: _digest(file) for file in named(replace(plan, tls=None, embedded={}))}


def named(part: object) -> Iterator[Path]:
    """Every path in a plan or in a part of it."""
    if isinstance(part, Path):
        yield part
    elif isinstance(part, Mapping):
        for each in part.values():
            yield from named(each)
    elif isinstance(part, tuple | list):
        for each in part:
            yield from named(each)
    elif is_dataclass(part):
        for field in fields(part):
            yield from named(getattr(part, field.name))


def _digest(file: Path) -> bytes | None:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return None
