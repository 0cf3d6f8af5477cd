"""A replay store that worker processes share: a proof that one of them took, none takes again (RFC 9449 §11.1).

A table in memory that all of them map. A digest has its place in one bucket; to look and to enter happens under that
bucket's lock. There is no list to keep: what has expired is written over.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from gateway.shared_table import SharedTable, create_table
from gateway.tokens.replay import Admission

DIGEST_BYTES = 32
BUCKETS = 2048
SLOTS = 64
"""In each bucket. Digests are spread evenly, so a bucket is full only when the whole table nearly is."""

_UNTIL = Struct("<d")
_SLOT = DIGEST_BYTES + _UNTIL.size
_BUCKET = SLOTS * _SLOT
SIZE = BUCKETS * _BUCKET


def create() -> int:
    """A file descriptor of an empty table, in memory only; it goes with the last process that holds it."""
    return create_table("scopegate-replays", SIZE)


class SharedReplayStore:
    """One process's view of the table. When a bucket is full it admits nothing, for to forget is to let in.

    Args:
        path: of the table, such as /proc/123/fd/4.
        clock: seconds since the epoch.

    Raises:
        OSError: it can't be mapped.
    """

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._shared = SharedTable(path, BUCKETS, _BUCKET)
        self._table = self._shared.memory

    def admit(self, digest: bytes, until: float) -> Admission:
        """Remember a digest of 32 bytes until then, unless it is known or there is no room."""
        start = self._shared.bucket(digest)
        self._shared.lock(start)
        try:
            return self._enter(start, digest, until, self._clock())
        finally:
            self._shared.unlock(start)

    def _enter(self, start: int, digest: bytes, until: float, now: float) -> Admission:
        free: int | None = None
        for at in range(start, start + _BUCKET, _SLOT):
            alive = _UNTIL.unpack_from(self._table, at + DIGEST_BYTES)[0] >= now
            if alive and self._table[at : at + DIGEST_BYTES] == digest:
                return Admission.REPLAYED
            if not alive and free is None:
                free = at
        if free is None:
            return Admission.FULL
        self._table[free : free + _SLOT] = digest + _UNTIL.pack(until)
        return Admission.NEW

    def close(self) -> None:
        """Let go of the table."""
        self._shared.close()
