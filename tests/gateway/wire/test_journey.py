"""What a client is answered: by the upstream, or by the gateway in its place."""

import json
import re
from email.utils import parsedate_to_datetime

import pytest

from .conftest import Start
from .gate import Gate
from .minting import NOW, claims
from .raw_client import Answer, request
from .raw_upstream import OK, RawUpstream, Visit, replies


def problem(answer: Answer) -> dict[str, object]:
    """A refusal's body, its form examined."""
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    document: dict[str, object] = json.loads(answer.body)
    assert document["type"] == "about:blank"
    assert document["status"] == answer.status
    assert document["title"]
    assert document["hint"]
    assert document["request_id"] == answer["X-Request-Id"]
    return document


async def test_what_the_upstream_answers_comes_back(gate: Gate) -> None:
    gate.upstream.play = replies(
        b"HTTP/1.1 201 Made it\r\nContent-Length: 5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Note: caf\xe9\r\n"
        b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\nhello"
    )
    answer = await gate.ask(request("POST /admin/x", gate.bearer(), "Content-Length: 2", body=b"hi"))
    assert (answer.version, answer.status, answer.reason, answer.body) == ("HTTP/1.1", 201, "Made it", b"hello")
    assert answer.all("Set-Cookie") == ["a=1", "b=2"]
    assert answer["X-Note"] == "caf\xe9"
    assert {"X-Hop", "Keep-Alive", "Connection"}.isdisjoint(name for name, _ in answer.fields)
    assert gate.upstream.last.body == b"hi"


async def test_without_a_token_the_challenge_bears_no_error_code(gate: Gate) -> None:
    answer = await gate.ask(request("GET /admin/x"))
    assert answer.status == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="scopegate", scope="admin"'
    assert problem(answer)["reason"] == "token_missing"


async def test_a_bad_token_is_invalid_token(gate: Gate) -> None:
    answer = await gate.ask(request("GET /admin/x", "Authorization: Bearer x"))
    assert answer.status == 401
    assert answer["WWW-Authenticate"].startswith('Bearer realm="scopegate", error="invalid_token"')
    assert problem(answer)["reason"] == "token_malformed"


async def test_a_token_without_the_scope_is_told_which_one(gate: Gate) -> None:
    answer = await gate.ask(request("GET /jobs/7", gate.bearer()))
    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer["WWW-Authenticate"]
    assert 'scope="jobs.read"' in answer["WWW-Authenticate"]
    assert problem(answer)["reason"] == "scope_insufficient"
    assert problem(answer)["scopes_missing"] == ["jobs.read"]


@pytest.mark.parametrize(("scope", "status"), [("jobs.read", 403), ("jobs.run", 200)])
async def test_each_method_of_a_path_has_its_own_rule(gate: Gate, scope: str, status: int) -> None:
    bearer = gate.bearer(payload=claims(scope=scope))
    assert (await gate.ask(request("POST /jobs/7", bearer, "Content-Length: 0"))).status == status


async def test_what_no_route_names_is_not_found(gate: Gate) -> None:
    for path in ("/", "/nowhere", "/metrics", "/status.json", "/healthz", "/readyz", "/reload"):
        answer = await gate.ask(request(f"GET {path}"))
        assert answer.status == 404
        assert problem(answer)["reason"] == "no_route"
        assert "WWW-Authenticate" not in answer
    assert not gate.upstream.visits


@pytest.mark.parametrize(
    "raw",
    [
        request("GET /nowhere"),
        request("GET /admin/x"),
        request("GET /public/../x"),
        request("DELETE /jobs/7"),
        b"garbage\r\n\r\n",
        request("HEAD /nowhere"),
    ],
)
async def test_a_refusal_is_dated(gate: Gate, raw: bytes) -> None:
    answer = await gate.ask(raw)
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer["Date"])
    assert 0 <= parsedate_to_datetime(answer["Date"]).timestamp() - NOW < 5


