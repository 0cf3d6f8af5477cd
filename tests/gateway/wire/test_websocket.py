"""WebSocket: judged before the handshake, then bytes both ways; and answers that come bit by bit (security.md)."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from .conftest import Start
from .gate import ROUTES, Clock, Gate
from .minting import NOW, claims
from .patience import PATIENCE
from .raw_client import Answer, RawClient, request
from .raw_upstream import OK, Visit, replies

MEGABYTE = b"x" * (1 << 20)
KERNELS_SHARE = 40
"""Megabytes that the kernel may keep for us in four socket buffers, and then some."""

KEY = base64.b64encode(b"0123456789abcdef").decode()
HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")
SMUGGLED = b"GET /admin/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def agreement(key: str = KEY, *fields: str) -> bytes:
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: WebSocket", "Connection: upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept(key)}", *fields, "", ""]).encode()


async def switch(visit: Visit, behind: bytes = b"") -> None:
    await visit.send(agreement(visit.fields("sec-websocket-key")[0]) + behind)


async def echo(visit: Visit) -> None:
    """Agree, and send back whatever comes."""
    await switch(visit)
    while data := await visit.reader.read(1 << 16):
        await visit.send(data)
    visit.close()


def routes(**terms: Any) -> list[object]:
    """The usual routes, and two that take a WebSocket."""
    usual: dict[str, Any] = {"upstream": "api", "websocket": terms or True}
    ws = usual | {"id": "ws", "path": "/ws/{x}", "scopes": ["admin"]}
    return [ws, usual | {"id": "chat", "path": "/chat", "public": True}, *ROUTES]


async def open_socket(gate: Gate, client: RawClient, *fields: str, behind: bytes = b"") -> Answer:
    """Shake hands on a raw connection."""
    await client.send(request("GET /ws/1", gate.bearer(), *HANDSHAKE, *fields, body=behind))
    return await agreed(gate, client)


async def agreed(gate: Gate, client: RawClient) -> Answer:
    answer = await client.next()
    assert (answer.status, answer.reason) == (101, "Switching Protocols")
    gate.answers.append(answer)
    return answer


async def settled(count: list[int]) -> int:
    """Wait until a number grows no more."""
    before = -1
    while before != count[0]:
        before = count[0]
        await asyncio.sleep(0.1)
    return before


@pytest.fixture
async def gate(start: Start) -> Gate:
    gate = await start(routes=routes())
    gate.upstream.play = echo
    return gate


# With aiohttp at both ends


@asynccontextmanager
async def websocket_server(
    play: Callable[[web.WebSocketResponse], Any], **options: Any
) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """An upstream of aiohttp's; its address, and what was asked of it."""
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.WebSocketResponse:
        seen.append(request)
        socket = web.WebSocketResponse(**options)
        await socket.prepare(request)
        await play(socket)
        return socket

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def repeat(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)


@pytest.mark.both_loops
async def test_messages_go_both_ways_with_subprotocol_and_extension(start: Start) -> None:
    async with websocket_server(repeat, protocols=("jobs.v2",)) as (url, seen):
        gate = await start(routes=routes(), upstream={"url": url})
        gate.reads_all = False
        field, _, value = gate.bearer().partition(": ")
        async with (
            aiohttp.ClientSession(headers={field: value, "X-Client-Id": "forged"}) as http,
            http.ws_connect(
                f"http://127.0.0.1:{gate.gateway.port}/ws/1?a=b", protocols=("jobs.v1", "jobs.v2"), compress=15
            ) as socket,
        ):
            assert (socket.protocol, socket.compress) == ("jobs.v2", 15)
            for text in ("hello", "", "x" * 100_000):
                await socket.send_str(text)
                assert await socket.receive_str() == text
            await socket.send_bytes(bytes(range(256)))
            assert await socket.receive_bytes() == bytes(range(256))
            await socket.close(code=4000)
        record = await gate.record()
    assert (record["status"], record["upstream_status"], record["decision"]) == (101, 101, "allow")
    assert (record["route"], record["client_id"], record["query_keys"]) == ("ws", "nightly-batch", ["a"])
    assert (record["reason"], record["aborted"]) == (None, False)
    assert record["bytes_in"] > 256
    assert record["bytes_out"] > 256
    (asked,) = seen
    assert asked.headers.getall("X-Client-Id") == ["nightly-batch"]
    assert asked.headers["X-Forwarded-For"] == "127.0.0.1"
    assert "Authorization" not in asked.headers


