"""Trailers go on in both directions where they are announced, and never become fields of anything."""

import asyncio

import pytest
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given, strategies as st

from gateway.parsing import UNBOUNDED
from gateway.policy.trailers import ChunkedWalk

from .conftest import Start
from .gate import Gate
from .raw_client import Answer, request
from .raw_upstream import OK, Visit, replies

CHUNKED = "Transfer-Encoding: chunked"
TAKES = ("TE: trailers", "Connection: TE")
BODY = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + BODY
EVIL = [
    *("X-Client-Id", "X_Client_Id", "X.Client.Id", "X-Token-Subject", "X-TOKEN-SCOPES", "X_Token_Issuer"),
    *("Authorization", "Host", "X-Forwarded-For", "Forwarded", "Via", "X-Request-Id", "traceparent", "Connection"),
    *("Cookie", "X-Original-URL", "X-HTTP-Method-Override", "X-SSL-Client-Verify", "Cache-Control", "User-Agent"),
]


def post(*fields: str, body: bytes = BODY) -> bytes:
    return request("POST /public/x", CHUNKED, *fields, body=body)


async def test_the_announced_trailers_of_a_request_arrive(gate: Gate) -> None:
    async with gate.connect() as client:
        for _ in range(2):
            assert (await client.ask(post("Trailer: X-Sum, X-Absent"))).body == b"ok"
            visit = gate.upstream.last
            assert (visit.body, visit.trailers) == (b"hello", [b"X-Sum: 1"])
            assert visit.fields("trailer") == ["x-sum, x-absent"]
    assert (gate.upstream.connections, gate.upstream.stray) == (1, b"")


async def test_what_a_request_does_not_announce_does_not_arrive(gate: Gate) -> None:
    assert (await gate.ask(post())).body == b"ok"
    assert (gate.upstream.last.body, gate.upstream.last.trailers, gate.upstream.last.fields("trailer")) == (
        b"hello",
        [],
        [],
    )


@pytest.mark.parametrize("name", EVIL)
async def test_a_forged_trailer_of_a_request_never_arrives(gate: Gate, name: str) -> None:
    body = b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n%b: evil\r\n\r\n" % name.encode()
    async with gate.connect() as client:
        assert (await client.ask(post(f"Trailer: X-Sum, {name}", body=body))).body == b"ok"
        assert (await client.ask(request("GET /public/y"))).body == b"ok"
    first, second = gate.upstream.visits
    assert first.trailers == [b"X-Sum: 1"]
    assert first.fields("trailer") == ["x-sum"]
    assert b"evil" not in first.head + second.head


@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_trailer_of_one_request_is_no_field_of_the_next_one(gate: Gate, pipelined: bool) -> None:  # noqa: FBT001 - a column
    """The parser keeps the last trailer, and would show it as the first field of what follows."""
    requests = [post(body=b"0\r\n%b: Bearer evil\r\n\r\n" % b"Authorization"), request("GET /token/x")]
    async with gate.connect() as client:
        if pipelined:
            await client.send(b"".join(requests))
            answers = [await client.answer() for _ in requests]
        else:
            answers = [await client.ask(each) for each in requests]
    assert [answer.status for answer in answers] == [200, 401]
    assert [record["reason"] for record in await gate.records(2)] == [None, "token_missing"]


async def test_pipelined_requests_with_trailers_are_told_apart(gate: Gate) -> None:
    raw = [
        request("GET /public/1"),
        request("POST /public/2", "Content-Length: 4", body=b"\r\n\r\n"),
        request("POST /public/3", CHUNKED, "Trailer: X-Sum", body=BODY),
        b"\r\n" + request("POST /public/4", CHUNKED, "Trailer: X-Sum", body=BODY),
        request("GET /public/5"),
        request("GET /admin/6"),
        request("POST /public/7", CHUNKED, "Trailer: X-Other", body=BODY),
        request("GET /public/8"),
    ]
    async with gate.connect() as client:
        await client.send(b"".join(raw))
        assert [(await client.answer()).status for _ in raw] == [200, 200, 200, 200, 200, 401, 200, 200]
        assert (await client.ask(request("GET /public/9"))).status == 200
    assert [visit.line.split()[1].decode()[-1] for visit in gate.upstream.visits] == list("12345789")
    assert [visit.trailers for visit in gate.upstream.visits if visit.trailers] == [
        [b"X-Sum: 1"],
        [b"X-Sum: 1"],
        [b"X-Other: 2"],
    ]


