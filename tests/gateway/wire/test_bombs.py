"""Bombs and slow lorises: what one client or upstream may cost the others, counted in turns of the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from gateway.downstream.connection import REQUESTS_IN_A_ROW
from gateway.parsing import PARSED_AT_ONCE

from .conftest import Start
from .gate import Gate
from .raw_client import RawClient, request
from .raw_upstream import OK, Visit, replies

CHUNKED = "Transfer-Encoding: chunked"
READ = 1 << 18
"""Bytes that the event loop reads from a socket in one turn, at most."""
MANY = 100_000
SHORT = "150ms"
IN_A_TURN = 2 * (REQUESTS_IN_A_ROW + 1)
"""Requests: a row of those that waited, and one that begins with what is read in the same turn."""


@dataclass
class Turns:
    """What happened between two turns of the event loop, at most, and in how many turns."""

    most: int = 0
    turns: int = 0


@asynccontextmanager
async def turns_of(count: Callable[[], int]) -> AsyncIterator[Turns]:
    """Watch a number that grows: by how much does it grow before others get their turn?"""
    found = Turns()

    async def tick() -> None:
        before = count()
        while True:
            await asyncio.sleep(0)
            now = count()
            found.most = max(found.most, now - before)
            found.turns += 1
            before = now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        yield found
    finally:
        ticking.cancel()


@pytest.mark.parametrize(("target", "count"), [("/nowhere", 10_000), ("/public/x", 1_000)], ids=["404", "200"])
async def test_pipelined_requests_leave_others_their_turn(gate: Gate, target: str, count: int) -> None:
    def answered() -> int:
        return sum(gate.gateway.snapshot().requests.values())

    async with gate.connect() as client, turns_of(answered) as found:
        sending = asyncio.create_task(client.send(request(f"GET {target}") * count))
        for _ in range(count):
            await client.answer()
        await sending
    assert found.most <= IN_A_TURN
    assert found.turns >= count // IN_A_TURN


def one_byte_chunks(count: int) -> bytes:
    return b"1\r\na\r\n" * count


IN_ONE_TURN = READ // len(one_byte_chunks(1)) + 1


async def test_only_some_one_byte_chunks_of_a_request_are_taken_at_once(gate: Gate) -> None:
    """What was read together goes on as one chunk, so the sizes tell."""
    sizes: list[int] = []

    async def play(visit: Visit) -> None:
        while size := int(await visit.reader.readuntil(b"\r\n"), 16):
            sizes.append(size)
            assert len(await visit.reader.readexactly(size + 2)) == size + 2
        await visit.reader.readexactly(2)
        await visit.send(OK)

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", CHUNKED))
        sending = asyncio.create_task(client.send(one_byte_chunks(MANY) + b"0\r\n\r\n"))
        assert (await client.answer()).status == 200
        await sending
    assert sum(sizes) == MANY
    assert max(sizes) <= PARSED_AT_ONCE // len(one_byte_chunks(1)) + 1
    assert len(sizes) < MANY // 50
    assert (await gate.record())["bytes_in"] == MANY


async def test_no_more_one_byte_chunks_of_an_answer_are_taken_at_once_than_one_read_brings(gate: Gate) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    gate.upstream.play = replies(head + one_byte_chunks(MANY) + b"0\r\n\r\n")
    gate.reads_all = False
    sizes: list[int] = []
    async with gate.connect() as client:
        await client.send(request())
        await client.reader.readuntil(b"\r\n\r\n")
        while size := int(await client.reader.readuntil(b"\r\n"), 16):
            sizes.append(size)
            await client.reader.readexactly(size + 2)
        await client.reader.readexactly(2)
        gate.upstream.play = replies(OK)
        assert (await client.ask(request())).body == b"ok"
    assert sum(sizes) == MANY
    assert max(sizes) <= IN_ONE_TURN
    assert len(sizes) < MANY // 50
    assert (await gate.records(2))[0]["bytes_out"] == MANY


# Lines that drip in


async def dripped(client: RawClient, data: bytes) -> None:
    """Send byte by byte, each in a segment of its own, until the other side has enough."""
    for at in range(len(data)):
        if client.writer.is_closing() or client.reader.at_eof():
            return
        client.writer.write(data[at : at + 1])
        await asyncio.sleep(0)


LINES: dict[str, tuple[bytes, bytes]] = {
    "request line": (b"GET /public/", b"a"),
    "field name": (b"GET /public/x HTTP/1.1\r\nHost: a\r\n", b"a"),
    "field value": (b"GET /public/x HTTP/1.1\r\nHost: a\r\nX-A: ", b"a"),
    "fields": (b"GET /public/x HTTP/1.1\r\nHost: a\r\n", b"X-A: a\r\n"),
    "blank lines": (b"", b"\r\n"),
}


@pytest.mark.parametrize(("begin", "more"), LINES.values(), ids=LINES)
async def test_a_head_without_end_that_drips_in_is_refused_at_its_bound(
    start: Start, begin: bytes, more: bytes
) -> None:
    gate = await start(limits={"head_bytes": "2KiB"})
    sent = [0]
    async with gate.connect() as client:

        async def drip() -> None:
            await dripped(client, begin)
            while not (client.writer.is_closing() or client.reader.at_eof()):
                client.writer.write(more[sent[0] % len(more)].to_bytes(1))
                sent[0] += 1
                await asyncio.sleep(0.0002)

        dripping = asyncio.create_task(drip())
        answer = await client.answer()
        dripping.cancel()
        assert (answer.status, answer["Connection"]) == (400, "close")
    assert 1024 < len(begin) + sent[0] < 4096
    assert not gate.upstream.visits


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "size of a chunk": (b"", b"0"),
    "extension": (b"5;", b"a"),
    "trailer's name": (b"0\r\n", b"a"),
    "trailer's value": (b"0\r\nX-A: ", b"a"),
    "trailers": (b"0\r\n", b"X-A: a\r\n"),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_chunked_framing_without_end_is_refused_at_a_bound(gate: Gate, begin: bytes, more: bytes) -> None:
    piece = more * (1024 // len(more))
    pieces = [0]
    async with gate.connect() as client:
        await client.send(request("POST /public/x", CHUNKED, body=begin))

        async def pour() -> None:
            while not (client.writer.is_closing() or client.reader.at_eof()):
                client.writer.write(piece)
                pieces[0] += 1
                await asyncio.sleep(0.0005)

        pouring = asyncio.create_task(pour())
        answer = await client.answer()
        pouring.cancel()
        assert (answer.status, answer["Connection"]) == (400, "close")
    assert pieces[0] <= 256


TRAILERS = {name: case for name, case in ENDLESS.items() if name.startswith("trailer")}
"""What an answer may not have without end: the rest is never kept, so it is a stream that brings nothing."""


@pytest.mark.parametrize(("begin", "more"), TRAILERS.values(), ids=TRAILERS)
async def test_trailers_of_an_answer_without_end_ends_its_connection(gate: Gate, begin: bytes, more: bytes) -> None:
    piece = more * (1024 // len(more))
    pieces = [0]

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + begin)
        while not (visit.reader.at_eof() or visit.writer.is_closing()):
            await visit.send(piece)
            pieces[0] += 1
            await asyncio.sleep(0.0005)

    gate.upstream.play = play
    async with gate.connect() as client:
        answer = await client.ask(request())
        assert (answer.status, answer.whole) == (200, False)
        gate.upstream.play = replies(OK)
    assert (await gate.ask(request())).body == b"ok"
    assert pieces[0] <= 256
    assert (await gate.records(2))[0]["reason"] == "upstream_invalid"


# Slow lorises


async def drip_for_ever(client: RawClient, byte: bytes, seconds: float) -> None:
    while not (client.writer.is_closing() or client.reader.at_eof()):
        client.writer.write(byte)
        await asyncio.sleep(seconds)


async def test_a_head_of_a_byte_now_and_then_is_cut_off_at_its_deadline(start: Start) -> None:
    gate = await start(limits={"head_timeout": SHORT, "keep_alive_timeout": "1h"})
    async with gate.connect() as client:
        assert (await client.ask(request())).status == 200
        await client.send(b"GET /public/x HTTP/1.1\r\nX-A: ")
        dripping = asyncio.create_task(drip_for_ever(client, b"a", 0.02))
        assert await client.rest() == b""
        dripping.cancel()
    assert len(gate.upstream.visits) == 1


@pytest.mark.parametrize("fields", [("Content-Length: 1000000",), (CHUNKED,)], ids=["length", "chunked"])
async def test_a_body_of_a_byte_now_and_then_is_cut_off_at_the_deadline_of_the_whole(
    start: Start, fields: tuple[str, ...]
) -> None:
    """Each byte begins the idle timeout anew; `total_timeout` does not care."""
    gate = await start(limits={"body_idle_timeout": "1h"}, upstream={"total_timeout": SHORT})

    async def play(visit: Visit) -> None:
        await visit.gone()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", *fields))
        byte = b"1\r\na\r\n" if fields == (CHUNKED,) else b"a"
        dripping = asyncio.create_task(drip_for_ever(client, byte, 0.02))
        answer = await client.answer()
        dripping.cancel()
        assert answer.status == 504
    record = await gate.record()
    assert (record["reason"], record["decision"]) == ("upstream_timeout", "allow")
    assert record["bytes_in"] < 1000


@pytest.mark.parametrize("fields", [("Content-Length: 1000000",), (CHUNKED,)], ids=["length", "chunked"])
async def test_a_body_of_a_byte_now_and_then_ends_at_last(start: Start, fields: tuple[str, ...]) -> None:
    gate = await start(limits={"body_idle_timeout": "1h", "body_timeout": SHORT})
    gate.reads_all = False

    async def play(visit: Visit) -> None:
        await visit.gone()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", *fields))
        byte = b"1\r\na\r\n" if fields == (CHUNKED,) else b"a"
        dripping = asyncio.create_task(drip_for_ever(client, byte, 0.02))
        with suppress(ConnectionResetError):
            assert await client.rest() == b""
        dripping.cancel()
    record = await gate.record()
    assert (record["status"], record["aborted"]) == (499, True)
    assert record["bytes_in"] < 1000


async def test_a_body_that_makes_progress_may_take_any_time(start: Start) -> None:
    gate = await start(limits={"body_idle_timeout": "1h", "body_timeout": "300ms"})
    part = b"a" * (1 << 16)
    async with gate.connect() as client:
        await client.send(request("POST /public/x", f"Content-Length: {4 * len(part)}"))
        for _ in range(4):
            await client.send(part)
            await asyncio.sleep(0.12)
        assert (await client.answer()).status == 200
    assert (await gate.record())["bytes_in"] == 4 * len(part)


async def test_a_refused_body_of_a_byte_now_and_then_is_cut_off(start: Start) -> None:
    gate = await start(limits={"body_idle_timeout": "1h"})
    gate.reads_all = False
    async with gate.connect() as client:
        await client.send(request("POST /admin/x", "Content-Length: 1000000", body=b"a"))
        assert (await client.answer()).status == 401
        dripping = asyncio.create_task(drip_for_ever(client, b"a", 0.05))
        assert await client.rest() == b""
        dripping.cancel()
    assert not gate.upstream.visits
