"""Starting programs for a run: pinned to a core, waited for, ended by their own id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

START_SECONDS = 15.0


class MissingProgramError(Exception):
    """A program that the benchmark needs isn't there."""


class Process(AbstractContextManager["Process"]):
    """A program that runs while the context lasts.

    Args:
        name: in reports.
        command: starts it.
        cores: that it may use, as taskset writes them.
        port: where it listens.
        log: file for what it prints.
        supervised: whether its children do the work, and the memory to report is theirs.
    """

    def __init__(  # noqa: PLR0913 - what a program needs, each by its name
        self, name: str, command: Sequence[str], cores: str, port: int, log: Path, *, supervised: bool = False
    ) -> None:
        self.name = name
        self.port = port
        self._supervised = supervised
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["taskset", "-c", cores, *command], stdout=output, stderr=output, start_new_session=True
            )
        self._wait_until_it_listens()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.end()
        raise RuntimeError(
            f"{self.name} does not listen on {self.port}:\n{self._log.read_text(errors='replace')[-2000:]}"
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def resident(self) -> int:
        """Bytes of memory of those who do the work (RSS): its children, and itself unless it supervises some."""
        children = _children(self.pid)
        own = 0 if self._supervised and children else _resident(self.pid)
        return own + sum(_resident(pid) for pid in children)

    @property
    def supervisor_resident(self) -> int:
        """Bytes of memory that it holds itself (RSS)."""
        return _resident(self.pid)

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it and its children have used."""
        return sum(_cpu_seconds(pid) for pid in [self.pid, *_children(self.pid)])

    def end(self) -> None:
        """End it, and whatever it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    own = [int(child) for child in listing.read_text().split()] if listing.exists() else []
    return [each for child in own for each in (child, *_children(child))]


def _resident(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def find(program: str, remedy: str) -> str:
    """The path of a program.

    Raises:
        MissingProgramError: it isn't there.
    """
    path = shutil.which(program)
    if path is None:
        raise MissingProgramError(f"{program} is not installed: {remedy}")
    return path


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
