"""What an issuer.yaml says at one moment, together with the files that it depends on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from gateway.config import ConfigError, read_file, secret_files
from gateway.issuer.files import file_faults, named_files
from gateway.issuer.settings import IssuerSettings, parse
from gateway.stamps import Reading, stamps

SettingsReading: TypeAlias = Reading[IssuerSettings | list[ConfigError]]
"""The settings, or every fault of the file and of the files that it names."""


def read_settings(file: Path, environ: Mapping[str, str]) -> SettingsReading:
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
