"""Where requests are counted, caller by caller: a table in memory, which worker processes share.

A caller has its place in one bucket; to look and to count happens under that bucket's lock. Nothing is swept: what
counts no more is written over. Where a bucket is full, the caller is forgotten that has used the least of its limit.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from gateway.policy.rates import Counted

BUCKETS = 4096
SLOTS = 32
"""In each bucket. Callers are spread evenly, so a bucket is full only when the whole table nearly is."""

DIGEST_BYTES = 16
_PLACE_BYTES = 4
"""Of the digest that say which bucket it is."""


class _Entry(NamedTuple):
    """What stands in a slot.

    Attributes:
        digest: of the caller and its limit.
        until: when the window is over that follows the counted one, in seconds since the epoch.
        limit: requests in a window.
        before: requests in the window before.
        within: requests in the counted one.
    """

    digest: bytes
    until: int
    limit: int
    before: int
    within: int

    @property
    def used(self) -> float:
        """The share of its limit; a process that was killed may have left half an entry."""
        return (self.before + self.within) / max(self.limit, 1)


_SLOT = Struct(f"<{DIGEST_BYTES}sQIII")
_BUCKET = SLOTS * _SLOT.size
SIZE = BUCKETS * _BUCKET


def create() -> int:
    """A file descriptor of an empty table, in memory only; it goes with the last process that holds it."""
    table = os.memfd_create("scopegate-rates", os.MFD_CLOEXEC)
    os.ftruncate(table, SIZE)
    return table


class RateCounts:
    """One process's view of the table.

    Args:
        clock: seconds since the epoch.
        key: of the digests, so that nobody can aim at another's bucket; the same in all processes.
        path: of the table, such as /proc/123/fd/4; None for one of its own.

    Raises:
        OSError: it can't be mapped.
    """

    def __init__(self, clock: Callable[[], float], key: bytes, path: str | None = None) -> None:
        self._clock = clock
        self._key = blake2b(key, digest_size=32, person=b"scopegate rates").digest()
        self._file = None if path is None else os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._table = mmap.mmap(-1 if self._file is None else self._file, SIZE)

    def take(self, caller: str, limit: int, seconds: int) -> bool:
        """Count a request, if so many in so many seconds leave room for it."""
        digest, start = self._place(caller)
        with self._locked(start):
            at, now = self._find(digest, start), self._clock()
            counted = self._counted(at, now, seconds)
            if not counted.has_room(limit, seconds):
                return False
            if at is None:
                at = self._free(start, now)
            until = (int(now // seconds) + 2) * seconds
            _SLOT.pack_into(self._table, at, digest, until, limit, counted.before, counted.within + 1)
            return True

    def counted(self, caller: str, seconds: int) -> Counted:
        """What is counted of a caller, in windows of so many seconds."""
        digest, start = self._place(caller)
        with self._locked(start):
            return self._counted(self._find(digest, start), self._clock(), seconds)

    def forget(self, caller: str) -> None:
        """Count a caller anew."""
        digest, start = self._place(caller)
        with self._locked(start):
            at = self._find(digest, start)
            if at is not None:
                self._table[at : at + _SLOT.size] = bytes(_SLOT.size)

    def forget_all(self) -> None:
        """Count everyone anew."""
        for start in range(0, SIZE, _BUCKET):
            with self._locked(start):
                self._table[start : start + _BUCKET] = bytes(_BUCKET)

    def close(self) -> None:
        """Let go of the table."""
        self._table.close()
        if self._file is not None:
            os.close(self._file)

    def _place(self, caller: str) -> tuple[bytes, int]:
        digest = blake2b(caller.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES, key=self._key).digest()
        return digest, int.from_bytes(digest[:_PLACE_BYTES], "big") % BUCKETS * _BUCKET

    @contextmanager
    def _locked(self, start: int) -> Iterator[None]:
        """Alone in this bucket; a process that nobody shares its table with always is."""
        if self._file is None:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, start)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, start)

    def _find(self, digest: bytes, start: int) -> int | None:
        at = self._table.find(digest, start, start + _BUCKET)
        while at >= 0 and (at - start) % _SLOT.size:
            at = self._table.find(digest, at + 1, start + _BUCKET)
        return at if at >= 0 else None

    def _entry(self, at: int) -> _Entry:
        return _Entry(*_SLOT.unpack_from(self._table, at))

    def _counted(self, at: int | None, now: float, seconds: int) -> Counted:
        """Windows are numbered from the epoch. A count from the future is none: the clock was set back."""
        number, elapsed = divmod(now, seconds)
        if at is None:
            return Counted(0, 0, elapsed)
        entry = self._entry(at)
        ago = number - (entry.until // seconds - 2)
        if ago == 0:
            return Counted(entry.before, entry.within, elapsed)
        return Counted(entry.within if ago == 1 else 0, 0, elapsed)

    def _free(self, start: int, now: float) -> int:
        """A slot of the bucket in which nothing counts any more, or the one of the caller to be forgotten."""
        places = range(start, start + _BUCKET, _SLOT.size)
        entries = {at: self._entry(at) for at in places}
        return min(places, key=lambda at: entries[at].used if entries[at].until > now else -1.0)
