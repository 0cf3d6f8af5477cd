"""What must be taken only once is remembered until it expires by itself (RFC 9449 §11.1)."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol


class Admission(Enum):
    """What a store says of a digest."""

    NEW = auto()
    REPLAYED = auto()
    FULL = auto()


class Replays(Protocol):
    """What remembers."""

    def admit(self, digest: bytes, until: float) -> Admission:
        """Remember a digest until then, unless it is known or there is no room; `until` in seconds since the epoch."""
        ...


class ReplayStore:
    """Digests that were seen, each until its time. Bounded: when full it admits nothing, for to forget is to let in.

    Args:
        clock: seconds since the epoch.
        most: digests at once; each takes some 200 bytes.
    """

    def __init__(self, clock: Callable[[], float], most: int = 100_000) -> None:
        self._clock = clock
        self._most = most
        self._seen: set[bytes] = set()
        self._by_time: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        """How many are remembered, those included whose time has just passed."""
        return len(self._seen)

    def admit(self, digest: bytes, until: float) -> Admission:
        """Remember a digest until then, unless it is known or there is no room; `until` in seconds since the epoch.

        A digest is remembered through the very moment `until`.
        """
        now = self._clock()
        while self._by_time and self._by_time[0][0] < now:
            self._seen.discard(heapq.heappop(self._by_time)[1])
        if digest in self._seen:
            return Admission.REPLAYED
        if len(self._seen) >= self._most:
            return Admission.FULL
        self._seen.add(digest)
        heapq.heappush(self._by_time, (until, digest))
        return Admission.NEW
