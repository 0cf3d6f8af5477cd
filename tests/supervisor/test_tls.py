"""Workers that speak TLS: all of them, through a reload, and with a certificate that cannot be used."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from .fleet import Fleet, ask, ready, running, write

TLS = {"certificate": "server.crt", "key": "server.key"}


class Authority:
    """A certificate authority that issues the workers' certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.trusting = ssl.create_default_context()
        self._ca.configure_trust(self.trusting)

    def issue(self) -> bytes:
        """Write a certificate; returns its bytes (DER)."""
        leaf = self._ca.issue_cert("gate.example")
        leaf.private_key_pem.write_to_path(self._folder / "server.key")
        leaf.cert_chain_pems[0].write_to_path(self._folder / "server.crt")
        return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def fleet(file: Path, api_port: int, authority: Authority) -> AsyncIterator[Fleet]:
    authority.issue()
    write(file, api_port, tls=TLS)
    async with running(file) as fleet:
        yield fleet


@asynccontextmanager
async def connected(
    fleet: Fleet, authority: Authority
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", fleet.port, ssl=authority.trusting, server_hostname="gate.example"
    )
    try:
        yield reader, writer
    finally:
        writer.close()


def shown(writer: asyncio.StreamWriter) -> bytes:
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return certificate


async def test_every_worker_speaks_tls_and_figures_are_shown_together(fleet: Fleet, authority: Authority) -> None:
    for _ in range(12):
        async with connected(fleet, authority) as (reader, writer):
            assert await ask(reader, writer)
    for _ in range(4):
        _, plain = await asyncio.open_connection("127.0.0.1", fleet.port)
        plain.write(b"GET / HTTP/1.1\r\n\r\n")
        plain.close()
    status = await fleet.until(lambda status: status["tls"]["handshake_failures"] == 4)
    assert status["tls"]["error"] is None


async def test_a_reload_takes_a_certificate_that_can_be_used_and_open_connections_get_their_answers(
    fleet: Fleet, authority: Authority, file: Path
) -> None:
    async with connected(fleet, authority) as (reader, writer):
        (file.parent / "server.key").write_text("no key")
        fleet.signal(signal.SIGHUP)
        await fleet.said("server.key holds no private key in PEM form")
        await fleet.said("the one in force stays")
        assert ready(await fleet.status(), generation=1)
        assert await ask(reader, writer)
        fresh = authority.issue()
        fleet.signal(signal.SIGHUP)
        await fleet.said("generation 1 stays")
        assert shown(writer) != fresh
        assert await ask(reader, writer)
    async with connected(fleet, authority) as (reader, writer):
        assert shown(writer) == fresh
        assert await ask(reader, writer)


async def test_one_worker_makes_way_for_one_with_the_new_certificate(
    file: Path, api_port: int, authority: Authority
) -> None:
    authority.issue()
    write(file, api_port, tls=TLS)
    async with running(file, workers=1) as fleet, connected(fleet, authority) as (reader, writer):
        fresh = authority.issue()
        fleet.signal(signal.SIGUSR2)
        await fleet.said("generation 2 is in force")
        async with connected(fleet, authority) as (_, newer):
            assert shown(newer) == fresh
        assert not await ask(reader, writer)
