"""Where cases are: in the gateway's file, and in files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.config import ConfigError, Document, bind, read_file, read_yaml
from gateway.config.binding import merged, prepare
from gateway.config.gateway_file import GatewayConfig
from gateway.config.rule_tests import CasesFile
from gateway.rule_tests.cases import Cases

SUFFIX = ".tests.yaml"


def file_beside(gateway: Path) -> Path:
    """The file of cases that belongs to a gateway's file: `gateway.tests.yaml` beside `gateway.yaml`."""
    return gateway.with_name(f"{gateway.stem}{SUFFIX}")


def read_cases(path: Path, environ: Mapping[str, str]) -> Cases | list[ConfigError]:
    """A file of cases, or every fault of it."""
    file = str(path)
    text = read_file(path, file)
    if isinstance(text, ConfigError):
        return [text]
    document, errors = prepare(text, file, environ)
    if document is None:
        return errors
    bound = bind(CasesFile, document)
    if errors or isinstance(bound, list):
        return merged(errors, bound)
    return Cases(document, bound.tests, bound.callers, bound.at)


def inline_cases(path: Path, config: GatewayConfig) -> Cases | None:
    """The cases of the gateway's own file, which was examined; None where it has none."""
    if not config.tests:
        return None
    document = _document(path)
    return None if document is None else Cases(document, config.tests)


def _document(path: Path) -> Document | None:
    """The file once more, for the places in it; None where it went in the meantime."""
    text = read_file(path, str(path))
    found = None if isinstance(text, ConfigError) else read_yaml(text, str(path))
    return found if isinstance(found, Document) else None
