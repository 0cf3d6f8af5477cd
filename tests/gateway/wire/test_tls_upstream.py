"""TLS towards upstreams: whom to trust, which name to ask for, which certificate to show."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.starting import BadFileError

from .authorities import Authority, TlsUpstream
from .conftest import Start
from .raw_client import request


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def api(authority: Authority, *hosts: str) -> AsyncIterator[TlsUpstream]:
    async with TlsUpstream(tls=authority.serving(authority.issue("api", *hosts))) as upstream:
        yield upstream


def section(upstream: TlsUpstream, host: str = "localhost", **tls: str) -> dict[str, object]:
    return {"url": f"https://{host}:{upstream.port}", "tls": tls}


@pytest.mark.both_loops
async def test_the_upstream_is_asked_for_by_its_host(start: Start, authority: Authority) -> None:
    async with api(authority, "localhost") as upstream:
        gate = await start(upstream=section(upstream, ca="ca.pem"))
        for _ in range(2):
            assert (await gate.ask(request())).body == b"ok"
        assert upstream.names == ["localhost"]
        assert upstream.last.fields("Host") == [f"localhost:{upstream.port}"]
        assert upstream.certificates == [None]


async def test_the_upstream_is_asked_for_by_the_name_that_is_configured(start: Start, authority: Authority) -> None:
    async with api(authority, "api.example") as upstream:
        gate = await start(upstream=section(upstream, "127.0.0.1", ca="ca.pem", server_name="api.example"))
        assert (await gate.ask(request())).status == 200
        assert upstream.names == ["api.example"]
        assert upstream.last.fields("Host") == [f"127.0.0.1:{upstream.port}"]


async def test_the_upstream_sees_the_gateway_s_certificate(start: Start, authority: Authority) -> None:
    async with api(authority, "localhost") as upstream:
        upstream.tls.load_verify_locations(authority.file)
        upstream.tls.verify_mode = ssl.CERT_REQUIRED
        pair = authority.issue("gateway", "gate.example")
        gate = await start(upstream=section(upstream, ca="ca.pem", **pair))
        assert (await gate.ask(request())).status == 200
        expected = ssl.PEM_cert_to_DER_cert((authority.folder / "gateway.crt").read_text())
        assert upstream.certificates == [expected]


@pytest.mark.parametrize(
    ("tls", "detail"),
    [
        ({}, "its certificate is not accepted: unable to get local issuer certificate"),
        ({"ca": "strangers.pem"}, "its certificate is not accepted: unable to get local issuer certificate"),
        (
            {"ca": "ca.pem", "server_name": "other.example"},
            "its certificate is not accepted: Hostname mismatch, certificate is not valid for 'other.example'.",
        ),
    ],
    ids=["the system's authorities", "another authority", "another name"],
)
async def test_an_upstream_that_cannot_be_verified_is_unreachable(
    start: Start, authority: Authority, tls: dict[str, str], detail: str
) -> None:
    Authority(authority.folder, "strangers")
    async with api(authority, "localhost") as upstream:
        gate = await start(upstream=section(upstream, **tls))
        answer = await gate.ask(request())
        assert (answer.status, (await gate.record())["reason"]) == (502, "upstream_unreachable")
        assert not upstream.visits
        (api_status,) = (await gate.status())["upstreams"]
        assert [target["last_error"] for target in api_status["targets"]] == [
            f"no connection to localhost:{upstream.port}: {detail}"
        ]


async def test_an_upstream_that_misses_the_gateway_s_certificate_is_unreachable(
    start: Start, authority: Authority
) -> None:
    async with api(authority, "localhost") as upstream:
        upstream.tls.load_verify_locations(authority.file)
        upstream.tls.verify_mode = ssl.CERT_REQUIRED
        gate = await start(upstream=section(upstream, ca="ca.pem"))
        answer = await gate.ask(request())
        assert (answer.status, (await gate.record())["reason"]) == (502, "upstream_unreachable")


async def test_plain_http_behind_https_is_unreachable(start: Start, authority: Authority) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gate = await start(upstream={"url": f"https://localhost:{port}", "tls": {"ca": authority.file.name}})
    assert (await gate.ask(request())).status == 502
    server.close()


@pytest.mark.both_loops
async def test_a_handshake_is_part_of_the_time_to_connect(start: Start, authority: Authority) -> None:
    async def stall(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    gate = await start(upstream={"url": url, "tls": {"ca": "ca.pem"}, "connect_timeout": "100ms"})
    answer = await gate.ask(request())
    assert (answer.status, (await gate.record())["reason"]) == (504, "upstream_timeout")
    gone.set()
    server.close()


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({"ca": "nowhere.pem"}, "upstreams.api.tls.ca: {}/nowhere.pem cannot be read: No such file or directory"),
        (
            {"certificate": "ca.pem", "key": "gateway.key"},
            "upstreams.api.tls.key: {0}/gateway.key does not belong to the certificate in {0}/ca.pem",
        ),
    ],
)
async def test_the_gateway_does_not_start_with_a_bad_file(
    start: Start, authority: Authority, tls: dict[str, str], message: str
) -> None:
    authority.issue("gateway")
    with pytest.raises(BadFileError) as caught:
        await start(upstream={"url": "https://localhost:1", "tls": tls})
    assert str(caught.value) == message.format(authority.folder)
