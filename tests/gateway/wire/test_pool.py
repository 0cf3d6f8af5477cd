"""The upstream's connections: kept, asked again, waited for."""

import asyncio
import json
import re

import pytest

from .conftest import Start
from .gate import ROUTES, Gate
from .raw_client import request
from .raw_upstream import OK, RawUpstream, Visit, replies


async def kept_and_dying(gate: Gate) -> None:
    """One request well answered over a connection that then dies with the next request."""
    assert (await gate.ask(request("GET /public/warm"))).status == 200

    async def play(visit: Visit) -> None:
        if visit.number == 1:
            visit.writer.transport.abort()
        else:
            await replies(b"HTTP/1.1 204 No Content\r\n\r\n")(visit)

    gate.upstream.play = play


@pytest.mark.parametrize("line", ["GET /public/x", "HEAD /public/x", "DELETE /public/x", "OPTIONS /public/x"])
async def test_a_request_on_a_connection_that_was_closed_meanwhile_is_asked_again(gate: Gate, line: str) -> None:
    await kept_and_dying(gate)
    assert (await gate.ask(request(line))).status == 204
    assert [visit.line for visit in gate.upstream.visits[1:]] == [f"{line} HTTP/1.1".encode()] * 2
    assert [record["retries"] for record in await gate.records(2)] == [0, 1]


@pytest.mark.parametrize(
    "raw",
    [
        request("POST /public/x", "Content-Length: 0"),
        request("PATCH /public/x", "Content-Length: 2", body=b"hi"),
        request("POST /public/x"),
        request("PUT /public/x", "Content-Length: 2", body=b"hi"),
        request("PUT /public/x", "Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n"),
    ],
    ids=["POST", "PATCH", "POST without a length", "PUT", "PUT chunked"],
)
async def test_what_may_have_been_done_is_never_asked_again(gate: Gate, raw: bytes) -> None:
    await kept_and_dying(gate)
    assert (await gate.ask(raw)).status == 502
    assert len(gate.upstream.visits) == 2


async def test_a_request_is_asked_again_once_only(gate: Gate) -> None:
    await kept_and_dying(gate)

    async def play(visit: Visit) -> None:
        visit.writer.transport.abort()

    gate.upstream.play = play
    assert (await gate.ask(request("GET /public/x"))).status == 502
    assert len(gate.upstream.visits) == 3


