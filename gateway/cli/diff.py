"""`scopegate diff`: which requests does a change of the rules let in or keep out?"""

import json
import os
import time
from pathlib import Path
from typing import Final

import click
from rich_click import RichCommand

from gateway.cli.check import BAD_CONFIGURATION, examine
from gateway.cli.plain_table import print_table
from gateway.explain.grounds import lay
from gateway.prove.difference import Change, Difference, Finding, compare
from gateway.prove.telling import difference_as_json
from gateway.prove.verdicts import Policy, Verdict
from gateway.prove.words import request_in_words, verdict_in_words, way_in_words

FINDINGS: Final = 1
_FAILS: Final = {
    "newly-allowed": frozenset({Change.ALLOWED}),
    "newly-refused": frozenset({Change.REFUSED}),
    "any": frozenset(Change),
}


@click.command(cls=RichCommand)
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--fail-on",
    type=click.Choice(list(_FAILS)),
    default="any",
    show_default=True,
    help="Which changes make the exit code 1. What cannot be compared always does.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
def diff(old: Path, new: Path, *, fail_on: str, as_json: bool) -> None:
    """Tell which requests change their verdict from one configuration to another.

    OLD and NEW are gateway configurations. Routes, and the issuers' terms for claims, are compared over every kind of
    path, method and token that they tell apart. Each finding has a witness, a request that both were asked about.

    Exit codes: 0 no such change, 1 changes as asked, or something that cannot be compared, 2 usage, 3 bad
    configuration.
    """
    found = compare(policy(old), policy(new))
    if as_json:
        click.echo(json.dumps(difference_as_json(found, time.time())))
    else:
        _show(found)
    if found.unproven or any(finding.change in _FAILS[fail_on] for finding in found.findings):
        raise click.exceptions.Exit(FINDINGS)


def policy(file: Path) -> Policy:
    """What a configuration decides by; ends the program with all of its errors if it has any."""
    config = examine(file, os.environ)
    if isinstance(config, list):
        for error in config:
            click.echo(error, err=True)
        raise click.exceptions.Exit(BAD_CONFIGURATION)
    grounds = lay(file, config, os.environ)
    return Policy(grounds.table, grounds.issuers)


def _show(found: Difference) -> None:
    if found.findings:
        rows = (
            (
                finding.change,
                ",".join(finding.methods),
                request_in_words(finding.witness),
                _told(finding, finding.before),
                _told(finding, finding.after),
            )
            for finding in found.findings
        )
        print_table(("change", "methods", "such as", "before", "after"), rows)
    for line in found.unproven:
        click.echo(f"not proven: {line}")
    click.echo(summary(found), err=bool(found.findings))


def _told(finding: Finding, verdict: Verdict) -> str:
    """The verdict; and where it leads, if that is what changes."""
    if finding.change is not Change.REROUTED or verdict.route is None:
        return verdict_in_words(verdict)
    return f"{verdict_in_words(verdict)}, to {way_in_words(verdict.route, finding.witness.target)}"


def summary(found: Difference) -> str:
    """One line for people."""
    if not found.findings and not found.unproven:
        return "no request changes its verdict"
    counts = ", ".join(f"{len(found.of(change))} {change.value.replace('-', ' ')}" for change in Change)
    return f"{counts}; {len(found.unproven)} not proven"
