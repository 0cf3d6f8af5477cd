"""The authorization servers that run beside a gateway."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.background import in_background
from gateway.starting import BadFileError, listening

if TYPE_CHECKING:
    from gateway.issuer.reloading import SettingsWatch
    from gateway.issuer.running import RunningIssuer


@asynccontextmanager
async def embedded_issuers(
    files: Mapping[str, Path],
    log_key: bytes,
    clock: Callable[[], float] = time.time,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[Callable[[], None]]:
    """The authorization servers of these files, by the issuer's name, while they run; yields what reopens their logs.

    `log_key` is the gateway's own, so that both write the same hash of a token's id.

    Raises:
        StartError: one of them can't start; none keeps running.
    """
    issuers = []
    async with AsyncExitStack() as running:
        for name, path in files.items():
            started, watch = await _start(name, path, log_key, clock, environ)
            issuers.append(started)
            running.push_async_callback(started.close)
            running.push_async_callback(in_background(watch.run()))

        def reopen_logs() -> None:
            for issuer in issuers:
                issuer.reopen_log()

        yield reopen_logs


async def _start(
    name: str, path: Path, log_key: bytes, clock: Callable[[], float], environ: Mapping[str, str]
) -> tuple[RunningIssuer, SettingsWatch]:
    # Imported late: a third of the memory, for those who embed none.
    from gateway.issuer.errors import IssuanceLogError, StateError  # noqa: PLC0415 - see above
    from gateway.issuer.reading import read_settings  # noqa: PLC0415 - see above
    from gateway.issuer.reloading import SettingsWatch  # noqa: PLC0415 - see above
    from gateway.issuer.running import RunningIssuer  # noqa: PLC0415 - see above

    reading = await asyncio.to_thread(read_settings, path, environ)
    settings = reading.outcome
    if isinstance(settings, list):
        raise BadFileError("\n".join(str(error) for error in settings))
    issuer = RunningIssuer(settings, clock=clock, base=path.parent, log_key=log_key)

    async def start() -> None:
        try:
            await issuer.start()
        except StateError as error:  # an OSError, too, but no trouble with the address
            raise BadFileError(f"issuers.{name}.embedded: {path}: state: {error}") from error
        except IssuanceLogError as error:
            raise BadFileError(f"issuers.{name}.embedded: {path}: {error}") from error

    await listening(f"issuers.{name}.embedded: {path}: listen", settings.listen, start())
    return issuer, SettingsWatch(path, reading, issuer, environ)
