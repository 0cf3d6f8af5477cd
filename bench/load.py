"""Load by wrk, and what it measured."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bench.materials import PATH, Materials
from bench.processes import Process, find
from bench.proxies import LOAD_CORE

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of wrk.

    Attributes:
        requests: that were answered.
        rate: answers a second.
        received: bytes a second of the answers, heads included.
        p50: microseconds.
        p99: microseconds.
        errors: answers other than 2xx, and socket errors.
        resident: bytes of memory of the proxy after the run.
        cpu: microseconds of processor time of the proxy for each answer: says less than the rate about waiting, but
            is disturbed less by what else the machine does.
    """

    requests: int
    rate: float
    received: float
    p50: float
    p99: float
    errors: int
    resident: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk sends.

    Attributes:
        tokens: a file with a token a line, sent in turn.
        script: of wrk.
        path: of every request.
        connections: at the same time.
        cores: that wrk may use, as taskset writes them.
    """

    tokens: Path
    script: Path
    path: str = PATH
    connections: int = CONNECTIONS
    cores: str = LOAD_CORE


def run(proxy: Process, load: Load, seconds: int) -> Measurement:
    """Put a load on a proxy."""
    command = [
        *("taskset", "-c", load.cores, find("wrk", "apt-get install wrk")),
        *("-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(load.script)),
        *(f"http://127.0.0.1:{proxy.port}{load.path}", "--", str(load.tokens)),
    ]
    before = proxy.cpu_seconds
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stderr.strip().splitlines()[-1])
    elapsed = found["micros"] / 1e6
    return Measurement(
        requests=found["requests"],
        rate=found["requests"] / elapsed,
        received=found["bytes"] / elapsed,
        p50=found["p50"],
        p99=found["p99"],
        errors=found["status_errors"] + found["socket_errors"],
        resident=proxy.resident,
        cpu=(proxy.cpu_seconds - before) * 1e6 / max(found["requests"], 1),
    )


def check(proxy: Process, materials: Materials) -> None:
    """Whether a proxy answers 200, 401 and 403 as it must; a fast wrong answer is worth nothing."""
    for token, expected in (
        (materials.good, 200),
        (None, 401),
        (materials.good[:-8] + "AAAAAAAA", 401),
        (materials.poor, 403),
    ):
        found = _status(f"http://127.0.0.1:{proxy.port}{PATH}", token)
        if found != expected:
            raise RuntimeError(f"{proxy.name} answers {found} where it must answer {expected}")


def _status(url: str, token: str | None) -> int:
    fields = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urlopen(Request(url, headers=fields), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code
