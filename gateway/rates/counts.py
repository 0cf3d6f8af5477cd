"""Where requests are counted, caller by caller: a table in memory, which worker processes share.

A caller has its place in one bucket; to look and to count happens under that bucket's lock. Nothing is swept: what
counts no more is written over. Where a bucket is full, the caller is forgotten that has used the least of its limit.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from math import inf
from struct import Struct

from gateway.policy.rates import Counted
from gateway.shared_table import SharedTable, create_table

BUCKETS = 4096
SLOTS = 32
"""In each bucket. Callers are spread evenly, so a bucket is full only when the whole table nearly is."""

DIGEST_BYTES = 16

_SLOT = Struct(f"<{DIGEST_BYTES}sQIII")
"""The digest of caller and limit; when the window is over that follows the counted one, in seconds since the epoch; the
limit; requests in the window before the counted one; those in the counted one."""

_BUCKET = SLOTS * _SLOT.size
SIZE = BUCKETS * _BUCKET


def create() -> int:
    """A file descriptor of an empty table, in memory only; it goes with the last process that holds it."""
    return create_table("scopegate-rates", SIZE)


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
        self._shared = SharedTable(path, BUCKETS, _BUCKET)
        self._table = self._shared.memory

    def take(self, caller: str, limit: int, seconds: int) -> bool:
        """Count a request, if so many in so many seconds leave room for it."""
        digest, start = self._place(caller)
        self._shared.lock(start)
        try:
            at, now = self._find(digest, start), self._clock()
            counted = self._counted(at, now, seconds)
            if not counted.has_room(limit, seconds):
                return False
            if at is None:
                at = self._free(start, now)
            until = self._until(now, seconds)
            _SLOT.pack_into(self._table, at, digest, until, limit, counted.before, counted.within + 1)
            return True
        finally:
            self._shared.unlock(start)

    def give_back(self, caller: str, seconds: int) -> None:
        """Take a request out of the count that has just been counted."""
        digest, start = self._place(caller)
        self._shared.lock(start)
        try:
            at = self._find(digest, start)
            if at is not None:
                _, until, limit, before, within = _SLOT.unpack_from(self._table, at)
                if until == self._until(self._clock(), seconds) and within:
                    _SLOT.pack_into(self._table, at, digest, until, limit, before, within - 1)
        finally:
            self._shared.unlock(start)

    def counted(self, caller: str, seconds: int) -> Counted:
        """What is counted of a caller, in windows of so many seconds."""
        digest, start = self._place(caller)
        self._shared.lock(start)
        try:
            return self._counted(self._find(digest, start), self._clock(), seconds)
        finally:
            self._shared.unlock(start)

    def forget(self, caller: str) -> None:
        """Count a caller anew."""
        digest, start = self._place(caller)
        self._shared.lock(start)
        try:
            at = self._find(digest, start)
            if at is not None:
                self._table[at : at + _SLOT.size] = bytes(_SLOT.size)
        finally:
            self._shared.unlock(start)

    def forget_all(self) -> None:
        """Count everyone anew."""
        for start in range(0, len(self._table), _BUCKET):
            self._shared.lock(start)
            self._table[start : start + _BUCKET] = bytes(_BUCKET)
            self._shared.unlock(start)

    def close(self) -> None:
        """Let go of the table."""
        self._shared.close()

    def _place(self, caller: str) -> tuple[bytes, int]:
        digest = blake2b(caller.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES, key=self._key).digest()
        return digest, self._shared.bucket(digest)

    def _find(self, digest: bytes, start: int) -> int | None:
        at = self._table.find(digest, start, start + _BUCKET)
        while at >= 0 and (at - start) % _SLOT.size:
            at = self._table.find(digest, at + 1, start + _BUCKET)
        return at if at >= 0 else None

    @staticmethod
    def _until(now: float, seconds: int) -> int:
        """When the window is over that follows the present one."""
        return (int(now // seconds) + 2) * seconds

    def _counted(self, at: int | None, now: float, seconds: int) -> Counted:
        """Windows are numbered from the epoch. A count from the future is none: the clock was set back."""
        number, elapsed = divmod(now, seconds)
        if at is None:
            return Counted(0, 0, elapsed)
        _, until, _, before, within = _SLOT.unpack_from(self._table, at)
        ago = number - (until // seconds - 2)
        if ago == 0:
            return Counted(before, within, elapsed)
        return Counted(within if ago == 1 else 0, 0, elapsed)

    def _free(self, start: int, now: float) -> int:
        """A slot of the bucket in which nothing counts any more, or the one of the caller to be forgotten."""
        least, place = inf, start
        entries = _SLOT.iter_unpack(self._table[start : start + _BUCKET])
        for at, (_, until, limit, before, within) in zip(range(start, SIZE, _SLOT.size), entries, strict=False):
            if until <= now:
                return at
            used = (before + within) / max(limit, 1)  # a process that was killed may have left half an entry
            if used < least:
                least, place = used, at
        return place
