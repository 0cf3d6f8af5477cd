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
from gateway.cli.run import configure_logging, load, run_until_stopped
from gateway.demo import maintenance
from gateway.starting import AddressError

CLIENT, SECRET = "nightly-batch", "nightly-batch-secret"  # the demo's own, as config/issuer.yaml says
SAMPLE_PORT = 9000
IN_A_CLONE = Path("config/gateway.yaml")
PACKAGED = Path(maintenance.__file__).parent / "config" / "gateway.yaml"


@click.command(cls=RichCommand)
def demo() -> None:
    """Try it: issuer, sample API and gateway in one terminal.

    Starts the embedded authorization server (8081), a sample maintenance API (9000), the gateway (8080) and its admin
    listener (9901) on 127.0.0.1, prints what to type in a second terminal, and shows the access log as it comes.
    Ctrl-C ends it. It uses config/gateway.yaml of this folder, or its own copy where there is none.
    """
    configure_logging(logging.WARNING)
    file = IN_A_CLONE if IN_A_CLONE.exists() else PACKAGED
    gateway = load(file)
    console = Console(highlight=False)

    @asynccontextmanager
    async def sample_and_log(gateway: Gateway) -> AsyncIterator[None]:
        try:
            sample = await maintenance.start(port=SAMPLE_PORT)
        except OSError as error:
            await gateway.close()
            raise AddressError(
                f"sample API: 127.0.0.1:{SAMPLE_PORT} cannot be listened on: {error.strerror}"
            ) from error
        console.print(welcome(file, gateway))
        tail = _Tail(gateway.log_path, console)
        try:
            yield
        finally:
            await sample.close()
            await asyncio.to_thread(tail.end)

    run_until_stopped(gateway, sample_and_log)


def welcome(file: Path, gateway: Gateway) -> str:
    """What runs, and what to type next."""
    basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    api = f"http://127.0.0.1:{gateway.port}"
    command = "scopegate" if shutil.which("scopegate") else os.path.relpath(sys.argv[0])
    return f"""
[bold]Scopegate runs.[/bold] Rules: {file}   Access log: {gateway.log_path}

  gateway               {api}
  authorization server  http://127.0.0.1:8081
  sample API            http://127.0.0.1:{SAMPLE_PORT}  [dim](behind the gateway)[/dim]
  operators             http://127.0.0.1:{gateway.admin_port}/status.json  /metrics  /readyz

[bold]Type in a second terminal[/bold]

  [dim]# a token, by the client-credentials grant[/dim]
  curl -s -H 'Authorization: Basic {basic}' \\
    -H 'Content-Type: application/x-www-form-urlencoded;charset=UTF-8' \\
    --request POST http://127.0.0.1:8081/oauth2/v1/token \\
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
