"""A gateway in processes of its own, and what they hold."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20
LISTENS = re.compile(rb"clients on port (\d+)")


@dataclass
class Running:
    """A gateway's process and its port."""

    process: asyncio.subprocess.Process
    port: int

    def memory(self, line: str) -> int:
        """Bytes that it and its workers hold (VmRSS) or at most ever held (VmHWM), see proc(5)."""
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in family(self.process.pid)]
        return sum(int(status.partition(f"{line}:")[2].split()[0]) for status in statuses) * 1024


def family(pid: int) -> list[int]:
    """A process and those that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


@asynccontextmanager
async def running(folder: Path, upstream: int, **changes: Any) -> AsyncIterator[Running]:
    """One worker that lets everything through to this port; what is given replaces parts of its configuration."""
    file = folder / "gateway.yaml"
    whole = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "access_log": "access.jsonl",
        "upstreams": {"api": {"url": f"http://127.0.0.1:{upstream}"}},
        "routes": [{"id": "all", "path": "/{rest...}", "public": True, "upstream": "api"}],
    }
    file.write_text(json.dumps(whole | changes))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "--workers", "1", "-c", str(file),
        stderr=asyncio.subprocess.PIPE, cwd=folder,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        while (found := LISTENS.search(line := await process.stderr.readline())) is None:
            assert line, "it ended before it listened"
        yield Running(process, int(found[1]))
    finally:
        process.terminate()
        await process.communicate()
