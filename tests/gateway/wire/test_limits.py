"""Bounds on requests in flight, on bodies, and on the time of an exchange."""

import asyncio

import pytest

from .conftest import Start
from .gate import ROUTES, Gate
from .raw_client import request
from .raw_upstream import OK, RawUpstream, Visit

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf."
SMALL = [
    {"id": "small", "path": "/public/{rest...}", "public": True, "upstream": "api", "max_body": "1KiB"},
    *ROUTES[1:],
]


async def stall(visit: Visit) -> None:
    """Never answer."""
    await visit.gone()


def post(*fields: str, body: bytes = b"", path: str = "/public/x") -> bytes:
    return request(f"POST {path}", *fields, body=body)


def chunk(size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, b"x" * size)


# Requests in flight


async def test_a_request_beyond_those_in_flight_is_refused_until_one_is_over(
    start: Start, upstream: RawUpstream
) -> None:
    go = asyncio.Event()

    async def wait(visit: Visit) -> None:
        await go.wait()
        await visit.send(OK)

    upstream.play = wait
    gate = await start(limits={"requests": 2})
    async with gate.connect() as one, gate.connect() as other, gate.connect() as third:
        await one.send(request())
        await other.send(request())
        await upstream.visited(2)
        assert (await gate.status())["in_flight"] == 2
        refused = await third.ask(request())
        assert (refused.status, refused["Retry-After"]) == (503, "1")
        go.set()
        assert [(await one.answer()).status, (await other.answer()).status] == [200, 200]
        assert (await third.ask(request())).status == 200
    assert (await gate.status())["in_flight"] == 0
    records = await gate.records(4)
    assert (records[0]["reason"], records[0]["decision"], records[0]["route"]) == ("overloaded", "deny", None)


async def test_clients_that_leave_make_room(start: Start, upstream: RawUpstream) -> None:
    upstream.play = stall
    gate = await start(limits={"requests": 1})
    async with gate.connect() as one:
        await one.send(request())
        await upstream.visited()
    await gate.until(lambda status: status["in_flight"] == 0)


@pytest.mark.parametrize(
    "data",
    [b"nonsense\r\n\r\n", request("GET /../x"), request("GET /nowhere"), request("GET /jobs/1"), request()],
    ids=["no HTTP", "bad target", "no route", "no token", "answered"],
)
async def test_every_request_that_is_over_counts_no_more(gate: Gate, data: bytes) -> None:
    await gate.ask(data)
    assert (await gate.status())["in_flight"] == 0


# Bodies


@pytest.fixture
async def small(start: Start) -> Gate:
    return await start(routes=SMALL)


@pytest.mark.parametrize("size", [0, 1024])
async def test_a_body_within_the_bound_goes_on(small: Gate, size: int) -> None:
    async with small.connect() as client:
        assert (await client.ask(post(f"Content-Length: {size}", body=b"x" * size))).status == 200
        assert (
            await client.ask(post("Transfer-Encoding: chunked", body=chunk(size or 1) + b"0\r\n\r\n"))
        ).status == 200


async def test_a_body_that_announces_too_much_is_refused_before_anything_is_forwarded(small: Gate) -> None:
    async with small.connect() as client:
        answer = await client.ask(post("Content-Length: 1025", body=b"x" * 1025))
        assert answer.status == 413
        assert b'"reason":"body_too_large"' in answer.body
        assert not small.upstream.visits
        assert (await client.ask(request())).status == 200
    records = await small.records(2)
    assert (records[0]["reason"], records[0]["decision"], records[0]["route"]) == ("body_too_large", "deny", "small")


async def test_a_client_that_asks_before_it_sends_too_much_is_told_at_once(small: Gate) -> None:
    async with small.connect() as client:
        answer = await client.ask(post("Content-Length: 1025", "Expect: 100-continue"))
        assert (answer.status, answer["Connection"]) == (413, "close")


async def test_a_body_without_length_is_cut_off_where_it_exceeds_the_bound(small: Gate) -> None:
    async with small.connect() as client:
        await client.send(post("Transfer-Encoding: chunked", body=chunk(1000)))
        visit = await small.upstream.visited()
        answer = await client.ask(chunk(25))
        assert answer.status == 413
        assert b"0\r\n\r\n" not in await visit.reader.read()
        await client.send(chunk(2000) + b"0\r\n\r\n")
        assert (await client.ask(request())).status == 200
    record = (await small.records(2))[0]
    assert (record["reason"], record["upstream"], record["bytes_in"]) == ("body_too_large", "api", 1025)


async def test_a_whole_body_that_comes_at_once_is_refused_and_the_connection_stays(small: Gate) -> None:
    async with small.connect() as client:
        answer = await client.ask(post("Transfer-Encoding: chunked", body=chunk(2000) + b"0\r\n\r\n"))
        assert answer.status == 413
        assert (await client.ask(request())).status == 200


async def test_an_answer_that_has_begun_is_cut_off_with_its_body(start: Start, upstream: RawUpstream) -> None:
    async def answer_early(visit: Visit) -> None:
        await visit.send(HALF)
        await visit.gone()

    upstream.play = answer_early
    gate = await start(routes=SMALL)
    async with gate.connect() as client:
        await client.send(post("Transfer-Encoding: chunked", body=chunk(1000)))
        assert await client.reader.readuntil(b"half.")
        await client.send(chunk(1000))
        assert await client.rest() == b""
    record = await gate.record()
    assert (record["reason"], record["status"], record["aborted"]) == ("body_too_large", 200, True)


# Time


@pytest.mark.parametrize("behaviour", ["no answer", "drip"])
async def test_an_exchange_that_takes_too_long_is_ended(start: Start, upstream: RawUpstream, behaviour: str) -> None:
    async def drip(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not visit.writer.is_closing():
            await visit.send(chunk(1))
            await asyncio.sleep(0.01)

    upstream.play = stall if behaviour == "no answer" else drip
    gate = await start(upstream={"total_timeout": "150ms"})
    async with gate.connect() as client:
        await client.send(request())
        answer = await client.answer()
    record = await gate.record()
    assert record["reason"] == "upstream_timeout"
    assert record["decision"] == "allow"
    if behaviour == "no answer":
        assert (answer.status, record["status"]) == (504, 504)
    else:
        assert (answer.status, answer.whole, record["aborted"]) == (200, False, True)


async def test_the_wait_for_a_connection_is_part_of_the_whole(start: Start, upstream: RawUpstream) -> None:
    upstream.play = stall
    gate = await start(upstream={"total_timeout": "150ms", "max_connections": 1})
    async with gate.connect() as one, gate.connect() as other:
        await asyncio.gather(one.send(request()), other.send(request()))
        assert {(await one.answer()).status, (await other.answer()).status} == {504}


async def test_an_exchange_in_time_leaves_no_bound_behind(start: Start) -> None:
    gate = await start(upstream={"total_timeout": "50ms"})
    async with gate.connect() as client:
        assert (await client.ask(request())).status == 200
        await asyncio.sleep(0.1)
        assert (await client.ask(request())).status == 200