@pytest.mark.both_loops
async def test_a_request_with_trailers_may_come_byte_by_byte(gate: Gate) -> None:
    async with gate.connect() as client:
        client.writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)
        for byte in b"\r\n" + post("Trailer: X-Sum") + request("GET /public/y"):
            await client.send(bytes([byte]))
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    first, second = gate.upstream.visits
    assert (first.body, first.trailers, second.line) == (b"hello", [b"X-Sum: 1"], b"GET /public/y HTTP/1.1")


@pytest.mark.parametrize("at", range(1, len(post("Trailer: X-Sum")), 3))
async def test_a_request_with_trailers_may_be_split_anywhere(gate: Gate, at: int) -> None:
    raw = post("Trailer: X-Sum")
    async with gate.connect() as client:
        await client.send(raw[:at])
        await gate.status()  # a round trip, after which the first part is taken
        await client.send(raw[at:] + request("GET /public/y"))
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    assert (gate.upstream.visits[0].body, gate.upstream.visits[0].trailers) == (b"hello", [b"X-Sum: 1"])


BROKEN: dict[str, bytes] = {
    "NUL": b"0\r\nX-Sum: a\x00b\r\n\r\n",
    "CR": b"0\r\nX-Sum: a\rb\r\n\r\n",
    "escape": b"0\r\nX-Sum: \x1b[2J\r\n\r\n",
    "folded": b"0\r\nX-Sum: a\r\n b\r\n\r\n",
    "no colon": b"0\r\nX-Sum\r\n\r\n",
    "bare LF": b"0\r\nX-Sum: a\n\r\n",
    "too long": b"0\r\n" + b"X-Sum: aaaaaaaaaaaaaaaaaaaa\r\n" * 100 + b"\r\n",
    "an endless extension": b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("announces", ["Trailer: X-Sum", "X-A: 1"], ids=["announced", "not announced"])
async def test_a_request_with_broken_trailers_is_refused(start: Start, body: bytes, announces: str) -> None:
    gate = await start(limits={"head_bytes": "1KiB"})
    async with gate.connect() as client:
        await client.send(post(announces, body=b"5\r\nhello\r\n"))
        await gate.upstream.visited()
        answer = await client.ask(body + request("GET /public/evil"))
        assert (answer.status, answer["Connection"]) == (400, "close")
        assert await client.rest() == b""
    assert [visit.line for visit in gate.upstream.visits] == [b"POST /public/x HTTP/1.1"]
    assert (await gate.record())["reason"] == "request_malformed"


async def test_a_body_that_nobody_reads_may_have_trailers(gate: Gate) -> None:
    async with gate.connect() as client:
        for _ in range(2):
            raw = request("POST /admin/x", CHUNKED, "Trailer: X-Sum", body=b"5\r\nhello\r\n0\r\n")
            await client.send(raw)
            assert (await client.answer()).status == 401
            await client.send(b"X-Sum: 1\r\n\r\n")
        assert (await client.ask(request("POST /admin/x", CHUNKED, body=BODY))).status == 401
        assert (await client.ask(request("GET /public/x"))).body == b"ok"
    assert b"X-Sum" not in gate.upstream.last.head


# Of answers


async def asked(gate: Gate, *fields: str, line: str = "GET /public/x") -> Answer:
    return await gate.ask(request(line, *fields))


async def test_the_announced_trailers_of_an_answer_come_back_to_who_takes_them(gate: Gate) -> None:
    gate.upstream.play = replies(ANSWER)
    async with gate.connect() as client:
        for _ in range(2):
            answer = await client.ask(request("GET /public/x", *TAKES))
            assert (answer.body, answer["Trailer"], answer.trailers) == (b"hello", "x-sum", [b"X-Sum: 1"])
    assert gate.upstream.last.fields("te") == ["trailers"]
    assert gate.upstream.last.fields("connection") == ["TE"]
    assert gate.upstream.connections == 1


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("GET /public/x", ()),
        ("GET /public/x", ("TE: trailers",)),
        ("GET /public/x", ("TE: gzip", "Connection: TE")),
        ("GET /public/x HTTP/1.0", TAKES),
    ],
)
async def test_trailers_do_not_come_to_who_does_not_take_them(gate: Gate, line: str, fields: tuple[str, ...]) -> None:
    gate.upstream.play = replies(ANSWER)
    answer = await asked(gate, *fields, line=line)
    assert (answer.body, answer.all("Trailer"), answer.trailers) == (b"hello", [], [])
    assert not gate.upstream.last.fields("te")


async def test_what_an_answer_does_not_announce_does_not_come_back(gate: Gate) -> None:
    gate.upstream.play = replies(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY)
    answer = await asked(gate, *TAKES)
    assert (answer.body, answer.all("Trailer"), answer.trailers) == (b"hello", [], [])


