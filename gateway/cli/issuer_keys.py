"""`scopegate issuer keys`: the keys that the authorization server signs with."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich_click import RichCommand, RichGroup

from gateway.access.record import timestamp
from gateway.cli.decoded_token import in_words
from gateway.cli.issuer_check import BAD_CONFIGURATION
from gateway.cli.issuer_client import file_option, json_option
from gateway.issuer.errors import StateError
from gateway.issuer.key_times import KeyTimes
from gateway.issuer.reading import read_settings
from gateway.issuer.rotation import Rotation, TooManyKeysError
from gateway.issuer.state import open_existing_state

NO: Final = 1


@click.group("keys", cls=RichGroup)
def keys() -> None:
    """Look at the keys that sign tokens, and replace them."""


@keys.command("list", cls=RichCommand)
@file_option
@json_option
def list_(file: Path, *, as_json: bool) -> None:
    """List the keys that are published, oldest first: which one signs, which is next, which did and when it goes.

    Exit codes: 0 here they are, 3 the file or the state is not right.
    """
    with _rotation(file) as rotation:
        now, found = time.time(), rotation.times()
    if as_json:
        click.echo(json.dumps([_as_json(each, now) for each in found]))
        return
    for each in found:
        click.echo(f"{each.kid}  {each.algorithm:5}  {_in_words(each, now)}")


@keys.command("rotate", cls=RichCommand)
@file_option
@json_option
@click.option("--now", "at_once", is_flag=True, help="Let the next key sign at once, though nobody has fetched it yet.")
def rotate_(file: Path, *, as_json: bool, at_once: bool) -> None:
    """Replace the key that signs; the server may run meanwhile.

    The next key is published at once, and signs when it has been published for `rotation.publish_ahead`. The old one
    stays published until the last of its tokens has expired. Where a next key waits already, no other is made.

    To get rid of a key that others may have, revoke it: scopegate issuer revoke --key.

    Exit codes: 0 done, 1 too many keys are published, 3 the file or the state is not right.
    """
    with _rotation(file) as rotation:
        following, is_new = rotation.rotate(at_once=at_once)
    now = time.time()
    if not is_new:
        click.echo("a next key was waiting already, so no other was made", err=True)
    click.echo(json.dumps(_as_json(following, now)) if as_json else f"{following.kid}  {_in_words(following, now)}")


@contextmanager
def _rotation(file: Path) -> Iterator[Rotation]:
    settings = read_settings(file, os.environ).outcome
    if isinstance(settings, list):
        _end("\n".join(map(str, settings)), BAD_CONFIGURATION)
    try:
        state = open_existing_state(settings, file.parent, time.time)
        try:
            yield Rotation(state, settings.key_plan, time.time)
        finally:
            state.close()
    except TooManyKeysError as error:
        _end(str(error), NO)
    except StateError as error:
        _end(str(error), BAD_CONFIGURATION)


def _as_json(key: KeyTimes, now: float) -> dict[str, Any]:
    times = {
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "retired_at": key.retired_at,
        "expires_at": key.expires_at,
    }
    told = {name: None if moment is None else timestamp(moment) for name, moment in times.items()}
    return {"kid": key.kid, "algorithm": key.algorithm, "status": key.status(now), **told}


def _in_words(key: KeyTimes, now: float) -> str:
    match key.status(now):
        case "next":
            return f"next: signs from {in_words(key.signs_from, now)}"
        case "signing" if key.retired_at is None:
            return f"signing since {in_words(key.signs_from, now)}"
        case "signing":
            return f"signing until {in_words(key.retired_at or 0.0, now)}"
        case "retired":
            return f"retired: published until {in_words(key.expires_at or 0.0, now)}"


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
