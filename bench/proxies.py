"""The proxies under test, each on the same work: RS256, issuer, audience, expiry, one scope, a log line a request."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.materials import AUDIENCE, ISSUER, SCOPE, Materials
from bench.processes import Process, find, free_port

HERE = Path(__file__).parent
PROXY_CORE, LOAD_CORE = "1", "0"
BOTH_CORES = "0,1"
WAITING = "max_waiting: 20000, connect_timeout: 60s"
"""More busy clients than upstream connections wait for one: for their turn, not for a refusal."""

CACHED_TOKENS = 5_000
"""What every cache of verified tokens may hold, as in Envoy's configuration."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy that can be started: its name, and how."""

    name: str
    start: Callable[[Materials, int], Process]


def scopegate(  # noqa: PLR0913 - what is varied, each by its name
    materials: Materials,
    upstream: int,
    *,
    routes: int = 1,
    tokens: int = CACHED_TOKENS,
    workers: int = 1,
    cores: str = PROXY_CORE,
    keys: str = "jwks_file: jwks.json",
) -> Process:
    """Scopegate, whose workers' memory counts; with `routes`, of which the last one is used."""
    port, admin = free_port(), free_port()
    unused = "".join(
        f"  - {{id: unused-{number}, methods: [GET], path: '/unused/{number}/{{x}}', scopes: [none], upstream: up}}\n"
        for number in range(routes - 1)
    )
    config = materials.folder / "scopegate.yaml"
    config.write_text(
        f"listen: 127.0.0.1:{port}\nadmin: 127.0.0.1:{admin}\naccess_log: {materials.folder}/scopegate.jsonl\n"
        f"token_cache: {tokens}\nlimits: {{connections: 20000, requests: 20000}}\n"
        f"issuers:\n  bench: {{issuer: '{ISSUER}', audience: '{AUDIENCE}', {keys}}}\n"
        f"upstreams:\n  up: {{url: 'http://127.0.0.1:{upstream}', max_connections: 256, {WAITING}}}\n"
        f"routes:\n{unused}"
        f"  - {{id: jobs, methods: [GET, POST], path: '/maintenance/{{rest...}}', scopes: ['{SCOPE}'], upstream: up}}\n"
    )
    command = [str(Path(sys.executable).parent / "scopegate"), "run", "-c", str(config), "--workers", str(workers)]
    return Process("Scopegate", command, cores, port, materials.folder / "scopegate.log", supervised=True)


def envoy(materials: Materials, upstream: int) -> Process:
    """Envoy: jwt_authn with its token cache, rbac, JSON log."""
    port = free_port()
    config = _fill(
        materials,
        "envoy.yaml",
        PORT=port,
        UPSTREAM_PORT=upstream,
        JWKS=materials.jwks,
        LOG=materials.folder / "envoy.jsonl",
    )
    program = _beside_python("envoy", "make bench installs it")
    command = [program, "-c", str(config), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    return Process("Envoy", command, PROXY_CORE, port, materials.folder / "envoy.log")


def haproxy(materials: Materials, upstream: int) -> Process:
    """HAProxy: jwt_verify on each request, a log line to a socket whose reader writes it to a file."""
    port = free_port()
    sink = _LogSink(materials.folder / "haproxy.sock", materials.folder / "haproxy-access.log")
    config = _fill(
        materials, "haproxy.cfg", PORT=port, UPSTREAM_PORT=upstream, PUBLIC_KEY=materials.public_key, LOG=sink.path
    )
    command = [find("haproxy", "apt-get install haproxy"), "-db", "-f", str(config)]
    return Process("HAProxy", command, PROXY_CORE, port, materials.folder / "haproxy.log")


def plain(materials: Materials, upstream: int) -> Process:
    """The usual aiohttp proxy: Application, ClientSession, PyJWT, with verified tokens cached."""
    port = free_port()
    command = [sys.executable, "-m", "bench.plain_proxy", str(port), str(upstream), str(materials.folder)]
    return Process("plain aiohttp", command, PROXY_CORE, port, materials.folder / "plain.log")


def upstream(materials: Materials, cores: str = LOAD_CORE) -> Process:
    """nginx: a 112-byte answer, large bodies both ways."""
    port = free_port()
    large = materials.folder / "large.bin"
    if not large.exists():
        with large.open("wb") as file:
            file.truncate(16 << 20)
    config = _fill(materials, "nginx.conf", PORT=port, FOLDER=materials.folder)
    command = [find("nginx", "apt-get install nginx-light"), "-c", str(config), "-g", "daemon off;"]
    return Process("nginx", command, cores, port, materials.folder / "nginx.log")


PEERS = (Peer("Scopegate", scopegate), Peer("Envoy", envoy), Peer("HAProxy", haproxy), Peer("plain aiohttp", plain))


def _fill(materials: Materials, template: str, **values: object) -> Path:
    text = (HERE / "peers" / template).read_text()
    for name, value in {"ISSUER": ISSUER, "AUDIENCE": AUDIENCE, "SCOPE": SCOPE, **values}.items():
        text = text.replace(f"@{name}@", str(value))
    path = materials.folder / template
    path.write_text(text)
    return path


def _beside_python(program: str, remedy: str) -> str:
    beside = Path(sys.executable).parent / program
    return str(beside) if beside.exists() else find(program, remedy)


class _LogSink:
    """Writes what arrives on a datagram socket to a file, on the load's core: HAProxy itself writes no files."""

    def __init__(self, path: Path, file: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._file = file
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        with self._file.open("ab") as output:
            while data := self._socket.recv(65536):
                output.write(data + b"\n")
