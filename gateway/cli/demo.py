"""`scopegate demo`: issuer, sample API and gateway in one terminal, and the access log as it comes."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
from rich.console import Console
from rich_click import RichCommand

from gateway.access.query import entries, follow
from gateway.app import Gateway
from gateway.cli.log_lines import render
from gateway.cli.run import CANNOT_REACH, configure_logging, read_or_exit, run_until_stopped
from gateway.demo import maintenance
from gateway.plan import Plan
from gateway.starting import AddressError

CLIENT, SECRET = "nightly-batch", "nightly-batch-secret"  # the demo's own, as config/issuer.yaml says
FOLDER = Path("config")
FILES = ("gateway.yaml", "issuer.yaml")
PACKAGED = Path(maintenance.__file__).parent / "config"
IN_A_CLONE = Path(maintenance.__file__).parents[2] / "config"


@click.command(cls=RichCommand)
def demo() -> None:
    """Try it: issuer, sample API and gateway in one terminal.

    Starts the embedded authorization server (8081), a sample maintenance API (9000), the gateway (8080) and its admin
    listener (9901) on 127.0.0.1, prints what to type in a second terminal, and shows the access log as it comes.
    Ctrl-C ends it. It uses config/gateway.yaml of this folder; where there is none, it puts its own there, and its
    issuer.yaml. Change them, add clients, and see what happens.
    """
    configure_logging(logging.WARNING)
    file = own_files()
    plan = read_or_exit(file)
    port = sample_port(plan)
    console = Console(highlight=False)

    @asynccontextmanager
    async def sample_and_log(gateway: Gateway) -> AsyncIterator[None]:
        try:
            sample = await maintenance.start(port=port)
        except OSError as error:
            await gateway.close()
            raise AddressError(f"sample API: 127.0.0.1:{port} cannot be listened on: {error.strerror}") from error
        console.print(welcome(file, plan, gateway, sample.port), soft_wrap=True)  # to be copied: never broken
        tail = _Tail(gateway.log_path, console)
        try:
            yield
        finally:
            await sample.close()
            await asyncio.to_thread(tail.end)

    run_until_stopped(Gateway(plan), sample_and_log)


def own_files() -> Path:
    """The gateway's file of this folder, put there where there is none."""
    file = FOLDER / FILES[0]
    if file.exists():
        return file
    source = PACKAGED if PACKAGED.exists() else IN_A_CLONE
    try:
        FOLDER.mkdir(exist_ok=True)
        for name in FILES:
            if not (FOLDER / name).exists():
                shutil.copyfile(source / name, FOLDER / name)
    except OSError as error:
        click.echo(f"{error.filename} cannot be written: {error.strerror}", err=True)
        raise click.exceptions.Exit(CANNOT_REACH) from error
    return file


def sample_port(plan: Plan) -> int:
    """Where the gateway looks for the sample API; 0, for any free port, where its rules know no such upstream."""
    upstream = plan.upstreams.get("maintenance")
    return upstream.settings.addresses[0].port if upstream is not None else 0


def welcome(file: Path, plan: Plan, gateway: Gateway, sample: int) -> str:
    """What runs, and what to type next; `sample` is the port of the sample API."""
    issuer = next((plan.issuers[name].terms.issuer for name in plan.embedded), "none")
    basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    api = f"http://127.0.0.1:{gateway.port}"
    command = "scopegate" if shutil.which("scopegate") else os.path.relpath(sys.argv[0])
    return f"""
[bold]Scopegate runs.[/bold] Rules: {file}   Access log: {gateway.log_path}

  gateway               {api}
  authorization server  {issuer}
  sample API            http://127.0.0.1:{sample}  [dim](behind the gateway)[/dim]
  operators             http://127.0.0.1:{gateway.admin_port}/status.json  /metrics  /readyz

[bold]Type in a second terminal[/bold]

  [dim]# a token, by the client-credentials grant[/dim]
  curl -s -H 'Authorization: Basic {basic}' \\
    -H 'Content-Type: application/x-www-form-urlencoded;charset=UTF-8' \\
    --request POST {issuer}/oauth2/v1/token \\
    -d 'grant_type=client_credentials&scope=jobs.read' | tee token.json
  TOKEN=$(sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/' token.json)

  [dim]# let in, refused for want of a scope, refused for want of a token[/dim]
  curl -i -H "Authorization: Bearer $TOKEN" {api}/maintenance/jobs
  curl -i -H "Authorization: Bearer $TOKEN" -X POST {api}/maintenance/jobs/rotate-logs/runs
  curl -i {api}/maintenance/jobs

  [dim]# why?[/dim]
  {command} logs --summary
  echo "$TOKEN" | {command} explain POST /maintenance/jobs/rotate-logs/runs --token-file -

[bold]The access log, as it comes[/bold] [dim](Ctrl-C ends the demo)[/dim]
"""


class _Tail:
    """Prints the lines that come to the access log from now on."""

    def __init__(self, path: str, console: Console) -> None:
        self._path = Path(path)
        self._console = console
        self._since = time.time()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log-tail", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for entry in entries(follow(self._path, self._sleep), lambda _: None):
                if entry.record.get("ts", "") >= self._from:
                    self._console.print(render(entry.record), soft_wrap=True)
        except _EndedError:
            return

    @property
    def _from(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._since))

    def _sleep(self, seconds: float) -> None:
        if self._ended.wait(min(seconds, 0.1)):
            raise _EndedError

    def end(self) -> None:
        """Print what is left, and end."""
        self._ended.set()
        self._thread.join(2)


class _EndedError(Exception):
    """The demo is over."""
