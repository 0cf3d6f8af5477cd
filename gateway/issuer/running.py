"""The authorization server while it runs: its state file, its socket, its end."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.config import HostPort
from gateway.downstream.certificate import ServerTls
from gateway.issuer.errors import IssuanceLogError, StateError
from gateway.issuer.files import server_files
from gateway.issuer.issuance_log import IssuanceLog
from gateway.issuer.key_ring import KeyRing
from gateway.issuer.restart import NEED_A_RESTART
from gateway.issuer.rotation import Rotation
from gateway.issuer.server import AuthorizationServer
from gateway.issuer.settings import IssuerSettings
from gateway.issuer.state import IssuerState, open_state
from gateway.issuer.tls_listening import TlsListening
from gateway.tokens.verifier import hash_key

KEYS_SECONDS = 1.0
"""Between two looks at the keys in the state, which other processes may have changed."""

_IDLE_SECONDS = 75.0
_SHUTDOWN_SECONDS = 5.0


def _without_quotes_of_requests(record: logging.LogRecord) -> bool:
    """Leave out what aiohttp logs of malformed HTTP: it quotes the bytes, and those may be someone's credentials."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


_log = logging.getLogger("gateway.issuer.http")
_log.addFilter(_without_quotes_of_requests)


class RunningIssuer:
    """Runs in the event loop that calls start, until close.

    `base` is the folder of issuer.yaml, for relative paths; `state` overrides where the settings keep the state;
    `log_key` keys the hash of token ids in the issuance log where the settings give no key.
    """

    def __init__(
        self,
        settings: IssuerSettings,
        *,
        clock: Callable[[], float] = time.time,
        state: Path | None = None,
        base: Path = Path(),
        log_key: bytes | None = None,
    ) -> None:
        self._settings = settings
        self._base = base
        self._clock = clock
        self._where = settings.state if state is None else str(state)
        self._log_key = log_key
        self._log: IssuanceLog | None = None
        self._server: AuthorizationServer | None = None
        self._runner: web.AppRunner | None = None
        self._tls: ServerTls | None = None
        self._listening: TlsListening | None = None
        self._state: IssuerState | None = None
        self._rotation: Rotation | None = None
        self._stop = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the state, making a key on first use, and listen: over TLS, if the settings say so.

        Raises:
            StateError: the state cannot be used.
            IssuanceLogError: the log cannot be written.
            TlsFileError: a certificate or key cannot.
            OSError: the address cannot be listened on.
        """
        try:
            self._state = await asyncio.to_thread(open_state, self._settings, self._base, self._clock, self._where)
            self._log = self._open_log()
            self._rotation = Rotation(self._state, self._settings.key_plan, self._clock)
            ring = KeyRing(self._rotation.plan, await asyncio.to_thread(self._rotation.step), self._clock)
            self._following = asyncio.create_task(self._follow(self._rotation, ring))
            files = server_files(self._settings, self._base)
            self._tls = None if files is None else await asyncio.to_thread(ServerTls, files, self._clock)
            self._server = AuthorizationServer(
                self._settings,
                ring,
                self._clock,
                self._state,
                base=self._base,
                authorities=self._authorities,
                refill=partial(_refill, self._rotation, ring),
                log=self._log,
            )
            self._runner = web.AppRunner(
                self._server.application(),
                access_log=None,
                logger=_log,
                keepalive_timeout=_IDLE_SECONDS,
                shutdown_timeout=_SHUTDOWN_SECONDS,
                # Nothing compressed is taken, and aiohttp would log a fault for each body that is not what it says.
                auto_decompress=False,
            )
            await self._runner.setup()
            await self._listen(self._runner, self._server)
        except BaseException:
            await self.close()
            raise

    async def _listen(self, runner: web.AppRunner, server: AuthorizationServer) -> None:
        if self._tls is None or runner.server is None:
            await web.TCPSite(runner, *self._settings.listen).start()
            return
        self._tls.trust(server.own_certificates)
        self._listening = TlsListening(self._settings.listen, self._tls, runner.server)

    def _authorities(self) -> frozenset[bytes]:
        return frozenset() if self._tls is None else self._tls.authorities

    def adopt(self, settings: IssuerSettings) -> tuple[str, ...]:
        """Serve by new settings from the next request on. Returns the keys that changed and need a restart.

        Those keep the values that they had. RuntimeError before start.
        """
        if self._server is None:
            raise RuntimeError("the authorization server is not running")
        kept = {key: getattr(self._settings, key) for key in NEED_A_RESTART}
        changed = tuple(key for key, value in kept.items() if getattr(settings, key) != value)
        settings = settings.model_copy(update=kept)
        self._server.adopt(settings)
        if self._tls is not None:
            self._tls.trust(self._server.own_certificates)
        if self._rotation is not None:
            self._rotation.plan = settings.key_plan
        self._settings = settings
        return changed

    def _open_log(self) -> IssuanceLog | None:
        path, key = self._settings.issuance_log, self._settings.log_hash_key
        if path is None:
            return None
        try:
            return IssuanceLog(path, (self._log_key or secrets.token_bytes(32)) if key is None else hash_key(key))
        except OSError as error:
            raise IssuanceLogError(f"issuance_log: {path} cannot be written: {error.strerror}") from error

    def reopen_log(self) -> None:
        """Open the issuance log anew: its file was moved away."""
        if self._log is not None:
            self._log.reopen()

    async def close(self) -> None:
        """Stop listening, let requests in flight end, and close the state file. May be called twice."""
        if self._listening is not None:
            await self._listening.close()
            self._listening = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._following is not None:
            # Not cancelled: what it does in a thread has to be over before the state is closed.
            self._stop.set()
            await self._following
            self._following = None
        if self._log is not None:
            await self._log.close()
            self._log = None
        if self._state is not None:
            await asyncio.to_thread(self._state.close)
            self._state = None

    @property
    def address(self) -> HostPort:
        """Where it listens: the port in use where the settings say 0. RuntimeError before start."""
        if self._listening is not None:
            return self._listening.address
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the authorization server is not running")
        host, port, *_ = self._runner.addresses[0]
        return HostPort(host, port)

    async def _follow(self, rotation: Rotation, ring: KeyRing) -> None:
        """Rotate when it is time, and take over what other processes did to the keys, until the stop."""
        well = True
        while not await _is_set_within(self._stop, KEYS_SECONDS):
            try:
                await _refill(rotation, ring)
                well = True
            except StateError as error:
                if well:
                    _log.error("the keys at hand stay: %s", error)
                well = False
            except Exception:  # noqa: BLE001 - logged, and tried again
                _log.exception("the keys at hand stay")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()


async def _refill(rotation: Rotation, ring: KeyRing) -> None:
    """Do what is due, and take over what other processes did. Raises StateError."""
    ring.fill(rotation.plan, await asyncio.to_thread(rotation.step))


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
