"""Signing keys in the state: made on first use, replaced by schedule or command, removed when nobody needs them.

Whatever changes keys runs one at a time, over all processes that share the state, and looks again before it acts: so
two servers make one key. Every call blocks; use a thread.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update

from gateway.issuer.errors import StateError
from gateway.issuer.key_ring import ScheduledKey
from gateway.issuer.key_times import MOST_KEYS, KeyTimes, Plan, followed, is_due, signing, upcoming
from gateway.issuer.keys import PassphraseError, SigningKey, create_key, is_encrypted, read_key
from gateway.issuer.settings import IssuerSettings
from gateway.issuer.state import IssuerState
from gateway.issuer.tables import SIGNING_KEYS

_TIMES = [SIGNING_KEYS.c[name] for name in KeyTimes.__dataclass_fields__]
_JUST_NOW = 60.0


class Rotation:
    """The signing keys of one state.

    Args:
        state: where they are.
        plan: what the settings say; may be replaced at any time.
        clock: seconds since the epoch.
    """

    def __init__(self, state: IssuerState, plan: Plan, clock: Callable[[], float]) -> None:
        self.plan = plan
        self._state = state
        self._clock = clock
        self._read: dict[str, SigningKey] = {}

    def times(self) -> tuple[KeyTimes, ...]:
        """Every key's times, oldest first, as they stand in the state."""
        with self._state.read() as connection:
            return _times(connection)

    def step(self) -> tuple[ScheduledKey, ...]:
        """Do what is due, and return every key that is to be published; cheap where nothing is.

        Raises:
            StateError: the state cannot be used, or the passphrase is not the one.
        """
        times = self.times()
        if self._has_work(times):
            times = self._work(times)
        missing = [each.kid for each in times if each.kid not in self._read]
        if missing:
            self._load()
        # What another process removed meanwhile is not missed.
        return tuple(ScheduledKey(each, self._read[each.kid]) for each in times if each.kid in self._read)

    def rotate(self, *, at_once: bool = False) -> KeyTimes:
        """Replace the key that signs: by the next one if there is one already, else by a new one.

        Returns the key that follows. `at_once` lets it sign now, though it was not published ahead.

        Raises:
            StateError: also where too many keys are published.
        """
        made = create_key(self.plan.algorithm)
        with self._state.alone() as connection:
            now = self._clock()
            times = _times(connection)
            waiting = upcoming(times, now)
            if waiting is None:
                return self._add(connection, times, made, now, now if at_once else now + self.plan.ahead)
            return self._hasten(connection, times, waiting, now) if at_once else waiting

    def withdraw(self, connection: Connection, kid: str) -> KeyTimes | None:
        """Remove a key within a transaction of `state.alone()`, as if it had never been; None where it is not there.

        Tokens that it signed are refused as soon as a gateway has the key set anew. If it was the one that signs,
        another takes over at once, which this returns; else the key that signs anyway.
        """
        now = self._clock()
        times = _times(connection)
        if all(each.kid != kid for each in times):
            return None
        connection.execute(delete(SIGNING_KEYS).where(SIGNING_KEYS.c.kid == kid))
        withdrawn = next(each for each in times if each.kid == kid)
        left = tuple(each for each in times if each.kid != kid)
        if withdrawn.status(now) == "next":
            left = _write(connection, left, (_unfollowed(each, withdrawn) for each in left))
        if any(each.status(now) == "signing" for each in left):
            return signing(left, self.plan.algorithm, now)
        waiting = upcoming(left, now)
        if waiting is not None:
            return self._hasten(connection, left, waiting, now)
        return self._add(connection, left, create_key(self.plan.algorithm), now, now)

    def _has_work(self, times: tuple[KeyTimes, ...]) -> bool:
        now = self._clock()
        return is_due(times, self.plan, now) or self._kept(times, now) != times

    def _work(self, times: tuple[KeyTimes, ...]) -> tuple[KeyTimes, ...]:
        """Look again, alone this time, and act."""
        made = create_key(self.plan.algorithm) if is_due(times, self.plan, self._clock()) else None
        with self._state.alone() as connection:
            now = self._clock()
            times = _times(connection)
            times = _write(connection, times, self._kept(times, now))
            if made is not None and is_due(times, self.plan, now):
                first = signing(times, self.plan.algorithm, now) is None
                self._add(connection, times, made, now, now if first else now + self.plan.ahead)
            return _times(connection)

    def _kept(self, times: tuple[KeyTimes, ...], now: float) -> tuple[KeyTimes, ...]:
        """Those that are still needed, for as long as their tokens may live."""
        lifetime = self.plan.longest_lifetime
        return tuple(
            each.signing_tokens_of(lifetime) if each.retired_at is None or now - each.retired_at < _JUST_NOW else each
            for each in times
            if not each.is_expired(now)
        )

    def _add(
        self, connection: Connection, times: tuple[KeyTimes, ...], made: SigningKey, now: float, signs_from: float
    ) -> KeyTimes:
        if len(times) >= MOST_KEYS:
            raise StateError(
                f"{self._state}: {len(times)} keys are published, and gateways take no more: wait until some expire, "
                "which `scopegate issuer keys list` shows"
            )
        added = KeyTimes(made.kid, made.algorithm, now, signs_from, self.plan.longest_lifetime)
        _write(connection, times, followed(times, signs_from))
        row = asdict(added) | {"private_pem": made.private_pem(self._state.passphrase)}
        connection.execute(insert(SIGNING_KEYS).values(row))
        self._read[made.kid] = made
        return added

    def _hasten(self, connection: Connection, times: tuple[KeyTimes, ...], waiting: KeyTimes, now: float) -> KeyTimes:
        hastened = KeyTimes(waiting.kid, waiting.algorithm, waiting.created_at, now, waiting.longest_lifetime)
        others = tuple(each for each in times if each.kid != waiting.kid)
        _write(connection, times, (*followed(others, now), hastened))
        return hastened

    def _load(self) -> None:
        """Read every private key; encrypt those that are not, though there is a passphrase."""
        with self._state.read() as connection:
            rows = connection.execute(select(SIGNING_KEYS)).all()
        self._read = {row.kid: self._key(row.kid, row.algorithm, row.private_pem) for row in rows}
        bare = [row.kid for row in rows if not is_encrypted(row.private_pem)]
        if bare and self._state.passphrase is not None:
            with self._state.alone() as connection:
                for kid in bare:
                    encrypted = self._read[kid].private_pem(self._state.passphrase)
                    connection.execute(
                        update(SIGNING_KEYS).where(SIGNING_KEYS.c.kid == kid).values(private_pem=encrypted)
                    )

    def _key(self, kid: str, algorithm: str, private_pem: str) -> SigningKey:
        try:
            return self._read.get(kid) or read_key(algorithm, private_pem, self._state.passphrase)
        except PassphraseError as error:
            raise StateError(
                f"{self._state}: the signing key {kid} {error}: name the file with its passphrase as `passphrase_file`"
            ) from error
        except ValueError as error:
            raise StateError(
                f"{self._state}: the signing key {kid} {error}: restore the state from a backup"
            ) from error


