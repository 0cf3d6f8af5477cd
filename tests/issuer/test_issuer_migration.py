"""States of earlier versions, and of later ones."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from gateway.issuer.errors import StateError
from gateway.issuer.key_times import LONGEST_LEEWAY, SEEN_WITHIN
from gateway.issuer.keys import create_key
from gateway.issuer.rotation import Rotation
from gateway.issuer.state import IssuerState

from .issuer_case import TEXT, Clock, settings

MADE_AT = 1_790_000_000.0
VERSION_1 = """
CREATE TABLE schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE signing_keys (
    kid VARCHAR NOT NULL,
    algorithm VARCHAR NOT NULL,
    private_pem TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (kid)
);
INSERT INTO schema_version (version) VALUES (1);
"""


@pytest.fixture
def version_1(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file as version 1 wrote it, and its keys: algorithm -> kid."""
    path, kids = tmp_path / "issuer.db", {}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(VERSION_1)
        for algorithm in ("RS256", "ES256"):
            key = create_key("RS256" if algorithm == "RS256" else "ES256")
            row = (key.kid, algorithm, key.private_pem(), MADE_AT)
            connection.execute("INSERT INTO signing_keys VALUES (?, ?, ?, ?)", row)
            kids[algorithm] = key.kid
    return path, kids


@contextmanager
def opened(where: Path | str, passphrase: bytes | None = None) -> Iterator[IssuerState]:
    with closing(IssuerState.open(str(where), Clock(), passphrase)) as state:
        yield state


def layout(where: Path | str) -> dict[str, set[str]]:
    with opened(where) as state, state.read() as connection:
        found = inspect(connection)
        return {table: {column["name"] for column in found.get_columns(table)} for table in found.get_table_names()}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_file_of_version_1_signs_on_with_its_keys(version_1: tuple[Path, dict[str, str]], algorithm: str) -> None:
    path, kids = version_1
    plan = settings(TEXT + f"signing_algorithm: {algorithm}\n").key_plan
    with opened(path) as state:
        rotation = Rotation(state, plan, Clock())
        assert {each.key.algorithm: each.key.kid for each in rotation.step()} == kids
        following, _ = rotation.rotate()
        # How long tokens lived then is not known, so both stay as long as the longest could.
        expected = following.signs_from + 86_400 + LONGEST_LEEWAY
        assert [each.expires_at for each in rotation.times()] == [expected, expected, None]
        assert following.signs_from == Clock().now + 600 + SEEN_WITHIN


def test_a_file_of_version_1_gets_the_layout_of_a_new_one(version_1: tuple[Path, object], tmp_path: Path) -> None:
    assert layout(version_1[0]) == layout(tmp_path / "new.db")
    with opened(version_1[0]) as state, state.read() as connection:
        assert connection.execute(text("SELECT version FROM schema_version")).scalars().all() == [2]


def test_keys_of_version_1_are_encrypted_when_there_is_a_passphrase(version_1: tuple[Path, dict[str, str]]) -> None:
    path, kids = version_1
    with opened(path, b"correct horse") as state:
        assert {each.key.kid for each in Rotation(state, settings().key_plan, Clock()).step()} == set(kids.values())
    assert b"BEGIN PRIVATE KEY" not in path.read_bytes()


def test_a_migration_that_fails_leaves_the_file_as_it_was(version_1: tuple[Path, object]) -> None:
    path = version_1[0]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE signing_keys ADD COLUMN expires_at FLOAT")
    before = path.read_bytes()
    with pytest.raises(StateError, match="duplicate column name: expires_at"):
        IssuerState.open(str(path), Clock())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
    assert path.read_bytes() == before


def test_a_new_state_has_one_layout_on_either_database(where: str, tmp_path: Path) -> None:
    assert layout(where) == layout(tmp_path / "sqlite.db")
    assert layout(where) == layout(where)


@pytest.mark.parametrize("version", [0, 99])
def test_a_state_of_another_program_is_left_alone(where: str, version: int) -> None:
    with opened(where) as state, state.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = :version"), {"version": version})
    with pytest.raises(StateError, match=f"version {version}, and this program knows version 2"):
        IssuerState.open(where, Clock())
