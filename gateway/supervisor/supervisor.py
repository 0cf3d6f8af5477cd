"""Starts, replaces and ends the children, and runs the one admin listener."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from gateway.admin.server import AdminServer
from gateway.admin.snapshot import Snapshot, WorkerSnapshot
from gateway.app import RETIRE_SECONDS, check_parser
from gateway.assembly import can_be_swapped
from gateway.plan import Plan
from gateway.rates import counts
from gateway.stamps import Stamp
from gateway.starting import BadFileError, StartError, listening
from gateway.supervisor.channel import written
from gateway.supervisor.child import Child
from gateway.supervisor.generation import Content, Generation, Read
from gateway.supervisor.newly_allowed import keep_out
from gateway.supervisor.place import Place
from gateway.supervisor.reloads import Outcome, Reloads
from gateway.supervisor.snapshots import combine, nothing, past
from gateway.supervisor.sockets import listen
from gateway.supervisor.watch import watch
from gateway.tokens import shared_replays

log = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0
"""How long a worker may take to tell its figures before it is shown as unresponsive."""

OVERDUE_SECONDS = 5.0
"""How much longer than its own bounds a child may take to end before it is killed."""

ISSUERS = 0
"""The index of the child that runs the embedded issuers; workers count from 1."""


class Supervisor:
    """Several workers on one address.

    Args:
        read: reads the configuration anew, for a reload.
        workers: how many.
    """

    def __init__(self, read: Read, workers: int) -> None:
        self._read = read
        self._workers = [Place(f"worker {i}", partial(self._launch, i)) for i in range(1, workers + 1)]
        self._issuers = Place("embedded issuers", partial(self._launch, ISSUERS))
        self._children: dict[Child, int] = {}
        self._log_key = secrets.token_bytes(32)
        self._replays, self._rates = (
            f"/proc/{os.getpid()}/fd/{table}" for table in (shared_replays.create(), counts.create())
        )
        self._started_at = time.time()
        self._stopping = False
        self._past = nothing(self._started_at)
        self._generation: Generation | None = None
        self._one_at_a_time = asyncio.Lock()
        self._reloads = Reloads()
        self._stamps: Mapping[Path, Stamp] = {}

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._in_force.sockets[0].getsockname()[1])

    @property
    def admin_port(self) -> int:
        """Where operators connect."""
        return self._in_force.admin_port

    @property
    def ready(self) -> bool:
        """Whether some worker takes new requests."""
        return not self._stopping and any(place.current is not None for place in self._workers)

    @property
    def _in_force(self) -> Generation:
        if self._generation is None:
            raise RuntimeError("the supervisor has not started")
        return self._generation

    async def start(self) -> None:
        """Start everything; returns when every worker accepts.

        Raises:
            StartError: the configuration has errors, or something can't be had; nothing keeps running.
        """
        check_parser()
        content = await asyncio.to_thread(Content.of, await self._planned())
        try:
            async with AsyncExitStack() as undo:
                self._generation = await self._prepare(content, undo)
                undo.pop_all()
            if content.issuers:
                self._issuers.adopt(await self._launch(ISSUERS))
            for place, child in zip(self._workers, await self._launch_workers(self._generation), strict=True):
                place.adopt(child)
        except BaseException:
            await self.stop()
            raise

    async def reload(self, *, asked: bool = True, fresh: bool = False) -> None:
        """Put the files' present content in force without losing a request; with errors in it, nothing changes.

        Args:
            asked: somebody asks for it; otherwise nothing is done where nothing has changed.
            fresh: replace every worker, even where rules alone have changed.
        """
        async with self._one_at_a_time:
            self._reloads.begin()
            try:
                outcome = await self._take_anew(asked=asked, fresh=fresh)
            except Exception as error:  # noqa: BLE001 - whatever it is, the configuration in force stays
                self._reloads.refuse(error)
            else:
                self._reloads.succeed(outcome, self._in_force)

    async def watch(self) -> None:
        """Reload when files have changed, while the configuration in force says so; never returns."""
        await watch(lambda: self._stamps if self._in_force.plan.watch else {}, partial(self.reload, asked=False))

    async def stop(self) -> None:
        """Let every child finish what it does, and end."""
        self._stopping = True
        for place in (*self._workers, self._issuers):
            place.dismiss()
        workers = [child for child, index in self._children.items() if index != ISSUERS]
        for child in workers:
            child.drain(self._patience)
        for one in () if self._generation is None else self._generation.sockets:
            one.close()
        await asyncio.gather(*(child.gone() for child in workers))
        for child in list(self._children):
            child.drain(self._patience)
            await child.gone()
        if self._generation is not None:
            await self._generation.admin.close()

    async def kill(self) -> None:
        """End at once; after `stop`, which it cuts short."""
        for child in self._children:
            child.kill()
        await asyncio.gather(*(child.gone() for child in list(self._children)))
        await self._in_force.admin.close()

    def reopen_log(self) -> None:
        """Have every worker open the access log anew: its file was moved away."""
        for child in self._children:
            child.reopen_log()

    async def snapshot(self) -> Snapshot:
        """Figures of all workers, those that have ended included; takes a second at most."""
        workers = sorted((child for child, index in self._children.items() if index != ISSUERS), key=_newest_first)
        await asyncio.gather(*(child.refresh(ANSWER_SECONDS) for child in workers))
        living = [child.last for child in workers if child in self._children and child.last is not None]
        own = replace(
            self._past,
            config_rev=self._in_force.plan.revision,
            ready=self.ready,
            workers=tuple(self._worker_snapshots()),
            worker_restarts=sum(place.restarts for place in self._workers),
            reload=self._reloads.snapshot(),
        )
        return combine(own, living)

    def _worker_snapshots(self) -> list[WorkerSnapshot]:
        workers = [(index, child) for child, index in self._children.items() if index != ISSUERS]
        up = [child.shown(index) for index, child in workers]
        empty = set(range(1, len(self._workers) + 1)) - {index for index, _ in workers}
        down = [WorkerSnapshot(index, None, self._in_force.number, "down", None, 0) for index in empty]
        return sorted([*up, *down], key=lambda worker: (worker.worker, worker.generation))

    # Generations

    async def _planned(self) -> Plan:
        """The configuration as it is now; BadFileError with every error in it."""
        reading = await asyncio.to_thread(self._read)
        self._stamps = reading.stamps
        if isinstance(reading.outcome, list):
            raise BadFileError("\n".join(map(str, reading.outcome)))
        return reading.outcome

    async def _take_anew(self, *, asked: bool, fresh: bool) -> Outcome:
        """As little as what has changed demands; StartError where the configuration in force has to stay."""
        content = await asyncio.to_thread(Content.of, await self._planned())
        before = self._in_force.content
        await asyncio.to_thread(keep_out, before.plan, content.plan)
        outcome: Outcome = "unchanged"
        async with AsyncExitStack() as locks:
            for place in self._workers:
                await locks.enter_async_context(place.changing)
            if fresh or content.files != before.files or not can_be_swapped(before.plan, content.plan):
                await self._replace(content)
                outcome = "replaced"
            elif asked or content != before:
                await self._swap(content)
                outcome = "swapped"
        if content.issuers != before.issuers:
            await self._replace_issuers(self._in_force)
        return outcome

    async def _swap(self, content: Content) -> None:
        """Have every worker build rules, and put them in force when all have; StartError where one can't."""
        children = [place.current for place in self._workers if place.current is not None]
        number, plan = self._reloads.number, written(content.plan)
        outcomes = await asyncio.gather(*(child.build(number, plan) for child in children), return_exceptions=True)
        for failure in outcomes:
            if failure is not None:
                raise failure
        self._generation = replace(self._in_force, content=content)
        await asyncio.gather(*(child.swap(number, content.plan.revision) for child in children))

    async def _replace(self, content: Content) -> None:
        """Start new workers beside the old ones, which end as soon as all of the new ones serve."""
        before = self._in_force
        async with AsyncExitStack() as undo:
            fresh = await self._prepare(content, undo)
            children = await self._launch_workers(fresh)
            undo.pop_all()
        self._replace_workers(fresh, children)
        if fresh.admin is not before.admin:
            await before.admin.close()

    async def _prepare(self, content: Content, undo: AsyncExitStack) -> Generation:
        """Open what the plan needs; what did not change is kept. StartError where that can't be."""
        old, plan = self._generation, content.plan
        if old is not None and old.plan.listen == plan.listen:
            sockets = old.sockets
        else:
            opening = asyncio.to_thread(listen, plan.listen, len(self._workers))
            sockets = await listening("listen", plan.listen, opening)
            for one in sockets:
                undo.callback(one.close)
        if old is not None and old.plan.admin == plan.admin:
            admin, admin_port = old.admin, old.admin_port
        else:
            admin = AdminServer(self.snapshot, *plan.admin, ready=lambda: self.ready)
            undo.push_async_callback(admin.close)
            admin_port = await listening("admin", plan.admin, admin.start())
        return Generation(1 if old is None else old.number + 1, content, sockets, admin, admin_port)

    async def _launch_workers(self, generation: Generation) -> list[Child]:
        """One child for each place, all of them or none: StartError where one can't start."""
        indices = range(1, len(self._workers) + 1)
        launching = (self._launch(index, generation) for index in indices)
        outcomes = await asyncio.gather(*launching, return_exceptions=True)
        children = [outcome for outcome in outcomes if isinstance(outcome, Child)]
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            for child in children:
                child.drain(self._patience, retire=True)
            raise failures[0]
        return children

    def _replace_workers(self, fresh: Generation, children: Sequence[Child]) -> None:
        """The new ones accept already; from here on the old ones do not."""
        before, self._generation = self._in_force, fresh
        for place, child in zip(self._workers, children, strict=True):
            old = place.adopt(child)
            if old is not None:
                old.drain(self._patience, retire=True)
        if fresh.sockets is not before.sockets:
            for one in before.sockets:
                one.close()

    async def _replace_issuers(self, fresh: Generation) -> None:
        """The old ones end first: they hold the port and the state file. Meanwhile workers have the keys they know."""
        async with self._issuers.changing:
            old = self._issuers.dismiss()
            if old is not None:
                old.drain(self._patience)
                await old.gone()
            if not fresh.content.issuers:
                return
            try:
                self._issuers.adopt(await self._launch(ISSUERS, fresh))
            except StartError as error:
                self._issuers.fill(f"they cannot start: {error}")

    # Children

    async def _launch(self, index: int, generation: Generation | None = None) -> Child:
        """A child that serves; StartError where it can't."""
        generation = generation or self._in_force
        child = await Child.spawn(
            {
                "kind": "order",
                "name": self._issuers.name if index == ISSUERS else self._workers[index - 1].name,
                "plan": written(generation.plan),
                "log_key": self._log_key.hex(),
                "replays": self._replays,
                "rates": self._rates,
            },
            generation,
            None if index == ISSUERS else generation.sockets[index - 1],
            self._forget,
        )
        self._children[child] = index
        try:
            await child.started()
        except BaseException:
            child.kill()
            raise
        return child

    def _forget(self, child: Child) -> None:
        """A child is gone; what it counted stays."""
        del self._children[child]
        if child.last is not None:
            self._past = past(self._past, child.last)

    @property
    def _patience(self) -> float:
        """Seconds after which a child that was told to end is killed."""
        drain = 0.0 if self._generation is None else self._generation.plan.drain_timeout
        return RETIRE_SECONDS + drain + OVERDUE_SECONDS


def _newest_first(child: Child) -> int:
    return -child.generation
