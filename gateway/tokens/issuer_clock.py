"""What the tokens themselves tell of an issuer: how far its clock is ahead, and how often keys are named in vain."""

from __future__ import annotations

WINDOW = 600.0
"""Seconds for which the freshest token counts, at least; twice that at most."""

FARTHEST = 86_400.0
"""Seconds between `iat` and now beyond which a token says nothing of a clock."""

_SLOT = 10
_SLOTS = 6


class IssuerClock:
    """How far an issuer's clock is ahead of ours, by the freshest of its tokens.

    A token's `iat` is our time less the token's age, plus what the issuer's clock is ahead. Clients mostly use a token
    as soon as they have it, so the freshest one's age is next to nothing. So the estimate is never too high: if it is
    positive, the issuer's clock is ahead by as much; if it is negative, the clock is behind, or all tokens were old
    when they were first seen. It is told of each new token whose signature is good, and keeps two numbers.
    """

    def __init__(self) -> None:
        self._since = float("-inf")
        self._freshest: float | None = None
        self._before: float | None = None

    def saw(self, issued_at: object, now: float) -> None:
        """Take a genuine token's `iat`, whatever it is."""
        if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
            return
        if not now - FARTHEST <= issued_at <= now + FARTHEST:
            return
        self._turn(now)
        ahead = issued_at - now
        self._freshest = ahead if self._freshest is None else max(self._freshest, ahead)

    def ahead(self, now: float) -> float | None:
        """Seconds; None where no token was new of late."""
        self._turn(now)
        known = [each for each in (self._freshest, self._before) if each is not None]
        return max(known, default=None)

    def _turn(self, now: float) -> None:
        """Forget what is older than two windows."""
        if 0 <= now - self._since < WINDOW:
            return
        self._before = self._freshest if 0 <= now - self._since < 2 * WINDOW else None
        self._since, self._freshest = now, None


class LastMinute:
    """How often something happened within the last minute, to ten seconds, in six numbers."""

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}

    def add(self, now: float) -> None:
        """It happened."""
        slot = int(now // _SLOT)
        if slot not in self._slots:
            self._slots = {each: count for each, count in self._slots.items() if 0 <= slot - each < _SLOTS}
        self._slots[slot] = self._slots.get(slot, 0) + 1

    def count(self, now: float) -> int:
        """How often."""
        newest = int(now // _SLOT)
        return sum(count for slot, count in self._slots.items() if 0 <= newest - slot < _SLOTS)