async def test_a_frame_of_16_mib_goes_through(start: Start) -> None:
    async with websocket_server(repeat, max_msg_size=0, compress=False) as (url, _):
        gate = await start(routes=routes(), upstream={"url": url})
        gate.reads_all = False
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"http://127.0.0.1:{gate.gateway.port}/chat", max_msg_size=0) as socket,
        ):
            await socket.send_bytes(MEGABYTE * 16)
            assert await socket.receive_bytes() == MEGABYTE * 16
        assert (await gate.record())["bytes_out"] > 16 << 20


# The handshake


@pytest.mark.parametrize(
    ("token", "status"),
    [(None, 401), ({"exp": NOW - 1}, 401), ({"scope": "jobs.read"}, 403)],
    ids=["no token", "expired", "another scope"],
)
async def test_a_refusal_comes_before_any_handshake(gate: Gate, token: dict[str, Any] | None, status: int) -> None:
    fields = [] if token is None else [gate.bearer(payload=claims(**token))]
    async with gate.connect() as client:
        answer = await client.ask(request("GET /ws/1", *fields, *HANDSHAKE, body=SMUGGLED))
        assert (answer.status, answer["Connection"]) == (status, "close")
        assert await client.rest() == b""
    assert not gate.upstream.visits


async def test_both_sides_get_a_handshake_of_their_own(gate: Gate) -> None:
    async with gate.connect() as client:
        answer = await open_socket(
            gate, client, "Connection: X-Secret", "X-Secret: 1", "Origin: https://a.example", "Keep-Alive: 5"
        )
        await client.send(b"\x00\xff\r\n\r\n")
        assert await client.reader.readexactly(6) == b"\x00\xff\r\n\r\n"
    visit = gate.upstream.last
    assert (visit.fields("connection"), visit.fields("upgrade")) == (["Upgrade"], ["websocket"])
    assert visit.fields("sec-websocket-key") == [KEY]
    assert visit.fields("origin") == ["https://a.example"]
    assert visit.fields("x-client-id") == ["nightly-batch"]
    assert {"x-secret", "keep-alive", "authorization"}.isdisjoint(visit.names)
    assert (answer["Connection"], answer["Upgrade"]) == ("Upgrade", "websocket")
    assert answer["Sec-WebSocket-Accept"] == accept(KEY)
    assert answer["X-Request-Id"]


async def test_what_the_upstream_sends_in_one_piece_with_its_agreement_arrives(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + agreement(KEY, "Set-Cookie: a=1") + b"\x81\x02hi")
        visit.close()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("GET /ws/1", gate.bearer(), *HANDSHAKE))
        assert (await client.next()).status == 103
        answer = await agreed(gate, client)
        assert answer["Set-Cookie"] == "a=1"
        assert await client.rest() == b"\x81\x02hi"
    assert (await gate.record())["bytes_out"] == 4


DISAGREEING: dict[str, bytes] = {
    "another key's accept": agreement("x" * 22 + "=="),
    "accept in lower case": agreement().replace(accept(KEY).encode(), accept(KEY).lower().encode()),
    "no accept": agreement().replace(b"Sec-WebSocket-Accept", b"X-Accept"),
    "two accepts": agreement(KEY, f"Sec-WebSocket-Accept: {accept(KEY)}"),
    "h2c": agreement().replace(b"WebSocket\r\n", b"h2c\r\n"),
    "two protocols": agreement().replace(b"WebSocket\r\n", b"websocket, h2c\r\n"),
    "no Upgrade": agreement().replace(b"Upgrade: WebSocket\r\n", b""),
    "no Connection": agreement().replace(b"Connection: upgrade\r\n", b""),
    "Connection: close": agreement().replace(b"upgrade\r\n", b"close\r\n"),
    "a control character": agreement(KEY, "X-A: a\x07b"),
}


@pytest.mark.parametrize("raw", DISAGREEING.values(), ids=DISAGREEING)
async def test_an_upstream_that_does_not_agree_to_the_handshake_is_a_502(gate: Gate, raw: bytes) -> None:
    gone = asyncio.get_running_loop().create_future()

    async def play(visit: Visit) -> None:
        await visit.send(raw + b"EVIL")
        gone.set_result(await visit.gone())

    gate.upstream.play = play
    async with gate.connect() as client:
        answer = await client.ask(request("GET /ws/1", gate.bearer(), *HANDSHAKE, body=SMUGGLED))
        assert (answer.status, answer["Connection"]) == (502, "close")
        assert json.loads(answer.body)["reason"] == "upstream_invalid"
        assert await client.rest() == b""
    async with asyncio.timeout(PATIENCE):
        assert await gone, "bytes reached the upstream without a tunnel"
    assert len(gate.upstream.visits) == 1


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"426 Upgrade Required"])
async def test_any_other_status_is_an_ordinary_answer_and_the_end_of_both_connections(
    gate: Gate, status: bytes
) -> None:
    gone = asyncio.get_running_loop().create_future()

    async def play(visit: Visit) -> None:
        await visit.send(
            b"HTTP/1.1 %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\nContent-Length: 2\r\n\r\nno" % (status, accept(KEY).encode())
        )
        gone.set_result(await visit.gone())

    gate.upstream.play = play
    async with gate.connect() as client:
        answer = await client.ask(request("GET /ws/1", gate.bearer(), *HANDSHAKE, body=SMUGGLED))
        assert (answer.status, answer.body, answer["Connection"]) == (int(status[:3]), b"no", "close")
        assert "Upgrade" not in answer
        assert await client.rest() == b""
    async with asyncio.timeout(PATIENCE):
        assert await gone, "bytes reached the upstream without a tunnel"
    assert len(gate.upstream.visits) == 1


NO_HANDSHAKE: dict[str, tuple[str, tuple[str, ...], bytes]] = {
    "h2c": ("GET", ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"), b""),
    "a choice": ("GET", (HANDSHAKE[0], "Upgrade: websocket, h2c", *HANDSHAKE[2:]), b""),
    "h2c and WebSocket": ("GET", (*HANDSHAKE, "Upgrade: h2c"), b""),
    "TLS": ("GET", (HANDSHAKE[0], "Upgrade: TLS/1.0", *HANDSHAKE[2:]), b""),
    "no Connection": ("GET", HANDSHAKE[1:], b""),
    "version 8": ("GET", (*HANDSHAKE[:3], "Sec-WebSocket-Version: 8"), b""),
    "no key": ("GET", (*HANDSHAKE[:2], HANDSHAKE[3]), b""),
    "two keys": ("GET", (*HANDSHAKE, HANDSHAKE[2]), b""),
    "a short key": ("GET", (*HANDSHAKE[:2], "Sec-WebSocket-Key: YQ==", HANDSHAKE[3]), b""),
    "POST": ("POST", HANDSHAKE, b""),
    "a body": ("GET", (*HANDSHAKE, "Content-Length: 2"), b"hi"),
    "HTTP/1.0": ("GET /chat HTTP/1.0", HANDSHAKE, b""),
}


@pytest.mark.parametrize(("method", "fields", "body"), NO_HANDSHAKE.values(), ids=NO_HANDSHAKE)
async def test_any_other_upgrade_is_removed(gate: Gate, method: str, fields: tuple[str, ...], body: bytes) -> None:
    gate.upstream.play = replies(OK)
    line = method if " " in method else f"{method} /chat"
    async with gate.connect() as client:
        answer = await client.ask(request(line, *fields, body=body))
        assert (answer.status, answer.body) == (200, b"ok")
    assert {"upgrade", "connection", "http2-settings"}.isdisjoint(gate.upstream.last.names)
    assert len(gate.upstream.visits) == 1


async def test_a_route_that_does_not_say_so_takes_no_websocket(gate: Gate) -> None:
    gate.upstream.play = replies(OK)
    async with gate.connect() as client:
        answer = await client.ask(request("GET /public/x", *HANDSHAKE, body=SMUGGLED))
        assert (answer.status, answer["Connection"]) == (200, "close")
        assert await client.rest() == b""
    assert {"upgrade", "connection"}.isdisjoint(gate.upstream.last.names)
    assert len(gate.upstream.visits) == 1


async def test_a_handshake_that_met_a_closed_connection_is_sent_again(gate: Gate) -> None:
    gate.upstream.play = replies(OK)
    assert (await gate.ask(request("GET /public/x"))).status == 200

    async def play(visit: Visit) -> None:
        if visit.number == 1:
            visit.close()
        else:
            await echo(visit)

    gate.upstream.play = play
    async with gate.connect() as client:
        await open_socket(gate, client, behind=b"early")
        assert await client.reader.readexactly(5) == b"early"
    assert (await gate.records(2))[1]["retries"] == 1


# Early data


@pytest.mark.parametrize("pieces", [1, 2], ids=["behind the head", "a moment later"])
@pytest.mark.parametrize("agrees", [True, False], ids=["agreed", "not agreed"])
async def test_early_data_reach_the_upstream_through_the_tunnel_or_not_at_all(
    gate: Gate,
    pieces: int,
    agrees: bool,  # noqa: FBT001 - a column
) -> None:
    go_on = asyncio.Event()
    came = asyncio.get_running_loop().create_future()

    async def play(visit: Visit) -> None:
        await go_on.wait()
        assert not visit.reader._buffer  # type: ignore[attr-defined]  # nothing has come, without waiting for it
        if agrees:
            await switch(visit)
            came.set_result(await visit.reader.readexactly(len(SMUGGLED)))
        else:
            await visit.send(OK)
            came.set_result(await visit.reader.read())

    gate.upstream.play = play
    async with gate.connect() as client:
        head = request("GET /ws/1", gate.bearer(), *HANDSHAKE)
        if pieces == 1:
            await client.send(head + SMUGGLED)
        else:
            await client.send(head)
            await gate.upstream.visited()
            await client.send(SMUGGLED)
        await gate.upstream.visited()
        await asyncio.sleep(0.05)
        go_on.set()
        if agrees:
            await agreed(gate, client)
        else:
            assert (await client.answer()).status == 200
        async with asyncio.timeout(PATIENCE):
            assert await came == (SMUGGLED if agrees else b"")
    assert len(gate.upstream.visits) == 1
    record = await gate.record()
    assert (record["path"], record["bytes_in"]) == ("/ws/1", len(SMUGGLED) if agrees else 0)


async def test_early_data_are_not_collected_without_bound(gate: Gate) -> None:
    go_on = asyncio.Event()
    sent, received = [0], 0

    async def play(visit: Visit) -> None:
        nonlocal received
        await go_on.wait()
        await switch(visit)
        while data := await visit.reader.read(1 << 20):
            received += len(data)
        visit.close()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("GET /ws/1", gate.bearer(), *HANDSHAKE))

        async def flood() -> None:
            for _ in range(48):
                await client.send(MEGABYTE)
                sent[0] += 1

        flooding = asyncio.create_task(flood())
        assert await settled(sent) < KERNELS_SHARE / 2
        go_on.set()
        await agreed(gate, client)
        await flooding
        client.writer.write_eof()
        assert await client.rest() == b""
    assert received == 48 << 20
    assert (await gate.record())["bytes_in"] == 48 << 20


