"""`scopegate run`: run the gateway until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import click
import uvloop
from rich_click import RichCommand

from gateway.app import AddressError, Gateway, StartError
from gateway.cli.check import BAD_CONFIGURATION, examine
from gateway.config.gateway_file import GatewayConfig

CANNOT_REACH = 4
LINE = "%(asctime)s %(levelname)s %(message)s"

log = logging.getLogger(__name__)

Surroundings = Callable[[Gateway], AbstractAsyncContextManager[None]]
"""What is there while a gateway runs."""


@click.command(cls=RichCommand)
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default=Path("config/gateway.yaml"),
    help="The configuration; config/gateway.yaml unless given.",
)
def run(file: Path) -> None:
    """Run the gateway.

    SIGTERM and SIGINT drain it: readiness goes first, requests in flight finish. SIGUSR1 opens the access log anew.
    Exit code 3 means a bad configuration or file, 4 an address that cannot be listened on.
    """
    configure_logging(logging.INFO)
    run_until_stopped(load(file), announced)


def load(file: Path) -> Gateway:
    """The gateway that a file describes; with errors in it, they are printed and the command ends."""
    config = examine(file, os.environ)
    if not isinstance(config, GatewayConfig):
        for error in config:
            click.echo(error, err=True)
        raise click.exceptions.Exit(BAD_CONFIGURATION)
    return Gateway(config, file.parent, revision(file))


def revision(file: Path) -> str:
    """What names a configuration in log and status: 12 hex digits of its text's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def configure_logging(level: int) -> None:
    """The gateway's own log: standard error, one line an event."""
    logging.basicConfig(stream=sys.stderr, level=level, format=LINE)


def run_until_stopped(gateway: Gateway, surroundings: Surroundings) -> None:
    """Run a gateway in an event loop of its own until SIGTERM or SIGINT, within its surroundings."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(gateway, surroundings))
    except StartError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(CANNOT_REACH if isinstance(error, AddressError) else BAD_CONFIGURATION) from error


async def _serve(gateway: Gateway, surroundings: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await gateway.start()
    loop.add_signal_handler(signal.SIGUSR1, gateway.reopen_log)
    calm_collector()
    async with surroundings(gateway):
        await stopped.wait()
        log.info("draining: no new requests are taken, those in flight finish")
        await gateway.drain()
    log.info("stopped")


def calm_collector() -> None:
    """Spare the cycle collector what stays for good, and let it look less often: requests leave no cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@asynccontextmanager
async def announced(gateway: Gateway) -> AsyncIterator[None]:
    """Say where it listens."""
    log.info("clients on port %d, operators on port %d", gateway.port, gateway.admin_port)
    yield
