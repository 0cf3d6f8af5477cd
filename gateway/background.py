"""Work beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine


def in_background(*work: Coroutine[None, None, None]) -> Callable[[], Awaitable[None]]:
    """Begin work that never ends by itself; returns what ends it."""
    tasks = [asyncio.create_task(each) for each in work]

    async def end() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return end
