"""The revocations as the running server knows them: read anew when they changed, and looked at only so often."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from gateway.issuer.revocations import Feed, Mark, Revocation, Revocations, render_feed

LOOK_SECONDS = 0.25
"""Between two looks at the state, however many ask."""


class RevocationFeed:
    """What gateways ask for each second, and introspection for each token.

    Args:
        revocations: in the state.
        issuer: whose they are.
        keys_revoked: takes revoked keys out of use; awaited before anyone is told of them, so that who then asks for
            the keys is given those that follow.
        interval: seconds between two looks.
        tick: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        revocations: Revocations,
        issuer: str,
        *,
        keys_revoked: Callable[[], Awaitable[None]],
        interval: float = LOOK_SECONDS,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._revocations = revocations
        self._issuer = issuer
        self._keys_revoked = keys_revoked
        self._interval = interval
        self._tick = tick
        self._feed = render_feed(issuer, ())
        self._mark: Mark | None = None
        self._looked_at: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def current(self) -> Feed:
        """The feed, at most `interval` seconds old; the state is not read where nothing changed, but for a count.

        Raises:
            StateError: the state cannot be read. What is known is not told then, as if it were all.
        """
        async with self._one_at_a_time:
            if self._looked_at is None or self._tick() - self._looked_at >= self._interval:
                asked_at = self._tick()
                await self._look()
                self._looked_at = asked_at
        return self._feed

    async def revoke(self, revocation: Revocation) -> None:
        """Add a revocation; whoever asks from now on is told. Raises StateError."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._revocations.add, [revocation])
            self._looked_at = None

    async def _look(self) -> None:
        mark = await asyncio.to_thread(self._revocations.mark)
        if mark == self._mark:
            return
        feed = await asyncio.to_thread(lambda: render_feed(self._issuer, self._revocations.current()))
        if feed.revoked.kids - self._feed.revoked.kids:
            await self._keys_revoked()
        self._feed, self._mark = feed, mark
