"""An upstream: which target gets a request, and a queue for when all are busy."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from gateway.client.token_source import TokenSource
from gateway.deadlines import Deadlines
from gateway.tls import ClientFiles, client_context
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.failure import UpstreamFailure, busy, unreachable
from gateway.upstream.health import HealthCheck
from gateway.upstream.settings import UpstreamSettings
from gateway.upstream.targets import Surroundings, Target
from gateway.upstream.waiting import Queue


class Upstream:
    """An upstream and its targets.

    Args:
        settings: where it is.
        deadlines: ends connections that take too long.
        tls: for targets with TLS; the system's trust where there is none.
        now: the time that ejections go by, in seconds; the event loop's by default.
        credentials: the gateway's own token for it; None where it bears none.

    Attributes:
        total_timeout: seconds for the whole of a request and its answer, None for any time.
        take_idle: gives a connection that is free at once, None where there is none.
        targets: in the order of the configuration.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        deadlines: Deadlines,
        *,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] | None = None,
        credentials: TokenSource | None = None,
    ) -> None:
        self.settings = settings
        self.credentials = credentials
        self.loop = asyncio.get_running_loop()
        self.total_timeout = settings.total_timeout
        self._now = now or self.loop.time
        self._queue = Queue(self.loop)
        self._tls = client_context(ClientFiles()) if tls is None and settings.tls else tls
        shared = Surroundings(settings, deadlines, self._queue, self._tls, self._now, self._sort)
        self.targets = tuple(Target(address, shared) for address in settings.addresses)
        self._alone = len(self.targets) == 1
        self._rotation = list(self.targets)  # those that get requests; the one chosen last stands last
        self._out: list[Target] = []
        self._checks: list[asyncio.Task[None]] = []
        # With one target there is nothing to choose, and nothing to pay for it.
        self.take_idle: Callable[[], UpstreamConnection | None] = (
            self.targets[0].take_idle if self._alone else self._take_idle
        )

    @property
    def figures(self) -> dict[str, int]:
        """How many connections are open, idle and being made, and how many requests wait for one."""
        each = [target.figures for target in self.targets]
        return {key: sum(figures[key] for figures in each) for key in each[0]} | {"waiting": len(self._queue)}

    def start_checks(self) -> None:
        """Check the targets' health from now on, if the settings say so; `close` ends it."""
        health = self.settings.health
        if health is not None:
            checks = [HealthCheck(health, target.address, self._tls, target.set_health) for target in self.targets]
            self._checks = [self.loop.create_task(check.run()) for check in checks]

    async def connect(self, *, fresh: bool = False) -> UpstreamConnection | UpstreamFailure:
        """A connection, made anew if there is room, else the next that becomes free.

        Where a target takes no connection, nothing was sent, so another is tried at once.

        Args:
            fresh: whether one that has served before won't do.
        """
        deadline = self.loop.time() + self.settings.connect_timeout
        tried: list[Target] = []
        waited = False
        failure: UpstreamFailure | None = None
        while True:
            if not fresh and (idle := self.take_idle()) is not None:
                return idle
            trial = None if fresh else self._due(tried)
            target = trial or self._least(tried)
            if target is None or (failure is not None and self.loop.time() >= deadline):
                return failure or self._nowhere()
            if target.has_room:
                seconds = self._share(deadline, tried)
                made = await self._make(target, seconds, trial=trial is not None, blames=not waited)
                if isinstance(made, UpstreamConnection):
                    return made
                tried.append(target)
                failure = made
                continue
            if not waited and len(self._queue) >= self.settings.max_waiting:
                return busy(f"all connections are busy, and {len(self._queue)} requests wait already")
            waited = True
            given = await self._wait(target, deadline - self.loop.time(), fresh=fresh)
            if given is not None:
                return given

    async def _make(
        self, target: Target, seconds: float, *, trial: bool, blames: bool
    ) -> UpstreamConnection | UpstreamFailure:
        if trial:
            target.circuit.begin_trial(self._now())
        self._took(target)
        return await target.make(seconds, trial=trial, blames=blames)

    def _share(self, deadline: float, tried: list[Target]) -> float:
        """Seconds for one attempt: a target that does not answer leaves time for those that were not tried."""
        untried = sum(target not in tried for target in self._rotation)
        return (deadline - self.loop.time()) / max(untried, 1)

    async def _wait(
        self, target: Target, seconds: float, *, fresh: bool
    ) -> UpstreamConnection | UpstreamFailure | None:
        """Wait while all are busy; None where there may be room now."""
        if fresh:
            target.close_oldest_idle()
        try:
            given = await self._queue.wait(seconds)
        except TimeoutError:
            most = self.settings.max_connections
            return busy(f"all {most} connections to {self.settings.authority} stayed busy")
        if given is None or (given.usable and not fresh):
            return given
        given.close()
        return None

    # The choice

    def _take_idle(self) -> UpstreamConnection | None:
        target = self._least()
        if target is None or (self._out and self._due() is not None):
            return None
        connection = target.take_idle()
        if connection is not None:
            self._took(target)
        return connection

    def _least(self, tried: list[Target] | tuple[()] = ()) -> Target | None:
        """The target with the fewest requests outstanding; of equals, the one that was chosen longest ago."""
        candidates = [target for target in self._rotation if target not in tried] if tried else self._rotation
        return min(candidates, key=lambda target: target.outstanding, default=None)

    def _due(self, tried: list[Target] | tuple[()] = ()) -> Target | None:
        """A target that gets no requests, but may be tried."""
        if not self._out:
            return None
        now = self._now()
        due = (target for target in self._out if target.may_be_tried(now, alone=self._alone))
        return next((target for target in due if target not in tried), None)

    def _took(self, target: Target) -> None:
        if not self._alone and target.in_rotation:
            self._rotation.remove(target)
            self._rotation.append(target)

    def _nowhere(self) -> UpstreamFailure:
        errors = "; ".join(f"{each.address.authority}: {each.last_error}" for each in self._out if each.last_error)
        return unreachable(f"no target gets requests now ({errors})")

    def _sort(self) -> None:
        """A target's state has changed: part them anew, and let those who wait look again."""
        stayed = [target for target in self._rotation if target.in_rotation]
        self._rotation = [*stayed, *(target for target in self.targets if target.in_rotation and target not in stayed)]
        self._out = [target for target in self.targets if not target.in_rotation]
        self._queue.wake_all()

    def close(self) -> None:
        """End the checks and close idle connections now, the others when they become free (a reload replaces this)."""
        for check in self._checks:
            check.cancel()
        for target in self.targets:
            target.close()
