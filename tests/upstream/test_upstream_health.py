"""Active health checks."""

import asyncio
import logging

import pytest

from gateway.upstream.health import HEAD_BYTES, HealthCheck
from gateway.upstream.settings import Address, HealthSettings

from .net import OK, UNAVAILABLE, Clock, Server, ask, eventually, refused, servers, upstream_of

SETTINGS = HealthSettings("/healthz?deep=1", interval=0.01, timeout=5.0)


def silent(healthy: bool, cause: str) -> None:  # noqa: FBT001 - as the check reports
    raise AssertionError((healthy, cause))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (OK, None),
        (b"HTTP/1.0 399 \r\n\r\n", None),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, None),
        (UNAVAILABLE, "status 503"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (b"SSH-2.0-server\r\n\r\n", "the answer is no HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the answer is no HTTP"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "the answer is no HTTP"),
        (b"", "the connection ended before the answer"),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3 * HEAD_BYTES + b"\r\n\r\n",
            f"the answer's head is longer than {HEAD_BYTES} bytes",
        ),
    ],
)
async def test_a_check_says_what_is_wrong(answer: bytes, fault: str | None) -> None:
    async with Server(answer) as server:
        found = await HealthCheck(SETTINGS, server.address, None, silent).check()
        # An abort is a reset to those who have not read all.
        assert found == fault or (answer == b"" and found == "Connection reset by peer")
        assert server.visits == ["GET /healthz?deep=1"]


async def test_a_target_that_listens_no_more_is_not_healthy() -> None:
    async with Server() as server:
        await server.stop()
        assert "onnect" in (await HealthCheck(SETTINGS, server.address, None, silent).check() or "")
        await server.start()


async def test_a_target_that_does_not_answer_in_time_is_not_healthy() -> None:
    async with Server(b"HTTP/1.1 200 OK\r\n") as server:
        check = HealthCheck(HealthSettings("/", timeout=0.05), server.address, None, silent)
        assert await check.check() == "no answer within 0.05 s"


@pytest.mark.parametrize(
    ("healthy_after", "unhealthy_after", "checks", "reported"),
    [
        (1, 2, "+-+-+", []),
        (1, 2, "--", [False]),
        (1, 2, "-----", [False]),
        (1, 2, "--+--+", [False, True, False, True]),
        (3, 1, "-++-+++", [False, True]),
        (1, 1, "-+", [False, True]),
    ],
)
async def test_only_changes_are_reported(
    healthy_after: int, unhealthy_after: int, checks: str, reported: list[bool]
) -> None:
    told: list[bool] = []
    settings = HealthSettings("/", healthy_after=healthy_after, unhealthy_after=unhealthy_after)
    check = HealthCheck(settings, Server().address, None, lambda healthy, _: told.append(healthy))
    for sign in checks:
        check.take(None if sign == "+" else "status 503")
    assert told == reported


async def test_a_target_that_fails_its_checks_gets_nothing_until_it_is_well(caplog: pytest.LogCaptureFixture) -> None:
    async with servers(2) as (first, second), upstream_of([first, second], Clock(), health=SETTINGS) as upstream:
        upstream.start_checks()
        first.answer = UNAVAILABLE
        await eventually(lambda: not upstream.targets[0].healthy)
        assert [await ask(upstream) for _ in range(4)] == [200] * 4
        assert "GET /" not in first.visits
        assert upstream.targets[0].last_error == "the health check failed: status 503"
        first.answer = OK
        await eventually(lambda: upstream.targets[0].healthy)
        assert [await ask(upstream) for _ in range(4)] == [200] * 4
        assert first.visits.count("GET /") == 2
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    authority = first.address.authority
    assert messages == [
        f"upstream api: {authority} gets no requests: the health check failed: status 503",
        f"upstream api: {authority} gets requests again: the health check is good",
    ]


async def test_where_every_target_is_unhealthy_a_request_fails_at_once() -> None:
    async with servers(2) as both, upstream_of(both, Clock(), health=SETTINGS) as upstream:
        for target in upstream.targets:
            target.set_health(False, "the health check failed: status 500")
        assert "status 500" in (await refused(upstream)).detail
        assert [server.visits for server in both] == [[], []]


async def test_a_single_unhealthy_target_is_tried_now_and_then() -> None:
    clock = Clock()
    async with servers(1) as (only,), upstream_of([only], clock, health=SETTINGS) as upstream:
        upstream.targets[0].set_health(False, "the health check failed: status 500")
        for _ in range(3):
            assert await ask(upstream) == 200
            await refused(upstream)
            clock.now += 10.0
        assert len(only.visits) == 3


async def test_a_good_check_does_not_end_an_ejection() -> None:
    clock = Clock()
    async with servers(2) as (first, second), upstream_of([first, second], clock) as upstream:
        target = upstream.targets[0]
        await first.stop()
        while target.in_rotation:
            await ask(upstream)
        target.set_health(False, "the health check failed: x")
        target.set_health(True, "the health check is good")
        assert not target.in_rotation


async def test_a_check_that_breaks_does_not_end_the_checking(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    # Such a label can't be looked up, which is an error of its own kind.
    settings = HealthSettings("/", interval=0.001, unhealthy_after=3)
    check = HealthCheck(settings, Address("a" * 70, 80), None, lambda _, cause: told.append(cause))
    running = asyncio.create_task(check.run())
    await eventually(lambda: told)
    running.cancel()
    await asyncio.wait([running])
    assert told == ["the health check failed: an unexpected error (UnicodeError)"]
    assert len(caplog.records) >= 3


async def test_closing_an_upstream_ends_its_checks() -> None:
    async with servers(2) as both, upstream_of(both, health=SETTINGS) as upstream:
        upstream.start_checks()
        await eventually(lambda: both[0].visits and both[1].visits)
        tasks = list(upstream._checks)
        upstream.close()
        await asyncio.wait(tasks, timeout=10)
        assert [task.cancelled() for task in tasks] == [True, True]
