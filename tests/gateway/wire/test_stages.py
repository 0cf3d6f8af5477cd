"""Messages split at every byte, and peers that leave after every byte."""

import asyncio

import pytest

from .conftest import Start
from .gate import Gate
from .raw_client import request
from .raw_upstream import OK, Visit, replies

CHUNKED = "Transfer-Encoding: chunked"
REQUESTS: dict[str, bytes] = {
    "length": request("POST /public/x", "Content-Length: 5", body=b"hello"),
    "chunked": request("POST /public/x", CHUNKED, body=b"2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-T: 1\r\n\r\n"),
}
ANSWERS: dict[str, bytes] = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
    "behind a hint": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
}


async def at_rest(gate: Gate) -> None:
    """Wait until nothing is under way."""
    await gate.until(
        lambda status: status["in_flight"] == 0 and status["upstreams"][0]["open"] == status["upstreams"][0]["idle"]
    )


@pytest.mark.both_loops
@pytest.mark.parametrize("raw", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_may_be_split_at_every_byte(gate: Gate, raw: bytes) -> None:
    async with gate.connect() as client:
        client.writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)
        for at in range(1, len(raw)):
            await client.send(raw[:at])
            await gate.status()  # a round trip, after which the first part is taken
            await client.send(raw[at:])
            assert (await client.answer()).status == 200
            assert gate.upstream.last.body == b"hello"
    assert (gate.upstream.connections, gate.upstream.stray) == (1, b"")


@pytest.mark.both_loops
@pytest.mark.parametrize("raw", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_may_be_split_at_every_byte(gate: Gate, raw: bytes) -> None:
    async with gate.connect() as client:
        for at in range(1, len(raw)):

            async def play(visit: Visit, at: int = at) -> None:
                await visit.send(raw[:at])
                await gate.status()  # a round trip, after which the first part is taken
                await visit.send(raw[at:])

            gate.upstream.play = play
            assert (await client.ask(request("GET /public/x"))).body == b"hello"
    assert gate.upstream.connections == 1


@pytest.mark.both_loops
@pytest.mark.parametrize("raw", REQUESTS.values(), ids=REQUESTS)
async def test_a_client_that_leaves_after_any_byte_leaves_nothing_behind(gate: Gate, raw: bytes) -> None:
    begun = raw.index(b"\r\n\r\n") + 4
    for at in range(1, len(raw)):
        seen = len(gate.upstream.visits)
        async with gate.connect() as client:
            await client.send(raw[:at])
            if at >= begun:
                await gate.upstream.visited(seen + 1)
        await at_rest(gate)
    assert len(gate.upstream.visits) == len(raw) - begun
    assert {(record["status"], record["aborted"]) for record in await gate.records(len(raw) - begun)} == {(499, True)}
    assert (await gate.ask(request("GET /public/x"))).body == b"ok"


@pytest.mark.both_loops
@pytest.mark.parametrize("raw", ANSWERS.values(), ids=ANSWERS)
async def test_an_upstream_that_leaves_after_any_byte_is_no_answer_or_half_a_one(gate: Gate, raw: bytes) -> None:
    begun = raw.rindex(b"hel" if b"hello" in raw else b"2\r\nhe")
    for at in range(len(raw)):
        gate.upstream.play = replies(raw[:at], close=True)
        answer = await gate.ask(request("GET /public/x"))
        assert (answer.status, answer.whole) == ((502, True) if at < begun else (200, False))
    await at_rest(gate)
    gate.upstream.play = replies(OK)
    assert (await gate.ask(request("GET /public/x"))).body == b"ok"


async def test_a_slow_writer_on_either_side_is_waited_for(start: Start) -> None:
    """Each byte takes less than the bound, all of them take more."""
    gate = await start(limits={"body_idle_timeout": "300ms"}, upstream={"idle_timeout": "300ms"})

    async def play(visit: Visit) -> None:
        await visit.read_body()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await visit.send(b"b")
            await asyncio.sleep(0.06)

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 8"))
        for _ in range(8):
            await client.send(b"a")
            await asyncio.sleep(0.06)
        assert (await client.answer()).body == b"b" * 8
    assert gate.upstream.last.body == b"a" * 8


async def test_an_upstream_that_reads_slowly_is_waited_for(gate: Gate) -> None:
    size = 8 << 20

    async def play(visit: Visit) -> None:
        left = size
        while left:
            left -= len(await visit.reader.read(1 << 18))
            await asyncio.sleep(0.005)
        await visit.send(OK)

    gate.upstream.play = play
    async with gate.connect() as client:
        assert (await client.ask(request("POST /public/x", f"Content-Length: {size}", body=b"x" * size))).body == b"ok"
    assert (await gate.record())["bytes_in"] == size
