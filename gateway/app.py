"""The only wiring: a configuration becomes a running gateway."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from aiohttp import http_parser

from gateway import __version__, build
from gateway.access.writer import AccessLog
from gateway.admin.server import AdminServer
from gateway.admin.snapshot import (
    IssuerSnapshot,
    RevocationsSnapshot,
    Snapshot,
    TargetSnapshot,
    TlsSnapshot,
    UpstreamSnapshot,
)
from gateway.config import HostPort
from gateway.config.gateway_file import GatewayConfig, IssuerConfig, UpstreamConfig
from gateway.deadlines import Deadlines
from gateway.downstream.certificate import ServerTls
from gateway.downstream.listener import Listener
from gateway.issuer.errors import StateError
from gateway.issuer.reading import read_settings
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.routes import RouteTable
from gateway.proxy import Proxy
from gateway.recorder import BUCKETS, Counters, Recorder
from gateway.rules import Rules
from gateway.tls import TlsFileError
from gateway.tokens.key_source import KeySource
from gateway.tokens.keys import KeySetError
from gateway.tokens.revocations import RevocationFeed, follow
from gateway.tokens.revoked import RevokedTokens
from gateway.tokens.verifier import TokenVerifier
from gateway.upstream.pool import Upstream

if TYPE_CHECKING:
    from gateway.issuer.reloading import SettingsWatch
    from gateway.issuer.running import RunningIssuer

log = logging.getLogger(__name__)

USER_AGENT = f"scopegate/{__version__}"

RETIRE_SECONDS = 10.0
"""How long a retiring worker waits for the next request of a kept connection."""

Clock = Callable[[], float]
T = TypeVar("T")


class StartError(Exception):
    """The gateway can't start; the message names the place and what is wrong."""


class BadFileError(StartError):
    """A file that the configuration names can't be used; one line for each fault."""


