"""A changed issuer.yaml is taken while the server runs: strictly, or not at all."""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.config import ConfigError, read_file
from gateway.issuer.files import file_faults, named_files
from gateway.issuer.running import RunningIssuer
from gateway.issuer.settings import IssuerSettings, parse

CHECK_SECONDS = 1.0
"""Between two looks at the files."""

_SUBSTITUTED = re.compile(r"\$\{file:([^}]+)\}")

Stamp: TypeAlias = tuple[int, int, int] | None
"""What tells a file from its predecessor; None where there is no file."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an issuer.yaml said at one moment.

    Attributes:
        outcome: the settings, or every fault of the file and of the files that it names.
        stamps: of all files that it depends on, each from before it was read.
    """

    outcome: IssuerSettings | list[ConfigError]
    stamps: Mapping[Path, Stamp]

    @property
    def is_stale(self) -> bool:
        """Whether one of the files has changed since."""
        return _stamps(self.stamps) != self.stamps


def read_settings(file: Path, environ: Mapping[str, str]) -> Reading:
    """Read an issuer.yaml; `environ` fills `${NAME}`."""
    stamps = _stamps([file])
    text = read_file(file, str(file))
    if isinstance(text, ConfigError):
        return Reading([text], stamps)
    stamps |= _stamps(map(Path, _SUBSTITUTED.findall(text)))
    settings = parse(text, str(file), environ)
    if isinstance(settings, list):
        return Reading(settings, stamps)
    stamps |= _stamps(named_files(settings, file.parent))
    return Reading(file_faults(text, file, settings) or settings, stamps)


class SettingsWatch:
    """Hands a running server its settings anew when the file, or one that it depends on, has changed.

    Faults are logged once for each change, and the settings in force stay.

    Args:
        file: issuer.yaml.
        reading: what the server was started with.
        running: the server.
        environ: variables for `${NAME}`.
    """

    def __init__(self, file: Path, reading: Reading, running: RunningIssuer, environ: Mapping[str, str]) -> None:
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


def _stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