async def test_a_request_on_a_new_connection_is_not_asked_again(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        visit.writer.transport.abort()

    gate.upstream.play = play
    assert (await gate.ask(request("GET /public/x"))).status == 502
    assert len(gate.upstream.visits) == 1


async def test_a_request_whose_answer_has_begun_is_not_asked_again(gate: Gate) -> None:
    await kept_and_dying(gate)

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 2")
        visit.close()

    gate.upstream.play = play
    assert (await gate.ask(request("GET /public/x"))).status == 502
    assert len(gate.upstream.visits) == 2


async def test_a_restarted_upstream_is_found_again(gate: Gate) -> None:
    async with gate.connect() as client:
        for _ in range(3):
            assert (await client.ask(request("GET /public/x"))).status == 200
            gate.upstream.cut()
            await asyncio.sleep(0.01)
    assert gate.upstream.connections == 3


async def test_requests_beyond_the_limit_of_connections_wait_their_turn(start: Start) -> None:
    gate = await start(upstream={"max_connections": 2})
    most = [0, 0]

    async def play(visit: Visit) -> None:
        most[0] += 1
        most[1] = max(most)
        await asyncio.sleep(0.01)
        most[0] -= 1
        await visit.send(OK)

    gate.upstream.play = play
    answers = await asyncio.gather(*(gate.ask(request(f"GET /public/{number}")) for number in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert (most[1], gate.upstream.connections) == (2, 2)


async def test_a_wait_for_a_connection_ends(start: Start) -> None:
    gate = await start(upstream={"max_connections": 1, "connect_timeout": "100ms"})
    busy = asyncio.Event()

    async def play(visit: Visit) -> None:
        await busy.wait()
        await visit.send(OK)

    gate.upstream.play = play
    async with gate.connect() as first:
        await first.send(request("GET /public/x"))
        await gate.upstream.visited()
        answer = await gate.ask(request("POST /public/x", "Content-Length: 5", body=b"hello"))
        assert (answer.status, answer["Retry-After"]) == (503, "1")
        assert json.loads(answer.body)["reason"] == "upstream_busy"
        status = (await gate.status())["upstreams"][0]
        assert (status["open"], status["idle"], status["waiting"]) == (1, 0, 0)
        busy.set()
        assert (await first.answer()).status == 200
    assert (await gate.ask(request("GET /public/x"))).status == 200


async def test_a_request_beyond_the_bound_of_the_queue_is_told_to_come_back(start: Start) -> None:
    gate = await start(upstream={"max_connections": 1, "max_waiting": 1, "connect_timeout": "1m"})
    busy = asyncio.Event()

    async def play(visit: Visit) -> None:
        await busy.wait()
        await visit.send(OK)

    gate.upstream.play = play
    async with gate.connect() as first, gate.connect() as second, gate.connect() as third:
        await first.send(request("GET /public/first"))
        await gate.upstream.visited()
        await second.send(request("GET /public/second"))
        await gate.until(lambda status: status["upstreams"][0]["waiting"] == 1)
        refused = await third.ask(request("POST /public/third", "Content-Length: 0"))
        assert (refused.status, refused["Retry-After"]) == (503, "1")
        assert json.loads(refused.body)["reason"] == "upstream_busy"
        record = await gate.record()
        assert (record["reason"], record["decision"], record["upstream"]) == ("upstream_busy", "allow", "api")
        metrics = (await gate.operator("/metrics")).body.decode()
        assert re.search(
            r'^scopegate_requests_total\{.*reason="upstream_busy".*status="503".*\} 1\.0$', metrics, re.MULTILINE
        )
        busy.set()
        assert [(await first.answer()).status, (await second.answer()).status] == [200, 200]
        assert (await third.ask(request("GET /public/third"))).status == 200
    assert b"POST" not in b"".join(gate.upstream.heads)


async def test_a_body_waits_with_its_request_for_a_connection(start: Start) -> None:
    gate = await start(upstream={"max_connections": 1})
    busy = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.read_body()
        await busy.wait()
        await visit.send(OK)

    gate.upstream.play = play
    async with gate.connect() as first, gate.connect() as second:
        await first.send(request("GET /public/x"))
        await gate.upstream.visited()
        await second.send(request("POST /public/x", "Content-Length: 5", body=b"he"))
        await second.send(b"llo" + request("GET /public/y"))
        await asyncio.sleep(0.02)
        busy.set()
        assert (await first.answer()).status == 200
        assert [(await second.answer()).status for _ in range(2)] == [200, 200]
    assert gate.upstream.visits[1].body == b"hello"


async def test_a_client_that_leaves_the_queue_is_recorded_and_nothing_is_sent_for_it(start: Start) -> None:
    gate = await start(upstream={"max_connections": 1})
    busy = asyncio.Event()

    async def play(visit: Visit) -> None:
        await busy.wait()
        await visit.send(OK)

    gate.upstream.play = play
    async with gate.connect() as first:
        await first.send(request("GET /public/first"))
        await gate.upstream.visited()
        async with gate.connect() as second:
            await second.send(request("GET /public/second"))
            await gate.until(lambda status: status["upstreams"][0]["waiting"] == 1)
        assert (await gate.record())["status"] == 499
        busy.set()
        assert (await first.answer()).status == 200
    assert (await gate.ask(request("GET /public/third"))).status == 200
    assert [visit.line[4:18] for visit in gate.upstream.visits] == [b"/public/first ", b"/public/third "]
    assert gate.upstream.connections == 1


async def test_an_unused_connection_is_closed_in_time(start: Start) -> None:
    gate = await start(upstream={"idle_timeout": "100ms"})
    assert (await gate.ask(request("GET /public/x"))).status == 200
    await gate.until(lambda status: status["upstreams"][0]["open"] == 0)
    assert (await gate.ask(request("GET /public/x"))).status == 200
    assert gate.upstream.connections == 2


async def test_upstreams_do_not_share_connections(start: Start, upstream: RawUpstream) -> None:
    async with RawUpstream(replies(OK.replace(b"ok", b"2!"))) as second:
        gate = await start(
            routes=[*ROUTES, {"id": "second", "path": "/second", "public": True, "upstream": "second"}],
            upstreams={
                "api": {"url": f"http://127.0.0.1:{upstream.port}"},
                "second": {"url": f"http://127.0.0.1:{second.port}"},
            },
        )
        for _ in range(2):
            assert (await gate.ask(request("GET /second"))).body == b"2!"
            assert (await gate.ask(request("GET /public/x"))).body == b"ok"
        assert (second.connections, upstream.connections) == (1, 1)
