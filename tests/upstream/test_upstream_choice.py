"""Which target gets a request, and what happens where there is none."""

import asyncio
import logging
import time

import pytest

from gateway.policy.denial import Reason
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.failure import UpstreamFailure
from gateway.upstream.settings import Address, EjectionSettings

from .net import UNAVAILABLE, Clock, ask, ask_over, eventually, refused, servers, taken, upstream_of


async def test_a_request_goes_to_the_target_with_the_fewest_under_way() -> None:
    async with servers(3) as three, upstream_of(three) as upstream:
        busy = [await taken(upstream) for _ in range(6)]
        assert [target.outstanding for target in upstream.targets] == [2, 2, 2]
        second = [connection for connection in busy if connection._origin is upstream.targets[1]]
        second[0].hand_back()
        assert (await taken(upstream)) is second[0]
        for connection in second:
            connection.close()
        await eventually(lambda: upstream.targets[1].outstanding == 0)
        for _ in range(2):
            await taken(upstream)
        assert [target.outstanding for target in upstream.targets] == [2, 2, 2]


async def test_equals_take_turns() -> None:
    async with servers(3) as three, upstream_of(three) as upstream:
        for _ in range(9):
            assert await ask(upstream) == 200
        assert [(len(server.visits), server.connections) for server in three] == [(3, 1)] * 3


async def test_one_target_keeps_one_connection_busy() -> None:
    async with servers(1) as one, upstream_of(one) as upstream:
        for _ in range(3):
            assert await ask(upstream) == 200
        assert one[0].connections == 1


async def test_a_target_that_takes_no_connection_costs_no_request() -> None:
    async with servers(2) as both, upstream_of(both, Clock()) as upstream:
        await both[0].stop()
        assert [await ask(upstream) for _ in range(4)] == [200] * 4
        assert both[1].visits == ["GET /"] * 4
        assert "127.0.0.1" in (upstream.targets[0].last_error or "")


async def test_a_target_that_does_not_answer_leaves_time_for_the_others() -> None:
    async with servers(2) as both:
        # The first one never shakes hands: it speaks no TLS.
        mixed = [Address("127.0.0.1", both[0].port, "localhost"), both[1].address]
        async with upstream_of(mixed, connect_timeout=0.2) as upstream:
            began = time.monotonic()
            assert isinstance(await taken(upstream), UpstreamConnection)
            assert time.monotonic() - began < 5
            assert upstream.targets[0].circuit.failures == 1


