"""Answers that come while the request's body still comes: both directions go on until both are complete."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from .conftest import Start
from .gate import ROUTES, Gate
from .patience import PATIENCE, eventually
from .raw_client import RawClient, request
from .raw_upstream import OK, Visit, replies

TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
CLOSING = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"
CHUNKED = "Transfer-Encoding: chunked"
MEGABYTE = b"x" * (1 << 20)
PIECE, PIECES = bytes(range(256)) * 256, 512
SMALL = [
    {"id": "small", "path": "/public/{rest...}", "public": True, "upstream": "api", "max_body": "1KiB"},
    *ROUTES[1:],
]


def early(answer: bytes) -> Callable[[Visit], Awaitable[None]]:
    """Answer first, then read the body."""

    async def play(visit: Visit) -> None:
        await visit.send(answer)
        await visit.read_body()

    return play


async def idle(gate: Gate) -> None:
    """Wait until one connection to the upstream is open, and free."""
    await gate.until(lambda status: (status["upstreams"][0]["open"], status["upstreams"][0]["idle"]) == (1, 1))


async def freed(gate: Gate) -> None:
    """Wait until no connection to the upstream is open and no request in flight."""
    await gate.until(lambda status: (status["upstreams"][0]["open"], status["in_flight"]) == (0, 0))


@pytest.mark.both_loops
async def test_the_rest_of_the_body_follows_its_answer_and_both_connections_serve_on(gate: Gate) -> None:
    gate.upstream.play = early(TOO_LARGE)
    async with gate.connect() as client:
        for _ in range(3):
            await client.send(request("POST /public/x", "Content-Length: 10", body=b"hello"))
            assert (await client.answer()).body == b"big"
            assert (await gate.status())["in_flight"] == 1
            await client.send(b"world")
            await eventually(lambda: gate.upstream.last.body == b"helloworld")
            await idle(gate)
        gate.upstream.play = replies(OK)
        assert (await client.ask(request("GET /public/y"))).body == b"ok"
    assert (gate.upstream.connections, gate.upstream.stray) == (1, b"")
    records = await gate.records(4)
    assert [(record["status"], record["bytes_in"], record["aborted"]) for record in records[:3]] == [
        (413, 10, False)
    ] * 3


async def test_a_request_behind_the_rest_of_a_body_is_a_request(gate: Gate) -> None:
    gate.upstream.play = early(TOO_LARGE)
    async with gate.connect() as client:
        await client.send(request("POST /public/x", CHUNKED, body=b"5\r\nhello\r\n"))
        assert (await client.answer()).body == b"big"
        gate.upstream.play = replies(OK)
        assert (await client.ask(b"5\r\nworld\r\n0\r\n\r\n" + request("GET /public/y"))).body == b"ok"
    first, second = gate.upstream.visits
    assert (first.body, second.line) == (b"helloworld", b"GET /public/y HTTP/1.1")
    assert (gate.upstream.connections, gate.upstream.stray) == (1, b"")


async def test_what_an_upstream_sends_behind_an_early_answer_answers_nobody(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        await visit.send(TOO_LARGE)
        await sent.wait()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
        await visit.gone()

    sent = asyncio.Event()
    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 10", body=b"hello"))
        assert (await client.answer()).body == b"big"
        sent.set()
        await freed(gate)
        gate.upstream.play = replies(OK)
        assert (await client.ask(b"world" + request("GET /public/y"))).body == b"ok"
    assert gate.upstream.connections == 2


async def pieces(visit: Visit, *, chunked: bool) -> AsyncIterator[bytes]:
    """A request's body, as it comes."""
    if not chunked:
        for _ in range(PIECES):
            yield await visit.reader.readexactly(len(PIECE))
        return
    while size := int(await visit.reader.readuntil(b"\r\n"), 16):
        yield await visit.reader.readexactly(size)
        await visit.reader.readexactly(2)
    assert await visit.reader.readexactly(2) == b"\r\n"


async def upload(client: RawClient, *, chunked: bool) -> None:
    for _ in range(PIECES):
        await client.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
    if chunked:
        await client.send(b"0\r\n\r\n")


@pytest.mark.both_loops
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_echo_streams_in_both_directions_at_once(gate: Gate, chunked: bool) -> None:  # noqa: FBT001 - a column
    """More than all buffers on the way hold: without both directions at once nothing would come back."""
    size = PIECES * len(PIECE)

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        async for piece in pieces(visit, chunked=chunked):
            await visit.send(piece)

    gate.upstream.play = play
    async with gate.connect(limit=1 << 16) as client:
        await client.send(request("POST /public/x", CHUNKED if chunked else f"Content-Length: {size}"))
        uploading = asyncio.create_task(upload(client, chunked=chunked))
        assert (await client.answer()).body == PIECE * PIECES
        await uploading
        await idle(gate)
        gate.upstream.play = replies(OK)
        assert (await client.ask(request("GET /public/y"))).body == b"ok"
    record = (await gate.records(2))[0]
    assert (record["bytes_in"], record["bytes_out"], record["aborted"]) == (size, size, False)


async def test_an_upstream_is_not_hurried_while_the_client_still_sends(start: Start) -> None:
    """An answer that waits for the body is not late: it is the client's turn."""
    gate = await start(upstream={"idle_timeout": "150ms", "first_byte_timeout": "150ms"})

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(2):
            await visit.send(await visit.reader.readexactly(5))

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 10", body=b"hello"))
        answering = asyncio.create_task(client.answer())
        await gate.upstream.visited()
        await asyncio.sleep(0.4)
        await client.send(b"world")
        assert (await answering).body == b"helloworld"
        await idle(gate)


@pytest.mark.both_loops
@pytest.mark.parametrize("answer", [TOO_LARGE, CLOSING], ids=["closes", "says that it closes"])
async def test_the_rest_of_a_body_is_thrown_away_where_its_upstream_takes_no_more(gate: Gate, answer: bytes) -> None:
    async def play(visit: Visit) -> None:
        await visit.send(answer)
        visit.close()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 10", body=b"hello"))
        assert (await client.answer()).body == b"big"
        await freed(gate)
        gate.upstream.play = replies(OK)
        assert (await client.ask(b"world" + request("GET /public/y"))).body == b"ok"
    assert [visit.line for visit in gate.upstream.visits] == [b"POST /public/x HTTP/1.1", b"GET /public/y HTTP/1.1"]
    assert [record["status"] for record in await gate.records(2)] == [413, 200]


@pytest.mark.both_loops
@pytest.mark.parametrize("round_", range(10))
async def test_an_answer_is_not_lost_where_its_upstream_closes_on_an_unread_body(gate: Gate, round_: int) -> None:
    """The kernel answers unread bytes with a reset, and a write that fails may be seen before the answer is read."""
    del round_

    async def play(visit: Visit) -> None:
        await visit.send(CLOSING)
        visit.writer.transport.abort()

    gate.upstream.play = play
    gate.reads_all = False
    async with gate.connect() as client:
        await client.send(request("POST /public/x", f"Content-Length: {64 << 20}"))
        sending = asyncio.create_task(flood(client))
        answer = await client.answer()
        sending.cancel()
    assert (answer.status, answer.body) == (413, b"big")
    assert (await gate.record())["status"] == 413


async def flood(client: RawClient) -> None:
    """Send until nobody takes it."""
    try:
        for _ in range(64):
            await client.send(MEGABYTE)
    except ConnectionError:
        pass


async def test_a_body_is_not_thrown_away_for_ever(gate: Gate) -> None:
    gate.reads_all = False
    gate.upstream.play = replies_at_once(CLOSING)
    async with gate.connect() as client:
        await client.send(request("POST /public/x", f"Content-Length: {1 << 30}"))
        assert (await client.answer()).body == b"big"
        with pytest.raises(ConnectionError):
            await client.send(MEGABYTE * 40)
    await freed(gate)


def replies_at_once(answer: bytes) -> Callable[[Visit], Awaitable[None]]:
    """Answer without reading the body, and close."""

    async def play(visit: Visit) -> None:
        await visit.send(answer)
        visit.close()

    return play


@pytest.mark.both_loops
@pytest.mark.parametrize("whole", [True, False], ids=["after its answer", "within its answer"])
async def test_a_client_that_leaves_in_the_middle_frees_the_upstream(gate: Gate, whole: bool) -> None:  # noqa: FBT001 - a column
    gone = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.send(TOO_LARGE if whole else TOO_LARGE[:-1])
        await visit.reader.readexactly(5)
        await visit.gone()
        gone.set()

    gate.upstream.play = play
    gate.reads_all = not whole
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 10", body=b"hello"))
        await client.reader.readuntil(b"bi")
        if whole:
            await client.reader.readuntil(b"g")
    async with asyncio.timeout(PATIENCE):
        await gone.wait()
    record = await gate.record()
    assert (record["status"], record["aborted"]) == (413, not whole)
    await freed(gate)


