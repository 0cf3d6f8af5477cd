"""The databases that the state may be in."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .postgresql import PostgreSQL, programs


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One server for all tests. Its socket's path has to be short."""
    found = programs()
    if found is None:
        if "CI" in os.environ:
            pytest.fail("PostgreSQL is missing: the tests of the state in it must not be skipped here")
        pytest.skip("PostgreSQL is missing: install the package postgresql")
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        server = PostgreSQL(Path(folder), found)
        server.start()
        yield server
        server.stop("immediate")


@pytest.fixture
def database(postgresql: PostgreSQL) -> str:
    """The URL of an empty database."""
    return postgresql.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty state's place: on either database."""
    if request.param == "sqlite":
        return str(tmp_path / "issuer.db")
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.schema()