# Who holds whom back


async def test_a_slow_client_holds_the_upstream_back_and_gets_it_all(gate: Gate) -> None:
    sent = [0]

    async def play(visit: Visit) -> None:
        await switch(visit)
        for _ in range(64):
            await visit.send(MEGABYTE)
            sent[0] += 1
        visit.close()

    gate.upstream.play = play
    async with gate.connect(limit=1 << 16) as client:
        await open_socket(gate, client)
        assert await settled(sent) < KERNELS_SHARE
        assert len(await client.reader.readexactly(64 << 20)) == 64 << 20
        assert await client.rest() == b""
    record = await gate.record()
    assert (record["bytes_out"], record["aborted"]) == (64 << 20, False)


async def test_a_slow_upstream_holds_the_client_back_and_gets_it_all(gate: Gate) -> None:
    sent = [0]
    go_on = asyncio.Event()

    async def play(visit: Visit) -> None:
        await switch(visit)
        await go_on.wait()
        while len(await visit.reader.read(1 << 20)):
            pass
        visit.close()

    gate.upstream.play = play
    async with gate.connect() as client:
        await open_socket(gate, client)

        async def upload() -> None:
            for _ in range(64):
                await client.send(MEGABYTE)
                sent[0] += 1

        uploading = asyncio.create_task(upload())
        assert await settled(sent) < KERNELS_SHARE
        go_on.set()
        await uploading
        client.writer.write_eof()
        assert await client.rest() == b""
    record = await gate.record()
    assert (record["bytes_in"], record["aborted"]) == (64 << 20, False)


# The end


