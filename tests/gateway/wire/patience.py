"""Waiting for what a test has brought about, and giving up in the end."""

import asyncio
from collections.abc import Callable

PATIENCE = 10.0
"""Seconds after which a test that waits has failed."""


async def eventually(reached: Callable[[], object]) -> None:
    """Wait until something that nobody announces is so."""
    async with asyncio.timeout(PATIENCE):
        while not reached():  # noqa: ASYNC110 - files and counters of another party set no event
            await asyncio.sleep(0.002)
