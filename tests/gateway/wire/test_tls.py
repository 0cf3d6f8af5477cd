"""TLS towards clients: versions, application protocol, certificates of both sides, a change of the gateway's own."""

import asyncio
import hashlib
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.downstream.certificate import ServerTls
from gateway.tls import ServerFiles

from .authorities import Authority, TlsClient
from .conftest import Start
from .gate import Gate
from .patience import PATIENCE, eventually
from .raw_client import RawClient, request
from .raw_upstream import RawUpstream, Visit, replies


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def secure(start: Start, authority: Authority) -> Gate:
    return await start(tls=authority.issue("server"))


def client(gate: Gate, tls: ssl.SSLContext) -> TlsClient:
    return TlsClient(gate.gateway.port, gate.answers, tls=tls)


def newer(path: Path) -> None:
    """Let a file look changed, however coarse the clock of files is."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000_000))


def replace(authority: Authority, name: str = "server") -> None:
    for file in authority.issue(name).values():
        newer(authority.folder / file)


@pytest.mark.both_loops
async def test_requests_are_answered_over_tls(secure: Gate, authority: Authority) -> None:
    async with client(secure, authority.trusting()) as one:
        for _ in range(3):
            assert (await one.ask(request())).body == b"ok"
        answer = await one.ask(request("POST /public/x", "Content-Length: 200000", body=b"x" * 200_000))
    assert answer.status == 200
    assert len(secure.upstream.last.body) == 200_000


@pytest.mark.both_loops
async def test_a_long_answer_reaches_a_slow_client_whole_although_the_connection_ends(
    secure: Gate, authority: Authority
) -> None:
    secure.upstream.play = replies(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
    async with client(secure, authority.trusting()) as one:
        await one.send(request("GET /public/x", "Connection: close"))
        await secure.upstream.visited()
        await asyncio.sleep(0.05)
        answer = await one.answer()
        assert (len(answer.body), answer.whole, answer["Connection"]) == (3_000_000, True, "close")
        assert await one.rest() == b""


@pytest.mark.both_loops
async def test_an_answer_that_breaks_off_is_seen_to_be_incomplete(secure: Gate, authority: Authority) -> None:
    seen = asyncio.Event()

    async def break_off(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await seen.wait()
        visit.close()

    secure.upstream.play = break_off
    async with client(secure, authority.trusting()) as one:
        await one.send(request())
        await one.reader.readuntil(b"abc\r\n")
        seen.set()
        assert await one.rest() == b""
    assert (await secure.record())["aborted"]


async def test_the_upstream_learns_that_the_client_spoke_tls(secure: Gate, authority: Authority) -> None:
    async with client(secure, authority.trusting()) as one:
        await one.ask(request())
    assert secure.upstream.last.fields("X-Forwarded-Proto") == ["https"]
    assert secure.upstream.last.fields("Forwarded")[0].endswith(";proto=https")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_spoken(secure: Gate, authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.trusting()
    context.minimum_version = context.maximum_version = version
    async with client(secure, context) as one:
        assert one.session.version() == version.name.replace("_", ".")
        assert (await one.ask(request())).status == 200


async def test_an_older_version_is_not_spoken(secure: Gate, authority: Authority) -> None:
    context = authority.trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):  # noqa: PT011 - which alert it is depends on OpenSSL
        await client(secure, context).__aenter__()
    assert (await secure.until(lambda status: status["tls"]["handshake_failures"]))["tls"]["handshake_failures"] == 1


async def test_http_1_1_is_agreed_on_where_the_client_offers_more(secure: Gate, authority: Authority) -> None:
    context = authority.trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with client(secure, context) as one:
        assert one.session.selected_alpn_protocol() == "http/1.1"


# Clients' certificates


async def mutual(start: Start, authority: Authority, asked: str) -> Gate:
    clients = Authority(authority.folder, "clients")
    return await start(tls={**authority.issue("server"), "client_ca": clients.file.name, "client_certificate": asked})


def connections(gate: Gate) -> set[Any]:
    return set(gate.gateway._listener._open)


async def turned_away(one: TlsClient) -> bool:
    """Whether there is no answer; in TLS 1.3 the client learns of its failure after its own handshake."""
    try:
        async with one:
            await one.send(request())
            return await one.reader.read() == b""
    except OSError:
        return True


@pytest.mark.parametrize("asked", ["required", "optional"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_s_certificate_is_verified_and_kept_with_its_connection(
    start: Start, authority: Authority, asked: str, version: ssl.TLSVersion
) -> None:
    clients = Authority(authority.folder, "clients")
    gate = await start(tls={**authority.issue("server"), "client_ca": clients.file.name, "client_certificate": asked})
    context = authority.trusting(clients.issue("client", "machine.example"))
    context.minimum_version = context.maximum_version = version
    async with client(gate, context) as one:
        assert (await one.ask(request())).status == 200
        (connection,) = connections(gate)
        shown = ssl.PEM_cert_to_DER_cert((authority.folder / "client.crt").read_text())
        assert connection.client_certificate == hashlib.sha256(shown).digest()
    assert not [name for name in gate.upstream.last.names if "cert" in name]


async def test_a_client_without_a_required_certificate_is_not_served(start: Start, authority: Authority) -> None:
    gate = await mutual(start, authority, "required")
    assert await turned_away(client(gate, authority.trusting()))
    status = await gate.until(lambda status: status["tls"]["handshake_failures"])
    assert status["tls"]["last_failure"] == "127.0.0.1: TLS: peer did not return a certificate"
    assert not gate.upstream.visits


async def test_a_client_without_an_optional_certificate_is_served(start: Start, authority: Authority) -> None:
    gate = await mutual(start, authority, "optional")
    async with client(gate, authority.trusting()) as one:
        assert (await one.ask(request())).status == 200
        (connection,) = connections(gate)
        assert connection.client_certificate is None


@pytest.mark.parametrize("asked", ["required", "optional"])
async def test_a_certificate_of_strangers_is_refused(start: Start, authority: Authority, asked: str) -> None:
    gate = await mutual(start, authority, asked)
    stranger = Authority(authority.folder, "strangers").issue("stranger", "machine.example")
    assert await turned_away(client(gate, authority.trusting(stranger)))
    await gate.until(lambda status: status["tls"]["handshake_failures"] == 1)
    assert not gate.upstream.visits


# A new certificate


@pytest.mark.both_loops
async def test_new_connections_get_a_new_certificate_and_open_ones_stay(secure: Gate, authority: Authority) -> None:
    tls = authority.trusting()
    async with client(secure, tls) as before:
        await before.ask(request())
        replace(authority)
        await secure.gateway.refresh_certificate()
        async with client(secure, tls) as after:
            assert after.certificate != before.certificate
            assert (await after.ask(request())).status == 200
        assert (await before.ask(request())).status == 200


async def test_a_session_of_the_old_certificate_is_not_resumed(secure: Gate, authority: Authority) -> None:
    """Else a client whose authority was removed could come back."""
    tls = authority.trusting()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    loop = asyncio.get_running_loop()

    def resumed(session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
        with (
            socket.create_connection(("127.0.0.1", secure.gateway.port)) as plain,
            tls.wrap_socket(plain, server_hostname="gate.example", session=session) as one,
        ):
            kept = one.session
            assert kept is not None
            return bool(one.session_reused), kept

    _, session = await loop.run_in_executor(None, resumed, None)
    assert (await loop.run_in_executor(None, resumed, session))[0]
    replace(authority)
    await secure.gateway.refresh_certificate()
    assert not (await loop.run_in_executor(None, resumed, session))[0]


async def test_a_broken_certificate_leaves_the_old_one_and_is_said_once(
    secure: Gate, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    broken = authority.folder / "server.crt"
    broken.write_text("no certificate")
    for _ in range(3):
        await secure.gateway.refresh_certificate()
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == [f"tls.certificate: {broken} holds no certificate in PEM form: the certificate in force stays"]
    assert (await secure.status())["tls"]["error"] == f"tls.certificate: {broken} holds no certificate in PEM form"
    async with client(secure, authority.trusting()) as one:
        assert (await one.ask(request())).status == 200
    replace(authority)
    await secure.gateway.refresh_certificate()
    assert (await secure.status())["tls"]["error"] is None


async def test_a_key_that_comes_after_its_certificate_is_waited_for(secure: Gate, authority: Authority) -> None:
    key = authority.folder / "server.key"
    old = key.read_bytes()
    replace(authority)
    new = key.read_bytes()
    key.write_bytes(old)
    await secure.gateway.refresh_certificate()
    assert "does not belong to the certificate" in (await secure.status())["tls"]["error"]
    key.write_bytes(new)
    newer(key)
    await secure.gateway.refresh_certificate()
    assert (await secure.status())["tls"]["error"] is None


async def test_changed_files_are_found_without_being_told(authority: Authority) -> None:
    pair = authority.issue("server")
    files = ServerFiles(authority.folder / pair["certificate"], authority.folder / pair["key"])
    tls = ServerTls(files, lambda: 1.0)
    before = tls.context
    watching = asyncio.create_task(tls.watch(0.005))
    try:
        replace(authority)
        await eventually(lambda: tls.context is not before)
    finally:
        watching.cancel()


# What is no TLS


async def test_plain_http_is_not_answered_on_a_port_with_tls(
    secure: Gate, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with RawClient(secure.gateway.port) as one:
        await one.send(request())
        assert not (await one.rest()).startswith(b"HTTP/1.1 200")
    async with client(secure, authority.trusting()) as another:
        assert (await another.ask(request())).status == 200
    assert not caplog.records


async def test_tls_is_answered_400_on_a_plain_port(
    gate: Gate, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - what OpenSSL thinks of an HTTP answer
        await client(gate, authority.trusting()).__aenter__()
    assert (await gate.record())["status"] == 400
    gate.reads_all = False
    assert not caplog.records


@pytest.mark.both_loops
async def test_a_handshake_that_stalls_is_ended(start: Start, authority: Authority) -> None:
    gate = await start(tls=authority.issue("server"), limits={"head_timeout": "100ms"})
    async with RawClient(gate.gateway.port) as one:
        assert await one.rest() == b""
    await gate.until(lambda status: status["tls"]["handshake_failures"] == 1 and not status["connections"])


async def test_a_handshake_counts_as_a_connection(start: Start, authority: Authority) -> None:
    gate = await start(tls=authority.issue("server"), limits={"connections": 1})
    async with RawClient(gate.gateway.port) as stalling:
        await gate.until(lambda status: status["connections"] == 1)
        async with RawClient(gate.gateway.port) as one:
            assert await one.rest() == b""
        await stalling.send(b"\x16\x03\x01")
        stalling.writer.close()
    await gate.until(lambda status: status["connections"] == 0)
    async with client(gate, authority.trusting()) as one:
        assert (await one.ask(request())).status == 200


@pytest.mark.both_loops
async def test_a_drain_ends_handshakes_and_lets_requests_finish(
    secure: Gate, authority: Authority, upstream: RawUpstream
) -> None:
    go = asyncio.Event()

    async def play(visit: Any) -> None:
        await go.wait()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream.play = play
    async with RawClient(secure.gateway.port) as stalling, client(secure, authority.trusting()) as one:
        await one.send(request())
        await upstream.visited()
        await eventually(lambda: secure.gateway._listener.connections == 2)
        secure.stopped = True
        draining = asyncio.create_task(secure.gateway.drain())
        assert await stalling.rest() == b""
        go.set()
        answer = await one.answer()
        assert (answer.status, answer["Connection"]) == (200, "close")
        async with asyncio.timeout(PATIENCE):
            await draining
