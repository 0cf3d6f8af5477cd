"""`scopegate run`: run the gateway until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import click
import uvloop
from rich_click import RichCommand

from gateway.app import Gateway, calm_collector
from gateway.background import in_background
from gateway.cli.check import BAD_CONFIGURATION
from gateway.cli.options import config_option
from gateway.cli.reading import read
from gateway.plan import Plan
from gateway.starting import AddressError, StartError
from gateway.supervisor.supervisor import Supervisor

CANNOT_REACH = 4
INTERRUPTED = 130
LINE = "%(asctime)s %(levelname)s %(message)s"

log = logging.getLogger(__name__)

Ending = Callable[[], Coroutine[None, None, None]]
"""Ends what runs."""

Surroundings = Callable[[Gateway], AbstractAsyncContextManager[None]]
"""What is there while a gateway runs."""


def cores() -> int:
    """How many cores this process may use."""
    on_linux(sys.platform)
    return len(os.sched_getaffinity(0))


def on_linux(platform: str) -> None:
    """End the command elsewhere: workers share sockets by SO_REUSEPORT, and tables in memory by memfd and /proc."""
    if platform != "linux":
        remedy = "run it there, in a container for one, or try scopegate demo"
        raise click.ClickException(f"scopegate run needs Linux, by which its worker processes share memory: {remedy}")


@click.command(cls=RichCommand)
@config_option("The configuration.")
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=cores,
    show_default="the processor's cores",
    help="Worker processes that share the work, beside the one that supervises them.",
)
def run(file: Path, workers: int) -> None:
    """Run the gateway.

    SIGTERM and SIGINT drain it: readiness goes first, requests in flight finish; a second SIGINT ends it at once.
    Changed files of the configuration are taken without losing a request; SIGHUP does so at once, and SIGUSR2 replaces
    the workers whatever has changed. SIGUSR1 opens the access log anew.
    Exit code 3 means a bad configuration or file, 4 an address that cannot be listened on.
    """
    on_linux(sys.platform)
    configure_logging(logging.INFO)
    _run(_supervise(file, workers))


def read_or_exit(file: Path) -> Plan:
    """What a file says; with errors in it, they are printed and the command ends."""
    found = read(file).outcome
    if isinstance(found, Plan):
        return found
    for error in found:
        click.echo(error, err=True)
    raise click.exceptions.Exit(BAD_CONFIGURATION)


def configure_logging(level: int) -> None:
    """The gateway's own log: standard error, one line an event."""
    logging.basicConfig(stream=sys.stderr, level=level, format=LINE)


def run_until_stopped(gateway: Gateway, surroundings: Surroundings) -> None:
    """Run a gateway in an event loop of its own until SIGTERM or SIGINT, within its surroundings."""
    _run(_serve(gateway, surroundings))


def _run(serving: Coroutine[None, None, bool]) -> None:
    """Run in an event loop of its own; what says False was ended at once."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            in_order = runner.run(serving)
    except StartError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(CANNOT_REACH if isinstance(error, AddressError) else BAD_CONFIGURATION) from error
    if not in_order:
        raise click.exceptions.Exit(INTERRUPTED)


async def _serve(gateway: Gateway, surroundings: Surroundings) -> bool:
    end = _End()
    await gateway.start()
    calm_collector()
    async with surroundings(gateway):
        return await end.after(gateway.drain, gateway.close)


async def _supervise(file: Path, workers: int) -> bool:
    loop = asyncio.get_running_loop()
    end, reload, renew = _End(), asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    loop.add_signal_handler(signal.SIGUSR2, renew.set)
    supervisor = Supervisor(partial(read, file), workers)
    loop.add_signal_handler(signal.SIGUSR1, supervisor.reopen_log)
    await supervisor.start()
    count = f"{workers} worker{'s' if workers > 1 else ''}"
    log.info("clients on port %d, operators on port %d, %s", supervisor.port, supervisor.admin_port, count)
    end_reloading = in_background(
        _each_time(reload, supervisor.reload),
        _each_time(renew, partial(supervisor.reload, fresh=True)),
        supervisor.watch(),
    )

    async def drain() -> None:
        await end_reloading()
        await supervisor.stop()

    return await end.after(drain, supervisor.kill)


async def _each_time(asked: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asked.wait()
        asked.clear()
        await reload()


class _End:
    """The end, by signal: SIGTERM and SIGINT ask for it, a second SIGINT demands it."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._demanded = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._asked.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)

    def _interrupted(self) -> None:
        (self._demanded if self._asked.is_set() else self._asked).set()

    async def after(self, drain: Ending, give_up: Ending) -> bool:
        """Wait for the end, then drain; returns whether that was not cut short."""
        await self._asked.wait()
        log.info("draining: no new requests are taken, those in flight finish")
        draining, demanded = asyncio.create_task(drain()), asyncio.create_task(self._demanded.wait())
        await asyncio.wait([draining, demanded], return_when=asyncio.FIRST_COMPLETED)
        in_order = draining.done()
        demanded.cancel()
        if not in_order:
            draining.cancel()
            await asyncio.wait([draining])
            await give_up()
        await asyncio.gather(draining, return_exceptions=not in_order)
        log.info("stopped")
        return in_order
