"""`make bench-rules`: what many routes cost. To match and decide with 10 and with 1,000 routes, beside a whole request.

Tables of several shapes, each asked for ten routes that are spread over all of it, so that nothing but the table's size
differs. The two sizes take turns, and quoted is each one's best of many turns, since disturbance only ever adds. Then
how long `scopegate check` takes, as a user starts it, with all its proofs.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from bench import materials
from bench.profile import journey, read
from bench.tokens import Step, fastest
from gateway import build
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.policy.decision import Allow, Evidence, decide
from gateway.policy.denial import Denial
from gateway.policy.headers import ReceivedHead, read_head
from gateway.policy.model import Claims, RequestHead
from gateway.policy.routes import RouteTable

FEW, MANY = 10, 1_000
ASKED = 10
HOST = (b"Host", b"api")


class Asked(NamedTuple):
    """A request for one of a table's routes."""

    path: str
    fields: tuple[tuple[bytes, bytes], ...] = (HOST,)


class Shape(NamedTuple):
    """Routes of one kind.

    Attributes:
        entry: what the nth one says, beside what all say.
        asked: a request for it, which no earlier one takes.
    """

    entry: Callable[[int], dict[str, Any]]
    asked: Callable[[int], Asked]


SHAPES = {
    "literals": Shape(
        lambda n: {"path": f"/service-{n}/jobs"},
        lambda n: Asked(f"/service-{n}/jobs"),
    ),
    "a variable": Shape(
        lambda n: {"path": f"/service-{n}/jobs/{{job}}/runs"},
        lambda n: Asked(f"/service-{n}/jobs/rotate-logs/runs"),
    ),
    "a variable ahead": Shape(
        lambda n: {"path": f"/{{tenant}}/service-{n}/jobs"},
        lambda n: Asked(f"/acme/service-{n}/jobs"),
    ),
    "the rest": Shape(
        lambda n: {"path": f"/service-{n}/{{rest...}}"},
        lambda n: Asked(f"/service-{n}/jobs/rotate-logs"),
    ),
    "a type": Shape(
        lambda n: {"path": f"/service-{n}/jobs/{{job:int}}"},
        lambda n: Asked(f"/service-{n}/jobs/1234"),
    ),
    "expressions at one place": Shape(
        lambda n: {"path": f"/{{service:[a-z]+-{n}}}/jobs"},
        lambda n: Asked(f"/service-{n}/jobs"),
    ),
    "hosts": Shape(
        lambda n: {"path": "/jobs/{job}", "host": f"service-{n}.example"},
        lambda n: Asked("/jobs/rotate-logs", ((b"Host", b"service-%d.example" % n),)),
    ),
    "two by a field": Shape(
        lambda n: {"path": f"/service-{n // 2}/jobs", "fields": {"X-Api-Version": str(n % 2)}},
        lambda n: Asked(f"/service-{n // 2}/jobs", (HOST, (b"X-Api-Version", b"%d" % (n % 2)))),
    ),
}


def text_of(shape: Shape, count: int) -> str:
    """A configuration with so many routes, as JSON, which is YAML."""
    same = {"methods": ["GET"], "scopes": [materials.SCOPE], "upstream": "up"}
    whole = {
        "issuers": {"bench": {"issuer": materials.ISSUER, "audience": materials.AUDIENCE, "jwks_file": "jwks.json"}},
        "upstreams": {"up": {"url": "http://127.0.0.1:1"}},
        "routes": [{"id": f"r{n}", **shape.entry(n), **same} for n in range(count)],
    }
    return json.dumps(whole, indent=1)


def table_of(shape: Shape, count: int) -> RouteTable:
    """The same, as a worker has it."""
    config = parse(text_of(shape, count))
    if not isinstance(config, GatewayConfig):
        raise TypeError(config)
    return RouteTable(build.route(entry, config.issuers) for entry in config.routes)


def head_of(asked: Asked) -> RequestHead:
    """A request's head, read as a worker reads it."""
    received = read_head("GET", asked.path, (1, 1), asked.fields)
    if not isinstance(received, ReceivedHead):
        raise TypeError(received)
    return received.head


def judging(shape: Shape, count: int, evidence: Evidence) -> Step:
    """Match and decide, for ten requests."""
    table = table_of(shape, count)
    numbers = [n * (count - 1) // (ASKED - 1) for n in range(ASKED)]
    heads = [head_of(shape.asked(number)) for number in numbers]
    for number, head in zip(numbers, heads, strict=True):
        route = table.match(head)
        if isinstance(route, Denial) or route.id != f"r{number}" or not isinstance(decide(route.rule, evidence), Allow):
            raise TypeError(f"route r{number} does not take its own request")

    def step() -> None:
        for head in heads:
            route = table.match(head)
            if not isinstance(route, Denial):
                decide(route.rule, evidence)

    return step


def evidence() -> Evidence:
    """Of a token that every route takes."""
    scopes, now = ("profile", materials.SCOPE), time.time()
    claims = Claims("bench", materials.ISSUER, "batch", "batch", (materials.AUDIENCE,), scopes, now + 3600, now, "1")
    return Evidence(claims)


def requests_table(made: materials.Materials) -> Table:
    """Microseconds of matching and deciding, by shape."""
    whole = uvloop.run(journey(made, read(made.hot)))
    shown = Table("routes", title=f"to match and decide, in µs; a hot token's whole journey takes {whole:.1f}")
    for column in (f"{FEW} routes", f"{MANY:,} routes", "ratio", "of a journey"):
        shown.add_column(column, justify="right")
    known = evidence()
    for name, shape in SHAPES.items():
        steps = {str(count): judging(shape, count, known) for count in (FEW, MANY)}
        few, many = (spent / ASKED for spent in fastest(steps).values())
        shown.add_row(name, f"{few:.2f}", f"{many:.2f}", f"{many / few:.2f}", f"{many / whole:.1%}")
    return shown


def seconds_of_check(folder: Path, shape: Shape, count: int) -> float:
    """How long the command takes."""
    file = folder / "gateway.yaml"
    file.write_text(text_of(shape, count))
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "gateway", "check", file], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TypeError(done.stdout + done.stderr)
    return time.perf_counter() - started


def checks_table(folder: Path, rounds: int) -> Table:
    """Seconds of `scopegate check`, and how they grow; the start of the command, which a small file has too, aside."""
    counts = (FEW, MANY, 2 * MANY)
    growth = 2 * math.log(2 * MANY) / math.log(MANY)
    shown = Table(
        "routes", title=f"scopegate check, in s; by n log n, twice the routes take {growth:.2f} times as long"
    )
    for column in (*(f"{count:,} routes" for count in counts), "growth"):
        shown.add_column(column, justify="right")
    for name, shape in SHAPES.items():
        runs = [[seconds_of_check(folder, shape, count) for count in counts] for _ in range(rounds)]
        start, once, twice = (min(run[at] for run in runs) for at in range(len(counts)))
        grown = (twice - start) / (once - start)
        shown.add_row(name, f"{start:.2f}", f"{once:.2f}", f"{twice:.2f}", f"{grown:.2f}")
    return shown


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.rules")
    parser.add_argument("--rounds", type=int, default=3, help="of scopegate check; the best counts")
    rounds: int = parser.parse_args().rounds
    console = Console(width=110)
    with tempfile.TemporaryDirectory(prefix="scopegate-rules-") as folder:
        made = materials.make(Path(folder))
        console.print(requests_table(made))
        console.print(checks_table(made.folder, rounds))


if __name__ == "__main__":
    main()
