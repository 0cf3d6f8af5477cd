"""A running `scopegate run`, an API behind it, and the programs of others that talk to it."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

HERE = Path(__file__).parent
AUDIENCE = "https://api.example"
LISTENS = re.compile(r"clients on port (\d+)")
PATIENCE = 30.0
"""Seconds after which a program that says nothing has failed."""


def needs_node() -> None:
    """Skip where the programs of others are not installed; in CI they have to be."""
    if shutil.which("node") and (HERE / "node_modules").is_dir():
        return
    if os.environ.get("CI"):
        pytest.fail("node and tests/interop/node_modules are missing: run `make interop`")
    pytest.skip("needs node and `make interop`")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class _Api(BaseHTTPRequestHandler):
    """Tells who called, as the gateway says."""

    def do_GET(self) -> None:
        body = json.dumps({name: self.headers[name] for name in ("X-Client-Id", "X-Token-Scopes")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def api() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@dataclass(frozen=True)
class Stage:
    """Where everything is.

    Attributes:
        issuer: of the embedded authorization server, or of whoever the gateway trusts.
        url: an address behind the gateway that demands the scope `read`.
        log: the access log.
    """

    issuer: str
    url: str
    folder: Path

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "access.jsonl").read_text().splitlines()]


@contextmanager
def gateway(
    folder: Path, issuer: Mapping[str, Any], environ: Mapping[str, str] | None = None, **changes: Any
) -> Iterator[Stage]:
    """A gateway that trusts one issuer; what else is given goes into its file."""
    with api() as port:
        config = {
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "access_log": str(folder / "access.jsonl"),
            "issuers": {"one": issuer},
            "upstreams": {"api": {"url": f"http://127.0.0.1:{port}"}},
            "routes": [{"id": "read", "path": "/{rest...}", "scopes": ["read"], "upstream": "api"}],
            **changes,
        }
        (folder / "gateway.yaml").write_text(json.dumps(config))
        command = [sys.executable, "-m", "gateway", "run", "-c", str(folder / "gateway.yaml"), "--workers", "1"]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd=folder, env={**os.environ, **(environ or {})}
        ) as process:
            try:
                listening = said(process, LISTENS)
                draining = Thread(target=_drained, args=(process,), daemon=True)
                draining.start()
                yield Stage(issuer["issuer"], f"http://127.0.0.1:{listening}/things", folder)
                process.terminate()
                draining.join(PATIENCE)
            finally:
                process.terminate()


@contextmanager
def with_embedded_issuer(folder: Path, clients: Mapping[str, Any], **settings: Any) -> Iterator[Stage]:
    """The gateway and the authorization server that it embeds."""
    listen = f"127.0.0.1:{free_port()}"
    issuer = {
        "listen": listen,
        "issuer": f"http://{listen}",
        "state": str(folder / "issuer.db"),
        "resources": {AUDIENCE: {"read": "Read", "write": "Write"}},
        "roles": {"reader": ["read"]},
        "clients": clients,
        **settings,
    }
    (folder / "issuer.yaml").write_text(json.dumps(issuer))
    trusted = {"issuer": f"http://{listen}", "embedded": "issuer.yaml", "audience": AUDIENCE, "typ": "at+jwt"}
    with gateway(folder, trusted) as stage:
        yield stage


def said(process: subprocess.Popen[str], pattern: re.Pattern[str]) -> str:
    """The first group of the pattern, as soon as a line on standard error has it."""
    assert process.stderr is not None
    deadline = time.monotonic() + PATIENCE
    lines = []
    while time.monotonic() < deadline and select.select([process.stderr], [], [], PATIENCE)[0]:
        line = process.stderr.readline()
        if not line:
            break
        lines.append(line)
        if found := pattern.search(line):
            return found[1]
    raise AssertionError("".join(lines) or "it said nothing")


def _drained(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for _ in process.stderr:
        pass


def node(script: str, **task: Any) -> dict[str, Any]:
    """Run a script on a task; what it prints."""
    done = subprocess.run(
        ["node", HERE / script], input=json.dumps(task), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@contextmanager
def provider(
    clients: list[dict[str, Any]], formats: Mapping[str, Mapping[str, str]], algorithms: list[str]
) -> Iterator[str]:
    """A running oidc-provider; yields its issuer. `formats`: resource -> {"format": "jwt" | "opaque", "alg": ...}."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    task = {"issuer": issuer, "port": port, "clients": clients, "formats": formats, "algorithms": algorithms}
    with subprocess.Popen(
        ["node", HERE / "provider.mjs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(task | {"scopes": ["read", "write"]}) + "\n")
        process.stdin.flush()
        try:
            assert json.loads(process.stdout.readline()) == {"ready": True}
            yield issuer
        finally:
            process.terminate()
