"""What the gateway's file says at one moment, for `run` and its reloads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from gateway import build
from gateway.cli.check import examine
from gateway.config import ConfigError, read_file, secret_files
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.plan import Plan
from gateway.stamps import Reading, stamps
from gateway.supervisor.generation import PlanReading
from gateway.supervisor.named_files import named


def read(file: Path) -> PlanReading:
    """The plan, or every error in the file and in the files that it names."""
    looked = stamps(_read(file))
    config = examine(file, os.environ)
    if not isinstance(config, GatewayConfig):
        return Reading(config, looked | stamps(_named_nevertheless(file)))
    plan = planned(config, file)
    return Reading(plan, looked | stamps(named(plan)))


def planned(config: GatewayConfig, file: Path) -> Plan:
    """The plan of a configuration that was read from a file."""
    return build.plan(config, file.parent, revision(file))


def revision(file: Path) -> str:
    """What names a configuration in log and status: 12 hex digits of its text's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _read(file: Path) -> Iterator[Path]:
    """The files that the configuration's text is in, and those that values of it come from."""
    yield file
    text = read_file(file, str(file))
    if not isinstance(text, ConfigError):
        yield from secret_files(text)


def _named_nevertheless(file: Path) -> Iterator[Path]:
    """Files that a configuration names which has errors: the fault may be in one of them."""
    text = read_file(file, str(file))
    config = text if isinstance(text, ConfigError) else parse(text, str(file), os.environ)
    if isinstance(config, GatewayConfig):
        yield from named(planned(config, file))
