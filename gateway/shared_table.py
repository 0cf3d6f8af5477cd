"""A table in memory that worker processes share: divided into buckets, each of which one process at a time is alone in.

The locks are the kernel's (fcntl record locks): a process that dies within one lets go of it. They hold between
processes, not between two views that one process has.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from functools import partial
from struct import Struct

_PLACE = Struct(">I")
"""What says of a digest in which bucket it is."""


def create_table(name: str, size: int) -> int:
    """A file descriptor of an empty table of so many bytes; it goes with the last process that holds it."""
    table = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(table, size)
    return table


class SharedTable:
    """One process's view of the table. A bucket is named by where it begins.

    Args:
        path: of the table, such as /proc/123/fd/4; None for one of its own, which needs no locks.
        buckets: how many there are.
        bucket_bytes: the size of each.

    Attributes:
        memory: the table's bytes.
        lock: be alone in a bucket; until then, wait.
        unlock: let others into it.

    Raises:
        OSError: it can't be opened or mapped.
    """

    lock: Callable[[int], None]
    unlock: Callable[[int], None]

    def __init__(self, path: str | None, buckets: int, bucket_bytes: int) -> None:
        size = buckets * bucket_bytes
        self._buckets = buckets
        self._bucket_bytes = bucket_bytes
        self._file = None if path is None else os.open(path, os.O_RDWR | os.O_CLOEXEC)
        if self._file is None:
            self.memory = mmap.mmap(-1, size)
            self.lock = self.unlock = _nobody_else
        else:
            self.memory = mmap.mmap(self._file, size)
            self.lock = partial(fcntl.lockf, self._file, fcntl.LOCK_EX, 1)
            self.unlock = partial(fcntl.lockf, self._file, fcntl.LOCK_UN, 1)

    def bucket(self, digest: bytes) -> int:
        """The one in which a digest has its place."""
        place: int = _PLACE.unpack_from(digest)[0]
        return place % self._buckets * self._bucket_bytes

    def close(self) -> None:
        """Let go of the table."""
        self.memory.close()
        if self._file is not None:
            os.close(self._file)


def _nobody_else(bucket: int) -> None:
    """The lock of a table that is shared with nobody."""
