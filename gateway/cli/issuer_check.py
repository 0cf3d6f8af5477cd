"""`scopegate issuer check`: is the authorization server's file sound, together with the files that it names?"""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich_click import RichCommand

from gateway.config import ConfigError, read_file, read_yaml
from gateway.issuer.reading import read_settings
from gateway.issuer.settings import IssuerSettings
from gateway.issuer.weaknesses import weaknesses

BAD_CONFIGURATION: Final = 3
DEFAULT_FILE: Final = Path("config/issuer.yaml")


@click.command("check", cls=RichCommand)
@click.argument("file", type=click.Path(path_type=Path), default=DEFAULT_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object on standard output.")
def check(file: Path, *, as_json: bool) -> None:
    """Check the authorization server's file and report every error in it.

    FILE is config/issuer.yaml unless given. Every error is one line, file:line:column: key: what is wrong. What is
    sound and weak all the same is named on standard error, too, as a warning.

    Exit codes: 0 sound, 3 the server would refuse it.
    """
    found = read_settings(file, os.environ).outcome
    if isinstance(found, list):
        _tell_errors(found, as_json=as_json)
        raise click.exceptions.Exit(BAD_CONFIGURATION)
    warnings = _warnings(file, found)
    if as_json:
        told = {"ok": True, **counts(found), "warnings": [asdict(warning) for warning in warnings]}
        click.echo(json.dumps(told))
        return
    click.echo(summary(file, found))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def counts(settings: IssuerSettings) -> dict[str, int]:
    """How much a file holds, by kind."""
    scopes = {scope for defined in settings.resources.values() for scope in defined}
    return {
        "clients": len(settings.clients),
        "roles": len(settings.roles),
        "resources": len(settings.resources),
        "scopes": len(scopes),
    }


def summary(file: Path, settings: IssuerSettings) -> str:
    """One line for people."""
    of = counts(settings)
    parts = [f"{of[noun]} {noun if of[noun] != 1 else noun[:-1]}" for noun in of]
    return f"{file} is sound: {', '.join(parts)}"


def _tell_errors(errors: list[ConfigError], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"ok": False, "errors": [asdict(error) for error in errors]}))
        return
    for error in errors:
        click.echo(error, err=True)


def _warnings(file: Path, settings: IssuerSettings) -> list[ConfigError]:
    """The weaknesses with their places; none where the file has gone in the meantime."""
    text = read_file(file, str(file))
    document = [text] if isinstance(text, ConfigError) else read_yaml(text, str(file))
    if isinstance(document, list):
        return []
    return [document.error(path, message) for path, message in weaknesses(settings, file.parent, time.time())]
