"""`scopegate issuer revoke`: tokens that are not to be taken any more."""

import json
import os
import time
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich_click import RichCommand

from gateway.access.record import timestamp
from gateway.cli.issuer_check import BAD_CONFIGURATION, DEFAULT_FILE
from gateway.cli.options import config_option
from gateway.issuer.errors import StateError
from gateway.issuer.reading import read_settings
from gateway.issuer.revocations import Revocation, revoke_client, revoke_key, revoke_unseen_token, write
from gateway.issuer.rotation import Rotation
from gateway.issuer.settings import IssuerSettings
from gateway.issuer.state import open_existing_state

NOT_THERE: Final = 1
_LONGEST = 1_000


class _NoSuchKeyError(Exception):
    """A key that is to be revoked is not in the state; says which."""


def _names(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not value or not value.isprintable() or len(value) > _LONGEST:
            raise click.BadParameter(f"it must have 1 to {_LONGEST} printable characters.")
    return tuple(dict.fromkeys(values))


@click.command("revoke", cls=RichCommand)
@config_option("The authorization server's file.", default=DEFAULT_FILE)
@click.option("--jti", "jtis", metavar="JTI", multiple=True, callback=_names, help="A token, by its jti; repeatable.")
@click.option(
    "--client",
    "clients",
    metavar="ID",
    multiple=True,
    callback=_names,
    help="All tokens that a client has; repeatable.",
)
@click.option(
    "--key", "kids", metavar="KID", multiple=True, callback=_names, help="All tokens that a key signed; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was revoked as one JSON object.")
def revoke(
    *, file: Path, jtis: tuple[str, ...], clients: tuple[str, ...], kids: tuple[str, ...], as_json: bool
) -> None:
    """Revoke tokens: gateways refuse them from then on.

    Those that follow this server do so within 2 seconds, with the reason token_revoked. The server may run meanwhile.
    A client is not kept from getting new tokens: for that, remove it from the file. A key that is revoked is removed at
    once, and another one signs.

    Exit codes: 0 revoked, 1 there is no such key, and nothing was revoked, 2 usage, 3 the file or the state is not
    right.
    """
    if not (jtis or clients or kids):
        raise click.UsageError("Say what to revoke: --jti, --client or --key.")
    settings = _settings(file)
    for client_id in clients:
        if client_id not in settings.clients:
            click.echo(f"note: {file} has no client {client_id!r}; tokens that it may still have are revoked", err=True)
    try:
        revoked = _revoke(file, settings, jtis, clients, kids)
    except StateError as error:
        _end(str(error), BAD_CONFIGURATION)
    except _NoSuchKeyError as error:
        _end(f"there is no key {error}, and nothing was revoked: scopegate issuer keys list shows them", NOT_THERE)
    if as_json:
        click.echo(json.dumps({"revoked": [_as_json(revocation) for revocation in revoked]}))
    else:
        for revocation in revoked:
            click.echo(_in_words(revocation))


def _settings(file: Path) -> IssuerSettings:
    settings = read_settings(file, os.environ).outcome
    if isinstance(settings, list):
        _end("\n".join(map(str, settings)), BAD_CONFIGURATION)
    return settings


def _revoke(
    file: Path, settings: IssuerSettings, jtis: tuple[str, ...], clients: tuple[str, ...], kids: tuple[str, ...]
) -> list[Revocation]:
    """Write all revocations, or none. StateError, and _NoSuchKeyError."""
    state = open_existing_state(settings, file.parent, time.time)
    try:
        rotation = Rotation(state, settings.key_plan, time.time)
        with state.alone() as connection:
            for kid in kids:
                if rotation.withdraw(connection, kid) is None:
                    raise _NoSuchKeyError(kid)
            now = time.time()
            revoked = [
                *(revoke_unseen_token(jti, now) for jti in jtis),
                *(revoke_client(client_id, now) for client_id in clients),
                *(revoke_key(kid, now) for kid in kids),
            ]
            write(connection, revoked, now)
    finally:
        state.close()
    return revoked


def _as_json(revocation: Revocation) -> dict[str, Any]:
    before = None if revocation.before is None else timestamp(revocation.before)
    return {
        "kind": revocation.kind,
        "value": revocation.value,
        "before": before,
        "until": timestamp(revocation.until),
    }


def _in_words(revocation: Revocation) -> str:
    what = {"jti": "the token", "client": "all tokens so far of the client", "key": "all tokens of the key"}
    return f"revoked {what[revocation.kind]} {revocation.value}"


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
