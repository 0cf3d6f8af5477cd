"""What was revoked, kept as long as a token could still be affected by it.

    jti     one token
    client  the tokens of a client that were issued earlier than `before`
    key     the tokens that a key signed

Every call blocks; use a thread.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Literal, TypeAlias

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from gateway.issuer.state import IssuerState
from gateway.issuer.tables import REVOCATIONS
from gateway.tokens.revoked import NOTHING_REVOKED, RevokedTokens, digest, read_feed

LONGEST_LIFETIME = 86_400
"""Seconds that a token lives at most, whatever the settings say or said when it was issued."""

LONGEST_LEEWAY = 300
"""Seconds after `exp` until which a gateway may be told to take a token."""

Kind: TypeAlias = Literal["jti", "client", "key"]
Mark: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revocation; times in seconds since the epoch. `value` is the jti, the client's or the key's identifier."""

    kind: Kind
    value: str
    until: float
    before: float | None = None


def revoke_token(jti: str, expires_at: float) -> Revocation:
    """Revoke one token."""
    return Revocation("jti", jti, expires_at + LONGEST_LEEWAY)


def revoke_unseen_token(jti: str, now: float) -> Revocation:
    """Revoke a token of which no more is known than its name."""
    return revoke_token(jti, now + LONGEST_LIFETIME)


def revoke_client(client_id: str, now: float) -> Revocation:
    """Revoke all tokens that a client has. Times of issue are whole seconds: all of the present one are included."""
    return Revocation("client", client_id, now + LONGEST_LIFETIME + LONGEST_LEEWAY, math.floor(now) + 1.0)


def revoke_key(kid: str, now: float) -> Revocation:
    """Revoke all tokens that a key signed."""
    return Revocation("key", kid, now + LONGEST_LIFETIME + LONGEST_LEEWAY)


class Revocations:
    """The revocations in the state. Each method raises StateError where that cannot be used."""

    def __init__(self, state: IssuerState, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock

    def add(self, added: Iterable[Revocation]) -> None:
        """Add some, all of them or none, and remove those that affect no token any more."""
        with self._state.begin() as connection:
            write(connection, added, self._clock())

    def mark(self) -> Mark:
        """What is another one after each change; cheap to ask for."""
        counted = select(func.max(REVOCATIONS.c.id), func.count())
        with self._state.read() as connection:
            return tuple(connection.execute(counted).one())

    def current(self) -> tuple[Revocation, ...]:
        """All that affect a token, oldest first."""
        columns = (REVOCATIONS.c.kind, REVOCATIONS.c.value, REVOCATIONS.c.until, REVOCATIONS.c.before)
        wanted = select(*columns).where(REVOCATIONS.c.until > self._clock()).order_by(REVOCATIONS.c.id)
        with self._state.read() as connection:
            return tuple(Revocation(*row) for row in connection.execute(wanted))


def write(connection: Connection, added: Iterable[Revocation], now: float) -> None:
    """Add revocations within a transaction, and remove those that affect no token any more."""
    connection.execute(delete(REVOCATIONS).where(REVOCATIONS.c.until <= now))
    rows = [asdict(revocation) | {"created_at": now} for revocation in added]
    if rows:
        connection.execute(insert(REVOCATIONS), rows)


@dataclass(frozen=True, slots=True)
class Feed:
    """All revocations of one moment: for gateways as `body`, which `cursor` names, and for the issuer itself."""

    body: bytes
    cursor: str
    revoked: RevokedTokens


def render_feed(issuer: str, revocations: Iterable[Revocation]) -> Feed:
    """The feed of an issuer. It is public, so of tokens and clients it tells digests only."""
    entries = [_entry(issuer, revocation) for revocation in revocations]
    cursor = sha256(orjson.dumps(entries)).hexdigest()[:32]
    document = {"cursor": cursor, "revocations": entries}
    return Feed(orjson.dumps(document), cursor, read_feed(document) if entries else NOTHING_REVOKED)


def _entry(issuer: str, revocation: Revocation) -> dict[str, object]:
    kind, value, until = revocation.kind, revocation.value, revocation.until
    if kind == "key":
        return {"kind": kind, "kid": value, "until": until}
    entry = {"kind": kind, "hash": digest(issuer, value), "until": until}
    return entry if revocation.before is None else entry | {"before": revocation.before}
