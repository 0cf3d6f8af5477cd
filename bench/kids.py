"""`make bench-kids`: good tokens' latency beside a flood of tokens that name invented keys, against the calm one."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

import jwt

from bench import load, materials, proxies, report
from bench.load import Load, Measurement
from bench.materials import Materials
from bench.processes import Process

KIDS = 10_000
GOOD, FLOODING = 10, 10
"""Connections that ask every 6 ms, some 1,500 requests a second each: less than a core can do, so nobody queues."""

COOLDOWN = 1
"""Seconds, in place of 30, so that a run of some seconds sees several fetches."""


class Keys(ThreadingHTTPServer):
    """An issuer that publishes one key set, and counts how often it is asked."""

    def __init__(self, document: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Publish)
        self.document = document
        self.asked = 0

    @contextmanager
    def running(self) -> Iterator[Keys]:
        """As long as it is used."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()


class _Publish(BaseHTTPRequestHandler):
    server: Keys

    def do_GET(self) -> None:
        """Count, and answer."""
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.document)))
        self.end_headers()
        self.wfile.write(self.server.document)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Round:
    """Good tokens without and with the flood; how many invented kids there were, and how often the issuer was asked."""

    calm: Measurement
    beside: Measurement
    kids: int
    asked: int


def invented(made: Materials) -> Path:
    """A file of tokens that nobody signed, each naming a key of its own."""
    payload, signature = made.good.split(".")[1:]
    headers = (
        jwt.utils.base64url_encode(f'{{"alg":"RS256","kid":"{secrets.token_hex(8)}"}}'.encode()) for _ in range(KIDS)
    )
    file = made.folder / "invented.txt"
    file.write_text("\n".join(f"{header.decode()}.{payload}.{signature}" for header in headers))
    return file


def measured(proxy: Process, keys: Keys, good: Load, flood: Load, seconds: int) -> Round:
    """One round."""
    load.run(proxy, replace(good, connections=4), 1)
    calm = load.run(proxy, good, seconds)
    before = keys.asked
    with ThreadPoolExecutor(1) as pool:
        flooding = pool.submit(load.run, proxy, flood, seconds)
        beside = load.run(proxy, good, seconds)
        answered = flooding.result()
    if calm.errors or beside.errors or answered.errors != answered.requests:
        raise RuntimeError(
            f"errors: {calm.errors} calm, {beside.errors} beside; {answered.errors} of {answered.requests}"
        )
    return Round(calm, beside, answered.requests, keys.asked - before)


def main() -> int:
    """Measure, and print the line for docs/performance.md."""
    parser = argparse.ArgumentParser(prog="make bench-kids", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scopegate-bench-") as folder:
        made = materials.make(Path(folder))
        good, flood = (
            Load(made.hot, made.paced, connections=GOOD),
            Load(invented(made), made.paced, connections=FLOODING),
        )
        rounds = []
        with proxies.upstream(made) as upstream, Keys(made.jwks.read_bytes()).running() as keys:
            at = f"jwks_uri: 'http://127.0.0.1:{keys.server_port}/', unknown_key_cooldown: {COOLDOWN}s"
            for _ in range(options.rounds):
                with proxies.scopegate(made, upstream.port, keys=at) as proxy:
                    rounds.append(measured(proxy, keys, good, flood, options.seconds))
                print(rounds[-1].kids, "kids,", rounds[-1].asked, "fetches", file=sys.stderr, flush=True)
    print(_line(rounds, options.seconds))
    print(report.machine())
    return 0


def _line(rounds: list[Round], seconds: int) -> str:
    calm, beside = (
        median(each) / 1000 for each in ([one.calm.p99 for one in rounds], [one.beside.p99 for one in rounds])
    )
    ratio = median(one.beside.p99 / one.calm.p99 for one in rounds)
    kids, asked = median(one.kids for one in rounds), max(one.asked for one in rounds)
    return (
        f"| p99 of good tokens beside {kids:,.0f} invented kids in {seconds} s, ms | {beside:.2f} | "
        f"calm {calm:.2f}: ratio {ratio:.2f} (aim: 2); {asked} fetches at a cooldown of {COOLDOWN} s |"
    )


if __name__ == "__main__":
    sys.exit(main())
