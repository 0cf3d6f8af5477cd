"""Bodies on their way: who holds whom back, and what happens when somebody leaves."""

import asyncio

import pytest

from .conftest import Start
from .gate import Gate
from .raw_client import request
from .raw_upstream import OK, Visit, replies

MEGABYTE = b"x" * (1 << 20)
KERNELS_SHARE = 40
"""Megabytes that the kernel may keep for us in four socket buffers, and then some."""


async def settled(count: list[int]) -> int:
    """Wait until a number grows no more."""
    before = -1
    while before != count[0]:
        before = count[0]
        await asyncio.sleep(0.1)
    return before


async def test_a_slow_client_holds_the_upstream_back(gate: Gate) -> None:
    sent = [0]

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(64):
            await visit.send(MEGABYTE)
            sent[0] += 1

    gate.upstream.play = play
    async with gate.connect(limit=1 << 16) as client:
        await client.send(request("GET /public/x"))
        assert await settled(sent) < KERNELS_SHARE
        answer = await client.answer()
    assert len(answer.body) == 64 << 20
    record = await gate.record()
    assert (record["bytes_out"], record["aborted"]) == (64 << 20, False)


async def test_a_slow_upstream_holds_the_client_back(gate: Gate) -> None:
    sent = [0]
    go_on = asyncio.Event()

    async def play(visit: Visit) -> None:
        await go_on.wait()
        await replies(OK)(visit)

    gate.upstream.play = play
    async with gate.connect() as client:

        async def upload() -> None:
            await client.send(request("POST /public/x", f"Content-Length: {64 << 20}"))
            for _ in range(64):
                await client.send(MEGABYTE)
                sent[0] += 1

        uploading = asyncio.create_task(upload())
        assert await settled(sent) < KERNELS_SHARE
        go_on.set()
        assert (await client.answer()).status == 200
        await uploading
    assert len(gate.upstream.last.body) == 64 << 20
    assert (await gate.record())["bytes_in"] == 64 << 20


async def test_a_client_that_pipelines_and_does_not_read_is_not_served_on(gate: Gate) -> None:
    gate.upstream.play = replies(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(MEGABYTE), MEGABYTE))
    async with gate.connect(limit=1 << 16) as client:
        await client.send(request("GET /public/x") * 100)
        served = [0]

        async def watch() -> None:
            while True:
                served[0] = len(gate.upstream.visits)
                await asyncio.sleep(0.01)

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.05)
        assert await settled(served) < KERNELS_SHARE
        watching.cancel()
        assert [(await client.answer()).status for _ in range(100)] == [200] * 100


async def test_a_slow_client_gets_all_of_an_answer_that_ends_with_its_connection(gate: Gate) -> None:
    gate.upstream.play = replies(b"HTTP/1.1 200 OK\r\n\r\n" + MEGABYTE * 24, close=True)
    async with gate.connect(limit=1 << 16) as client:
        await client.send(request("GET /public/x"))
        await asyncio.sleep(0.2)
        answer = await client.answer()
        assert (len(answer.body), answer.whole) == (24 << 20, True)
        gate.upstream.play = replies(OK)
        assert (await client.ask(request("GET /public/y"))).body == b"ok"


@pytest.mark.both_loops
async def test_a_client_that_takes_nothing_is_cut_off(start: Start) -> None:
    gate = await start(limits={"body_idle_timeout": "150ms"})
    gate.upstream.play = replies(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20) + MEGABYTE * 64)
    async with gate.connect(limit=1 << 16) as client:
        await client.send(request("GET /public/x"))
        record = await gate.record()
    assert (record["status"], record["upstream_status"], record["aborted"]) == (200, 200, True)
    assert 0 < record["bytes_out"] < 64 << 20


async def test_a_client_that_leaves_the_end_of_its_answer_unread_is_forgotten(start: Start) -> None:
    """Answered and closed, yet the last bytes wait in our buffer for a client that never takes them."""
    gate = await start(limits={"body_idle_timeout": "150ms"})
    gate.reads_all = False
    gate.upstream.play = replies(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000)
    async with gate.connect(limit=1 << 16) as client:
        raw = request("GET /public/x") * 400 + request("GET /public/x", "Connection: close")
        await client.send(raw)
        await gate.until(lambda status: status["connections"] == 0)
    assert all(record["aborted"] or record["status"] == 200 for record in await gate.records(len(gate.lines)))


