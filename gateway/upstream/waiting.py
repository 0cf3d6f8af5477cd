"""Requests that wait for a connection, in the order of their coming."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.upstream.connection import UpstreamConnection


class Queue:
    """Places for those who wait; each is handed a connection, or the news that there may be room for one.

    Attributes:
        places: empty while nobody waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.places: deque[asyncio.Future[UpstreamConnection | None]] = deque()

    def __len__(self) -> int:
        return len(self.places)

    async def wait(self, seconds: float) -> UpstreamConnection | None:
        """Wait for a connection (None: for the chance to make one).

        Raises:
            TimeoutError: neither came in time.
        """
        place: asyncio.Future[UpstreamConnection | None] = self._loop.create_future()
        self.places.append(place)
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                return await place
        except TimeoutError:
            if place.done() and not place.cancelled():
                return place.result()
            raise
        finally:
            if place in self.places:
                self.places.remove(place)

    def wake(self, connection: UpstreamConnection | None = None) -> bool:
        """Hand a connection, or the room for one, to whoever waits longest; False where nobody does."""
        while self.places:
            place = self.places.popleft()
            if not place.done():
                place.set_result(connection)
                return True
        return False

    def wake_all(self) -> None:
        """Let everyone look again where there is room."""
        while self.wake():
            pass