async def test_failures_in_a_row_eject_and_a_trial_brings_back(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    async with servers(2) as (first, second), upstream_of([first, second], clock) as upstream:
        await first.stop()
        for _ in range(20):
            assert await ask(upstream) == 200
        assert [target.in_rotation for target in upstream.targets] == [False, True]
        assert upstream.targets[0].circuit.next_trial == clock.now + 10.0
        await first.start()
        clock.now += 9.9
        for _ in range(3):
            assert await ask(upstream) == 200
        assert first.visits == []
        clock.now += 0.1
        for _ in range(4):
            assert await ask(upstream) == 200
        assert len(first.visits) == 2
        assert upstream.targets[0].state.ejected_for is None
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ["gets no requests" in message for message in messages] == [True, False]


async def test_one_request_at_a_time_tries_an_ejected_target_and_each_failure_doubles_the_wait() -> None:
    clock = Clock()
    async with servers(2) as (first, second), upstream_of([first, second], clock) as upstream:
        first.answer = b""
        target = upstream.targets[0]
        while target.in_rotation:
            await ask(upstream)
        waits = []
        for _ in range(5):
            waits.append(target.state.ejected_for or 0.0)
            clock.now += waits[-1]
            tried = len(first.visits)
            outcomes = await asyncio.gather(*(ask(upstream) for _ in range(4)))
            assert outcomes.count(200) == 3
            assert len(first.visits) == tried + 1
        assert waits == [10.0, 20.0, 40.0, 60.0, 60.0]


async def test_a_trial_whose_client_left_is_taken_by_the_next_request() -> None:
    clock = Clock()
    async with servers(2) as (first, second), upstream_of([first, second], clock) as upstream:
        target = upstream.targets[0]
        await first.stop()
        while target.in_rotation:
            await ask(upstream)
        await first.start()
        clock.now += 10.0
        trial = await taken(upstream)
        assert trial._origin is target
        assert target.state.ejected_for == 10.0
        trial.hand_back()
        await eventually(lambda: target.state.ejected_for == 0.0)
        assert await ask(upstream) == 200
        assert target.in_rotation


async def test_connections_to_an_ejected_target_are_not_kept() -> None:
    async with servers(2) as (first, second), upstream_of([first, second], Clock()) as upstream:
        connections = [await taken(upstream) for _ in range(4)]
        connections[0].hand_back()
        target = upstream.targets[0]
        await first.stop()
        while target.in_rotation:
            await upstream.connect(fresh=True)
        assert target.figures["idle"] == 0
        assert all(connection._origin is not target for connection in [upstream.take_idle()] if connection)


async def test_a_trial_waits_for_no_place_at_a_target_that_is_still_busy() -> None:
    clock = Clock()
    async with servers(2) as (first, second), upstream_of([first, second], clock, max_connections=1) as upstream:
        target = upstream.targets[0]
        straggler = await taken(upstream)
        assert straggler._origin is target
        for _ in range(5):
            target.failed(straggler, UpstreamFailure(Reason.UPSTREAM_TIMEOUT, "no answer came in time"))
        clock.now += 10.0
        assert [await ask(upstream) for _ in range(3)] == [200] * 3
        assert (first.visits, len(second.visits)) == ([], 3)
        straggler.close()
        await eventually(lambda: target.has_room)
        assert await ask(upstream) == 200
        assert len(first.visits) == 1


async def test_where_no_target_is_left_a_request_fails_at_once() -> None:
    async with servers(2) as both, upstream_of(both, Clock(), connect_timeout=60) as upstream:
        for server in both:
            await server.stop()
        failures = [await refused(upstream) for _ in range(10)]
        assert {failure.reason for failure in failures} == {Reason.UPSTREAM_UNREACHABLE}
        assert not any(target.in_rotation for target in upstream.targets)
        for server in both:
            await server.start()
        failure = await refused(upstream)
        assert failure.reason is Reason.UPSTREAM_UNREACHABLE
        assert failure.detail.startswith("no target gets requests now (127.0.0.1")
        assert [server.connections for server in both] == [0, 0]


async def test_a_single_target_is_tried_again_and_again_in_the_same_time() -> None:
    clock = Clock()
    ejection = EjectionSettings(failures=2, seconds=10.0, longest=10.0)
    async with servers(1) as (only,), upstream_of([only], clock, ejection=ejection) as upstream:
        only.answer = b""
        for _ in range(4):
            await ask(upstream)
        assert len(only.visits) == 2
        for round_ in range(3):
            clock.now += 10.0
            for _ in range(4):
                await ask(upstream)
            assert len(only.visits) == 3 + round_
        only.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        clock.now += 10.0
        assert [await ask(upstream) for _ in range(3)] == [204] * 3


async def test_without_ejection_a_single_target_is_always_tried() -> None:
    async with servers(1) as (only,), upstream_of([only], Clock(), ejection=None) as upstream:
        await only.stop()
        for _ in range(10):
            await refused(upstream)
        await only.start()
        assert await ask(upstream) == 200


@pytest.mark.parametrize(("count_5xx", "in_rotation"), [(False, True), (True, False)])
async def test_a_targets_own_errors_count_only_if_told_so(*, count_5xx: bool, in_rotation: bool) -> None:
    ejection = EjectionSettings(failures=2, count_5xx=count_5xx)
    async with servers(2) as (first, second), upstream_of([first, second], Clock(), ejection=ejection) as upstream:
        first.answer = UNAVAILABLE
        for _ in range(6):
            await ask(upstream)
        assert upstream.targets[0].in_rotation is in_rotation


async def test_an_answer_ends_a_row_of_failures() -> None:
    ejection = EjectionSettings(failures=2)
    async with servers(1) as (only,), upstream_of([only], Clock(), ejection=ejection) as upstream:
        for answer in (b"", b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n") * 3:
            only.answer = answer
            # A fresh connection each time: that a kept one dies is no failure of the target.
            await ask_over(await taken(upstream, fresh=True))
        assert upstream.targets[0].in_rotation
        assert len(only.visits) == 6


async def test_a_kept_connection_that_dies_is_no_failure() -> None:
    async with servers(1) as (only,), upstream_of([only], Clock(), ejection=EjectionSettings(failures=1)) as upstream:
        assert await ask(upstream) == 200
        only.answer = b""
        await ask(upstream)
        assert upstream.targets[0].in_rotation
        assert upstream.targets[0].last_error is None


async def test_connections_that_fail_after_the_ejection_do_not_prolong_it() -> None:
    async with servers(2) as (first, second), upstream_of([first, second], Clock()) as upstream:
        await first.stop()
        await asyncio.gather(*(ask(upstream) for _ in range(40)))
        assert upstream.targets[0].state.ejected_for == 10.0
        assert len(second.visits) == 40
