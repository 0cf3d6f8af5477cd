"""What an issuer.yaml says at one moment, together with the files that it depends on."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.config import ConfigError, read_file
from gateway.issuer.files import file_faults, named_files
from gateway.issuer.settings import IssuerSettings, parse

_SUBSTITUTED = re.compile(r"\$\{file:([^}]+)\}")

Stamp: TypeAlias = tuple[int, int, int] | None
"""What tells a file from its predecessor; None where there is no file."""


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


def _stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
