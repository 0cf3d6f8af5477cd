"""`scopegate issuer client`: the client applications of the authorization server, in its file."""

import json
import os
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich_click import RichCommand, RichGroup

from gateway.cli.issuer_check import BAD_CONFIGURATION, DEFAULT_FILE
from gateway.cli.issuer_client_entry import ClientOptions, client_options
from gateway.cli.options import config_option
from gateway.config import ConfigError, read_file
from gateway.config.insertion import InsertionError, entry_text, with_entry
from gateway.config.swap import alone_with, replace_text
from gateway.issuer.client_view import described
from gateway.issuer.files import file_faults
from gateway.issuer.reading import read_settings
from gateway.issuer.settings import IssuerSettings, parse

NO: Final = 1
CANNOT_REACH: Final = 4

file_option = config_option("The authorization server's file.", default=DEFAULT_FILE)
json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group("client", cls=RichGroup)
def client() -> None:
    """Add client applications to the authorization server's file, and look at them."""


@client.command("add", cls=RichCommand)
@click.argument("client_id", metavar="ID")
@file_option
@client_options
def add_(file: Path, client_id: str, **given: Any) -> None:
    """Add a client application to the file.

    The entry comes last in `clients`; comments and layout stay. The whole is checked before it takes the file's
    place, and a running server takes it within a second or two. A generated secret goes to standard output, once: the
    file keeps its hash.

    Exit codes: 0 added, 1 there already, 2 usage, 3 the file is not right or would not be, 4 it cannot be written.
    """
    options = ClientOptions(**given)
    try:
        with alone_with(file):
            entry, secret = _add(file, client_id, options)
    except OSError as error:
        _end(f"{file}: cannot be replaced: {error.strerror}", CANNOT_REACH)
    click.echo(f"added to {file}:\n{entry}", err=True)
    if secret is not None:
        click.echo("the client's secret, which is shown this once:", err=True)
        click.echo(secret)


@client.command("list", cls=RichCommand)
@file_option
@json_option
def list_(file: Path, *, as_json: bool) -> None:
    """List the client applications.

    Exit codes: 0 here they are, 3 the file is not right.
    """
    settings = _sound(file)
    told = [described(settings, client_id) for client_id in settings.clients]
    if as_json:
        click.echo(json.dumps(told))
        return
    wide = max((len(each["client_id"]) for each in told), default=0)
    for each in told:
        roles = ", ".join(each["roles"]) or "no roles"
        click.echo(f"{each['client_id']:{wide}}  {each['type']:7}  {roles}")


@client.command("show", cls=RichCommand)
@click.argument("client_id", metavar="ID")
@file_option
@json_option
def show_(file: Path, client_id: str, *, as_json: bool) -> None:
    """Show one client application: how it proves who it is, and what it may do. Never a secret or its hash.

    Exit codes: 0 here it is, 1 there is none of that id, 3 the file is not right.
    """
    settings = _sound(file)
    if client_id not in settings.clients:
        known = ", ".join(settings.clients) or "none"
        _end(f"{file} has no client {client_id!r}; known are: {known}", NO)
    told = described(settings, client_id)
    if as_json:
        click.echo(json.dumps(told))
        return
    for name, value in told.items():
        for line in _in_words(value):
            click.echo(f"{name.replace('_', ' '):22}{line}")
            name = ""  # noqa: PLW2901 - the first line alone bears it


def _add(file: Path, client_id: str, options: ClientOptions) -> tuple[str, str | None]:
    """Put the entry into the file; returns it as it may be shown, and the secret that was generated for it."""
    text = read_file(file, str(file))
    if isinstance(text, ConfigError):
        _end(str(text), BAD_CONFIGURATION)
    settings = _sound(file)
    if client_id in settings.clients:
        _end(f"{file} has a client {client_id!r} already: choose another id, or remove that entry", NO)
    entry, secret = options.entry(file.parent)
    try:
        changed = with_entry(text, "clients", client_id, entry)
    except InsertionError as error:
        lines = entry_text(client_id, entry, "  ")
        _end(f"{file}: {error}. Put this below `clients:` yourself:\n{lines}", BAD_CONFIGURATION)
    _check(changed, file)
    replace_text(file, changed)
    return entry_text(client_id, _without_secrets(entry), "  ").rstrip(), secret


def _check(text: str, file: Path) -> None:
    """End where the changed file would not be right; lines are those of a text that nobody sees, so keys alone tell."""
    settings = parse(text, str(file), os.environ)
    errors = settings if isinstance(settings, list) else file_faults(text, file, settings)
    if errors:
        told = "\n".join(f"{error.key}: {error.message}" for error in errors)
        _end(f"{told}\n{file} is as it was", BAD_CONFIGURATION)


def _without_secrets(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: "***" if key == "secret" else value for key, value in entry.items()}


def _sound(file: Path) -> IssuerSettings:
    settings = read_settings(file, os.environ).outcome
    if isinstance(settings, list):
        _end("\n".join(map(str, settings)), BAD_CONFIGURATION)
    return settings


def _in_words(value: Any) -> list[str]:
    """One line for each thing that a value says."""
    if isinstance(value, dict):
        return [f"{key}: {', '.join(_in_words(item))}" for key, item in value.items()] or ["none"]
    if isinstance(value, list):
        return [", ".join(", ".join(_in_words(item)) for item in value) or "none"]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return ["-" if value is None else str(value)]


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
