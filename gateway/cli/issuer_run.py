"""`scopegate issuer run`: run the authorization server alone."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

import click
from rich_click import RichCommand

from gateway.cli.issuer_check import BAD_CONFIGURATION, DEFAULT_FILE
from gateway.cli.options import config_option
from gateway.issuer.errors import IssuanceLogError, StateError
from gateway.issuer.reading import SettingsReading, read_settings
from gateway.issuer.reloading import SettingsWatch
from gateway.issuer.running import RunningIssuer
from gateway.issuer.settings import IssuerSettings

CANNOT_REACH: Final = 4


@click.command("run", cls=RichCommand)
@config_option("The authorization server's file.", default=DEFAULT_FILE)
def run(file: Path) -> None:
    """Run the authorization server alone, until SIGINT or SIGTERM.

    Clients, roles, resources and what else needs no restart are taken anew when the file has changed, and on SIGHUP.
    SIGUSR1 opens the issuance log anew.

    Exit codes: 0 stopped, 3 the file or the state file is not right, 4 the address cannot be listened on.
    """
    reading = read_settings(file, os.environ)
    settings = reading.outcome
    if isinstance(settings, list):
        _end("\n".join(map(str, settings)), BAD_CONFIGURATION)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        asyncio.run(_serve(file, reading, settings))
    except (StateError, IssuanceLogError) as error:
        _end(str(error), BAD_CONFIGURATION)
    except OSError as error:
        _end(f"cannot listen on {settings.listen}: {_reason(error)}", CANNOT_REACH)


async def _serve(file: Path, reading: SettingsReading, settings: IssuerSettings) -> None:
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    async with RunningIssuer(settings, base=file.parent) as running:
        scheme = "http" if settings.tls is None else "https"
        loop.add_signal_handler(signal.SIGUSR1, running.reopen_log)
        click.echo(f"issuer {settings.issuer} listens on {scheme}://{running.address}", err=True)
        watch = SettingsWatch(file, reading, running, os.environ)
        following = [asyncio.create_task(watch.run()), asyncio.create_task(_take_when(reload, watch))]
        await stop.wait()
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def _take_when(asked: asyncio.Event, watch: SettingsWatch) -> None:
    while True:
        await asked.wait()
        asked.clear()
        await watch.refresh(force=True)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
