"""The only wiring: a plan becomes a running gateway."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import http_parser

from gateway import __version__, assembly
from gateway.access.writer import AccessLog
from gateway.admin.snapshot import Snapshot
from gateway.background import in_background
from gateway.deadlines import Deadlines
from gateway.downstream.listener import Listener
from gateway.embedded import embedded_issuers
from gateway.figures import Figures
from gateway.plan import Plan
from gateway.proxy import Proxy
from gateway.rates.counts import RateCounts
from gateway.recorder import Counters, Recorder
from gateway.rules import Rules
from gateway.sources import Sources, sources
from gateway.starting import StartError, listening
from gateway.tokens.replay import Replays, ReplayStore
from gateway.tokens.shared_replays import SharedReplayStore

log = logging.getLogger(__name__)

USER_AGENT = f"scopegate/{__version__}"

RETIRE_SECONDS = 10.0
"""How long a retiring worker waits for the next request of a kept connection."""

Clock = Callable[[], float]


def check_parser() -> None:
    """Refuse to run on aiohttp's Python parser, which reads some requests differently (CVE-2026-111750).

    Raises:
        StartError: the C parser is missing.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartError("aiohttp runs without its C parser: install its wheel and unset AIOHTTP_NO_EXTENSIONS")


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker has in common with its fellows; their supervisor runs the admin listener and embedded issuers.

    Attributes:
        listening: the socket to accept from; the gateway's own from now on.
        log_key: keys the `jti_hash` where the configuration gives no key, so that all workers write the same.
        replays: path of the table in which all of them remember the proofs that one of them took.
        rates: path of the table in which all of them count how often callers call.
    """

    listening: socket.socket
    log_key: bytes
    replays: str
    rates: str


def calm_collector() -> None:
    """Spare the cycle collector what stays for good, and let it look less often: a request leaves no cycles behind.

    For a process that does nothing but serve.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class Gateway:
    """A gateway with all that belongs to it.

    Args:
        plan: what it shall be.
        clock: seconds since the epoch.
        environ: variables for the embedded issuer's file.
        share: given to a supervisor's worker; None for a gateway that is alone.

    Attributes:
        port: where clients connect, once started.
        admin_port: where operators connect, once started.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        clock: Clock = time.time,
        environ: Mapping[str, str] = os.environ,
        share: Share | None = None,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._environ = environ
        self._share = share
        self._log_key = plan.log_key or (secrets.token_bytes(32) if share is None else share.log_key)
        self._reopen_others: Callable[[], None] | None = None
        self._running = AsyncExitStack()
        self._ready = False
        self._started_at = clock()
        self.port = 0
        self.admin_port = 0

    async def start(self) -> None:
        """Start everything, the clients' listener last.

        Raises:
            StartError: something can't be had; nothing keeps running.
        """
        check_parser()
        async with AsyncExitStack() as starting:
            await self._start(starting)
            self._running = starting.pop_all()
        self._ready = True

    async def _start(self, running: AsyncExitStack) -> None:
        plan, clock = self._plan, self._clock
        deadlines = Deadlines(asyncio.get_running_loop())
        running.callback(deadlines.close)
        self._access_log = _open_log(plan.access_log)
        running.push_async_callback(self._access_log.close)
        if self._share is None:
            embedded = embedded_issuers(plan.embedded, self._log_key, clock, self._environ)
            self._reopen_others = await running.enter_async_context(embedded)
        # Each user bounds its own requests; a common bound would let a slow issuer keep out the others.
        http = aiohttp.ClientSession(
            headers={"User-Agent": USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0),
        )
        running.push_async_callback(http.close)
        fetched = sources(plan, http, clock)
        proofs = assembly.proof_terms(plan, self._replays(running), self._log_key, clock)
        rules = assembly.rules(plan, fetched, deadlines, self._log_key, proofs, self._counts(running))
        for upstream in rules.upstreams.values():
            running.callback(upstream.close)
            upstream.start_checks()
        await fetched.start(running)
        self._tls = assembly.server_tls(plan.tls, clock)
        if self._tls is not None:
            running.push_async_callback(in_background(self._tls.watch()))
        self._serve(running, rules, fetched, deadlines)
        await self._listen(running)

    def _serve(self, running: AsyncExitStack, rules: Rules, fetched: Sources, deadlines: Deadlines) -> None:
        plan, counters = self._plan, Counters()
        recorder = Recorder(self._access_log, counters)
        running.callback(recorder.flush)
        self._proxy = Proxy(rules, recorder, self._clock, plan.requests)
        self._listener = Listener(self._proxy, plan.client_limits, plan.connections, deadlines, self._tls)
        self._figures = Figures(
            rules=rules,
            counters=counters,
            recorder=recorder,
            access_log=self._access_log,
            listener=self._listener,
            tls=self._tls,
            issuers=plan.issuers,
            feeds=fetched.feeds,
            credentials=fetched.credentials,
            clock=self._clock,
            started_at=self._started_at,
        )

    def _replays(self, running: AsyncExitStack) -> Replays:
        """Where proofs are remembered: workers share it."""
        if self._share is None:
            return ReplayStore(self._clock)
        store = SharedReplayStore(self._share.replays, self._clock)
        running.callback(store.close)
        return store

    def _counts(self, running: AsyncExitStack) -> RateCounts:
        """Where requests are counted by their callers: workers share it, and so do those who take over from them."""
        if self._share is None:
            counts = RateCounts(self._clock, self._log_key)
        else:
            counts = RateCounts(self._clock, self._share.log_key, self._share.rates)
        running.callback(counts.close)
        return counts

    async def _listen(self, running: AsyncExitStack) -> None:
        plan = self._plan
        if self._share is None:
            self.admin_port = await self._start_admin(running)
            accepting = self._listener.start(*plan.listen)
        else:
            accepting = self._listener.start_on(self._share.listening)
        self.port = await listening("listen", plan.listen, accepting)
        running.push_async_callback(self._listener.drain, 0)

    async def _start_admin(self, running: AsyncExitStack) -> int:
        # Imported late: of several processes the supervisor alone needs it.
        from gateway.admin.server import AdminServer  # noqa: PLC0415 - see above

        admin = AdminServer(self.snapshot, *self._plan.admin)
        running.push_async_callback(admin.close)
        return await listening("admin", self._plan.admin, admin.start())

    def build(self, plan: Plan) -> Callable[[], Awaitable[None]]:
        """Build a plan's rules aside; what is returned puts them in force, in one step.

        Requests in flight finish under the rules that they began with. No more may differ from the plan in force than
        `assembly.can_be_swapped` allows.
        """
        if not assembly.can_be_swapped(self._plan, plan):
            raise ValueError("the plan needs a gateway of its own")
        rules = assembly.swapped(self._proxy.rules, plan, self._log_key, self._clock)
        return lambda: self._take(plan, rules)

    async def _take(self, plan: Plan, rules: Rules) -> None:
        self._plan, self._proxy.rules = plan, rules
        self._figures = replace(self._figures, rules=rules, issuers=plan.issuers)
        rules.verifier.renew(issuer.terms for issuer in plan.issuers.values())
        await self.refresh_certificate()

    async def retire(self) -> None:
        """Drain after another worker has taken over: kept connections end with the answer to their next request."""
        self._ready = False
        await self._listener.retire(min(RETIRE_SECONDS, self._plan.drain_timeout))
        await self.drain()

    def close_idle(self) -> None:
        """Close connections without a request: a retirement must end sooner."""
        self._listener.close_idle()

    async def drain(self) -> None:
        """Say that no new request is welcome, let those in flight finish, then close everything."""
        self._ready = False
        cut_off = await self._listener.drain(self._plan.drain_timeout)
        if cut_off:
            log.warning("%d connections were cut off after %g s", cut_off, self._plan.drain_timeout)
        await self.close()

    async def close(self) -> None:
        """Stop whatever runs, at once; may be called twice."""
        self._ready = False
        await self._running.aclose()

    @property
    def log_path(self) -> str:
        """Where the access log is written."""
        return self._plan.access_log

    async def refresh_certificate(self) -> None:
        """Look at once whether the files of TLS have changed, which is otherwise done every few seconds."""
        if self._tls is not None:
            await self._tls.refresh()

    def reopen_log(self) -> None:
        """Open the access log anew, and what embedded issuers log: the files were moved away."""
        self._access_log.reopen()
        if self._reopen_others is not None:
            self._reopen_others()

    def snapshot(self) -> Snapshot:
        """All that an operator is shown."""
        return self._figures.snapshot(ready=self._ready)


def _open_log(path: str) -> AccessLog:
    try:
        return AccessLog(path)
    except OSError as error:
        raise StartError(f"access_log: {path} cannot be written: {error.strerror}") from error
