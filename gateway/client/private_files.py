"""Files that nobody but their owner may read."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

MOST_BYTES = 1 << 20


class PrivateFileError(Exception):
    """A file is not private, or no file; the message names it and the remedy."""


def write_private(path: Path, data: bytes) -> None:
    """Write a file with mode 0600; it is there whole or not at all, and takes the place of one of its name.

    Raises:
        OSError: it can't be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def read_private(path: Path) -> bytes | None:
    """A file's content; None where there is none.

    Raises:
        PrivateFileError: it can't be read, is no regular file of ours, or others may read or write it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        link = ": it is a symbolic link, name the file itself" if path.is_symlink() else f": {error.strerror}"
        raise PrivateFileError(f"{path} cannot be used{link}") from error
    try:
        _check(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MOST_BYTES)
    finally:
        os.close(descriptor)


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise PrivateFileError(f"{path} is no regular file: name another")
    if found.st_uid != os.geteuid():
        raise PrivateFileError(f"{path} belongs to another user: name a file of your own")
    if found.st_mode & 0o077:
        raise PrivateFileError(f"{path} is open to others: chmod 600 {path}")
