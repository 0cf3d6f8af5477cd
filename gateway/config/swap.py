"""A file is replaced as a whole: its readers see the old text or the new one, and never a part."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def alone_with(file: Path) -> Iterator[None]:
    """Let no other process in that means to replace the file, too. OSError where its folder can't be opened."""
    folder = os.open(file.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def replace_text(file: Path, text: str) -> None:
    """Put the text in the file's place, with the file's mode and, as far as that is allowed, its owner.

    A link stays a link. OSError where it can't be done; the file is then what it was.
    """
    target = file.resolve()
    was = target.stat()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            with suppress(PermissionError):
                os.fchown(stream.fileno(), was.st_uid, was.st_gid)
            os.fchmod(stream.fileno(), was.st_mode & 0o7777)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise
