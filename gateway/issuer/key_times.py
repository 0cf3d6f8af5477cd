"""When which key is published, and when it signs: pure decisions.

                created_at        signs_from          retired_at             expires_at
                    |                 |                    |                      |
    published       |=============================================================|
    signs           |                 |====================|                      |
                    |<-- published -->|<----- every ------>|<- longest lifetime ->|
                          ahead           or a command          + leeway

The next key signs from the moment at which this one is retired.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal, TypeAlias

from gateway.issuer.keys import Algorithm

SEEN_WITHIN = 2.0
"""Seconds within which every server that shares the state has noticed a change of keys."""

LONGEST_LEEWAY = 300.0
"""Seconds after its `exp` for which a gateway may be told to take a token."""

MOST_KEYS = 50
"""Keys that are published at the same time; gateways take 100."""

_LONGEST_MAX_AGE = 300.0

Status: TypeAlias = Literal["next", "signing", "retired"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the settings say of keys; durations in seconds.

    Attributes:
        algorithm: what tokens are to be signed with.
        every: how long a key signs; None until it is replaced by command.
        publish_ahead: how long a key is published before it signs.
        longest_lifetime: of all tokens that may be issued.
    """

    algorithm: Algorithm
    every: float | None
    publish_ahead: float
    longest_lifetime: float

    @property
    def ahead(self) -> float:
        """How long before it signs a key is made."""
        return self.publish_ahead + SEEN_WITHIN

    @property
    def max_age(self) -> int:
        """Seconds that a key set may be cached.

        Half of the time that a new key waits: whoever misses it once comes again before the first token.
        """
        return int(min(self.publish_ahead / 2, _LONGEST_MAX_AGE))

    @property
    def fault(self) -> str | None:
        """Why keys cannot be replaced that often; None where they can."""
        if self.every is None:
            return None
        if self.every <= self.publish_ahead:
            return "must be longer than publish_ahead: each key is published that long before it signs"
        least = shortest_rotation(self.longest_lifetime)
        if self.every < least:
            return f"must be at least {least}s: shorter, more keys would be published at a time than gateways take"
        return None


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """One key's row in the state, without the key. Times are seconds since the epoch; None as long as none follows."""

    kid: str
    algorithm: str
    created_at: float
    signs_from: float
    longest_lifetime: float
    retired_at: float | None = None
    expires_at: float | None = None

    def status(self, now: float) -> Status:
        """Whether it is going to sign, does so, or did."""
        if now < self.signs_from:
            return "next"
        return "signing" if self.retired_at is None or now < self.retired_at else "retired"

    def is_expired(self, now: float) -> bool:
        """Whether every token that it signed has expired."""
        return self.expires_at is not None and self.expires_at <= now

    def retired(self, at: float | None) -> "KeyTimes":
        """The same key, which stops signing then; None: it goes on."""
        expires_at = None if at is None else at + self.longest_lifetime + LONGEST_LEEWAY
        return replace(self, retired_at=at, expires_at=expires_at)

    def signing_tokens_of(self, lifetime: float) -> "KeyTimes":
        """The same key, whose tokens may live so long, too."""
        if lifetime <= self.longest_lifetime:
            return self
        return replace(self, longest_lifetime=lifetime).retired(self.retired_at)


def signing(keys: Sequence[KeyTimes], algorithm: str, now: float) -> KeyTimes | None:
    """The key that signs: the newest of this algorithm, or the newest of all where that has none yet.

    None if there is no key. A clock that was set back behind the first key finds that one.
    """
    signs = [key for key in keys if key.status(now) == "signing"]
    newest = max(signs, key=lambda key: (key.algorithm == algorithm, key.signs_from, key.kid), default=None)
    return newest or min(keys, key=lambda key: (key.signs_from, key.kid), default=None)


def upcoming(keys: Iterable[KeyTimes], now: float) -> KeyTimes | None:
    """The key that is published and does not sign yet; there is one at most."""
    return next((key for key in keys if key.status(now) == "next"), None)


def is_due(keys: Sequence[KeyTimes], plan: Plan, now: float) -> bool:
    """Whether it is time for the next key: by schedule, or since another algorithm is to sign."""
    current = signing(keys, plan.algorithm, now)
    if current is None:
        return True
    if upcoming(keys, now) is not None:
        return False
    if current.algorithm != plan.algorithm:
        return True
    return plan.every is not None and now >= current.signs_from + plan.every - plan.ahead


def followed(keys: Iterable[KeyTimes], at: float) -> tuple[KeyTimes, ...]:
    """The same keys when another one signs from then on."""
    return tuple(key.retired(at) if key.retired_at is None or key.retired_at > at else key for key in keys)


def shortest_rotation(longest_lifetime: float) -> int:
    """Seconds that a key has to sign, so that no more than MOST_KEYS are published when tokens live that long."""
    return ceil((longest_lifetime + LONGEST_LEEWAY) / (MOST_KEYS - 2))
