"""Which files a pattern means, and where more of them could appear."""

from __future__ import annotations

import glob
from pathlib import Path


def files_of(base: Path, pattern: str) -> list[Path]:
    """The files that a pattern means, in the order of their names; those that begin with a dot are not meant.

    Args:
        base: the folder that it is relative to.
        pattern: a path, in which `*`, `?`, `[...]` and `**` may stand.
    """
    found = (base / name for name in sorted(_fitting(base, pattern)))
    return [file for file in found if file.is_file()]


def looked_at(base: Path, pattern: str) -> list[Path]:
    """The folders whose entries decide which files a pattern means; without wildcards, the file itself."""
    if not glob.has_magic(pattern):
        return [base / pattern]
    parts = Path(pattern).parts
    first = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    folders = {base.joinpath(*parts[:first])}
    for end in range(first + 1, len(parts) + ("**" in parts)):
        folders |= {base / name for name in _fitting(base, str(Path(*parts[:end])))}
    return sorted(folder for folder in folders if folder.is_dir())


def _fitting(base: Path, pattern: str) -> list[str]:
    """What there is. `Path.glob` takes no absolute pattern, and hidden files, such as a ConfigMap's."""
    try:
        return glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 - see above
    except ValueError:  # a character that no file's name can hold
        return []
