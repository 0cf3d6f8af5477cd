"""A signal reaches the process that is meant, and no other."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.supervisor.process import is_gateway, send_signal, started

WAITS = "import sys; print('up', flush=True); sys.stdin.read()"


@pytest.fixture(params=["run", "walk"])
def other(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that was called as `scopegate run` is, or nearly so."""
    command = [sys.executable, "-c", WAITS, "/usr/bin/scopegate", str(request.param)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_process_is_told_by_when_it_was_started(other: subprocess.Popen[str]) -> None:
    start = started(other.pid)
    assert start is not None
    assert start >= (started(os.getpid()) or 0)
    with pytest.raises(ProcessLookupError):
        send_signal(other.pid, start + 1, signal.SIGTERM)
    assert other.poll() is None


def test_only_what_was_called_as_a_gateway_gets_the_signal(other: subprocess.Popen[str]) -> None:
    start = started(other.pid) or 0
    if is_gateway(other.pid):
        send_signal(other.pid, start, signal.SIGTERM)
        assert other.wait(20) == -signal.SIGTERM
    else:
        with pytest.raises(ProcessLookupError):
            send_signal(other.pid, start, signal.SIGTERM)
        assert other.poll() is None


def test_a_process_that_is_gone_gets_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert (started(process.pid), is_gateway(process.pid)) == (None, False)
    with pytest.raises(ProcessLookupError):
        send_signal(process.pid, 1, signal.SIGTERM)
