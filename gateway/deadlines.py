"""Deadlines without a timer per request: one sweep looks at all connections a few times a second."""

from __future__ import annotations

import asyncio
from typing import Protocol

NEVER = float("inf")


class Expiring(Protocol):
    """Something that has to be ended when its time is up.

    Attributes:
        deadline: the event loop's time at which it expires, or NEVER.
    """

    deadline: float

    def expire(self) -> None:
        """Its time is up."""
        ...


class Deadlines:
    """Watches connections and expires those whose deadline has passed.

    Args:
        loop: the event loop.
        interval: seconds between two sweeps, the precision of every timeout.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float = 0.1) -> None:
        self._loop = loop
        self._interval = interval
        self._watched: set[Expiring] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Expiring) -> None:
        """Begin to watch a connection."""
        self._watched.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._sweep)

    def forget(self, connection: Expiring) -> None:
        """Stop watching a connection."""
        self._watched.discard(connection)

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in [connection for connection in self._watched if connection.deadline <= now]:
            connection.deadline = NEVER
            connection.expire()
        self._timer = self._loop.call_later(self._interval, self._sweep) if self._watched else None

    def close(self) -> None:
        """End the sweep."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