async def test_an_idle_connection_is_closed_although_its_last_answer_was_long(start: Start) -> None:
    gate = await start(limits={"keep_alive_timeout": "300ms"})
    gate.upstream.play = replies(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (16 << 20) + MEGABYTE * 16)
    async with gate.connect(limit=1 << 16) as client:
        await client.send(request("GET /public/x"))
        await asyncio.sleep(0.1)
        assert len((await client.answer()).body) == 16 << 20
        assert await client.rest() == b""


async def test_a_body_that_stalls_is_cut_off_even_after_one_that_was_thrown_away(start: Start) -> None:
    gate = await start(limits={"body_idle_timeout": "150ms"})
    async with gate.connect() as client:
        await client.send(request("POST /admin/x", "Content-Length: 5", body=b"he"))
        assert (await client.answer()).status == 401
        await client.send(b"llo" + request("POST /public/x", "Content-Length: 100", body=b"a"))
        assert await client.rest() == b""
    assert (await gate.records(2))[1]["status"] == 499


async def test_a_refused_body_is_thrown_away_and_the_connection_goes_on(gate: Gate) -> None:
    async with gate.connect() as client:
        raw = request("POST /admin/x", "Content-Length: 300000", body=b"x" * 300_000)
        assert (await client.ask(raw)).status == 401
        assert (await client.ask(request("GET /public/x"))).body == b"ok"


async def test_a_refused_body_without_end_is_not_read_for_ever(gate: Gate) -> None:
    gate.reads_all = False
    async with gate.connect() as client:
        await client.send(request("POST /admin/x", f"Content-Length: {1 << 30}"))
        with pytest.raises(ConnectionError):
            await client.send(MEGABYTE * KERNELS_SHARE)
    assert not gate.upstream.visits
    await gate.record()


@pytest.mark.both_loops
@pytest.mark.parametrize("answered", [False, True])
async def test_a_client_that_leaves_frees_the_upstream(gate: Gate, answered: bool) -> None:  # noqa: FBT001 - a column
    gone = asyncio.Event()

    async def play(visit: Visit) -> None:
        if answered:
            await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await visit.gone()
        gone.set()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("GET /public/x"))
        await gate.upstream.visited()
        if answered:
            await client.reader.readuntil(b"half")
    async with asyncio.timeout(5):
        await gone.wait()
    record = await gate.record()
    assert (record["status"], record["aborted"]) == (200 if answered else 499, True)
    assert record["decision"] == "allow"


async def test_a_client_that_leaves_within_its_body_frees_the_upstream(gate: Gate) -> None:
    gone = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.gone()
        gone.set()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 100", body=b"a"))
        await gate.upstream.visited()
    async with asyncio.timeout(5):
        await gone.wait()
    assert (await gate.record())["status"] == 499


CUT: dict[str, bytes] = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
}


@pytest.mark.both_loops
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("raw", CUT.values(), ids=CUT)
async def test_an_answer_that_breaks_off_is_seen_to_be_incomplete(gate: Gate, raw: bytes, version: str) -> None:
    async def play(visit: Visit) -> None:
        head, _, rest = raw.partition(b"half")
        await visit.send(head + b"half")
        await asyncio.sleep(0.02)
        if rest:
            await visit.send(rest)
        visit.close()

    gate.upstream.play = play
    answer = await gate.ask(request(f"GET /public/x {version}"))
    assert (answer.status, answer.whole) == (200, False)
    record = await gate.record()
    assert (record["status"], record["aborted"], record["reason"]) == (200, True, "upstream_invalid")
    assert record["decision"] == "allow"


async def test_a_chunk_of_the_request_that_breaks_off_ends_the_upstreams_connection(gate: Gate) -> None:
    gone = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.gone()
        gone.set()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"))
        await gate.upstream.visited()
        assert (await client.ask(b"xyz\r\n")).status == 400
    async with asyncio.timeout(5):
        await gone.wait()
    assert (await gate.record())["reason"] == "request_malformed"
