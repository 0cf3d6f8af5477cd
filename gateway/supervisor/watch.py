"""The files of the configuration are looked at now and then, and taken anew when they have changed.

By polling: it sees every kind of change, on every file system: a file written in place or replaced, a link that leads
elsewhere, as the files of a Kubernetes ConfigMap do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from gateway.stamps import Stamp, stamps

LOOK_SECONDS = 0.5
"""Between two looks at the files."""


class Standstill:
    """Tells when files have changed and stand still: an editor, or a copy of many files, may take several steps."""

    def __init__(self) -> None:
        self._seen: Mapping[Path, Stamp] = {}
        self._told: Mapping[Path, Stamp] = {}

    def is_due(self, taken: Mapping[Path, Stamp], seen: Mapping[Path, Stamp]) -> bool:
        """Whether they differ from what was taken, and this look saw what the last one saw; said once of a change."""
        still, self._seen = seen == self._seen, seen
        if not still or seen in (taken, self._told):
            return False
        self._told = seen
        return True


async def watch(
    taken: Callable[[], Mapping[Path, Stamp]], reload: Callable[[], Awaitable[None]], interval: float = LOOK_SECONDS
) -> None:
    """Reload whenever the files have changed; never returns.

    Args:
        taken: their stamps when they were last read; none while nobody shall look.
        reload: reads them anew.
        interval: seconds between two looks.
    """
    standstill = Standstill()
    while True:
        await asyncio.sleep(interval)
        known = taken()
        if standstill.is_due(known, await asyncio.to_thread(stamps, known)):
            await reload()