class AddressError(StartError):
    """An address can't be listened on."""


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
    """

    listening: socket.socket
    log_key: bytes


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
        config: what it shall be.
        base: the folder of the configuration's file, to which paths in it are relative.
        revision: names this configuration in log and status.
        clock: seconds since the epoch.
        environ: variables for the embedded issuer's file.
        share: given to one of several workers; None for a gateway that is alone.

    Attributes:
        port: where clients connect, once started.
        admin_port: where operators connect, once started.
    """

    def __init__(  # noqa: PLR0913 - what a gateway depends on, each by its name
        self,
        config: GatewayConfig,
        base: Path,
        revision: str,
        *,
        clock: Clock = time.time,
        environ: Mapping[str, str] = os.environ,
        share: Share | None = None,
    ) -> None:
        self._config = config
        self._base = base
        self._revision = revision
        self._clock = clock
        self._environ = environ
        self._share = share
        self._counters = Counters()
        self._revoked: dict[str, RevokedTokens] = {}
        self._feeds: dict[str, RevocationFeed] = {}
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
        config = self._config
        self._deadlines = Deadlines(asyncio.get_running_loop())
        running.callback(self._deadlines.close)
        self._access_log = self._open_log()
        running.push_async_callback(self._access_log.close)
        if self._share is None:
            await running.enter_async_context(embedded_issuers(config, self._base, self._clock, self._environ))
        http = aiohttp.ClientSession(headers={"User-Agent": USER_AGENT}, cookie_jar=aiohttp.DummyCookieJar())
        running.push_async_callback(http.close)
        self._rules = self._build_rules(http)
        for upstream in self._rules.upstreams.values():
            running.callback(upstream.close)
            upstream.start_checks()
        running.push_async_callback(await self._keep_keys_fresh())
        running.push_async_callback(await self._follow_revocations(http))
        self._recorder = Recorder(self._access_log, self._counters)
        running.callback(self._recorder.flush)
        proxy = Proxy(self._rules, self._recorder, self._clock, config.limits.requests)
        self._tls = self._server_tls()
        if self._tls is not None:
            running.push_async_callback(_in_background(self._tls.watch()))
        limits = build.client_limits(config.limits)
        self._listener = Listener(proxy, limits, config.limits.connections, self._deadlines, self._tls)
        if self._share is None:
            admin = AdminServer(self.snapshot, *config.admin)
            running.push_async_callback(admin.close)
            self.admin_port = await listening("admin", config.admin, admin.start())
            accepting = self._listener.start(*config.listen)
        else:
            accepting = self._listener.start_on(self._share.listening)
        self.port = await listening("listen", config.listen, accepting)
        running.push_async_callback(self._listener.drain, 0)

    def _open_log(self) -> AccessLog:
        path = self._config.access_log
        try:
            return AccessLog(path)
        except OSError as error:
            raise StartError(f"access_log: {path} cannot be written: {error.strerror}") from error

    def _build_rules(self, http: aiohttp.ClientSession) -> Rules:
        config = self._config
        keys = {name: self._key_source(name, issuer, http) for name, issuer in config.issuers.items()}
        issuers = [build.trusted_issuer(name, issuer) for name, issuer in config.issuers.items()]
        return Rules(
            revision=self._revision,
            table=RouteTable(build.route(entry, config.issuers) for entry in config.routes),
            verifier=TokenVerifier(
                issuers, keys, capacity=config.token_cache, log_key=self._log_key, revoked=self._revoked
            ),
            keys=keys,
            upstreams={
                name: Upstream(
                    build.upstream_settings(name, upstream), self._deadlines, tls=self._upstream_tls(name, upstream)
                )
                for name, upstream in config.upstreams.items()
            },
            realm=config.realm,
            trusted_proxies=TrustedProxies(config.trusted_proxies),
        )

    def _server_tls(self) -> ServerTls | None:
        tls = self._config.tls
        try:
            return None if tls is None else ServerTls(build.server_files(tls, self._base), self._clock)
        except TlsFileError as error:
            raise BadFileError(f"tls.{error}") from error

    def _upstream_tls(self, name: str, upstream: UpstreamConfig) -> SSLContext | None:
        try:
            return build.upstream_tls(upstream.tls, self._base)
        except TlsFileError as error:
            raise BadFileError(f"upstreams.{name}.tls.{error}") from error

    @property
    def _log_key(self) -> bytes:
        if self._config.log_hash_key is not None:
            return hashlib.sha256(self._config.log_hash_key.encode()).digest()
        return secrets.token_bytes(32) if self._share is None else self._share.log_key

    def _key_source(self, name: str, issuer: IssuerConfig, http: aiohttp.ClientSession) -> KeySource:
        try:
            return build.key_source(name, issuer, self._base, http, self._clock)
        except KeySetError as error:
            raise BadFileError(f"issuers.{name}.jwks_file: {error}") from error

    async def _keep_keys_fresh(self) -> Callable[[], Awaitable[None]]:
        """Keep keys fresh in the background; returns when each issuer was asked once, with what ends it."""
        sources = self._rules.keys.values()
        first = [asyncio.create_task(source.look_for(None)) for source in sources]
        background = [asyncio.create_task(source.run()) for source in sources]

        async def end() -> None:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

        await asyncio.gather(*first)
        return end

    async def _follow_revocations(self, http: aiohttp.ClientSession) -> Callable[[], Awaitable[None]]:
        """Follow them in the background; returns when each feed was asked once, with what ends it."""
        keys, revoked = self._rules.keys, self._revoked
        self._feeds = build.revocation_feeds(self._config.issuers, keys, http, self._clock, revoked)
        await asyncio.gather(*(feed.poll() for feed in self._feeds.values()))
        return _in_background(follow(self._feeds.values()))

    async def retire(self) -> None:
        """Drain after another worker has taken over: kept connections end with the answer to their next request."""
        self._ready = False
        await self._listener.retire(min(RETIRE_SECONDS, self._config.drain_timeout))
        await self.drain()

    def close_idle(self) -> None:
        """Close connections without a request: a retirement must end sooner."""
        self._listener.close_idle()

    async def drain(self) -> None:
        """Say that no new request is welcome, let those in flight finish, then close everything."""
        self._ready = False
        cut_off = await self._listener.drain(self._config.drain_timeout)
        if cut_off:
            log.warning("%d connections were cut off after %g s", cut_off, self._config.drain_timeout)
        await self.close()

    async def close(self) -> None:
        """Stop whatever runs, at once; may be called twice."""
        self._ready = False
        await self._running.aclose()

    @property
    def log_path(self) -> str:
        """Where the access log is written."""
        return self._config.access_log

    async def refresh_certificate(self) -> None:
        """Look at once whether the files of TLS have changed, which is otherwise done every few seconds."""
        if self._tls is not None:
            await self._tls.refresh()

    def reopen_log(self) -> None:
        """Open the access log anew: its file was moved away."""
        self._access_log.reopen()

    def snapshot(self) -> Snapshot:
        """All that an operator is shown."""
        self._recorder.flush()
        counters, access_log = self._counters, self._access_log
        return Snapshot(
            version=__version__,
            config_rev=self._revision,
            started_at=self._started_at,
            ready=self._ready,
            connections=self._listener.connections,
            in_flight=self._recorder.in_flight,
            cached_tokens=len(self._rules.verifier),
            requests=dict(counters.requests),
            duration_bounds=BUCKETS,
            durations=tuple(counters.durations),
            duration_sum=counters.seconds,
            tokens_verified=counters.verified,
            tokens_recalled=counters.recalled,
            retries=counters.retries,
            aborted=counters.aborted,
            log_written=access_log.written,
            log_dropped=access_log.dropped,
            log_error=access_log.error,
            tls=None if self._tls is None else _tls_snapshot(self._tls),
            issuers=tuple(self._issuer_snapshot(name) for name in self._rules.keys),
            upstreams=tuple(_upstream_snapshot(upstream, self._clock()) for upstream in self._rules.upstreams.values()),
        )

    def _issuer_snapshot(self, name: str) -> IssuerSnapshot:
        status = self._rules.keys[name].status
        told = self._feeds[name].status if name in self._feeds else None
        return IssuerSnapshot(
            name=name,
            issuer=self._config.issuers[name].issuer,
            kids=status.kids,
            skipped_keys=status.skipped,
            fetched_at=status.fetched_at,
            attempted_at=status.attempted_at,
            error=status.error,
            revocations=None if told is None else RevocationsSnapshot(told.count, told.answered_at, told.error),
        )


