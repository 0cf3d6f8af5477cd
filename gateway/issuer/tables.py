"""The layout of the state, on SQLite and PostgreSQL alike, and how an older one becomes the present one."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

SCHEMA_VERSION = 2

_metadata = MetaData()
_schema_version = Table("schema_version", _metadata, Column("version", Integer, primary_key=True))

SIGNING_KEYS = Table(
    "signing_keys",
    _metadata,
    Column("kid", String, primary_key=True),
    Column("algorithm", String, nullable=False),
    Column("private_pem", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("signs_from", Float, nullable=False),
    Column("longest_lifetime", Float, nullable=False),
    Column("retired_at", Float),
    Column("expires_at", Float),
)
"""A key is published from created_at until expires_at, and signs from signs_from until retired_at.

Times are seconds since the epoch, and null as long as no other key follows. `longest_lifetime`, in seconds, is that of
the tokens that it may have signed.
"""

USED_ASSERTIONS = Table(
    "used_assertions",
    _metadata,
    Column("digest", String, primary_key=True),
    Column("client_id", String, nullable=False, index=True),
    Column("expires_at", Float, nullable=False, index=True),
)

REVOCATIONS = Table(
    "revocations",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("value", String, nullable=False),
    Column("before", Float),
    Column("until", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

OPAQUE_TOKENS = Table(
    "opaque_tokens",
    _metadata,
    Column("digest", String, primary_key=True),
    Column("claims", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)


_LONGEST_LIFETIME = 86_400.0
"""Seconds that a token may have had to live when version 1 did not note it."""


class UnknownVersionError(Exception):
    """The state was written by a later version of this program; says which."""


def prepare(connection: Connection) -> None:
    """Create what is missing, and bring an older layout up to date.

    Raises:
        UnknownVersionError: it is of a version that is not known here.
    """
    found = _version(connection)
    if found is None:
        _metadata.create_all(connection)
        connection.execute(insert(_schema_version).values(version=SCHEMA_VERSION))
        return
    if not 1 <= found <= SCHEMA_VERSION:
        raise UnknownVersionError(f"has the layout of version {found}, and this program knows version {SCHEMA_VERSION}")
    for version in range(found, SCHEMA_VERSION):
        _MIGRATIONS[version](connection)
    if found != SCHEMA_VERSION:
        connection.execute(update(_schema_version).values(version=SCHEMA_VERSION))


def remove_expired(connection: Connection, now: float) -> None:
    """Remove what affects no token and no assertion any more. Keys are not removed here."""
    for table, column in ((USED_ASSERTIONS, "expires_at"), (OPAQUE_TOKENS, "expires_at"), (REVOCATIONS, "until")):
        connection.execute(delete(table).where(table.c[column] <= now))


def insert_unless_present(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row; False where one with its key or another unique value is there already, and stays."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    inserted = dialect.insert(table).values(row).on_conflict_do_nothing().returning(*table.primary_key.columns)
    # Not rowcount: SQLAlchemy keeps it for an INSERT on some databases only.
    return connection.execute(inserted).first() is not None


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(_schema_version.name):
        return None
    return connection.execute(select(_schema_version.c.version)).scalar()


def _to_version_2(connection: Connection) -> None:
    """Keys get their times, and the tables of revocations, used assertions and opaque tokens come."""
    for column in ("signs_from", "longest_lifetime"):
        connection.execute(text(f"ALTER TABLE signing_keys ADD COLUMN {column} FLOAT NOT NULL DEFAULT 0"))
    for column in ("retired_at", "expires_at"):
        connection.execute(text(f"ALTER TABLE signing_keys ADD COLUMN {column} FLOAT"))
    since = SIGNING_KEYS.c.created_at
    connection.execute(update(SIGNING_KEYS).values(signs_from=since, longest_lifetime=_LONGEST_LIFETIME))
    _metadata.create_all(connection)


_MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {1: _to_version_2}
"""Version -> what turns it into the next one."""
