"""`scopegate test`: do the rules do what their owner says?"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Final, NoReturn

import click
from rich_click import RichCommand

from gateway.cli.check import BAD_CONFIGURATION, examine
from gateway.cli.options import config_option
from gateway.config import ConfigError
from gateway.config.gateway_file import GatewayConfig
from gateway.explain.grounds import Grounds, lay
from gateway.rule_tests.cases import Cases, RuleCase, resolve
from gateway.rule_tests.coverage import coverage
from gateway.rule_tests.junit import as_junit
from gateway.rule_tests.reading import file_beside, inline_cases, read_cases
from gateway.rule_tests.running import run
from gateway.rule_tests.view import as_json as to_json, lines

FAILED: Final = 1
CANNOT_WRITE: Final = 4


@click.command(cls=RichCommand)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@config_option("The configuration whose rules are tested.", parameter="gateway")
@click.option("--junit", metavar="FILE", type=click.Path(path_type=Path), help="Write the outcome as JUnit XML, too.")
@click.option("--all-routes", is_flag=True, help="Fail where a route is reached by no case.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object on standard output.")
def test(files: tuple[Path, ...], *, gateway: Path, junit: Path | None, all_routes: bool, as_json: bool) -> None:
    """Test the rules: cases of who asks for what, and what has to come of it.

    FILES hold cases; unless given, it is the one beside the configuration: gateway.tests.yaml for gateway.yaml. The
    cases in the configuration itself, under `tests`, are run with them. Nothing is sent anywhere.

    Exit codes: 0 all pass, 1 a case fails or there is none, 2 usage, 3 bad configuration or file of cases, 4 the
    JUnit file cannot be written.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(message)s")
    grounds = _grounds(gateway)
    cases = _gathered(files, gateway, grounds)
    if not cases:
        _end(f"there are no cases: write some into {file_beside(gateway)}, or under tests in {gateway}", FAILED)
    results = run(cases, grounds)
    covered = coverage(results, grounds)
    if junit is not None:
        _write(junit, as_junit(results))
    if as_json:
        click.echo(json.dumps(to_json(results, covered)))
    else:
        for line in lines(results, covered):
            click.echo(line)
    if not all(result.met for result in results) or (all_routes and covered.unreached):
        raise click.exceptions.Exit(FAILED)


def _grounds(gateway: Path) -> Grounds:
    config = examine(gateway, os.environ, with_tests=False)
    if not isinstance(config, GatewayConfig):
        _end("\n".join(map(str, config)), BAD_CONFIGURATION)
    return lay(gateway, config, os.environ)


def _gathered(files: tuple[Path, ...], gateway: Path, grounds: Grounds) -> list[RuleCase]:
    """The cases of the configuration and of the files, in that order; every fault of them ends the command."""
    beside = file_beside(gateway)
    chosen = files or ((beside,) if beside.exists() else ())
    inline = inline_cases(gateway, grounds.config)
    found = [*([] if inline is None else [inline]), *(read_cases(file, os.environ) for file in chosen)]
    faults: list[ConfigError] = []
    cases: list[RuleCase] = []
    for each in found:
        resolved, wrong = resolve(each, grounds) if isinstance(each, Cases) else ([], each)
        cases += resolved
        faults += wrong
    if faults:
        _end("\n".join(map(str, faults)), BAD_CONFIGURATION)
    return cases


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        _end(f"{file} cannot be written: {(error.strerror or type(error).__name__).lower()}", CANNOT_WRITE)


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
