"""Which process this is: a number alone may be given to another, or mean another one in another container."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def started(pid: int) -> int | None:
    """When a process was started, in clock ticks since the system's start (proc(5), field 22); None without one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def is_gateway(pid: int) -> bool:
    """Whether it was called as a gateway is: whoever answers in a gateway's place must not name any other."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    except (OSError, UnicodeDecodeError):
        return False
    return "run" in arguments and not {"scopegate", "gateway"}.isdisjoint(Path(each).name for each in arguments)


def send_signal(pid: int, start: int, number: signal.Signals) -> None:
    """Send a signal to a gateway's very process.

    Raises:
        ProcessLookupError: it is not there, or its number is another's here.
        PermissionError: it belongs to another user.
    """
    process = os.pidfd_open(pid)
    try:
        # Looked at while it is held: from here on the number cannot change hands.
        if started(pid) != start or not is_gateway(pid):
            raise ProcessLookupError(pid)
        signal.pidfd_send_signal(process, number)
    finally:
        os.close(process)