async def test_an_upstream_that_dies_in_the_middle_of_its_answer_cuts_it_off(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await visit.send(await visit.reader.readexactly(5))
        visit.writer.transport.abort()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 10", body=b"hello"))
        answer = await client.answer()
        assert (answer.status, answer.whole) == (200, False)
    record = await gate.record()
    assert (record["status"], record["reason"], record["aborted"]) == (200, "upstream_invalid", True)
    await freed(gate)


async def test_a_body_that_stalls_behind_its_answer_is_cut_off(start: Start) -> None:
    gate = await start(limits={"body_idle_timeout": "150ms"})
    gate.upstream.play = early(TOO_LARGE)
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 10", body=b"hello"))
        assert (await client.answer()).body == b"big"
        assert await client.rest() == b""
    assert (await gate.record())["status"] == 413
    await freed(gate)


async def test_an_upstream_that_stops_taking_the_body_behind_its_answer_is_left(start: Start) -> None:
    gate = await start(upstream={"idle_timeout": "150ms"})
    gate.reads_all = False

    async def play(visit: Visit) -> None:
        await visit.send(TOO_LARGE)
        await over.wait()

    over = asyncio.Event()
    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", f"Content-Length: {256 << 20}"))
        assert (await client.answer()).body == b"big"
        sending = asyncio.create_task(flood(client))
        await freed(gate)
        sending.cancel()
    over.set()
    assert (await gate.record())["status"] == 413


async def test_a_body_is_bounded_behind_its_answer_too(start: Start) -> None:
    gate = await start(routes=SMALL)
    gate.upstream.play = early(TOO_LARGE)
    async with gate.connect() as client:
        await client.send(request("POST /public/x", CHUNKED, body=b"5\r\nhello\r\n"))
        assert (await client.answer()).body == b"big"
        await client.send(b"400\r\n%b\r\n" % (b"x" * 1024))
        assert await client.rest() == b""
    record = await gate.record()
    assert (record["status"], record["reason"]) == (413, "body_too_large")
    await freed(gate)


async def test_a_body_that_breaks_its_framing_behind_its_answer_ends_both_connections(gate: Gate) -> None:
    gate.upstream.play = early(TOO_LARGE)
    async with gate.connect() as client:
        await client.send(request("POST /public/x", CHUNKED, body=b"5\r\nhello\r\n"))
        assert (await client.answer()).body == b"big"
        await client.send(b"xyz\r\n" + request("GET /public/evil"))
        assert await client.rest() == b""
    assert [visit.line for visit in gate.upstream.visits] == [b"POST /public/x HTTP/1.1"]
    record = await gate.record()
    assert (record["status"], record["reason"]) == (413, "request_malformed")
    await freed(gate)


@pytest.mark.parametrize("line", ["POST /public/x HTTP/1.1", "POST /public/x HTTP/1.0"])
async def test_the_rest_of_a_body_follows_although_its_connection_ends_with_it(gate: Gate, line: str) -> None:
    gate.upstream.play = early(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n")
    async with gate.connect() as client:
        await client.send(request(line, "Connection: close", "Content-Length: 10", body=b"hello"))
        assert (await client.answer()).body == b"big"
        await client.send(b"world")
        await eventually(lambda: gate.upstream.last.body == b"helloworld")
        assert await client.rest() == b""
    await idle(gate)
    assert (await gate.record())["aborted"] is False


async def test_a_client_that_takes_nothing_is_cut_off_although_its_body_is_complete(start: Start) -> None:
    gate = await start(limits={"body_idle_timeout": "150ms"})

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        await visit.send(MEGABYTE * 16)
        await visit.read_body()
        await visit.send(MEGABYTE * 48)

    gate.upstream.play = play
    async with gate.connect(limit=1 << 16) as client:
        await client.send(request("POST /public/x", "Content-Length: 10", body=b"hello"))
        await gate.upstream.visited()
        await client.send(b"world")
        record = await gate.record()
    assert (record["status"], record["aborted"]) == (200, True)
    await freed(gate)
