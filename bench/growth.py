"""`make bench-growth`: large bodies, latency at a fixed rate, memory, and what grows with what.

Beside Envoy where the two can be compared, Scopegate alone where it is compared with itself.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import load, materials, proxies, report
from bench.load import Load, Measurement
from bench.materials import PATH, Materials
from bench.processes import Process

MIB = 1 << 20
LARGE, SINK = "/maintenance/large", "/maintenance/sink"
UPLOAD = 8 * MIB
"""Bytes of one body, as the script of wrk sends it."""

Start = Callable[[Materials, int], Process]


class Bench:
    """The running upstream and what to measure with.

    Args:
        made: tokens and scripts.
        upstream: its port.
        rounds: of every figure.
        seconds: of every load.
    """

    def __init__(self, made: Materials, upstream: int, rounds: int, seconds: int) -> None:
        self.made = made
        self.upstream = upstream
        self.rounds = rounds
        self.seconds = seconds
        self.hot = Load(made.hot, made.script)

    @contextmanager
    def started(self, start: Start) -> Iterator[Process]:
        """A proxy that has been warmed up."""
        with start(self.made, self.upstream) as proxy:
            load.run(proxy, self.hot, 1)
            yield proxy

    def beside_envoy(self, work: Load, figure: Callable[[Measurement], float]) -> tuple[float, float]:
        """Medians of a figure for Scopegate and for Envoy, in turn."""
        found: dict[Start, list[float]] = {proxies.scopegate: [], proxies.envoy: []}
        for _ in range(self.rounds):
            for start, figures in found.items():
                with self.started(start) as proxy:
                    measured = load.run(proxy, work, self.seconds)
                    if measured.errors:
                        raise RuntimeError(f"{proxy.name} answered {measured.errors} requests with errors")
                    figures.append(figure(measured))
        return median(found[proxies.scopegate]), median(found[proxies.envoy])

    def rates(self, starts: dict[str, Start]) -> dict[str, float]:
        """Medians of answers a second with one hot token, for ways of starting Scopegate, in turn."""
        found: dict[str, list[float]] = {name: [] for name in starts}
        for _ in range(self.rounds):
            for name, start in starts.items():
                with self.started(start) as proxy:
                    found[name].append(load.run(proxy, self.hot, self.seconds).rate)
        return {name: median(figures) for name, figures in found.items()}


def bodies(bench: Bench) -> Iterator[tuple[str, str]]:
    """Bytes a second of large bodies."""
    down = Load(bench.made.hot, bench.made.script, LARGE, 4)
    up = Load(bench.made.hot, bench.made.upload, SINK, 4)
    for name, work, figure in (
        ("download of 16 MiB", down, lambda measured: measured.received / MIB),
        ("upload of 8 MiB", up, lambda measured: measured.rate * UPLOAD / MIB),
    ):
        ours, theirs = bench.beside_envoy(work, figure)
        yield f"{name}, MiB/s", f"{ours:,.0f}; Envoy {theirs:,.0f}; ratio {ours / theirs:.2f}"


def latency(bench: Bench) -> Iterator[tuple[str, str]]:
    """Latency at a fixed rate, about half of what a core can do."""
    paced = Load(bench.made.hot, bench.made.paced)
    for name, figure in (("p50", lambda measured: measured.p50), ("p99", lambda measured: measured.p99)):
        ours, theirs = bench.beside_envoy(paced, figure)
        yield f"{name} at a fixed rate, ms", f"{ours / 1000:.2f}; Envoy {theirs / 1000:.2f}"


def memory(bench: Bench) -> Iterator[tuple[str, str]]:
    """Memory of a warm worker, of cached tokens and of idle connections."""
    with bench.started(partial(proxies.scopegate, tokens=materials.NEW)) as proxy:
        warm = proxy.resident
        yield "a warm worker, MiB", f"{warm / MIB:.1f}; its supervisor {proxy.supervisor_resident / MIB:.1f}"
        load.run(proxy, Load(bench.made.new, bench.made.script), 12)
        yield "each cached token, KiB", f"{(proxy.resident - warm) / materials.NEW / 1024:.2f}"
    for count in (1_000, 10_000):
        with bench.started(proxies.scopegate) as proxy:
            warm = proxy.resident
            with ExitStack() as sockets:
                for _ in range(count):
                    sockets.enter_context(_idle(proxy.port, bench.made.good))
                yield f"each of {count:,} idle connections, KiB", f"{(proxy.resident - warm) / count / 1024:.2f}"
                busy = load.run(proxy, bench.hot, bench.seconds)
                yield "p99 of others meanwhile, ms", f"{busy.p99 / 1000:.2f}"


def _idle(port: int, token: str) -> socket.socket:
    """A connection that has been answered once and is kept."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    connection.recv(65536)
    return connection


def growth(bench: Bench) -> Iterator[tuple[str, str]]:
    """Answers a second with more routes and more connections."""
    by_routes = bench.rates({str(count): partial(proxies.scopegate, routes=count) for count in (10, 100, 1_000)})
    for count, rate in by_routes.items():
        yield f"answers/s with {count} routes", f"{rate:,.0f}; ratio to 10: {rate / by_routes['10']:.3f}"
    for connections in (10, 100, 1_000):
        with bench.started(proxies.scopegate) as proxy:
            measured = load.run(proxy, Load(bench.made.hot, bench.made.script, PATH, connections), bench.seconds)
            yield f"answers/s with {connections:,} connections", f"{measured.rate:,.0f}; errors {measured.errors}"


SUBJECTS = {"bodies": bodies, "latency": latency, "memory": memory, "growth": growth}


def main() -> int:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--subjects", default=",".join(SUBJECTS))
    options = parser.parse_args()
    console, shown = Console(width=100), Table("figure", "medians")
    with tempfile.TemporaryDirectory(prefix="scopegate-bench-") as folder:
        made = materials.make(Path(folder))
        with proxies.upstream(made) as upstream:
            bench = Bench(made, upstream.port, options.rounds, options.seconds)
            for subject in options.subjects.split(","):
                for figure, found in SUBJECTS[subject](bench):
                    shown.add_row(figure, found)
                    print(figure, found, sep=": ", file=sys.stderr, flush=True)
                shown.add_section()
    console.print(shown)
    console.print(report.machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