def key_plan(settings: IssuerSettings) -> Plan:
    """What the settings say of keys."""
    rotation = settings.rotation
    return Plan(settings.signing_algorithm, rotation.every, rotation.publish_ahead, settings.longest_lifetime)


def _times(connection: Connection) -> tuple[KeyTimes, ...]:
    oldest_first = select(*_TIMES).order_by(SIGNING_KEYS.c.signs_from, SIGNING_KEYS.c.kid)
    return tuple(KeyTimes(*row) for row in connection.execute(oldest_first))


def _write(connection: Connection, before: tuple[KeyTimes, ...], after: Iterable[KeyTimes]) -> tuple[KeyTimes, ...]:
    """Make the rows `before` what they are to be `after`; those that are missing there are deleted."""
    wanted = {each.kid: each for each in after}
    for each in before:
        row = SIGNING_KEYS.c.kid == each.kid
        if each.kid not in wanted:
            connection.execute(delete(SIGNING_KEYS).where(row))
        elif wanted[each.kid] != each:
            connection.execute(update(SIGNING_KEYS).where(row).values(asdict(wanted[each.kid])))
    return tuple(wanted.values())


def _unfollowed(key: KeyTimes, withdrawn: KeyTimes) -> KeyTimes:
    return key.retired(None) if key.retired_at == withdrawn.signs_from else key
