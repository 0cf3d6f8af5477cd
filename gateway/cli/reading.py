"""What the gateway's file says at one moment, for `run` and its reloads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway import build
from gateway.cli.check import examine
from gateway.config import ConfigError, read_file, secret_files
from gateway.config.gateway_file import GatewayConfig, included_by, parse
from gateway.stamps import Reading, stamps
from gateway.supervisor.generation import PlanReading
from gateway.supervisor.named_files import named


def read(file: Path) -> PlanReading:
    """The plan, or every error in the file and in the files that it names."""
    included = _included(file)
    looked = stamps(_read([file, *included]))
    config = examine(file, os.environ)
    if not isinstance(config, GatewayConfig):
        return Reading(config, looked | stamps(_named_nevertheless(file)))
    plan = build.plan(config, file.parent, revision(file, included))
    return Reading(plan, looked | stamps(named(plan)))


def revision(file: Path, included: Iterable[Path] = ()) -> str:
    """What names a configuration in log and status: 12 hex digits of its text's SHA-256, that of inclusions with it."""
    text = hashlib.sha256(file.read_bytes())
    for each in filter(Path.is_file, included):
        text.update(b"%b\0%b" % (bytes(each), each.read_bytes()))
    return text.hexdigest()[:12]


def _included(file: Path) -> tuple[Path, ...]:
    """The files that it includes, and the folders in which more of them could appear."""
    text = read_file(file, str(file))
    return () if isinstance(text, ConfigError) else included_by(text, str(file), os.environ)


def _read(files: Iterable[Path]) -> Iterator[Path]:
    """The files that the configuration's text is in, and those that values of it come from."""
    for file in files:
        yield file
        text = read_file(file, str(file))
        if not isinstance(text, ConfigError):
            yield from secret_files(text)


def _named_nevertheless(file: Path) -> Iterator[Path]:
    """Files that a configuration names which has errors: the fault may be in one of them."""
    text = read_file(file, str(file))
    config = text if isinstance(text, ConfigError) else parse(text, str(file), os.environ)
    if isinstance(config, GatewayConfig):
        yield from named(build.plan(config, file.parent, ""))
