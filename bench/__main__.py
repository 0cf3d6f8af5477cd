"""`make bench`: Scopegate beside Envoy, HAProxy and a plain aiohttp proxy.

The upstream and wrk on one core, the proxy under test alone on the other, one worker each; proxies in turn, several
rounds, medians, ratios within a round. Each proxy is first made to answer 200, 401 and 403 as it must, and writes an
access log line a request.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from rich.progress import Progress

from bench import load, materials, proxies, report
from bench.load import Measurement
from bench.processes import MissingProgramError

LOADS = {"one hot token": "hot", "3,000 tokens": "rotating", "every token new": "new"}
WARM_UP = 1


def main() -> int:
    """Run, show, and write the result where asked."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="scopegate-bench-") as folder:
        try:
            results = measure(Path(folder), options)
        except MissingProgramError as error:
            print(error, file=sys.stderr)
            return 4
    table = report.rows(results)
    report.show(table)
    print(report.machine())
    if options.write is not None:
        report.write(table, options.write)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all proxies (5)")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each load (5)")
    names = [peer.name for peer in proxies.PEERS]
    parser.add_argument("--peers", type=_some_of(names), default=names, help=f"{', '.join(names)}; with commas")
    loads = list(LOADS.values())
    parser.add_argument("--loads", type=_some_of(loads), default=loads, help=f"{', '.join(loads)}; with commas")
    parser.add_argument("--write", type=Path, help="page that the table is put on, such as docs/performance.md")
    return parser.parse_args()


def _some_of(known: list[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        asked = text.split(",")
        for one in asked:
            if one not in known:
                raise argparse.ArgumentTypeError(f"{one!r} is none of {', '.join(known)}")
        return asked

    return read


def measure(folder: Path, options: argparse.Namespace) -> report.Results:
    """All rounds of all proxies under all loads."""
    peers = [peer for peer in proxies.PEERS if peer.name in options.peers]
    loads = {name: field for name, field in LOADS.items() if field in options.loads}
    results: defaultdict[tuple[str, str], list[Measurement]] = defaultdict(list)
    with Progress(disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("making tokens", total=options.rounds * len(peers) * len(loads))
        made = materials.make(folder)
        with proxies.upstream(made) as upstream:
            for _ in range(options.rounds):
                for peer in peers:
                    with peer.start(made, upstream.port) as proxy:
                        load.check(proxy, made)
                        for name, field in loads.items():
                            progress.update(task, advance=1, description=f"{peer.name}: {name}")
                            work = load.Load(getattr(made, field), made.script)
                            load.run(proxy, work, WARM_UP)
                            results[name, peer.name].append(load.run(proxy, work, options.seconds))
    return {key: results[key] for name in loads for key in ((name, peer.name) for peer in peers)}


if __name__ == "__main__":
    sys.exit(main())
