"""Cases of the gateway's file that fail, as errors of that file: it does not start, and is not taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gateway.config import ConfigError, Document
from gateway.config.gateway_file import GatewayConfig
from gateway.explain.grounds import lay
from gateway.rule_tests.cases import Cases, resolve
from gateway.rule_tests.running import Result, run
from gateway.rule_tests.view import expected, found


def failing_cases(
    path: Path, document: Document, config: GatewayConfig, environ: Mapping[str, str]
) -> list[ConfigError]:
    """Every inline case that does not come out as it says, at its place.

    Args:
        path: of the gateway's file.
        document: that was read from it.
        config: without a fault.
        environ: variables for the files that it names.
    """
    if not config.tests:
        return []
    grounds = lay(path, config, environ)
    cases, faults = resolve(Cases(document, config.tests), grounds)
    return faults or [_fault(result) for result in run(cases, grounds) if not result.met]


def _fault(result: Result) -> ConfigError:
    case = result.case
    message = f"fails ({case.name}): expected {expected(case)}, found {found(result)}; change the rules, or the case"
    return replace(case.place, message=message)