def _in_background(work: Coroutine[None, None, None]) -> Callable[[], Awaitable[None]]:
    """Begin work that never ends by itself; returns what ends it."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return end


def _tls_snapshot(tls: ServerTls) -> TlsSnapshot:
    return TlsSnapshot(tls.loaded_at, tls.expires_at, tls.error, tls.failures, tls.last_failure)


def _upstream_snapshot(upstream: Upstream, now: float) -> UpstreamSnapshot:
    """An upstream's figures; what its targets tell in seconds from the present becomes a time since the epoch."""
    states = [target.state for target in upstream.targets]
    return UpstreamSnapshot(
        name=upstream.settings.name,
        authority=upstream.settings.authority,
        **upstream.figures,
        targets=tuple(
            TargetSnapshot(
                authority=state.authority,
                open=state.open,
                idle=state.idle,
                outstanding=state.outstanding,
                healthy=state.healthy,
                ejected_until=None if state.ejected_for is None else now + state.ejected_for,
                last_error=state.last_error,
                failed_at=None if state.failed_ago is None else now - state.failed_ago,
            )
            for state in states
        ),
    )


@asynccontextmanager
async def embedded_issuers(
    config: GatewayConfig, base: Path, clock: Clock = time.time, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[None]:
    """The authorization servers that a configuration embeds, while they run.

    Raises:
        StartError: one of them can't start; none keeps running.
    """
    async with AsyncExitStack() as running:
        for name, issuer in config.issuers.items():
            if issuer.embedded is not None:
                started, watch = await _start_issuer(name, base / issuer.embedded, clock, environ)
                running.push_async_callback(started.close)
                running.push_async_callback(_in_background(watch.run()))
        yield


async def _start_issuer(
    name: str, path: Path, clock: Clock, environ: Mapping[str, str]
) -> tuple[RunningIssuer, SettingsWatch]:
    # Imported late: a sixth of the memory, for those who embed none.
    from gateway.issuer.reloading import SettingsWatch  # noqa: PLC0415 - see above
    from gateway.issuer.running import RunningIssuer  # noqa: PLC0415 - see above

    reading = await asyncio.to_thread(read_settings, path, environ)
    settings = reading.outcome
    if isinstance(settings, list):
        raise BadFileError("\n".join(str(error) for error in settings))
    issuer = RunningIssuer(settings, clock=clock, base=path.parent)
    try:
        await listening(f"issuers.{name}.embedded: {path}: listen", settings.listen, issuer.start())
    except StateError as error:
        raise BadFileError(f"issuers.{name}.embedded: {path}: state: {error}") from error
    return issuer, SettingsWatch(path, reading, issuer, environ)


async def listening(what: str, address: HostPort, start: Awaitable[T]) -> T:
    """Start a listener; an address that can't be had becomes one line that names it."""
    try:
        return await start
    except StateError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise AddressError(f"{what}: {address} cannot be listened on: {reason}") from error
