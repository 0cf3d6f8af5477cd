"""`make bench-growth`: large bodies, latency at a fixed rate, memory, and what grows with what.

Beside Envoy where the two can be compared, Scopegate alone where it is compared with itself.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import load, materials, proxies, report
from bench.load import Load, Measurement
from bench.materials import PATH, Materials
from bench.processes import Process
from bench.proxies import BOTH_CORES

MIB = 1 << 20
LARGE, SINK = "/maintenance/large", "/maintenance/sink"
UPLOAD = 8 * MIB
"""Bytes of one body, as the script of wrk sends it."""

TOKENS_A_SECOND = 5_000
"""New ones, roughly: how long to begin with."""

CONNECTIONS_A_SECOND = 1_000
"""That are opened, roughly."""

Start = Callable[[Materials, int], Process]
Row = tuple[str, str]
"""A figure's name and what was found."""


@dataclass(frozen=True, slots=True)
class Case:
    """One of several that are compared.

    Attributes:
        start: of the proxy.
        work: what is asked of it.
        fill: how many requests have to be answered before it counts.
    """

    start: Start
    work: Load
    fill: int = 0

    def warm(self, proxy: Process) -> None:
        """Every token once, however long that takes: a run begins at the first token, and those known go by fast."""
        seconds = 1 + self.fill // TOKENS_A_SECOND
        while self.fill and load.run(proxy, self.work, seconds).requests < self.fill:
            seconds *= 2

    def measured(self, proxy: Process, seconds: int) -> Measurement:
        """The load for so many seconds, and for as many more as it takes to open all connections."""
        found = load.run(proxy, self.work, seconds + self.work.connections // CONNECTIONS_A_SECOND)
        if found.requests < self.work.connections:
            raise RuntimeError(f"{found.requests} answers on {self.work.connections} connections: not all were busy")
        return found


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

    def compared(self, cases: Mapping[str, Case]) -> Iterator[Row]:
        """Answers a second of every case, in turn; the ratio to the first one is formed within a round."""
        found: dict[str, list[Measurement]] = {name: [] for name in cases}
        for _ in range(self.rounds):
            for name, case in cases.items():
                with self.started(case.start) as proxy:
                    case.warm(proxy)
                    found[name].append(case.measured(proxy, self.seconds))
        first = next(iter(found.values()))
        for name, each in found.items():
            ratio = median(one.rate / other.rate for one, other in zip(each, first, strict=True))
            rate, p99 = median(one.rate for one in each), median(one.p99 for one in each) / 1000
            resident = median(one.resident for one in each) / MIB
            failed = f"; {errors:,} errors" if (errors := sum(one.errors for one in each)) else ""
            yield f"answers/s, {name}", f"{rate:,.0f}; ratio {ratio:.3f}; p99 {p99:.2f} ms; {resident:.0f} MiB{failed}"


def bodies(bench: Bench) -> Iterator[Row]:
    """Bytes a second of large bodies."""
    down = Load(bench.made.hot, bench.made.script, LARGE, 4)
    up = Load(bench.made.hot, bench.made.upload, SINK, 4)
    for name, work, figure in (
        ("download of 16 MiB", down, lambda measured: measured.received / MIB),
        ("upload of 8 MiB", up, lambda measured: measured.rate * UPLOAD / MIB),
    ):
        ours, theirs = bench.beside_envoy(work, figure)
        yield f"{name}, MiB/s", f"{ours:,.0f}; Envoy {theirs:,.0f}; ratio {ours / theirs:.2f}"


def latency(bench: Bench) -> Iterator[Row]:
    """Latency at a fixed rate, about half of what a core can do."""
    paced = Load(bench.made.hot, bench.made.paced)
    for name, figure in (("p50", lambda measured: measured.p50), ("p99", lambda measured: measured.p99)):
        ours, theirs = bench.beside_envoy(paced, figure)
        yield f"{name} at a fixed rate, ms", f"{ours / 1000:.2f}; Envoy {theirs / 1000:.2f}"


def memory(bench: Bench) -> Iterator[Row]:
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


def routes(bench: Bench) -> Iterator[Row]:
    """More routes, of which the last one is used."""
    yield from bench.compared(
        {f"{count:,} routes": Case(partial(proxies.scopegate, routes=count), bench.hot) for count in (10, 100, 1_000)}
    )


def tokens(bench: Bench) -> Iterator[Row]:
    """More tokens in rotation, all of them cached before anything is measured."""
    cases = {}
    for count in (1, 100, 10_000, 100_000):
        file = materials.tokens(bench.made.folder, bench.made.private, count)
        cases[f"{count:,} cached tokens"] = Case(
            partial(proxies.scopegate, tokens=count), Load(file, bench.made.script), fill=count
        )
    yield from bench.compared(cases)


def connections(bench: Bench) -> Iterator[Row]:
    """More connections, all of them busy; the upstream's stay 256."""
    yield from bench.compared(
        {
            f"{count:,} busy connections": Case(
                proxies.scopegate, Load(bench.made.hot, bench.made.script, connections=count)
            )
            for count in (10, 100, 1_000, 10_000)
        }
    )


def workers(bench: Bench) -> Iterator[Row]:
    """One worker and two, with nothing pinned: proxy, load and upstream share both cores, so two have no core each."""
    work = Load(bench.made.hot, bench.made.script, cores=BOTH_CORES)
    cases = {
        f"--workers {count}, both cores shared with load and upstream": Case(
            partial(proxies.scopegate, workers=count, cores=BOTH_CORES), work
        )
        for count in (1, 2)
    }
    with proxies.upstream(bench.made, BOTH_CORES) as upstream:
        yield from Bench(bench.made, upstream.port, bench.rounds, bench.seconds).compared(cases)


SUBJECTS = {
    "bodies": bodies,
    "latency": latency,
    "memory": memory,
    "routes": routes,
    "tokens": tokens,
    "connections": connections,
    "workers": workers,
}


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
