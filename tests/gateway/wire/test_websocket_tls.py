"""WebSocket over TLS on both sides, where nobody can close one direction only."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from .authorities import Authority, TlsClient, TlsUpstream
from .conftest import Start
from .gate import Gate
from .patience import PATIENCE
from .raw_client import request
from .raw_upstream import Visit
from .test_websocket import HANDSHAKE, KERNELS_SHARE, MEGABYTE, agreed, echo, routes, settled, switch


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def upstream(authority: Authority) -> AsyncIterator[TlsUpstream]:
    async with TlsUpstream(tls=authority.serving(authority.issue("upstream")), play=echo) as upstream:
        yield upstream


@pytest.fixture
async def secure(start: Start, authority: Authority, upstream: TlsUpstream) -> Gate:
    url, tls = f"https://127.0.0.1:{upstream.port}", {"ca": authority.file.name}
    return await start(
        tls=authority.issue("server"),
        upstream={"url": url, "tls": tls},
        routes=routes(idle_timeout="400ms"),
        drain_timeout="200ms",
    )


def client(gate: Gate, authority: Authority) -> TlsClient:
    return TlsClient(gate.gateway.port, gate.answers, 1 << 16, tls=authority.trusting())


async def open_socket(gate: Gate, client: TlsClient, behind: bytes = b"") -> None:
    await client.send(request("GET /ws/1", gate.bearer(), *HANDSHAKE, body=behind))
    await agreed(gate, client)


@pytest.mark.both_loops
async def test_bytes_go_both_ways(secure: Gate, authority: Authority) -> None:
    async with client(secure, authority) as one:
        await open_socket(secure, one, b"early")
        await one.send(MEGABYTE)
        assert await one.reader.readexactly(5 + len(MEGABYTE)) == b"early" + MEGABYTE
    record = await secure.record()
    assert (record["status"], record["bytes_in"]) == (101, 5 + len(MEGABYTE))


async def test_an_upstream_that_closes_has_said_all(secure: Gate, authority: Authority) -> None:
    async def play(visit: Visit) -> None:
        await switch(visit, b"bye")
        visit.close()

    secure.upstream.play = play
    async with client(secure, authority) as one:
        await open_socket(secure, one)
        assert await one.rest() == b"bye"
    assert (await secure.record())["aborted"] is False


@pytest.mark.both_loops
async def test_silence_ends_both_sides(secure: Gate, authority: Authority) -> None:
    gone = asyncio.get_running_loop().create_future()

    async def play(visit: Visit) -> None:
        await switch(visit)
        gone.set_result(await visit.gone())

    secure.upstream.play = play
    async with client(secure, authority) as one:
        await open_socket(secure, one)
        assert await one.rest() == b""
        async with asyncio.timeout(PATIENCE):
            assert await gone
    assert (await secure.record())["aborted"] is False


async def test_a_slow_client_holds_the_upstream_back(secure: Gate, authority: Authority) -> None:
    sent = [0]

    async def play(visit: Visit) -> None:
        await switch(visit)
        for _ in range(64):
            await visit.send(MEGABYTE)
            sent[0] += 1

    secure.upstream.play = play
    async with client(secure, authority) as one:
        await open_socket(secure, one)
        assert await settled(sent) < KERNELS_SHARE
        record = await secure.record()
    assert (record["status"], record["aborted"]) == (101, True)


@pytest.mark.both_loops
async def test_a_client_that_does_not_agree_to_the_end_has_lost_nothing(secure: Gate, authority: Authority) -> None:
    async with client(secure, authority) as one:
        await open_socket(secure, one)
        cast("asyncio.Transport", one.writer.transport).pause_reading()
        assert (await secure.record())["aborted"] is False


async def test_a_drain_cuts_it_off_in_the_end(secure: Gate, authority: Authority) -> None:
    secure.stopped = True
    async with client(secure, authority) as one:
        await open_socket(secure, one)
        await secure.gateway.drain()
        assert await one.rest() == b""
    assert (await secure.record())["aborted"] is True
