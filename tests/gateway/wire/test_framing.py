"""Where a message begins and ends: what would be read in two ways is not read at all (security.md, "Framing")."""

import asyncio
import json

import pytest

from .conftest import Start
from .gate import Gate
from .raw_client import request
from .raw_upstream import OK, Visit, replies

SMUGGLED = b"GET /admin/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"

AMBIGUOUS: dict[str, bytes] = {
    "CL and TE": request("POST /public/x", "Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "TE and CL": request("POST /public/x", CHUNKED, "Content-Length: 5", body=b"0\r\n\r\n"),
    "CL.0 and TE": request("POST /public/x", "Content-Length: 0", CHUNKED, body=b"0\r\n\r\n"),
    "two CL": request("POST /public/x", "Content-Length: 0", "Content-Length: 5", body=b"hello"),
    "two CL alike": request("POST /public/x", "Content-Length: 5", "Content-Length: 5", body=b"hello"),
    "CL list": request("POST /public/x", "Content-Length: 5, 5", body=b"hello"),
    "CL signed": request("POST /public/x", "Content-Length: +5", body=b"hello"),
    "CL negative": request("POST /public/x", "Content-Length: -5", body=b"hello"),
    "CL hex": request("POST /public/x", "Content-Length: 0x5", body=b"hello"),
    "CL empty": request("POST /public/x", "Content-Length: ", body=b"hello"),
    "CL with a blank": request("POST /public/x", "Content-Length: 5 0", body=b"hello"),
    "CL huge": request("POST /public/x", "Content-Length: 99999999999999999999", body=b"hello"),
    "CL in other digits": request("POST /public/x", "Content-Length: \xb2", body=b"hello"),
    "CL underscore": request("POST /public/x", "Content-Length: 1_0", body=b"hello"),
    "blank before the colon": request("POST /public/x", "Content-Length : 5", body=b"hello"),
    "TE before the colon": request("POST /public/x", "Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "TE gzip, chunked": request("POST /public/x", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "TE chunked twice": request("POST /public/x", CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "TE chunked, chunked": request("POST /public/x", "Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "TE chunked, identity": request("POST /public/x", "Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "TE identity": request("POST /public/x", "Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "TE xchunked": request("POST /public/x", "Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "TE quoted": request("POST /public/x", 'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "TE vertical tab": request("POST /public/x", "Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "TE on 1.0": request("POST /public/x HTTP/1.0", CHUNKED, body=b"0\r\n\r\n"),
    "TE folded": request("POST /public/x", "Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "field folded": request("GET /public/x", "X-A: a\r\n\tb"),
    "field without a colon": request("GET /public/x", "X-A"),
    "field without a name": request("GET /public/x", ": a"),
    "NUL in a field": request("GET /public/x", "X-A: a\x00b"),
    "CR in a field": request("GET /public/x", "X-A: a\rb"),
    "bare LF between fields": b"GET /public/x HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
    "bare LF after the line": b"GET /public/x HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF at the end": b"GET /public/x HTTP/1.1\r\nHost: a\r\n\n",
    "bare CR": b"GET /public/x HTTP/1.1\rHost: a\r\r",
    "blank first line of a head": b"GET /public/x HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n",
}


@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_an_ambiguous_request_is_refused_and_nothing_behind_it_is_read(gate: Gate, raw: bytes) -> None:
    async with gate.connect() as client:
        answer = await client.ask(raw + SMUGGLED)
        assert (answer.status, answer["Connection"]) == (400, "close")
        assert await client.rest() == b""
    assert not gate.upstream.visits


BAD_CHUNKS: dict[str, bytes] = {
    "no hex": b"x\r\nhello\r\n0\r\n\r\n",
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "blank": b"5 \r\nhello\r\n0\r\n\r\n",
    "bare LF": b"5\nhello\n0\n\n",
    "bare LF in an extension": b"5;a\nhello\r\n0\r\n\r\n",
    "longer than said": b"5\r\nhello!\r\n0\r\n\r\n",
    "shorter than said": b"6\r\nhello\r\n0\r\n\r\n",
    "framing in a trailer": b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    "overflow": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_a_broken_chunk_ends_both_connections(gate: Gate, body: bytes) -> None:
    async with gate.connect() as client:
        answer = await client.ask(request("POST /public/x", CHUNKED, body=body + SMUGGLED))
        assert (answer.status, answer["Connection"]) == (400, "close")
        assert await client.rest() == b""
    assert all(visit.line == b"POST /public/x HTTP/1.1" for visit in gate.upstream.visits)
    assert all(b"0\r\n\r\n" not in visit.body for visit in gate.upstream.visits)
    assert not [visit for visit in gate.upstream.visits if visit.body]


@pytest.mark.parametrize(
    "body",
    [
        b"5;ext=1\r\nhello\r\n0\r\n\r\n",
        b'5;ext="a;b"\r\nhello\r\n0;last\r\n\r\n',
        b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\nX-Client-Id: evil\r\n\r\n",
        b"0005\r\nhello\r\n000\r\n\r\n",
        b"1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n",
    ],
    ids=["extension", "quoted extension", "trailer", "zeros", "small chunks"],
)
async def test_a_chunked_body_arrives_without_extensions_and_trailers(gate: Gate, body: bytes) -> None:
    async with gate.connect() as client:
        assert (await client.ask(request("POST /public/x", CHUNKED, body=body))).status == 200
        assert (await client.ask(request("GET /public/y"))).status == 200
    first, second = gate.upstream.visits
    assert (first.body, second.line) == (b"hello", b"GET /public/y HTTP/1.1")
    assert first.fields("transfer-encoding") == ["chunked"]
    assert not gate.upstream.stray


@pytest.mark.parametrize(
    ("upgrade", "body"),
    [("websocket", b""), ("h2c", b""), ("websocket", b"hello"), ("TLS/1.0", b"")],
    ids=["websocket", "h2c", "websocket with a body", "TLS"],
)
async def test_an_upgrade_is_not_passed_on_and_nothing_follows_it(gate: Gate, upgrade: str, body: bytes) -> None:
    fields = ["Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}", "HTTP2-Settings: AAMAAABkAAQ"]
    length = [f"Content-Length: {len(body)}"] if body else []
    async with gate.connect() as client:
        answer = await client.ask(request("GET /public/x", *fields, *length, body=body + SMUGGLED))
        assert (answer.status, answer["Connection"]) == (200, "close")
        assert await client.rest() == b""
    (visit,) = gate.upstream.visits
    assert {"upgrade", "connection", "http2-settings"}.isdisjoint(visit.names)
    assert visit.body == body


SPLIT: dict[str, bytes] = {
    "CR in a field": b"HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a field": b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "control in a field": b"HTTP/1.1 200 OK\r\nX-A: a\x07b\r\nContent-Length: 0\r\n\r\n",
    "control in the reason": b"HTTP/1.1 200 O\x07K\r\nContent-Length: 0\r\n\r\n",
    "two CL": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    "two CL alike": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "CL list": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "CL negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "TE gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "bad field name": b"HTTP/1.1 200 OK\r\nX A: a\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "HTTP/2 status line": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nEVIL",
    "101 without fields": b"HTTP/1.1 101 Switching Protocols\r\n\r\nEVIL",
    "endless head": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 200_000,
    "endless fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 20_000,
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.parametrize("answer", SPLIT.values(), ids=SPLIT)
async def test_an_answer_that_could_be_read_in_two_ways_is_a_502_and_its_connection_dropped(
    gate: Gate, answer: bytes
) -> None:
    gate.upstream.play = replies(answer, close=answer in (b"", SPLIT["half a head"]))
    async with gate.connect() as client:
        first = await client.ask(request("GET /public/x"))
        assert first.status == 502
        assert json.loads(first.body)["reason"] in {"upstream_invalid", "upstream_unreachable"}
        gate.upstream.play = replies(OK)
        assert (await client.ask(request("GET /public/y"))).body == b"ok"
    assert gate.upstream.connections == 2


EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
FOLLOWED: dict[str, bytes] = {
    "a second answer": OK + EVIL,
    "half an answer": OK + EVIL[:9],
    "one byte": OK + b"H",
    "a body where none may be": b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL,
    "after 304": b"HTTP/1.1 304 Not Modified\r\n\r\n" + EVIL,
    "behind a chunked one": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
    "garbage": OK + b"\x00garbage\r\n\r\n",
    "two finals behind a 103": b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + EVIL,
}


@pytest.mark.parametrize("answer", FOLLOWED.values(), ids=FOLLOWED)
async def test_what_follows_an_answer_never_answers_the_next_request(gate: Gate, answer: bytes) -> None:
    gate.upstream.play = replies(answer)
    async with gate.connect() as client:
        await client.ask(request("GET /public/x"))
        gate.upstream.play = replies(OK)
        for _ in range(3):
            assert (await client.ask(request("GET /public/y"))).body == b"ok"
    assert gate.upstream.connections == 2


async def test_a_trailer_of_one_answer_is_no_field_of_the_next_one(gate: Gate) -> None:
    """The parser keeps the last trailer, and would show it to whoever gets the next answer of the connection."""
    gate.upstream.play = replies(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: evil\r\n\r\n"
    )
    assert (await gate.ask(request("GET /public/x"))).body == b"ok"
    gate.upstream.play = replies(OK)
    answer = await gate.ask(request("GET /public/y"))
    assert (answer.body, answer.all("Set-Cookie"), gate.upstream.connections) == (b"ok", [], 1)


async def test_what_comes_on_an_idle_connection_closes_it(gate: Gate) -> None:
    async with gate.connect() as client:
        await client.ask(request("GET /public/x"))
        idle = gate.upstream.last
        await idle.send(EVIL)
        await asyncio.sleep(0.02)
        assert (await client.ask(request("GET /public/y"))).body == b"ok"
    assert gate.upstream.connections == 2


async def test_a_body_behind_an_answer_to_head_is_not_the_next_answer(gate: Gate) -> None:
    gate.upstream.play = replies(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
    async with gate.connect() as client:
        await client.ask(request("HEAD /public/x"))
        gate.upstream.play = replies(OK)
        assert (await client.ask(request("GET /public/y"))).body == b"ok"
    assert gate.upstream.connections == 2


async def test_a_head_that_comes_too_slowly_is_cut_off(start: Start) -> None:
    gate = await start(limits={"head_timeout": "150ms"})
    async with gate.connect() as client:

        async def drip() -> None:
            for byte in request("GET /public/x", f"X-A: {'a' * 200}"):
                client.writer.write(bytes([byte]))
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert await client.rest() == b""
        dripping.cancel()
    assert not gate.upstream.visits


async def test_a_body_that_stalls_is_cut_off(start: Start) -> None:
    gate = await start(limits={"body_idle_timeout": "150ms"})
    async with gate.connect() as client:
        await client.send(request("POST /public/x", "Content-Length: 100", body=b"a"))
        assert await client.rest() == b""
    record = await gate.record()
    assert (record["status"], record["aborted"]) == (499, True)


async def test_an_idle_connection_is_closed(start: Start) -> None:
    gate = await start(limits={"keep_alive_timeout": "150ms"})
    async with gate.connect() as client:
        assert (await client.ask(request("GET /public/x"))).status == 200
        assert await client.rest() == b""


async def test_a_connection_that_never_says_anything_is_closed(start: Start) -> None:
    gate = await start(limits={"head_timeout": "150ms"})
    async with gate.connect() as client:
        assert await client.rest() == b""


@pytest.mark.parametrize(("target", "count"), [("/nowhere", 10_000), ("/public/x", 500)])
async def test_a_crowd_of_pipelined_requests_is_answered_in_order(gate: Gate, target: str, count: int) -> None:
    async with gate.connect() as client:
        sending = asyncio.create_task(client.send(request(f"GET {target}") * count))
        statuses = {(await client.answer()).status for _ in range(count)}
        await sending
        assert statuses == {404 if target == "/nowhere" else 200}
        assert (await client.ask(request("GET /public/y"))).status == 200
    assert len(await gate.records(count + 1)) == count + 1


async def test_a_head_is_bounded_however_it_comes(start: Start) -> None:
    gate = await start(limits={"head_bytes": "1KiB"})
    raw = request("GET /public/x", *(f"X-{number}: {'a' * 90}" for number in range(20)))
    assert (await gate.ask(raw)).status == 400
    async with gate.connect() as client:
        for at in range(0, len(raw), 500):
            client.writer.write(raw[at : at + 500])
            await asyncio.sleep(0.005)
        assert (await client.answer()).status == 400
    assert not gate.upstream.visits


async def test_many_small_chunks_arrive(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        size = 0
        while line := int(await visit.reader.readuntil(b"\r\n"), 16):
            size += len(await visit.reader.readexactly(line + 2)) - 2
        await visit.reader.readexactly(2)
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n%06d" % size)

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("POST /public/x", CHUNKED))
        for _ in range(10):
            await client.send(b"1\r\na\r\n" * 10_000)
        assert (await client.ask(b"0\r\n\r\n")).body == b"100000"


async def test_more_connections_than_allowed_are_closed(start: Start) -> None:
    gate = await start(limits={"connections": 2})
    async with gate.connect() as first, gate.connect() as second:
        assert (await first.ask(request("GET /public/x"))).status == 200
        assert (await second.ask(request("GET /public/x"))).status == 200
        async with gate.connect() as third:
            assert await third.rest() == b""
