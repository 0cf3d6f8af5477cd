"""`make bench-issuer`: tokens a second of the embedded authorization server, beside other issuers and bare signing.

One core each, HTTP Basic, RS256 with 2,048 bits; wrk on the other core; in turn, several rounds, medians, ratios within
a round. Beside it: the bare signature by `cryptography`, npm oidc-provider, Authlib's server under gunicorn.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from jwt.algorithms import RSAAlgorithm
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import load
from bench.load import Load
from bench.materials import AUDIENCE, REPORT
from bench.processes import MissingProgramError, Process, find, free_port
from bench.proxies import PROXY_CORE
from gateway.issuer.secrets import hash_secret

HERE = Path(__file__).parent
CLIENT, SECRET, SCOPE = "nightly-batch", "nightly-batch-secret", "read"
OURS, SIGNING = "Scopegate", "bare signature"
WARM_UP = 1
_ASK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.headers["Authorization"] = "Basic {credentials}"
wrk.body = "{body}"
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that issues tokens: how it is started, and where its token endpoint is."""

    name: str
    path: str
    start: Callable[[Path, int], Process]


def scopegate(folder: Path, port: int) -> Process:
    """`scopegate issuer run`, its state in SQLite, its issuance log on."""
    settings = {
        "listen": f"127.0.0.1:{port}",
        "issuer": f"http://127.0.0.1:{port}",
        "state": str(folder / "issuer.db"),
        "issuance_log": str(folder / "issuance.jsonl"),
        "resources": {AUDIENCE: {SCOPE: "Read"}},
        "roles": {"reader": [SCOPE]},
        "clients": {CLIENT: {"type": "trusted", "roles": ["reader"], "secret": hash_secret(SECRET)}},
    }
    file = folder / "issuer.yaml"
    file.write_text(json.dumps(settings))
    command = [str(Path(sys.executable).parent / "scopegate"), "issuer", "run", "-c", str(file)]
    return Process(OURS, command, PROXY_CORE, port, folder / "scopegate.log")


def oidc_provider(folder: Path, port: int) -> Process:
    """Node's oidc-provider, JWT access tokens for one resource."""
    task = {
        "issuer": f"http://127.0.0.1:{port}",
        "port": port,
        "clients": [{"client_id": CLIENT, "client_secret": SECRET}],
        "formats": {AUDIENCE: {"format": "jwt", "alg": "RS256"}},
        "algorithms": ["RS256"],
        "scopes": [SCOPE],
    }
    file = folder / "provider.json"
    file.write_text(json.dumps(task))
    script = HERE.parent / "tests" / "interop" / "provider.mjs"
    command = [find("node", "apt-get install nodejs"), str(script), str(file)]
    return Process("oidc-provider", command, PROXY_CORE, port, folder / "provider.log")


def authlib(folder: Path, port: int) -> Process:
    """Authlib's server."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    task = {
        "issuer": f"http://127.0.0.1:{port}",
        "client_id": CLIENT,
        "secret": SECRET,
        "scope": SCOPE,
        "audience": AUDIENCE,
        "key": RSAAlgorithm.to_jwk(key, as_dict=True) | {"kid": "bench", "alg": "RS256"},
    }
    file = folder / "authlib.json"
    file.write_text(json.dumps(task))
    command = [sys.executable, "-m", "bench.authlib_server", str(file), str(port)]
    return Process("Authlib", command, PROXY_CORE, port, folder / "authlib.log")


SERVERS = (
    Server(OURS, "/oauth2/v1/token", scopegate),
    Server("oidc-provider", "/token", oidc_provider),
    Server("Authlib", "/token", authlib),
)


def signatures(seconds: float) -> float:
    """Bare RS256 signatures a second, pinned to the core that the servers have."""
    os.sched_setaffinity(0, {int(PROXY_CORE)})
    try:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        scheme, digest, text = padding.PKCS1v15(), hashes.SHA256(), b"x" * 400
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            key.sign(text, scheme, digest)
            count += 1
        return count / (time.perf_counter() - started)
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def rate(server: Server, folder: Path, seconds: int) -> float:
    """Tokens a second; the first one is looked at, since a fast wrong answer is worth nothing."""
    credentials = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    body = f"grant_type=client_credentials&scope={SCOPE}&resource={AUDIENCE}"
    script = folder / "ask.lua"
    script.write_text(_ASK.format(credentials=credentials, body=body) + REPORT)
    port = free_port()
    with server.start(folder, port) as process:
        _look(f"http://127.0.0.1:{port}{server.path}", credentials, body)
        asking = Load(folder / "ask.lua", script, server.path)
        load.run(process, asking, WARM_UP)
        found = load.run(process, asking, seconds)
    if found.errors:
        raise RuntimeError(f"{server.name} failed {found.errors} times")
    return found.rate


def _look(url: str, credentials: str, body: str) -> None:
    fields = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
    with urlopen(Request(url, body.encode(), fields), timeout=10) as answer:
        token: dict[str, Any] = json.load(answer)
    if token["access_token"].count(".") != 2:
        raise RuntimeError(f"{url} issues no JWT")


def show(rates: Mapping[str, list[float]]) -> None:
    """Medians, and our rate by each other's."""
    table = Table(
        "", "a second", "Scopegate ÷", title="tokens and signatures on one core; medians, ratios within a round"
    )
    for name, found in rates.items():
        ratio = median(ours / theirs for ours, theirs in zip(rates[OURS], found, strict=True))
        table.add_row(name, f"{median(found):,.0f}", f"{ratio:.2f}")
    Console(width=90).print(table)


def main() -> int:
    """Run and show."""
    parser = argparse.ArgumentParser(prog="make bench-issuer", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all servers (5)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of each (4)")
    options = parser.parse_args()
    rates: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="scopegate-issuance-") as name, Progress(transient=True) as progress:
        task = progress.add_task("issuing", total=options.rounds * len(SERVERS))
        try:
            for number in range(options.rounds):
                rates[SIGNING].append(signatures(1.0))
                for server in SERVERS:
                    folder = Path(name, f"{number}-{server.name}")
                    folder.mkdir()
                    rates[server.name].append(rate(server, folder, options.seconds))
                    progress.advance(task)
        except MissingProgramError as error:
            print(error, file=sys.stderr)
            return 4
    show(rates)
    return 0


if __name__ == "__main__":
    sys.exit(main())
