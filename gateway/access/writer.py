"""The log's writer: takes lines at once, writes them in batches beside the event loop, never blocks a request."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.05
"""How long a line may wait for others."""

STANDARD_OUTPUT = "-"


class AccessLog:
    """Writes lines to a file, or to standard output.

    Args:
        path: the file, appended to, its folder made if needed; "-" is standard output.
        name: what messages call it.
        capacity: lines that may wait; more are dropped and counted, since a full disk must not stop requests.

    Raises:
        OSError: the file can't be opened.
    """

    def __init__(self, path: str, *, name: str = "access log", capacity: int = 65_536) -> None:
        self.path = path
        self._name = name
        self.written = 0
        self.dropped = 0
        self.error: str | None = None
        self._capacity = capacity
        self._waiting: list[bytes] = []
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._batch: asyncio.Future[str | None] | None = None
        self._reopen_asked = False
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name.replace(" ", "-"))
        self._file = _open(path)

    def write(self, line: bytes) -> None:
        """Take a line, its end included."""
        if len(self._waiting) + self._in_flight >= self._capacity:
            self.dropped += 1
            return
        self._waiting.append(line)
        if self._timer is None and self._batch is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._flush)

    def reopen(self) -> None:
        """Open the file anew before the next line: it was moved away (SIGUSR1)."""
        self._reopen_asked = True

    def _flush(self) -> None:
        self._timer = None
        lines, self._waiting = self._waiting, []
        self._in_flight = len(lines)
        self._batch = self._loop.run_in_executor(self._thread, self._write_batch, lines)
        self._batch.add_done_callback(self._flushed)

    def _flushed(self, batch: asyncio.Future[str | None]) -> None:
        failure = batch.result()
        if failure is None:
            self.written += self._in_flight
        else:
            self.dropped += self._in_flight
        if failure != self.error:
            log.error("%s %s: %s", self._name, self.path, failure or "is written again")
            self.error = failure
        self._in_flight = 0
        self._batch = None
        if self._waiting:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._flush)

    def _write_batch(self, lines: list[bytes]) -> str | None:
        """In the writer's thread; returns in words what failed."""
        try:
            if self._reopen_asked:
                self._reopen_asked = False
                fresh = _open(self.path)
                _close(self._file)
                self._file = fresh
            _write_all(self._file, b"".join(lines))
        except OSError as error:
            return error.strerror or str(error)
        return None

    async def close(self) -> None:
        """Write what waits, and close."""
        while self._waiting or self._batch is not None:
            if self._timer is not None:
                self._timer.cancel()
                self._flush()
            if self._batch is not None:
                await asyncio.wait([self._batch])
                await asyncio.sleep(0)  # its callback has to run before the next look
        self._thread.shutdown()
        _close(self._file)


def _open(path: str) -> int:
    if path == STANDARD_OUTPUT:
        return sys.stdout.fileno()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _close(file: int) -> None:
    if file > 2:  # standard output is not ours to close
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    """Write so that lines of several processes do not mix: a file takes one write whole, a pipe up to PIPE_BUF."""
    is_file = stat.S_ISREG(os.fstat(file).st_mode)
    for part in [data] if is_file else whole_lines(data, select.PIPE_BUF):
        view = memoryview(part)
        while view:
            view = view[os.write(file, view) :]


def whole_lines(data: bytes, size: int) -> Iterator[bytes]:
    """Cut lines into parts of at most so many bytes, at line ends; a longer line is a part of its own."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + size) + 1 if len(data) - start > size else len(data)
        end = end or data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end