@pytest.mark.parametrize("name", [*EVIL, "Set-Cookie", "WWW-Authenticate", "Content-Encoding", "Location", "X-Hop"])
async def test_a_forged_trailer_of_an_answer_never_comes_back(gate: Gate, name: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nTrailer: X-Sum, {name}\r\n\r\n"
    gate.upstream.play = replies(head.encode() + b"0\r\nX-Sum: 1\r\n%b: evil\r\n\r\n" % name.encode())
    async with gate.connect() as client:
        answer = await client.ask(request("GET /public/x", *TAKES))
        assert (answer["Trailer"], answer.trailers) == ("x-sum", [b"X-Sum: 1"])
        gate.upstream.play = replies(OK)
        answer = await client.ask(request("GET /public/y", *TAKES))
        assert "evil" not in str(answer.fields)


HINTED = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + ANSWER


@pytest.mark.both_loops
@pytest.mark.parametrize("raw", [ANSWER, HINTED], ids=["plain", "behind hints"])
async def test_an_answer_with_trailers_may_come_byte_by_byte(gate: Gate, raw: bytes) -> None:
    async def play(visit: Visit) -> None:
        visit.writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)
        for byte in raw:
            await visit.send(bytes([byte]))

    gate.upstream.play = play
    answer = await asked(gate, *TAKES)
    assert (answer.body, answer.trailers) == (b"hello", [b"X-Sum: 1"])


@pytest.mark.parametrize("at", range(1, len(HINTED), 5))
async def test_an_answer_with_trailers_may_be_split_anywhere(gate: Gate, at: int) -> None:
    async def play(visit: Visit) -> None:
        await visit.send(HINTED[:at])
        await gate.status()  # a round trip, after which the first part is taken
        await visit.send(HINTED[at:])

    gate.upstream.play = play
    async with gate.connect() as client:
        for _ in range(2):
            answer = await client.ask(request("GET /public/x", *TAKES))
            assert (answer.body, answer.trailers) == (b"hello", [b"X-Sum: 1"])
    assert gate.upstream.connections == 1


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_an_answer_with_broken_trailers_is_cut_off_and_its_connection_dropped(gate: Gate, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    padding = b"X-Sum: %b\r\n" % (b"a" * 60_000)
    long = b"0\r\n" + padding * 2 + b"\r\n" if b"aaaa" in body else body

    async def play(visit: Visit) -> None:
        await visit.send(head + b"5\r\nhello\r\n")
        await go.wait()
        await visit.send(long)

    go = asyncio.Event()
    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("GET /public/x", *TAKES))
        await client.reader.readuntil(b"hello")
        go.set()
        assert b"0\r\n" not in await client.rest()
    record = await gate.record()
    assert (record["status"], record["reason"], record["aborted"]) == (200, "upstream_invalid", True)
    gate.reads_all = False
    gate.upstream.play = replies(OK)
    assert (await asked(gate)).body == b"ok"
    assert gate.upstream.connections == 2


async def test_trailers_go_both_ways_in_one_exchange(gate: Gate) -> None:
    gate.upstream.play = replies(ANSWER)
    async with gate.connect() as client:
        for _ in range(3):
            answer = await client.ask(post("Trailer: X-Other", *TAKES))
            assert (answer.trailers, gate.upstream.last.trailers) == ([b"X-Sum: 1"], [b"X-Other: 2"])
    assert gate.upstream.connections == 1


# The walk beside the parser


class _FlowControl:
    def pause_reading(self) -> None:
        """Never needed."""

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """Never needed."""


PARTS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"0\r\n", b"5\r\nhello\r\n", b"a", b";x", b'="y"', b"X-A: 1\r\n", b":", b" ", b"\r\n\r\n"]
)


@given(st.lists(PARTS, max_size=12).map(b"".join))
def test_parser_and_walk_see_the_same_end_at_the_same_byte_or_one_of_them_refuses(raw: bytes) -> None:
    loop = asyncio.new_event_loop()
    parser = HttpRequestParser(_FlowControl(), loop, UNBOUNDED, max_msg_queue_size=1)  # type: ignore[arg-type]  # only flow control is called
    loop.close()
    ((_, payload),) = parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")[0]
    walk, content = ChunkedWalk(1000), 0
    for place in range(len(raw)):
        byte = raw[place : place + 1]
        try:
            parser.feed_data(byte)
        except Exception:  # noqa: BLE001 - whatever it raises, it refuses
            return
        walk.feed(byte)
        content += len(payload.read_nowait())
        if walk.fault is not None:
            return
        assert (walk.complete, walk.content) == (payload.is_eof(), content)
        if walk.complete:
            return
