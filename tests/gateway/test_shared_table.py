"""A table that processes share: what one writes the others read, and in a bucket one is alone."""

import os
import signal
import sys
from collections.abc import Iterator
from subprocess import PIPE, Popen, run

import pytest

from gateway.shared_table import SharedTable, create_table

BUCKETS, BUCKET_BYTES = 4, 64
SIZE = BUCKETS * BUCKET_BYTES


@pytest.fixture
def path() -> Iterator[str]:
    file = create_table("scopegate-test", SIZE)
    yield f"/proc/{os.getpid()}/fd/{file}"
    os.close(file)


@pytest.fixture
def shared(path: str) -> Iterator[SharedTable]:
    table = SharedTable(path, BUCKETS, BUCKET_BYTES)
    yield table
    table.close()


def digest(place: int) -> bytes:
    return place.to_bytes(4, "big") + bytes(12)


LOOK = f"""
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    for start in range(0, {SIZE}, {BUCKET_BYTES}):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, {BUCKET_BYTES}, start)
        except BlockingIOError:
            print(start)
"""


def held(path: str) -> list[int]:
    """The buckets that are locked, as another process sees it."""
    return [int(line) for line in run([sys.executable, "-c", LOOK, path], stdout=PIPE, check=True).stdout.split()]


def test_a_lock_keeps_other_processes_out_of_one_bucket_until_it_is_let_go(path: str, shared: SharedTable) -> None:
    shared.lock(64)
    shared.lock(128)
    assert held(path) == [64, 128]
    shared.unlock(64)
    assert held(path) == [128]
    shared.unlock(128)
    assert held(path) == []


LOCK_AND_STAY = f"""
import sys
from gateway.shared_table import SharedTable
table = SharedTable(sys.argv[1], {BUCKETS}, {BUCKET_BYTES})
table.lock(64)
table.memory[64:66] = b"in"
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_process_that_is_killed_within_a_lock_lets_go_of_it(path: str, shared: SharedTable) -> None:
    with Popen([sys.executable, "-c", LOCK_AND_STAY, path], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        assert held(path) == [64]
        process.send_signal(signal.SIGKILL)
    shared.lock(64)
    assert shared.memory[64:66] == b"in"
    shared.unlock(64)


def test_a_digest_has_its_place_in_one_bucket_whoever_looks(path: str, shared: SharedTable) -> None:
    other = SharedTable(path, BUCKETS, BUCKET_BYTES)
    for table in (shared, other):
        assert [table.bucket(digest(place)) for place in (0, 1, 3, 4, 2**32 - 1)] == [0, 64, 192, 0, 192]
    other.close()


def test_a_table_of_ones_own_is_empty_and_needs_no_lock() -> None:
    table = SharedTable(None, BUCKETS, BUCKET_BYTES)
    assert table.memory[:] == bytes(SIZE)
    table.lock(0)
    table.lock(0)
    table.unlock(0)
    table.close()


def test_a_new_table_is_empty_and_is_inherited_by_no_program(path: str, shared: SharedTable) -> None:
    assert shared.memory[:] == bytes(SIZE)
    assert not os.get_inheritable(int(path.rpartition("/")[2]))


def test_a_table_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        SharedTable("/nowhere/table", BUCKETS, BUCKET_BYTES)
