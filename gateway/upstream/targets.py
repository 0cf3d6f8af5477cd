"""One target of an upstream: its connections, and whether it is fit to get requests."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.deadlines import Deadlines
from gateway.tls import fault
from gateway.upstream.circuit import Circuit
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.failure import UpstreamFailure, timed_out, unreachable
from gateway.upstream.parties import Waits
from gateway.upstream.settings import Address, UpstreamSettings
from gateway.upstream.waiting import Queue

log = logging.getLogger(__name__)

FAREWELL_SECONDS = 1.0
"""How long a connection that is of no use any more may take to end TLS; until then it keeps its place."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the targets of one upstream share.

    Attributes:
        settings: the upstream's.
        deadlines: ends connections that take too long.
        queue: requests that wait for a connection to any of the targets.
        tls: for targets with TLS.
        now: the time that ejections go by, in seconds.
        changed: called when a target begins or ceases to get requests.
    """

    settings: UpstreamSettings
    deadlines: Deadlines
    queue: Queue
    tls: ssl.SSLContext | None
    now: Callable[[], float]
    changed: Callable[[], None]


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target at one moment, as an operator is shown it.

    Attributes:
        authority: host, and port where it is not the scheme's own.
        open: connections.
        idle: connections without a request.
        outstanding: requests under way.
        healthy: what active checks say.
        ejected_for: seconds until a request may try it, None while its circuit is closed.
        last_error: the last failure, None where there was none.
        failed_ago: seconds since then.
    """

    authority: str
    open: int
    idle: int
    outstanding: int
    healthy: bool
    ejected_for: float | None
    last_error: str | None
    failed_ago: float | None


