"""A changed issuer.yaml is taken while the server runs: strictly, or not at all."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from gateway.config import ConfigError
from gateway.issuer.reading import SettingsReading, read_settings
from gateway.issuer.running import RunningIssuer
from gateway.issuer.settings import IssuerSettings

CHECK_SECONDS = 1.0
"""Between two looks at the files."""

_log = logging.getLogger(__name__)


class SettingsWatch:
    """Hands a running server its settings anew when the file, or one that it depends on, has changed.

    Faults are logged once for each change, and the settings in force stay.

    Args:
        file: issuer.yaml.
        reading: what the server was started with.
        running: the server.
        environ: variables for `${NAME}`.
    """

    def __init__(
        self, file: Path, reading: SettingsReading, running: RunningIssuer, environ: Mapping[str, str]
    ) -> None:
        self._file = file
        self._reading = reading
        self._running = running
        self._environ = environ
        self._one_at_a_time = asyncio.Lock()

    async def run(self, interval: float = CHECK_SECONDS) -> None:
        """Look at the files each `interval` seconds; never returns."""
        while True:
            await asyncio.sleep(interval)
            await self.refresh()

    async def refresh(self, *, force: bool = False) -> None:
        """Take the file if it has changed, or by `force`."""
        async with self._one_at_a_time:
            try:
                if force or await asyncio.to_thread(lambda: self._reading.is_stale):
                    self._reading = await asyncio.to_thread(read_settings, self._file, self._environ)
                    self._take(self._reading.outcome)
            except Exception:  # noqa: BLE001 - logged, and the watch goes on
                _log.exception("%s cannot be taken: the settings in force stay", self._file)

    def _take(self, outcome: IssuerSettings | list[ConfigError]) -> None:
        if isinstance(outcome, list):
            _log.error("%s has errors: the settings in force stay\n%s", self._file, "\n".join(map(str, outcome)))
            return
        postponed = self._running.adopt(outcome)
        _log.info("%s is in force anew", self._file)
        if postponed:
            _log.warning("%s: what changed in %s takes effect at the next start", self._file, ", ".join(postponed))
