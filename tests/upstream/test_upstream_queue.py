"""Requests that wait for a connection."""

import asyncio

from gateway.policy.denial import Reason
from gateway.upstream.settings import EjectionSettings

from .net import Clock, ask_over, eventually, refused, servers, taken, upstream_of


async def test_requests_wait_for_whichever_target_is_free_first() -> None:
    async with servers(2) as both, upstream_of(both, max_connections=1) as upstream:
        first, second = await taken(upstream), await taken(upstream)
        waiting = [asyncio.create_task(upstream.connect()) for _ in range(2)]
        await eventually(lambda: upstream.figures["waiting"] == 2)
        second.hand_back()
        assert await waiting[0] is second
        first.hand_back()
        assert await waiting[1] is first


async def test_beyond_the_bound_of_the_queue_a_request_fails_at_once() -> None:
    async with servers(1) as one, upstream_of(one, max_connections=1, max_waiting=2, connect_timeout=60) as upstream:
        busy = await taken(upstream)
        waiting = [asyncio.create_task(upstream.connect()) for _ in range(2)]
        await eventually(lambda: upstream.figures["waiting"] == 2)
        failure = await refused(upstream)
        assert failure.reason is Reason.UPSTREAM_BUSY
        assert failure.detail == "all connections are busy, and 2 requests wait already"
        busy.hand_back()
        assert await waiting[0] is busy
        busy.hand_back()
        assert await waiting[1] is busy


async def test_a_wait_ends_in_time() -> None:
    async with servers(1) as one, upstream_of(one, max_connections=1, connect_timeout=0.05) as upstream:
        await taken(upstream)
        failure = await refused(upstream)
        assert failure.reason is Reason.UPSTREAM_BUSY
        assert upstream.figures["waiting"] == 0
        assert upstream.targets[0].circuit.failures == 0


async def test_those_who_wait_learn_that_no_target_is_left() -> None:
    async with servers(1) as one:
        bounds = {"max_connections": 1, "connect_timeout": 60, "ejection": EjectionSettings(failures=1)}
        async with upstream_of(one, Clock(), **bounds) as upstream:
            busy = await taken(upstream)
            waiting = [asyncio.create_task(upstream.connect()) for _ in range(3)]
            await eventually(lambda: upstream.figures["waiting"] == 3)
            one[0].answer = b""
            await ask_over(busy)
            async with asyncio.timeout(10):
                outcomes = await asyncio.gather(*waiting)
            assert {getattr(outcome, "reason", None) for outcome in outcomes} == {Reason.UPSTREAM_UNREACHABLE}


async def test_a_request_that_needs_a_new_connection_gets_one_when_all_are_kept() -> None:
    async with servers(1) as one, upstream_of(one, max_connections=1) as upstream:
        kept = await taken(upstream)
        kept.hand_back()
        assert await taken(upstream, fresh=True) is not kept
        assert one[0].connections == 2
