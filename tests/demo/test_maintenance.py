import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from gateway.demo.jobs import MAX_RUNS, QUEUED_SECONDS, SAMPLE_JOBS, Ledger, RunState
from gateway.demo.maintenance import LINE_SECONDS, MAX_BODY, start

JOB = SAMPLE_JOBS["rotate-logs"]
RUNS = "/maintenance/jobs/rotate-logs/runs"
NOON = 1_795_435_200.0


@dataclass
class Time:
    """A clock that only a sleep moves."""

    now: float = NOON
    sleeps: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def api(time: Time) -> AsyncIterator[aiohttp.ClientSession]:
    sample = await start(port=0, clock=time.clock, sleep=time.sleep)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{sample.port}") as client:
        yield client
    await sample.close()


async def ask(api: aiohttp.ClientSession, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    async with api.request(method, path, **options) as response:
        return response.status, await response.json()


async def test_the_jobs_are_listed(api: aiohttp.ClientSession) -> None:
    status, answer = await ask(api, "GET", "/maintenance/jobs")
    assert status == 200
    assert [job["name"] for job in answer["jobs"]] == list(SAMPLE_JOBS)


async def test_a_run_says_who_started_it_and_where_it_is_found(api: aiohttp.ClientSession) -> None:
    fields = {"X-Client-Id": "nightly-batch"}
    async with api.post(RUNS, headers=fields, json={"reason": "disk is full"}) as response:
        assert response.status == 202
        run = await response.json()
        where = response.headers["Location"]
    assert run == {
        "id": "run-1",
        "job": "rotate-logs",
        "state": "queued",
        "started_by": "nightly-batch",
        "reason": "disk is full",
        "requested_at": "2026-11-23T12:00:00.000Z",
    }
    assert await ask(api, "GET", where) == (200, run)


async def test_a_run_needs_no_body_and_no_client(api: aiohttp.ClientSession) -> None:
    status, run = await ask(api, "POST", RUNS)
    assert (status, run["started_by"], run["reason"]) == (202, "unknown", None)


async def test_a_run_goes_on_with_the_clock(api: aiohttp.ClientSession, time: Time) -> None:
    await ask(api, "POST", RUNS)
    states = []
    for seconds in (0, QUEUED_SECONDS, JOB.seconds):
        time.now += seconds
        states.append((await ask(api, "GET", f"{RUNS}/run-1"))[1]["state"])
    assert states == ["queued", "running", "succeeded"]
    job = (await ask(api, "GET", "/maintenance/jobs/rotate-logs"))[1]
    assert job["last_run"]["state"] == job["runs"][0]["state"] == "succeeded"


async def test_a_run_is_cancelled_once(api: aiohttp.ClientSession) -> None:
    await ask(api, "POST", RUNS)
    status, run = await ask(api, "DELETE", f"{RUNS}/run-1", headers={"X-Client-Id": "operator"})
    assert (status, run["state"], run["cancelled_by"]) == (200, "cancelled", "operator")
    status, answer = await ask(api, "DELETE", f"{RUNS}/run-1")
    assert (status, answer["error"]) == (409, "run-1 is finished (cancelled)")


async def test_a_run_that_succeeded_cannot_be_cancelled(api: aiohttp.ClientSession, time: Time) -> None:
    await ask(api, "POST", RUNS)
    time.now += 1000
    assert (await ask(api, "DELETE", f"{RUNS}/run-1"))[0] == 409


async def test_history_forgets_what_is_finished_and_nothing_else(api: aiohttp.ClientSession, time: Time) -> None:
    await ask(api, "POST", RUNS)
    time.now += 1000
    await ask(api, "POST", RUNS)
    assert (await ask(api, "DELETE", "/maintenance/history"))[1]["removed"] == 1
    assert (await ask(api, "GET", f"{RUNS}/run-1"))[0] == 404
    assert (await ask(api, "GET", f"{RUNS}/run-2"))[0] == 200


async def test_the_log_comes_line_by_line_with_a_pause_between(api: aiohttp.ClientSession, time: Time) -> None:
    async with api.get("/maintenance/jobs/rotate-logs/log") as response:
        assert response.content_type == "text/plain"
        assert response.headers["Transfer-Encoding"] == "chunked"
        lines = (await response.text()).splitlines()
    assert lines[0] == "2026-11-23T12:00:00.000Z rotate-logs: starting"
    assert lines[1].startswith("2026-11-23T12:00:00.300Z ")
    assert len(lines) == len(JOB.steps) + 2
    assert time.sleeps == [LINE_SECONDS] * len(lines)


@pytest.mark.parametrize(
    ("query", "seconds"), [("", 3), ("?seconds=0.5", 0.5), ("?seconds=1e9", 30), ("?seconds=inf", 30)]
)
async def test_the_slow_report_takes_its_time(
    api: aiohttp.ClientSession, time: Time, query: str, seconds: float
) -> None:
    status, answer = await ask(api, "GET", f"/maintenance/reports/slow{query}")
    assert (status, answer["seconds"], time.sleeps) == (200, seconds, [seconds])


async def test_health_is_ok(api: aiohttp.ClientSession) -> None:
    assert await ask(api, "GET", "/healthz") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/maintenance/jobs/none", b"", 404),
        ("POST", "/maintenance/jobs/none/runs", b"", 404),
        ("GET", "/maintenance/jobs/none/log", b"", 404),
        ("GET", f"{RUNS}/run-9", b"", 404),
        ("DELETE", f"{RUNS}/run-9", b"", 404),
        ("GET", "/elsewhere", b"", 404),
        ("PUT", "/maintenance/jobs", b"", 405),
        ("POST", RUNS, b"{", 400),
        ("POST", RUNS, b"\xff", 400),
        ("POST", RUNS, b"[" * 10_000, 400),
        ("POST", RUNS, b"[]", 400),
        ("POST", RUNS, b'{"reason": 1}', 400),
        ("POST", RUNS, b'{"why": "x"}', 400),
        ("POST", RUNS, b'{"reason": "%s"}' % (b"x" * 201), 400),
        ("POST", RUNS, b" " * (MAX_BODY + 1), 413),
        ("GET", "/maintenance/reports/slow?seconds=-1", b"", 400),
        ("GET", "/maintenance/reports/slow?seconds=nan", b"", 400),
        ("GET", "/maintenance/reports/slow?seconds=soon", b"", 400),
    ],
)
async def test_a_wrong_request_is_an_error_in_json(
    api: aiohttp.ClientSession, method: str, path: str, body: bytes, status: int
) -> None:
    got, answer = await ask(api, method, path, data=body)
    assert got == status
    assert answer["error"]


async def test_a_run_of_another_job_is_not_found(api: aiohttp.ClientSession) -> None:
    await ask(api, "POST", RUNS)
    assert (await ask(api, "GET", "/maintenance/jobs/reindex-search/runs/run-1"))[0] == 404


async def test_a_port_that_is_taken_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="address already in use"):
        await start(port=taken.getsockname()[1])


async def test_a_reader_that_leaves_the_log_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    left = asyncio.Event()

    async def until_the_reader_left(_seconds: float) -> None:
        await left.wait()
        await asyncio.sleep(0.001)

    sample = await start(port=0, sleep=until_the_reader_left)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{sample.port}") as client:
        response = await client.get("/maintenance/jobs/rotate-logs/log")
        response.close()
        left.set()
    await sample.close()
    assert caplog.records == []


def test_the_ledger_forgets_the_oldest_run_when_there_are_too_many() -> None:
    ledger = Ledger(SAMPLE_JOBS)
    for _ in range(MAX_RUNS + 1):
        ledger.start(JOB, "c", None, NOON)
    assert len(ledger.runs) == MAX_RUNS
    assert ledger.run_of(JOB, "run-1") is None
    assert ledger.runs_of(JOB)[0].state(NOON) is RunState.QUEUED
