"""Rate limits and several workers: they count together, and whoever takes over from them goes on."""

import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import aiohttp

from .fleet import Fleet, ended, ready, running, write

LIMIT = 20


def write_limited(file: Path, api: int, **changes: object) -> None:
    # A window that hardly ever ends within a test.
    limits = [{"limit": f"{LIMIT}/31 days", "by": "address"}]
    route = {"id": "open", "path": "/public/{rest...}", "public": True, "upstream": "api", "rate_limits": limits}
    write(file, api, **({"routes": [route]} | changes))


async def statuses(fleet: Fleet, times: int) -> Counter[int]:
    """Each on a connection of its own, so that every worker gets some."""
    found: Counter[int] = Counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        for _ in range(times):
            async with http.get(f"http://127.0.0.1:{fleet.port}/public/x") as answer:
                found[answer.status] += 1
    return found


async def test_workers_count_together_and_counts_outlive_them(file: Path, api_port: int) -> None:
    write_limited(file, api_port)
    async with running(file, workers=2) as fleet:
        assert await statuses(fleet, 3 * LIMIT) == {200: LIMIT, 429: 2 * LIMIT}

        victim = (await fleet.workers())[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        await fleet.until(lambda status: status["worker_restarts"] == 1 and ready(status))
        assert await statuses(fleet, LIMIT) == {429: LIMIT}

        fleet.signal(signal.SIGUSR2)
        await fleet.until(partial(ready, generation=2))
        assert await statuses(fleet, LIMIT) == {429: LIMIT}

        write_limited(file, api_port, realm="another")
        fleet.signal(signal.SIGHUP)
        await fleet.until(ended(2))
        assert await statuses(fleet, LIMIT) == {429: LIMIT}