@pytest.mark.both_loops
async def test_silence_ends_both_sides(start: Start) -> None:
    gate = await start(routes=routes(idle_timeout="200ms"))
    gone = asyncio.get_running_loop().create_future()

    async def play(visit: Visit) -> None:
        await switch(visit)
        gone.set_result(await visit.gone())

    gate.upstream.play = play
    async with gate.connect() as client:
        await open_socket(gate, client)
        assert await client.rest() == b""
        async with asyncio.timeout(PATIENCE):
            assert await gone
    record = await gate.record()
    assert (record["status"], record["aborted"], record["reason"]) == (101, False, None)
    assert record["ms_total"] >= 200


async def test_what_moves_is_not_idle(start: Start) -> None:
    gate = await start(routes=routes(idle_timeout="800ms"))
    gate.upstream.play = echo
    async with gate.connect() as client:
        await open_socket(gate, client)
        for _ in range(12):
            await asyncio.sleep(0.1)
            await client.send(b"ping")
            assert await client.reader.readexactly(4) == b"ping"


@pytest.mark.parametrize("leeway", [0, 1])
async def test_it_ends_when_the_token_expires_whatever_moves(start: Start, leeway: int) -> None:
    """As soon as a request with this token would be refused: the clock is so far that 0.3 s are left."""
    gate = await start(routes=routes(), clock=Clock(NOW + 599.7 + leeway), issuer={"leeway": f"{leeway}s"})
    gate.upstream.play = echo
    async with gate.connect() as client:
        await open_socket(gate, client)
        began = asyncio.get_running_loop().time()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):  # noqa: PT012 - until it ends
            while asyncio.get_running_loop().time() < began + PATIENCE:
                await client.send(b"ping")
                await client.reader.readexactly(4)
                await asyncio.sleep(0.01)
    assert await gate.upstream.last.gone()
    record = await gate.record()
    assert (record["status"], record["token_exp"]) == (101, NOW + 600)
    assert record["ms_total"] >= 290


async def test_it_outlives_its_token_where_the_route_says_so_and_the_time_of_an_exchange(start: Start) -> None:
    total = {"total_timeout": "200ms"}
    gate = await start(routes=routes(end_at_expiry=False), clock=Clock(NOW + 599.9), upstream=total)
    gate.upstream.play = echo
    async with gate.connect() as client:
        await open_socket(gate, client)
        await asyncio.sleep(0.4)
        await client.send(b"ping")
        assert await client.reader.readexactly(4) == b"ping"


@pytest.mark.both_loops
@pytest.mark.parametrize("broken", [False, True], ids=["closed", "reset"])
async def test_an_upstream_that_goes_takes_the_client_along(gate: Gate, broken: bool) -> None:  # noqa: FBT001 - a column
    async def play(visit: Visit) -> None:
        await switch(visit)
        await visit.reader.readexactly(4)
        if broken:
            visit.writer.transport.abort()  # with bytes unread, which makes it a reset
        else:
            visit.close()

    gate.upstream.play = play
    async with gate.connect() as client:
        await open_socket(gate, client)
        await client.send(b"ping" + MEGABYTE[: 1 << 18] * broken)
        assert await client.rest() == b""
    record = await gate.record()
    assert (record["status"], record["aborted"]) == (101, broken)


@pytest.mark.both_loops
async def test_a_client_that_goes_takes_the_upstream_along(gate: Gate) -> None:
    gone = asyncio.get_running_loop().create_future()

    async def play(visit: Visit) -> None:
        await switch(visit)
        gone.set_result(await visit.gone())

    gate.upstream.play = play
    async with gate.connect() as client:
        await open_socket(gate, client)
    async with asyncio.timeout(PATIENCE):
        assert await gone
    await gate.record()
    await gate.until(lambda status: status["upstreams"][0]["open"] == 0 and status["connections"] == 0)


async def test_a_client_that_leaves_before_the_agreement_is_a_499(gate: Gate) -> None:
    gone = asyncio.get_running_loop().create_future()

    async def play(visit: Visit) -> None:
        gone.set_result(await visit.gone())

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("GET /ws/1", gate.bearer(), *HANDSHAKE))
        await gate.upstream.visited()
    async with asyncio.timeout(PATIENCE):
        assert await gone
    assert (await gate.record())["status"] == 499


