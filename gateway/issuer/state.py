"""What the authorization server must not forget: its signing keys, in SQLite.

Every change is made inside `BEGIN IMMEDIATE`: of two processes that start at once, one creates and the other reads.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from gateway.issuer.errors import StateError
from gateway.issuer.keys import ALGORITHMS, Algorithm, SigningKey, create_key, read_key

SCHEMA_VERSION = 1
_BUSY_SECONDS = 30

_metadata = MetaData()
_schema_version = Table("schema_version", _metadata, Column("version", Integer, primary_key=True))
_signing_keys = Table(
    "signing_keys",
    _metadata,
    Column("kid", String, primary_key=True),
    Column("algorithm", String, nullable=False),
    Column("private_pem", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)


class IssuerState:
    """An open state file. Close it when done."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._engine = engine

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float]) -> "IssuerState":
        """Open the file; on first use create it, with its folders and one key for each algorithm, for its owner only.

        Raises StateError when it cannot be read or written, is no database, or was made by a later version.
        """
        _make_private_file(path)
        state = cls(path, _engine(path))
        try:
            with state._engine.begin() as connection:
                _metadata.create_all(connection)
                state._check_version(connection)
                _create_missing_keys(connection, clock())
        except SQLAlchemyError as error:
            state.close()
            raise state._error(error) from error
        except StateError:
            state.close()
            raise
        return state

    def signing_keys(self) -> tuple[SigningKey, ...]:
        """Every signing key, newest first."""
        newest_first = select(_signing_keys).order_by(_signing_keys.c.created_at.desc(), _signing_keys.c.kid)
        try:
            with self._engine.begin() as connection:
                rows = connection.execute(newest_first).all()
            return tuple(read_key(row.algorithm, row.private_pem) for row in rows)
        except (SQLAlchemyError, ValueError) as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close every connection to the file."""
        self._engine.dispose()

    def _check_version(self, connection: Connection) -> None:
        found = connection.execute(select(_schema_version.c.version)).scalar()
        if found is None:
            connection.execute(insert(_schema_version).values(version=SCHEMA_VERSION))
        elif found != SCHEMA_VERSION:
            raise StateError(
                f"{self._path}: has the layout of version {found}, and this program knows version {SCHEMA_VERSION}: "
                "use the program that wrote it, or another state file"
            )

    def _error(self, error: Exception) -> StateError:
        reason = getattr(error, "orig", None) or error
        return StateError(f"{self._path}: cannot be used as the state file: {reason}")


def _create_missing_keys(connection: Connection, now: float) -> None:
    present: Iterable[str] = connection.execute(select(_signing_keys.c.algorithm)).scalars().all()
    for algorithm in sorted(set(ALGORITHMS).difference(present)):
        _add_key(connection, algorithm, now)


def _add_key(connection: Connection, algorithm: Algorithm, now: float) -> None:
    key = create_key(algorithm)
    connection.execute(
        insert(_signing_keys).values(
            kid=key.kid, algorithm=algorithm, private_pem=key.private_pem().decode(), created_at=now
        )
    )


def _make_private_file(path: Path) -> None:
    """Create the file before SQLite does, so that it is never readable by others, not for a moment."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StateError(f"{path}: cannot be used as the state file: {error.strerror}") from error


def _engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": _BUSY_SECONDS})

    # The driver's own BEGIN comes late and shared; these two listeners replace it, as SQLAlchemy documents.
    @event.listens_for(engine, "connect")
    def _(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # a sqlite3.Connection, untyped by SQLAlchemy

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