async def test_an_upstreams_own_date_is_the_only_one(gate: Gate) -> None:
    date = "Tue, 15 Nov 1994 08:12:31 GMT"
    gate.upstream.play = replies(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n".encode())
    assert (await gate.ask(request("GET /public/x"))).all("Date") == [date]


@pytest.mark.parametrize("raw", [request("HEAD /nowhere"), request("HEAD /admin/x")])
async def test_a_refused_head_request_gets_no_body(gate: Gate, raw: bytes) -> None:
    async with gate.connect() as client:
        answer = await client.ask(raw)
        assert answer.status in {401, 404}
        assert int(answer["Content-Length"]) > 0
        assert (await client.ask(request("GET /public/x"))).body == b"ok"


async def test_an_upstream_that_is_down_is_a_502(start: Start, upstream: RawUpstream) -> None:
    async with RawUpstream() as gone:
        pass
    gate = await start(upstream={"url": f"http://127.0.0.1:{gone.port}"})
    answer = await gate.ask(request("GET /public/x"))
    assert answer.status == 502
    assert problem(answer)["reason"] == "upstream_unreachable"
    record = await gate.record()
    assert (record["decision"], record["upstream"], record["upstream_status"]) == ("allow", "api", None)


async def test_an_upstream_that_does_not_answer_is_a_504(start: Start) -> None:
    gate = await start(upstream={"first_byte_timeout": "120ms"})

    async def play(visit: Visit) -> None:
        await visit.gone()

    gate.upstream.play = play
    answer = await gate.ask(request("GET /public/x"))
    assert answer.status == 504
    assert problem(answer)["reason"] == "upstream_timeout"
    assert (await gate.record())["reason"] == "upstream_timeout"


async def test_an_upstream_that_stops_within_its_head_is_a_504(start: Start) -> None:
    gate = await start(upstream={"first_byte_timeout": "120ms"})

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nX-A: ")
        await visit.gone()

    gate.upstream.play = play
    assert (await gate.ask(request("GET /public/x"))).status == 504


async def test_an_upstream_that_stops_within_its_body_is_cut_off(start: Start) -> None:
    gate = await start(upstream={"idle_timeout": "120ms"})

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await visit.gone()

    gate.upstream.play = play
    answer = await gate.ask(request("GET /public/x"))
    assert (answer.status, answer.whole) == (200, False)
    record = await gate.record()
    assert (record["status"], record["aborted"], record["reason"]) == (200, True, "upstream_timeout")


HI = b"HTTP/1.1 200 OK\r\nX-Note: hi\r\n"
FRAMED: dict[str, tuple[bytes, bool]] = {
    "length": (HI + b"Content-Length: 5\r\n\r\nhello", False),
    "empty": (HI + b"Content-Length: 0\r\n\r\n", False),
    "chunked": (HI + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-T: 1\r\n\r\n", False),
    "chunked in capitals": (HI + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", False),
    "until the end": (HI + b"\r\nhello", True),
    "until the end, HTTP/1.0": (HI.replace(b"/1.1", b"/1.0") + b"\r\nhello", True),
    "length, HTTP/1.0": (HI.replace(b"/1.1", b"/1.0") + b"Content-Length: 5\r\n\r\nhello", True),
    "length, then close": (HI + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", True),
}


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize(("raw", "close"), FRAMED.values(), ids=FRAMED)
async def test_an_answer_is_framed_for_the_client_that_asked(
    gate: Gate,
    raw: bytes,
    close: bool,  # noqa: FBT001 - a column of a table
    version: str,
) -> None:
    gate.upstream.play = replies(raw, close=close)
    async with gate.connect() as client:
        answer = await client.ask(request(f"GET /public/x {version}", "Connection: keep-alive"))
        assert answer.body == (b"" if b"Length: 0" in raw else b"hello")
        assert (answer["X-Note"], answer.whole) == ("hi", True)
        known = b"Content-Length" in raw
        assert ("Content-Length" in answer) == known
        if version == "HTTP/1.0":
            assert "Transfer-Encoding" not in answer
            assert answer["Connection"] == ("keep-alive" if known else "close")
        else:
            assert "Connection" not in answer
        if version == "HTTP/1.1" or known:
            gate.upstream.play = replies(OK)
            assert (await client.ask(request("GET /public/y"))).body == b"ok"
        else:
            assert await client.rest() == b""


BODILESS: dict[str, tuple[str, bytes]] = {
    "HEAD with a length": ("HEAD", HI + b"Content-Length: 5\r\n\r\n"),
    "HEAD chunked": ("HEAD", HI + b"Transfer-Encoding: chunked\r\n\r\n"),
    "HEAD without a length": ("HEAD", HI + b"\r\n"),
    "HEAD 404": ("HEAD", b"HTTP/1.1 404 Not Found\r\nX-Note: hi\r\nContent-Length: 9\r\n\r\n"),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\nX-Note: hi\r\n\r\n"),
    "204 to DELETE": ("DELETE", b"HTTP/1.1 204 No Content\r\nX-Note: hi\r\n\r\n"),
    "304": ("GET", b"HTTP/1.1 304 Not Modified\r\nX-Note: hi\r\nETag: x\r\n\r\n"),
    "304 with a length": ("GET", b"HTTP/1.1 304 Not Modified\r\nX-Note: hi\r\nContent-Length: 5\r\n\r\n"),
}


@pytest.mark.parametrize(("method", "raw"), BODILESS.values(), ids=BODILESS)
async def test_an_answer_without_a_body_ends_with_its_head(gate: Gate, method: str, raw: bytes) -> None:
    async with gate.connect() as client:
        for _ in range(2):
            gate.upstream.play = replies(raw)
            answer = await client.ask(request(f"{method} /public/x"))
            assert (answer["X-Note"], answer.body) == ("hi", b"")
            assert ("Content-Length" in answer) == (b"Content-Length" in raw)
            assert "Transfer-Encoding" not in answer
            gate.upstream.play = replies(OK)
            assert (await client.ask(request("GET /public/y"))).body == b"ok"
    if raw != HI + b"\r\n":  # which may as well last until the connection's end
        assert gate.upstream.connections == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_goes_on_as_it_was_framed(gate: Gate, chunked: bool) -> None:  # noqa: FBT001 - a column
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 5"
    body = b"5\r\nhello\r\n0\r\n\r\n" if chunked else b"hello"
    assert (await gate.ask(request("PUT /public/x", framing, body=body))).status == 200
    assert gate.upstream.last.body == b"hello"
    assert framing in gate.upstream.last.head.decode()


async def test_a_body_without_content_keeps_its_length(gate: Gate) -> None:
    assert (await gate.ask(request("POST /public/x", "Content-Length: 0"))).status == 200
    assert gate.upstream.last.fields("content-length") == ["0"]
    assert (await gate.ask(request("GET /public/x"))).status == 200
    assert gate.upstream.last.fields("content-length") == []


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_a_client_that_wants_to_close_is_closed(gate: Gate, version: str) -> None:
    fields = ["Connection: close"] if version == "HTTP/1.1" else []
    async with gate.connect() as client:
        answer = await client.ask(request(f"GET /public/x {version}", *fields) + request("GET /public/y"))
        assert answer["Connection"] == "close"
        assert await client.rest() == b""
    assert len(gate.upstream.visits) == 1


async def test_a_client_of_1_0_needs_no_host(gate: Gate) -> None:
    assert (await gate.ask(request("GET /public/x HTTP/1.0", host=""))).status == 200
    assert gate.upstream.last.fields("x-forwarded-host") == []
    assert gate.upstream.last.fields("via") == ["1.0 scopegate"]
    assert gate.upstream.last.line == b"GET /public/x HTTP/1.1"


async def test_one_connection_serves_both_sides_for_many_requests(gate: Gate) -> None:
    bearer = gate.bearer()
    async with gate.connect() as client:
        for number in range(20):
            assert (await client.ask(request(f"GET /admin/{number}", bearer))).status == 200
    assert gate.upstream.connections == 1
    assert [visit.line for visit in gate.upstream.visits] == [f"GET /admin/{n} HTTP/1.1".encode() for n in range(20)]


async def test_pipelined_requests_are_answered_in_order_whatever_becomes_of_each(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        body = visit.line.split()[1] + await visit.read_body()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    gate.upstream.play = play
    raw = [
        request("GET /public/1"),
        request("GET /nowhere"),
        request("POST /public/2", "Content-Length: 3", body=b"abc"),
        request("POST /admin/3", "Content-Length: 60", body=request("GET /public/evil").ljust(60)),
        request("POST /public/4", "Transfer-Encoding: chunked", body=b"3\r\nxyz\r\n0\r\n\r\n"),
        request("GET /public/5"),
    ]
    async with gate.connect() as client:
        await client.send(b"".join(raw))
        answers = [await client.answer() for _ in raw]
    assert [answer.status for answer in answers] == [200, 404, 200, 401, 200, 200]
    assert [answer.body for answer in answers if answer.status == 200] == [
        b"/public/1", b"/public/2abc", b"/public/4xyz", b"/public/5",
    ]  # fmt: skip


@pytest.mark.both_loops
async def test_a_request_may_come_byte_by_byte(gate: Gate) -> None:
    raw = request("POST /admin/x", gate.bearer("x.y"), "Content-Length: 2", body=b"hi")
    raw += request("POST /public/x", "Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n")
    async with gate.connect() as client:
        client.writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)
        for byte in raw:
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        assert [(await client.answer()).status for _ in range(2)] == [401, 200]
    assert gate.upstream.last.body == b"hi"


@pytest.mark.parametrize(("raw", "close"), FRAMED.values(), ids=FRAMED)
async def test_an_answer_may_come_byte_by_byte(gate: Gate, raw: bytes, close: bool) -> None:  # noqa: FBT001 - a column
    async def play(visit: Visit) -> None:
        visit.writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)
        for byte in raw:
            await visit.send(bytes([byte]))
        if close:
            visit.close()

    gate.upstream.play = play
    assert (await gate.ask(request("GET /public/x"))).body == (b"" if b"Length: 0" in raw else b"hello")


@pytest.mark.parametrize("at", range(1, 90, 8))
async def test_a_request_may_be_split_anywhere(gate: Gate, at: int) -> None:
    raw = request("POST /public/x", "Content-Length: 5", body=b"hello")
    async with gate.connect() as client:
        await client.send(raw[:at])
        if at < len(raw) - 6:
            assert (await gate.status())["connections"] == 1
        await client.send(raw[at:])
        assert (await client.answer()).status == 200
    assert gate.upstream.last.body == b"hello"


async def test_an_early_hint_is_relayed_to_a_client_that_understands_it(gate: Gate) -> None:
    gate.upstream.play = replies(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Hop: 1\r\nConnection: x-hop\r\n\r\n" + OK
    )
    async with gate.connect() as client:
        await client.send(request("GET /public/x"))
        hint = await client.next()
        assert (hint.status, hint.fields) == (103, [("Link", "</a>")])
        assert (await client.next()).body == b"ok"
        assert (await client.ask(request("GET /public/x HTTP/1.0"))).status == 200
    async with gate.connect() as client:
        await client.send(request("GET /public/x HTTP/1.0"))
        assert (await client.next()).status == 200


EXPECT = "Expect: 100-continue"


async def test_a_continue_is_relayed_and_the_body_follows(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        assert visit.fields("expect") == ["100-continue"]
        await visit.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await visit.read_body()
        await visit.send(OK)

    gate.upstream.play = play
    async with gate.connect() as client:
        for _ in range(2):
            await client.send(request("POST /public/x", EXPECT, "Content-Length: 5"))
            assert (await client.next()).status == 100
            assert (await client.ask(b"hello")).body == b"ok"
            assert gate.upstream.last.body == b"hello"


async def test_an_upstream_that_never_says_continue_does_not_hold_the_client_up(gate: Gate) -> None:
    async with gate.connect() as client:
        await client.send(request("POST /public/x", EXPECT, "Content-Length: 5"))
        assert (await client.next()).status == 100
        assert (await client.ask(b"hello")).body == b"ok"
    assert gate.upstream.last.body == b"hello"


async def test_a_client_need_not_wait_for_its_continue(gate: Gate) -> None:
    async with gate.connect() as client:
        answer = await client.ask(request("POST /public/x", EXPECT, "Content-Length: 5", body=b"hello"))
        assert answer.body == b"ok"
        assert (await client.ask(request("GET /public/y"))).body == b"ok"


async def test_a_refusal_in_place_of_a_continue_ends_the_connection(gate: Gate) -> None:
    """Whether the body follows is the client's choice, so what follows could be either (RFC 9110 §10.1.1)."""
    async with gate.connect() as client:
        answer = await client.ask(request("POST /admin/x", EXPECT, "Content-Length: 50"))
        assert (answer.status, answer["Connection"]) == (401, "close")
        await client.send(request("GET /public/evil"))
        assert await client.rest() == b""
    assert not gate.upstream.visits


async def test_a_final_answer_in_place_of_a_continue_ends_the_connection(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await visit.gone()

    gate.upstream.play = play
    async with gate.connect() as client:
        answer = await client.ask(request("POST /public/x", EXPECT, "Content-Length: 50"))
        assert (answer.status, answer["Connection"]) == (413, "close")
        await client.send(request("GET /public/evil"))
        assert await client.rest() == b""
    assert len(gate.upstream.visits) == 1
