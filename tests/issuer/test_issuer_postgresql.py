"""The state in PostgreSQL: what is not the same as in a file."""

import asyncio
import socket
import time
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from gateway.issuer.errors import StateError
from gateway.issuer.rotation import Rotation
from gateway.issuer.running import RunningIssuer
from gateway.issuer.settings import IssuerSettings
from gateway.issuer.state import IssuerState

from .issuer_case import BATCH, TEXT, Clock, settings
from .postgresql import PostgreSQL

PATIENCE = 20.0


def in_database(url: str) -> IssuerSettings:
    return settings(TEXT.replace("state: var/issuer.db", f"state: {url}\nsigning_algorithm: ES256"))


async def kids(http: aiohttp.ClientSession, issuer: RunningIssuer) -> list[str]:
    async with http.get(f"http://{issuer.address}/oauth2/v1/jwks") as answer:
        return [key["kid"] for key in (await answer.json())["keys"]]


async def status(http: aiohttp.ClientSession, issuer: RunningIssuer) -> int:
    grant = {"grant_type": "client_credentials"}
    async with http.post(f"http://{issuer.address}/oauth2/v1/token", data=grant, headers=BATCH) as answer:
        return answer.status


async def test_two_servers_on_one_database_have_the_same_keys_and_follow_one_rotation(database: str) -> None:
    said = in_database(database)
    async with RunningIssuer(said) as one, RunningIssuer(said) as other, aiohttp.ClientSession() as http:
        first = await kids(http, one)
        assert (len(first), await kids(http, other)) == (1, first)
        with closing(IssuerState.open(database, time.time)) as state:
            following, _ = await asyncio.to_thread(Rotation(state, said.key_plan, time.time).rotate)
        async with asyncio.timeout(PATIENCE):
            while not await kids(http, one) == await kids(http, other) == [*first, following.kid]:  # noqa: ASYNC110 - they have to be asked
                await asyncio.sleep(0.05)
        assert (await status(http, one), await status(http, other)) == (200, 200)


async def test_tokens_are_signed_on_while_the_database_is_away_and_it_is_found_again(
    database: str, postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    async with RunningIssuer(in_database(database)) as issuer, aiohttp.ClientSession() as http:
        await asyncio.to_thread(postgresql.stop)
        try:
            async with asyncio.timeout(PATIENCE):
                while "the keys at hand stay" not in caplog.text:  # noqa: ASYNC110 - a log sets no event
                    await asyncio.sleep(0.05)
            assert await status(http, issuer) == 200
        finally:
            await asyncio.to_thread(postgresql.start)
        with closing(IssuerState.open(database, time.time)) as state:
            await asyncio.to_thread(Rotation(state, in_database(database).key_plan, time.time).rotate)
        async with asyncio.timeout(PATIENCE):
            while len(await kids(http, issuer)) != 2:  # noqa: ASYNC110 - it has to be asked
                await asyncio.sleep(0.05)
    assert caplog.text.count("the keys at hand stay") == 1


def test_what_a_transaction_wrote_is_undone_when_it_fails(database: str) -> None:
    def fail(state: IssuerState) -> None:
        with state.begin() as connection:
            connection.execute(text("DELETE FROM schema_version"))
            connection.execute(text("SELECT * FROM nowhere"))

    with closing(IssuerState.open(database, Clock())) as state:
        with pytest.raises(StateError, match='relation "nowhere" does not exist'):
            fail(state)
        with state.read() as connection:
            assert connection.execute(text("SELECT version FROM schema_version")).scalar() == 2


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StateError, match="cannot be used as the state") as raised:
        IssuerState.open(f"postgresql://scopegate:hunter2@127.0.0.1:{port}/issuer", Clock())
    assert f"postgresql://scopegate:***@127.0.0.1:{port}/issuer" in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql://host:port/x", "postgresql://[::1/x"])
def test_a_url_that_cannot_be_read_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(StateError, match="write postgresql://user@host:port/database"):
        IssuerState.open(url, Clock())


def test_a_user_who_may_not_make_tables_is_told_so(database: str) -> None:
    with closing(IssuerState.open(database, Clock())) as state, state.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS reader"))
        connection.execute(text("CREATE ROLE reader LOGIN"))
        for table in connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars():
            connection.execute(text(f"DROP TABLE {table}"))
    with pytest.raises(StateError, match="permission denied for schema public"):
        IssuerState.open(database.replace("scopegate@", "reader@"), Clock())


def test_no_file_is_made_for_a_database(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    IssuerState.open(database, Clock()).close()
    assert list(tmp_path.iterdir()) == []