@pytest.mark.both_loops
async def test_a_client_that_has_sent_all_still_receives(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        await switch(visit)
        sent = await visit.reader.read()
        await visit.send(sent[::-1])
        visit.close()

    gate.upstream.play = play
    async with gate.connect() as client:
        await open_socket(gate, client)
        await client.send(b"hello")
        client.writer.write_eof()
        assert await client.rest() == b"olleh"
    assert (await gate.record())["aborted"] is False


async def test_a_side_that_neither_reads_nor_leaves_is_cut_off(start: Start) -> None:
    gate = await start(routes=routes(idle_timeout="200ms"))

    async def play(visit: Visit) -> None:
        await switch(visit, MEGABYTE * 24)

    gate.upstream.play = play
    async with gate.connect(limit=1 << 16) as client:
        await open_socket(gate, client)
        record = await gate.record()
    assert (record["status"], record["aborted"]) == (101, True)


@pytest.mark.both_loops
async def test_a_drain_waits_for_a_websocket_and_cuts_it_off_in_the_end(start: Start) -> None:
    gate = await start(routes=routes(), drain_timeout="300ms")
    gate.upstream.play = echo
    gate.stopped = True
    async with gate.connect() as client:
        await open_socket(gate, client)
        draining = asyncio.create_task(gate.gateway.drain())
        await asyncio.sleep(0.05)
        await client.send(b"ping")
        assert await client.reader.readexactly(4) == b"ping"
        assert await client.rest() == b""
        await draining
    record = await gate.record()
    assert (record["status"], record["aborted"], record["bytes_out"]) == (101, True, 4)


async def test_a_drain_ends_with_the_last_websocket(start: Start) -> None:
    gate = await start(routes=routes(), drain_timeout="1h")
    gate.upstream.play = echo
    gate.stopped = True
    async with gate.connect() as client:
        await open_socket(gate, client)
        draining = asyncio.create_task(gate.gateway.drain())
        await asyncio.sleep(0.05)
        client.writer.write_eof()
        assert await client.rest() == b""
    async with asyncio.timeout(PATIENCE):
        await draining
    assert (await gate.record())["aborted"] is False


async def test_a_tunnel_takes_one_of_the_upstreams_connections_until_it_ends(start: Start) -> None:
    gate = await start(routes=routes(), upstream={"max_connections": 1, "connect_timeout": "200ms"})
    gate.upstream.play = echo
    async with gate.connect() as client:
        await open_socket(gate, client)
        assert (await gate.ask(request("GET /public/x"))).status == 503
        client.writer.write_eof()
        assert await client.rest() == b""
    gate.upstream.play = replies(OK)
    assert (await gate.ask(request("GET /public/x"))).status == 200
    assert gate.upstream.connections == 2


async def test_a_handshake_can_be_the_trial_that_brings_an_upstream_back(start: Start) -> None:
    gate = await start(routes=routes(), upstream={"ejection": {"failures": 1, "for": "100ms"}})
    gate.upstream.play = replies(b"", close=True)
    assert (await gate.ask(request("GET /public/x"))).status == 502
    gate.upstream.play = echo
    await asyncio.sleep(0.15)
    async with gate.connect() as client:
        await open_socket(gate, client)
        gate.upstream.play = replies(OK)
        for _ in range(3):
            assert (await gate.ask(request("GET /public/x"))).status == 200


# Answers that come bit by bit


async def test_each_server_sent_event_arrives_before_the_next_is_sent(gate: Gate) -> None:
    taken = asyncio.Semaphore(0)

    async def play(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await taken.acquire()
        for number in range(3):
            await visit.send(b"9\r\ndata: %d\n\n\r\n" % number)
            await taken.acquire()
        await visit.send(b"0\r\n\r\n")

    gate.upstream.play = play
    gate.reads_all = False
    async with gate.connect() as client, asyncio.timeout(PATIENCE):
        await client.send(request("GET /public/x", "Accept: text/event-stream"))
        assert b"text/event-stream" in await client.reader.readuntil(b"\r\n\r\n")
        taken.release()
        for number in range(3):
            assert await client.reader.readuntil(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
            taken.release()
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
    assert (await gate.record())["bytes_out"] == 27


async def test_a_long_poll_outlasts_every_timeout_but_that_of_the_first_byte(start: Start) -> None:
    short = dict.fromkeys(("head_timeout", "body_idle_timeout", "keep_alive_timeout"), "100ms")
    gate = await start(limits=short, upstream={"idle_timeout": "100ms", "first_byte_timeout": "5s"})

    async def play(visit: Visit) -> None:
        await asyncio.sleep(0.5)
        await visit.send(OK)

    gate.upstream.play = play
    assert (await gate.ask(request("GET /public/x"))).body == b"ok"
