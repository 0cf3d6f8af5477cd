"""Signing keys in the state: made on first use, replaced by schedule or command, removed when nobody needs them.

Whatever changes keys runs one at a time, over all processes that share the state, and looks again before it acts: so
two servers make one key. Every call blocks; use a thread.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from threading import Lock

from sqlalchemy import Connection, delete, insert, select, update

from gateway.issuer.errors import StateError
from gateway.issuer.key_ring import ScheduledKey
from gateway.issuer.key_times import MOST_KEYS, KeyTimes, Plan, followed, is_due, signing, upcoming
from gateway.issuer.keys import PassphraseError, SigningKey, create_key, is_encrypted, read_key
from gateway.issuer.state import IssuerState
from gateway.issuer.tables import SIGNING_KEYS

_TIMES = [SIGNING_KEYS.c[name] for name in KeyTimes.__dataclass_fields__]
_JUST_NOW = 60.0
"""Seconds after its retirement within which a server with other settings may still say how long its tokens live."""


class TooManyKeysError(StateError):
    """As many keys are published as gateways take, so none can be added; says what to do."""


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
        self._keys: dict[str, SigningKey] = {}
        self._stepping = Lock()

    def times(self) -> tuple[KeyTimes, ...]:
        """Every key's times, oldest first, as they stand in the state."""
        with self._state.read() as connection:
            return _times(connection)

    def step(self) -> tuple[ScheduledKey, ...]:
        """Do what is due, and return every key that is to be published; cheap where nothing is.

        Raises:
            StateError: the state cannot be used, or the passphrase is not the one.
        """
        with self._stepping:
            return self._step()

    def _step(self) -> tuple[ScheduledKey, ...]:
        times = self.times()
        if self._has_work(times, self._clock()):
            times = self._work()
        if any(each.kid not in self._keys for each in times):
            with self._state.alone() as connection:
                self._load(connection)
        # What another process removed meanwhile is not missed.
        found = tuple(ScheduledKey(each, self._keys[each.kid]) for each in times if each.kid in self._keys)
        self._keys = {each.key.kid: each.key for each in found}
        return found

    def rotate(self, *, at_once: bool = False) -> tuple[KeyTimes, bool]:
        """Replace the key that signs: by the next one if there is one already, else by a new one.

        Returns the key that follows, and whether it is new. `at_once` lets it sign now, though nobody may have it yet.

        Raises:
            TooManyKeysError: as many keys are published as gateways take.
            StateError: the state cannot be used, or the passphrase is not the one.
        """
        made = create_key(self.plan.algorithm)
        with self._state.alone() as connection:
            now, times = self._begin(connection)
            waiting = upcoming(times, now)
            if waiting is None:
                if len(times) >= MOST_KEYS:
                    raise self._too_many(len(times))
                return self._add(connection, times, made, now, now if at_once else now + self.plan.ahead), True
            return (self._hasten(connection, times, waiting, now) if at_once else waiting), False

    def withdraw(self, connection: Connection, kid: str) -> KeyTimes | None:
        """Remove a key within a transaction of `state.alone()`, as if it had never been; None where it is not there.

        Returns the key that signs then: another one takes over at once if it was this one.

        Raises:
            StateError: the passphrase is not the one.
        """
        now, times = self._begin(connection)
        withdrawn = next((each for each in times if each.kid == kid), None)
        if withdrawn is None:
            return None
        left = tuple(each for each in times if each.kid != kid)
        if withdrawn.status(now) == "next":
            left = tuple(each.retired(None) if each.retired_at == withdrawn.signs_from else each for each in left)
        _write(connection, times, left)
        if any(each.status(now) == "signing" for each in left):
            return signing(left, self.plan.algorithm, now)
        waiting = upcoming(left, now)
        if waiting is not None:
            return self._hasten(connection, left, waiting, now)
        return self._add(connection, left, create_key(self.plan.algorithm), now, now)

    def _has_work(self, times: tuple[KeyTimes, ...], now: float) -> bool:
        return self._is_due(times, now) or self._kept(times, now) != times

    def _is_due(self, times: tuple[KeyTimes, ...], now: float) -> bool:
        return len(times) < MOST_KEYS and is_due(times, self.plan, now)

    def _work(self) -> tuple[KeyTimes, ...]:
        """Look again, alone this time, and act."""
        made = create_key(self.plan.algorithm) if self._is_due(self.times(), self._clock()) else None
        with self._state.alone() as connection:
            now, times = self._begin(connection)
            if made is not None and self._is_due(times, now):
                self._add(connection, times, made, now, now + self.plan.ahead if times else now)
            return _times(connection)

    def _begin(self, connection: Connection) -> tuple[float, tuple[KeyTimes, ...]]:
        """The time and the keys at the beginning of a change, when the passphrase is known to be the right one."""
        self._load(connection)
        now = self._clock()
        times = _times(connection)
        return now, _write(connection, times, self._kept(times, now))

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
        added = KeyTimes(made.kid, made.algorithm, now, signs_from, self.plan.longest_lifetime)
        _write(connection, times, followed(times, signs_from))
        row = asdict(added) | {"private_pem": made.private_pem(self._state.passphrase)}
        connection.execute(insert(SIGNING_KEYS).values(row))
        return added

    def _hasten(self, connection: Connection, times: tuple[KeyTimes, ...], waiting: KeyTimes, now: float) -> KeyTimes:
        hastened = replace(waiting, signs_from=now)
        others = tuple(each for each in times if each.kid != waiting.kid)
        _write(connection, times, (*followed(others, now), hastened))
        return hastened

    def _load(self, connection: Connection) -> None:
        """Read every private key, and encrypt those that are not, though there is a passphrase."""
        rows = connection.execute(select(SIGNING_KEYS)).all()
        self._keys = {row.kid: self._key(row.kid, row.algorithm, row.private_pem) for row in rows}
        if self._state.passphrase is None:
            return
        for row in rows:
            if not is_encrypted(row.private_pem):
                encrypted = self._keys[row.kid].private_pem(self._state.passphrase)
                connection.execute(
                    update(SIGNING_KEYS).where(SIGNING_KEYS.c.kid == row.kid).values(private_pem=encrypted)
                )

    def _key(self, kid: str, algorithm: str, private_pem: str) -> SigningKey:
        try:
            return self._keys.get(kid) or read_key(algorithm, private_pem, self._state.passphrase)
        except PassphraseError as error:
            raise StateError(
                f"{self._state}: the signing key {kid} {error}: name the file with its passphrase as `passphrase_file`"
            ) from error
        except ValueError as error:
            raise StateError(
                f"{self._state}: the signing key {kid} {error}: restore the state from a backup"
            ) from error

    def _too_many(self, count: int) -> TooManyKeysError:
        return TooManyKeysError(
            f"{self._state}: {count} keys are published, which is the most: wait until some expire, "
            "`scopegate issuer keys list` says when"
        )


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
