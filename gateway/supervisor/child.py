"""One child process, as the supervisor sees it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from gateway.admin.snapshot import Snapshot, WorkerSnapshot
from gateway.starting import AddressError, BadFileError, StartError
from gateway.supervisor.channel import Build, Channel, Message, Order, Swap
from gateway.supervisor.generation import Generation
from gateway.supervisor.snapshots import unpack

log = logging.getLogger(__name__)

START_SECONDS = 60.0
"""A child that is not ready by then is killed."""

State = Literal["starting", "ready", "draining", "unresponsive"]


ANSWER_SECONDS = 10.0
"""A worker that has not built or swapped its rules by then is stuck."""


class DiedError(StartError):
    """A child could not be started, ended, or got stuck before it was ready."""


class Child:
    """One child process.

    Args:
        process: it.
        channel: to it.
        order: what it was told to be.
        generation: which it is one of.
        ended: told when it is gone.

    Attributes:
        state: as the operator is shown it.
        generation: its number.
        revision: of the configuration under which it judges new requests.
        started_at: seconds since the epoch.
        last: its newest figures; None before the first.
    """

    def __init__(
        self, process: Process, channel: Channel, order: Order, generation: Generation, ended: Callable[[Child], None]
    ) -> None:
        self.name = order["name"]
        self.pid = process.pid
        self.generation = generation.number
        self.revision = generation.plan.revision
        self.started_at = time.time()
        self.last: Snapshot | None = None
        self._phase: State = "starting"
        self._answers = True
        self._process = process
        self._channel = channel
        loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[StartError | None] = loop.create_future()
        self._asked: asyncio.Future[None] | None = None
        self._awaited: tuple[int, asyncio.Future[str | None]] = (0, loop.create_future())
        self._overdue: asyncio.TimerHandle | None = None
        channel.send(order)
        self._life = asyncio.create_task(self._live(ended))

    @classmethod
    async def spawn(
        cls, order: Order, generation: Generation, listening: socket.socket | None, ended: Callable[[Child], None]
    ) -> Child:
        """Start a process; a fresh interpreter, since an event loop does not survive a fork.

        Raises:
            DiedError: the system gives no process.
        """
        ours, theirs = socket.socketpair()
        inherited = [theirs] if listening is None else [theirs, listening]
        numbers = [one.fileno() for one in inherited]
        # In a session of its own: what a terminal sends to all, the supervisor alone interprets.
        command = [sys.executable, "-P", "-m", "gateway.supervisor.worker", *map(str, numbers)]
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, pass_fds=numbers, start_new_session=True
            )
        except OSError as error:
            ours.close()
            raise DiedError(f"{order['name']}: no process can be started: {error.strerror}") from error
        finally:
            theirs.close()
        return cls(process, await Channel.over(ours), order, generation, ended)

    @property
    def state(self) -> State:
        """As the operator is shown it."""
        return self._phase if self._answers else "unresponsive"

    @property
    def starting(self) -> bool:
        """Whether it has not served yet."""
        return self._phase == "starting"

    async def started(self) -> None:
        """Wait until it serves.

        Raises:
            StartError: it can't; it is gone, or soon will be.
        """
        try:
            failure = await asyncio.wait_for(asyncio.shield(self._outcome), START_SECONDS)
        except TimeoutError:
            self.kill()
            failure = DiedError(f"{self.name} was not ready within {START_SECONDS:g} s")
        if failure is not None:
            raise failure

    def shown(self, index: int) -> WorkerSnapshot:
        """As the operator is shown it, in its place."""
        connections = 0 if self.last is None else self.last.connections
        return WorkerSnapshot(index, self.pid, self.generation, self.state, self.started_at, connections, self.revision)

    async def refresh(self, seconds: float) -> None:
        """Ask for its figures; without an answer in time the newest ones known stay."""
        if self.starting:
            return
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
            self._channel.send({"kind": "snapshot?"})
        done, _ = await asyncio.wait([self._asked], timeout=seconds)
        self._answers = bool(done)

    async def build(self, number: int, plan: str) -> None:
        """Have it build other rules aside; one that ends meanwhile needs none.

        Raises:
            StartError: it can't, or does not answer.
        """
        try:
            error = await self._told({"kind": "build", "number": number, "plan": plan})
        except TimeoutError:
            error = f"no answer within {ANSWER_SECONDS:g} s"
        if error is not None:
            raise StartError(f"{self.name}: {error}")

    async def swap(self, number: int, revision: str) -> None:
        """Have it put the rules in force that it has built; one that does not is killed: another takes its place."""
        try:
            await self._told({"kind": "swap", "number": number})
        except TimeoutError:
            log.warning("%s (pid %d) did not take new rules in time and is killed", self.name, self.pid)
            self.kill()
        else:
            self.revision = revision

    async def _told(self, message: Build | Swap) -> str | None:
        """The answer: None, too, where it has ended. TimeoutError without one."""
        answer = asyncio.get_running_loop().create_future()
        self._awaited = (message["number"], answer)
        if self._life.done():
            return None
        self._channel.send(message)
        return await asyncio.wait_for(answer, ANSWER_SECONDS)

    def drain(self, seconds: float, *, retire: bool = False) -> None:
        """Let it finish what it does and end; it is killed if that takes longer than so many seconds."""
        if self.starting:
            self.kill()  # it has served no one
            return
        self._phase = "draining"
        self._channel.send({"kind": "drain", "retire": retire})
        if self._overdue is not None:
            self._overdue.cancel()
        self._overdue = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def reopen_log(self) -> None:
        """Tell it that the access log was moved away."""
        self._channel.send({"kind": "reopen"})

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def gone(self) -> str:
        """Wait for its end; in words how it ended."""
        await asyncio.shield(self._life)
        code = self._process.returncode or 0
        return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    def _give_up(self) -> None:
        log.warning("%s (pid %d) did not end in time and is killed", self.name, self.pid)
        self.kill()

    async def _live(self, ended: Callable[[Child], None]) -> None:
        while (message := await self._channel.receive()) is not None:
            self._take(message)
        await self._channel.close()
        await self._process.wait()
        if self._overdue is not None:
            self._overdue.cancel()
        if not self._outcome.done():
            self._outcome.set_result(DiedError(f"{self.name} (pid {self.pid}) ended before it was ready"))
        self._answered()
        self._done(self._awaited[0], None)
        ended(self)

    def _take(self, message: Message) -> None:
        match message["kind"]:
            case "ready":
                self._phase = "ready"
                self._outcome.set_result(None)
            case "failed":
                kind = AddressError if message["address"] else BadFileError
                self._outcome.set_result(kind(message["message"]))
            case "done":
                self._done(message["number"], message["error"])
            case "snapshot":
                self.last = unpack(message["snapshot"])
                self._answered()
            case _:
                raise AssertionError(f"no message for a supervisor: {message['kind']}")

    def _done(self, number: int, error: str | None) -> None:
        awaited, answer = self._awaited
        if number == awaited and not answer.done():
            answer.set_result(error)

    def _answered(self) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.set_result(None)
