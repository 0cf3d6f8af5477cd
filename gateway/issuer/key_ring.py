"""The keys that a running server has at hand: which one signs now, and which are published."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson

from gateway.issuer.key_times import KeyTimes, Plan, signing
from gateway.issuer.keys import SigningKey, jwk_set


@dataclass(frozen=True, slots=True)
class ScheduledKey:
    """A key, and when it does what."""

    times: KeyTimes
    key: SigningKey


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """The key set's document, and for how many seconds it may be cached."""

    body: bytes
    max_age: int


class KeyRing:
    """Asked for each token, filled beside the requests. The change from one key to the next needs no filling.

    Args:
        plan: which algorithm signs, and for how long keys are published ahead.
        keys: at least one.
        clock: seconds since the epoch.
    """

    def __init__(self, plan: Plan, keys: Iterable[ScheduledKey], clock: Callable[[], float]) -> None:
        self._clock = clock
        self.fill(plan, keys)

    @classmethod
    def of(cls, plan: Plan, keys: Iterable[SigningKey], clock: Callable[[], float]) -> "KeyRing":
        """A ring of keys that never change; the last one of the algorithm signs."""
        times = enumerate(keys)
        return cls(plan, [ScheduledKey(KeyTimes(k.kid, k.algorithm, 0, i, 0), k) for i, k in times], clock)

    def fill(self, plan: Plan, keys: Iterable[ScheduledKey]) -> None:
        """Go on with these keys."""
        held = tuple(keys)
        self._plan = plan
        self._keys = {each.times.kid: each.key for each in held}
        self._times = tuple(each.times for each in held)
        self.published = PublishedKeys(orjson.dumps(jwk_set(self._keys.values())), plan.max_age)

    def keys(self) -> tuple[SigningKey, ...]:
        """All that are published."""
        return tuple(self._keys.values())

    def signing_key(self) -> SigningKey:
        """The key that signs now."""
        chosen = signing(self._times, self._plan.algorithm, self._clock())
        assert chosen is not None, "a ring without keys"  # noqa: S101 - a bug of ours, not an input
        return self._keys[chosen.kid]
