"""The state file, and the server's life around it."""

import asyncio
import socket
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest

from gateway.config import HostPort
from gateway.issuer.errors import StateError
from gateway.issuer.keys import create_key, read_key, thumbprint
from gateway.issuer.rotation import Rotation
from gateway.issuer.running import RunningIssuer
from gateway.issuer.state import IssuerState

from .issuer_case import Clock, settings


def kids(path: Path) -> set[str]:
    state = IssuerState.open(str(path), Clock())
    try:
        return {each.key.kid for each in Rotation(state, settings().key_plan, Clock()).step()}
    finally:
        state.close()


def test_a_key_is_made_once_and_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep?x=1" / "v%61r#" / "issuer.db"
    first = kids(path)
    assert len(first) == 1
    assert kids(path) == first
    assert [found.name for found in path.parent.iterdir()] == ["issuer.db"]


def test_the_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "var" / "issuer.db"
    kids(path)
    path.chmod(0o644)
    kids(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_starting_at_once_makes_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(kids, [tmp_path / "issuer.db"] * 4))
    assert len(found[0]) == 1
    assert all(each == found[0] for each in found)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "issuer.db"
    path.write_text("this is no database, and long enough to be sure of it " * 20)
    with pytest.raises(StateError, match=r"issuer\.db: cannot be used as the state: .*not a database"):
        IssuerState.open(str(path), Clock())


def test_a_folder_in_the_place_of_the_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be used as the state: Is a directory"):
        IssuerState.open(str(tmp_path), Clock())


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "issuer.db"
    kids(path)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(StateError, match="version 99"):
        IssuerState.open(str(path), Clock())


def test_a_key_id_is_the_thumbprint_of_rfc_7638() -> None:
    example = {
        "kty": "RSA",
        "n": (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
            "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
            "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
            "kEgU8awapJzKnqDKgw"
        ),
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert thumbprint(example) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_key_of_another_algorithm_is_refused() -> None:
    pem = create_key("ES256").private_pem()
    with pytest.raises(ValueError, match="does not fit its algorithm"):
        read_key("RS256", pem)


async def test_a_running_issuer_tells_its_port_and_frees_it_on_close(tmp_path: Path) -> None:
    path = tmp_path / "issuer.db"
    async with RunningIssuer(settings(), state=path) as running, aiohttp.ClientSession() as http:
        async with http.get(f"http://{running.address}/healthz") as answer:
            assert await answer.json() == {"status": "ok"}
        address = running.address
    with pytest.raises(RuntimeError):
        _ = running.address
    with socket.create_server(address):
        await running.close()


async def test_malformed_http_is_answered_and_its_bytes_are_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with RunningIssuer(settings(), state=tmp_path / "issuer.db") as running:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write(b"GET / HTTP/1.1\r\nAuthorization hunter2\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert "hunter2" not in caplog.text


async def test_a_port_in_use_is_the_callers_to_explain_and_leaves_nothing_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = settings().model_copy(update={"listen": HostPort("127.0.0.1", taken.getsockname()[1])})
        running = RunningIssuer(busy, state=tmp_path / "issuer.db")
        with pytest.raises(OSError, match="address already in use") as raised:
            await running.start()
    assert not isinstance(raised.value, StateError)
    assert running._state is None
