"""What the authorization server must not forget: keys, used assertions, revocations and opaque tokens.

It is a SQLite file, or a PostgreSQL database that several servers share. Every call blocks: use a thread.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from gateway.issuer.errors import StateError
from gateway.issuer.passphrase import read_passphrase
from gateway.issuer.settings import IssuerSettings
from gateway.issuer.tables import UnknownVersionError, prepare, remove_expired

_BUSY_SECONDS = 30
_CONNECT_SECONDS = 10
_POSTGRESQL = ("postgresql://", "postgres://")
_ONE_AT_A_TIME = 0x5C09E6A7E
"""The advisory lock of PostgreSQL under which layout and keys are changed."""


class IssuerState:
    """An open state. Close it when done.

    Attributes:
        passphrase: what encrypts private keys in it; None leaves them unencrypted.
    """

    def __init__(self, name: str, engine: Engine, passphrase: bytes | None) -> None:
        self._name = name
        self._engine = engine
        self._reading = engine.execution_options(reads_only=True)
        self.passphrase = passphrase

    @classmethod
    def open(cls, where: str, clock: Callable[[], float], passphrase: bytes | None = None) -> "IssuerState":
        """Open a SQLite file by its path, or a database by its postgresql:// URL; on first use make its tables.

        A file is made with its folders, for its owner only. An older layout is brought up to date.

        Raises:
            StateError: it cannot be read or written, is no database, or was made by a later version.
        """
        state = cls(*_engine(where), passphrase)
        try:
            with state.alone() as connection:
                prepare(connection)
                remove_expired(connection, clock())
        except UnknownVersionError as error:
            state.close()
            raise StateError(f"{state}: {error}: use the program that wrote it, or another state") from error
        except StateError:
            state.close()
            raise
        return state

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that may write; on SQLite one at a time. An exception inside rolls it back.

        Raises:
            StateError: the database refused something.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads only, and waits for no writer. Raises StateError, as begin does."""
        with self._translated(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A transaction that may write, one at a time on PostgreSQL, too. Raises StateError, as begin does."""
        with self.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ONE_AT_A_TIME})
            yield connection

    def close(self) -> None:
        """Close every connection to it."""
        self._engine.dispose()

    def __str__(self) -> str:
        return self._name

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip()
            raise StateError(f"{self}: cannot be used as the state: {reason}") from error


def open_state(
    settings: IssuerSettings, base: Path, clock: Callable[[], float], where: str | None = None
) -> IssuerState:
    """Open the state that the settings name, or the one that is given, with the passphrase that they name.

    `base` is the folder of issuer.yaml. Raises StateError for either.
    """
    passphrase = None if settings.passphrase_file is None else read_passphrase(base / settings.passphrase_file)
    return IssuerState.open(settings.state if where is None else where, clock, passphrase)


def open_existing_state(settings: IssuerSettings, base: Path, clock: Callable[[], float]) -> IssuerState:
    """Open the state of a server that has run before: no command makes a file where a path is wrong."""
    where = settings.state
    if not where.startswith(_POSTGRESQL) and not Path(where).exists():
        raise StateError(
            f"{Path(where).absolute()}: there is no state: start the server once, or come where its folder is the "
            "working directory"
        )
    return open_state(settings, base, clock)


def _engine(where: str) -> tuple[str, Engine]:
    """What the state is called in messages, and the way to it."""
    if where.startswith(_POSTGRESQL):
        return _postgresql(where)
    path = Path(where)
    _make_private_file(path)
    return where, _sqlite(path)


def _postgresql(where: str) -> tuple[str, Engine]:
    try:
        url = make_url(where).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise StateError("state: is no URL that can be read: write postgresql://user@host:port/database") from None
    name = url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
    try:
        # pre_ping: a database that was restarted costs no request.
        return name, create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_SECONDS})
    except ModuleNotFoundError as error:
        raise StateError(f"{name}: needs the driver {error.name}: pip install 'scopegate[postgres]'") from error


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
        raise StateError(f"{path}: cannot be used as the state: {error.strerror}") from error


def _sqlite(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": _BUSY_SECONDS})

    # The driver's own BEGIN comes late and shared; these two listeners replace it, as SQLAlchemy documents.
    @event.listens_for(engine, "connect")
    def _(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # a sqlite3.Connection, untyped by SQLAlchemy
        # What is deleted, such as a private key that was not encrypted, does not stay in the file.
        connection.execute("PRAGMA secure_delete = ON")  # type: ignore[attr-defined]  # likewise

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        reads_only = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine
