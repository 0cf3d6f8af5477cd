"""The certificate that clients are shown: taken anew when its files change, while connections go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from ssl import SSLContext
from typing import NamedTuple

from gateway.stamps import Stamp, stamps
from gateway.tls import ServerFiles, TlsFileError, authorities, expiry, fault, server_context

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
"""Between two looks at the files."""


class Loaded(NamedTuple):
    """What the files come to: a context, when the certificate expires, who vouches for clients."""

    context: SSLContext
    expires_at: float
    authorities: frozenset[bytes]


class ServerTls:
    """What clients are met with at the moment.

    Args:
        files: where it comes from.
        clock: seconds since the epoch.

    Attributes:
        context: for new connections.
        authorities: the certificates, as DER, of those who vouch for clients' certificates.
        loaded_at: when the files were last read well.
        expires_at: when the certificate expires.
        error: why newer files could not be taken; None where the present ones are in force.
        failures: connections whose handshake came to nothing.
        last_failure: the newest of them: whose it was, and why.

    Raises:
        TlsFileError: a file can't be used.
    """

    def __init__(self, files: ServerFiles, clock: Callable[[], float]) -> None:
        self._files = files
        self._clock = clock
        self._stamps = self._look()
        self.context, self.expires_at, self.authorities = _load(files)
        self.loaded_at = clock()
        self.error: str | None = None
        self.failures = 0
        self.last_failure: str | None = None

    async def watch(self, interval: float = CHECK_SECONDS) -> None:
        """Look at the files now and then; never returns."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.refresh()
            except Exception:
                log.exception("looking for a new certificate failed unexpectedly: the one in force stays")

    async def refresh(self) -> None:
        """Take files that have changed; those that are of no use are named once, and the old ones stay in force."""
        looked = await asyncio.to_thread(self._look)
        if looked == self._stamps:
            return
        self._stamps = looked
        files = self._files
        loaded = await asyncio.to_thread(_loaded, files)
        if files is self._files and self._take(loaded):
            log.info("%s: new connections get the new certificate", files.certificate)

    def trust(self, certificates: frozenset[bytes]) -> None:
        """Take these clients' certificates, as DER, though nobody vouches for them, and no others of that kind."""
        if certificates != self._files.trusted:
            self._files = replace(self._files, trusted=certificates)
            self._take(_loaded(self._files))

    def _take(self, loaded: Loaded | TlsFileError) -> bool:
        """Whether what was loaded is in force now."""
        if isinstance(loaded, TlsFileError):
            self.error = f"tls.{loaded}"
            log.error("%s: the certificate in force stays", self.error)
            return False
        self.context, self.expires_at, self.authorities = loaded
        self.error = None
        self.loaded_at = self._clock()
        return True

    def failed(self, address: str, error: OSError) -> None:
        """Keep what became of a handshake: whatever a client sends in place of one is its own affair."""
        self.failures += 1
        self.last_failure = f"{address}: {fault(error)}"

    def _look(self) -> dict[Path, Stamp]:
        return stamps(self._files.paths)


def _load(files: ServerFiles) -> Loaded:
    return Loaded(server_context(files), expiry(files.certificate), authorities(files))


def _loaded(files: ServerFiles) -> Loaded | TlsFileError:
    try:
        return _load(files)
    except TlsFileError as error:
        return error
