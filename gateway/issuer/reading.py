"""What an issuer.yaml says at one moment, together with the files that it depends on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.config import ConfigError, read_file, secret_files
from gateway.issuer.files import file_faults, named_files
from gateway.issuer.settings import IssuerSettings, parse
from gateway.stamps import Stamp, stamps


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
        return stamps(self.stamps) != self.stamps


def read_settings(file: Path, environ: Mapping[str, str]) -> Reading:
    """Read an issuer.yaml; `environ` fills `${NAME}`."""
    looked = stamps([file])
    text = read_file(file, str(file))
    if isinstance(text, ConfigError):
        return Reading([text], looked)
    looked |= stamps(secret_files(text))
    settings = parse(text, str(file), environ)
    if isinstance(settings, list):
        return Reading(settings, looked)
    looked |= stamps(named_files(settings, file.parent))
    return Reading(file_faults(text, file, settings) or settings, looked)
