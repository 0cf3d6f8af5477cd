"""Where one child runs: it is watched, and when it dies another takes its place."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from gateway.starting import StartError
from gateway.supervisor.child import Child

log = logging.getLogger(__name__)

FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0
"""Seconds before a restart: doubled from the first to the longest."""

STEADY_SECONDS = 30.0
"""A child that lived as long has earned a quick restart again."""


class BackOff:
    """How long to wait before a restart."""

    def __init__(self) -> None:
        self._next = FIRST_WAIT

    def after(self, lived: float) -> float:
        """Seconds to wait after a child that lived so many."""
        if lived >= STEADY_SECONDS:
            self._next = FIRST_WAIT
        wait, self._next = self._next, min(self._next * 2, LONGEST_WAIT)
        return wait


class Place:
    """Where one child runs.

    Args:
        name: in the log.
        launch: starts a child with the configuration in force and returns when it serves; StartError where it can't.

    Attributes:
        current: the child; None while there is none.
        restarts: children that died and were replaced.
        changing: held by whoever puts a child here.
    """

    def __init__(self, name: str, launch: Callable[[], Awaitable[Child]]) -> None:
        self.name = name
        self.current: Child | None = None
        self.restarts = 0
        self.changing = asyncio.Lock()
        self._launch = launch
        self._back_off = BackOff()
        self._keeping: asyncio.Task[None] | None = None

    def adopt(self, child: Child) -> Child | None:
        """Put a child here that serves, and keep the place filled; returns the one that was here before."""
        before = self.dismiss()
        self.current = child
        self._keeping = asyncio.create_task(self._keep(child))
        return before

    def fill(self, why: str) -> None:
        """Put a child here as soon as one can be started."""
        self._keeping = asyncio.create_task(self._fill(why, 0.0))

    def dismiss(self) -> Child | None:
        """Restart no one here any more; returns the child, which still runs."""
        if self._keeping is not None:
            self._keeping.cancel()
        before, self.current = self.current, None
        return before

    async def _keep(self, child: Child) -> None:
        started = time.monotonic()
        how = await child.gone()
        self.current = None
        await self._fill(f"pid {child.pid} ended ({how})", time.monotonic() - started)

    async def _fill(self, why: str, lived: float) -> None:
        while True:
            wait = self._back_off.after(lived)
            log.warning("%s: %s; another starts in %g s", self.name, why, wait)
            await asyncio.sleep(wait)
            async with self.changing:
                try:
                    self.current = await self._launch()
                except StartError as error:
                    why, lived = f"it cannot start: {error}", 0.0
                    continue
                self.restarts += 1
                self._keeping = asyncio.create_task(self._keep(self.current))
                return
