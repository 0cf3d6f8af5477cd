"""`scopegate reload`: have the running gateway take its configuration anew, and wait for the outcome."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click
from rich_click import RichCommand

from gateway.cli.options import config_option
from gateway.cli.run import CANNOT_REACH
from gateway.config import ConfigError, read_file
from gateway.config.binding import prepare
from gateway.config.fields import host_port
from gateway.config.gateway_fields import DEFAULT_ADDRESSES
from gateway.host_port import HostPort
from gateway.supervisor.process import send_signal, started

REFUSED = 1
LOOK_SECONDS = 0.1
ANSWER_SECONDS = 5.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask a listener that is everywhere


class Process(NamedTuple):
    """The supervisor's process."""

    pid: int
    started: int


class _Address(click.ParamType[HostPort]):
    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> HostPort:
        try:
            return value if isinstance(value, HostPort) else host_port(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(cls=RichCommand)
@config_option("The gateway's configuration, which says where its admin listener is.")
@click.option("--admin", type=_Address(), help="Where the admin listener is, if not where the configuration says.")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="Longest time to wait for the outcome, in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object on standard output.")
def reload(file: Path, admin: HostPort | None, seconds: float, *, as_json: bool) -> None:
    """Have the running gateway take its configuration anew, and wait for the outcome.

    It asks the admin listener which process that is, and sends it SIGHUP: so call it where the gateway runs (in a
    container: in the same one), as the same user. What the gateway reads is the file that it was started with.

    Exit codes: 0 the configuration is in force; 1 it was refused, and the one of before stays; 4 the gateway cannot be
    reached, or did not say in time what came of it.
    """
    own = _admin_of(file)
    before = _status(admin or own)
    if before is None:
        _unreached(f"nobody answers at {admin or own}: is the gateway running? --admin says where else to ask")
    process = _asked(before)
    after = _outcome((admin or own, own), process, before["reload"]["began"], time.monotonic() + seconds)
    _tell(after, as_json=as_json)


def _admin_of(file: Path) -> HostPort:
    """Where the file says that the admin listener is, even if the file has errors."""
    text = read_file(file, str(file))
    document = None if isinstance(text, ConfigError) else prepare(text, str(file), os.environ)[0]
    said = document.data.get("admin") if document is not None and isinstance(document.data, dict) else None
    try:
        return host_port(DEFAULT_ADDRESSES["admin"] if said is None else said)
    except ValueError:
        return host_port(DEFAULT_ADDRESSES["admin"])


def _status(address: HostPort) -> dict[str, Any] | None:
    """What a gateway says of itself; None where there is none."""
    host = ANYWHERE.get(address.host, address.host)
    connection = HTTPConnection(host, address.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/status.json", headers={"Host": str(HostPort(host, address.port))})
        answer = connection.getresponse()
        status = json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return status if isinstance(status, dict) and "config_rev" in status else None


def _asked(status: dict[str, Any]) -> Process:
    """The process that has been asked to take its configuration anew."""
    if status.get("reload") is None:
        _unreached(
            "this gateway takes no other configuration while it runs: only one that `scopegate run` started does"
        )
    process = Process(status["reload"]["pid"], status["reload"]["pid_started"])
    try:
        send_signal(*process, signal.SIGHUP)
    except ProcessLookupError:
        _unreached(f"the gateway's process ({process.pid}) is not here: call this on its machine, or in its container")
    except PermissionError:
        _unreached(f"the gateway's process ({process.pid}) belongs to another user: call this as that user")
    return process


def _outcome(addresses: Sequence[HostPort], process: Process, began: int, until: float) -> dict[str, Any]:
    """The status once a reload is over that began after so many others; the admin listener may have moved with it."""
    while time.monotonic() < until:
        found = next(filter(None, map(_status, addresses)), None)
        if found is not None and found["reload"]["pid"] == process.pid and found["reload"]["ended"] > began:
            return found
        if started(process.pid) != process.started:
            _unreached("the gateway has ended")
        time.sleep(LOOK_SECONDS)
    return _unreached("the gateway did not say in time what came of it: see its log, or wait longer (--wait)")


def _tell(status: dict[str, Any], *, as_json: bool) -> None:
    errors: list[str] = status["reload"]["errors"]
    revision = status["config_rev"]
    if as_json:
        click.echo(json.dumps({"ok": not errors, "config_rev": revision, "errors": errors}))
    elif not errors:
        click.echo(f"configuration {revision} is in force")
    else:
        click.echo("\n".join(errors), err=True)
        click.echo(f"refused: configuration {revision} stays in force", err=True)
    if errors:
        raise click.exceptions.Exit(REFUSED)


def _unreached(message: str) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(CANNOT_REACH)