class Target:
    """One target and its pooled connections.

    Attributes:
        address: where it is.
        host_line: the Host field for it, as it goes out.
        watchful: whether `answered` wants to know of answers: not while all goes well.
        in_rotation: whether it gets requests: it is healthy, and its circuit closed.
        healthy: what active checks say; True where there are none.
        circuit: what requests say.
        last_error: the last failure, None where there was none.
        failed_at: its time.
    """

    def __init__(self, address: Address, shared: Surroundings) -> None:
        settings = shared.settings
        self.address = address
        self.loop = asyncio.get_running_loop()
        self.waits = Waits(settings.first_byte_timeout, settings.idle_timeout)
        self.host_line = f"Host: {address.authority}\r\n".encode()
        self.circuit = Circuit(settings.ejection)
        self.healthy = self.in_rotation = True
        self.last_error: str | None = None
        self.failed_at = 0.0
        self._shared = shared
        self._queue = shared.queue
        self._places = shared.queue.places
        self._count_5xx = settings.ejection is not None and settings.ejection.count_5xx
        self.watchful = self._count_5xx
        self._idle: deque[UpstreamConnection] = deque()
        self._open: set[UpstreamConnection] = set()
        self._connecting = 0
        self._trial: UpstreamConnection | None = None
        self._keeps = True  # whether connections are kept for a further request
        self._closed = False

    @property
    def figures(self) -> dict[str, int]:
        """How many connections are open, idle and being made."""
        return {"open": len(self._open), "idle": len(self._idle), "connecting": self._connecting}

    @property
    def outstanding(self) -> int:
        """How many requests are under way here."""
        return len(self._open) - len(self._idle) + self._connecting

    @property
    def has_room(self) -> bool:
        """Whether a further connection may be made."""
        return len(self._open) + self._connecting < self._shared.settings.max_connections

    @property
    def state(self) -> TargetState:
        """What an operator is shown."""
        now, circuit = self._shared.now(), self.circuit
        return TargetState(
            authority=self.address.authority,
            open=len(self._open),
            idle=len(self._idle),
            outstanding=self.outstanding,
            healthy=self.healthy,
            ejected_for=None if circuit.closed else max(circuit.next_trial - now, 0.0),
            last_error=self.last_error,
            failed_ago=None if self.last_error is None else now - self.failed_at,
        )

    def take_idle(self) -> UpstreamConnection | None:
        """A connection that is free at once, the one used last first: the others may then grow old and go."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    def close_oldest_idle(self) -> None:
        """Make room for a new connection, if one is idle."""
        if self._idle:
            self._idle.popleft().close()

    async def make(self, seconds: float, *, trial: bool, blames: bool) -> UpstreamConnection | UpstreamFailure:
        """A new connection.

        Args:
            seconds: it may take, TLS included.
            trial: whether it decides on an open circuit.
            blames: whether it is the target's fault when time runs out: not where most of it was spent waiting.
        """
        address = self.address
        self._connecting += 1
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                _, connection = await self.loop.create_connection(
                    lambda: UpstreamConnection(self),
                    address.host,
                    address.port,
                    ssl=self._shared.tls if address.tls else None,
                    server_hostname=address.server_name,
                    ssl_shutdown_timeout=FAREWELL_SECONDS if address.tls else None,
                )
        except TimeoutError:
            failure = timed_out(f"no connection to {address.authority} within {seconds:.3g} s")
        except OSError as error:
            failure = unreachable(f"no connection to {address.authority}: {fault(error)}")
            blames = True
        else:
            if trial:
                self._trial = connection
                self.watchful = True
            return connection
        finally:
            self._connecting -= 1
        if blames:
            self._count(failure.detail, trial=trial)
        self._queue.wake()
        return failure

    # What connections call

    def opened(self, connection: UpstreamConnection) -> None:
        """Enter a connection."""
        self._open.add(connection)
        self._shared.deadlines.watch(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Remove a connection."""
        self._shared.deadlines.forget(connection)
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection is self._trial and connection.exchange is None:
            self._trial = None
            self.circuit.abandon_trial(self._shared.now())
        self._queue.wake()

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection that may serve another request."""
        if not self._keeps:
            connection.close()
        elif not (self._places and self._queue.wake(connection)):
            connection.deadline = self.loop.time() + self.waits.idle
            self._idle.append(connection)

    def answered(self, connection: UpstreamConnection, status: int) -> None:
        """The head of an answer has come; called only while `watchful`."""
        trial = connection is self._trial
        if self._count_5xx and status >= 500:
            self._count(f"it answered {status}", trial=trial)
        elif trial or self.circuit.closed:
            self._trial = None if trial else self._trial
            self.circuit.succeed()
            self._settle("a request was answered")

    def failed(self, connection: UpstreamConnection, failure: UpstreamFailure) -> None:
        """A request failed. That a kept connection has grown old is no fault."""
        if not failure.stale:
            self._count(failure.detail, trial=connection is self._trial)

    # Whether it is fit

    def may_be_tried(self, now: float, *, alone: bool) -> bool:
        """Whether one request may go here although the others go elsewhere, or nowhere if there is no other."""
        return (self.healthy or alone) and self.has_room and self.circuit.trial_is_due(now)

    def set_health(self, healthy: bool, cause: str) -> None:  # noqa: FBT001 - the very thing that is told
        """What active checks say from now on."""
        if not healthy:
            self.last_error, self.failed_at = cause, self._shared.now()
        self.healthy = healthy
        self._settle(cause)

    def _count(self, cause: str, *, trial: bool) -> None:
        now = self._shared.now()
        self.last_error, self.failed_at = cause, now
        self._trial = None if trial else self._trial
        self.circuit.fail(now, trial=trial)
        self._settle(cause)

    def _settle(self, cause: str) -> None:
        """Bring everything in line with health and circuit; a change is logged once."""
        self.watchful = self._count_5xx or self.circuit.failures > 0
        fit = self.healthy and self.circuit.closed
        if fit == self.in_rotation:
            return
        self.in_rotation = fit
        self._keeps = fit and not self._closed
        name, authority = self._shared.settings.name, self.address.authority
        if fit:
            log.warning("upstream %s: %s gets requests again: %s", name, authority, cause)
        else:
            log.warning("upstream %s: %s gets no requests: %s", name, authority, cause)
            self._close_idle()
        self._shared.changed()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Close idle connections now, the others when they become free."""
        self._closed = True
        self._keeps = False
        self._close_idle()
