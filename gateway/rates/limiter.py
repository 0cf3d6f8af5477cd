"""Whether a caller may call once more: the strategy is that of the library `limits`."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.strategies import SlidingWindowCounterRateLimiter

from gateway.policy.denial import Denial
from gateway.policy.model import Claims, Route
from gateway.policy.rates import CountedBy, RateLimit, exceeded, site
from gateway.rates.counts import RateCounts
from gateway.rates.storage import TableStorage


class _Use(NamedTuple):
    """One limit of a route, and who uses it."""

    limit: RateLimit
    item: RateLimitItem
    caller: str


class RateLimiter:
    """Counts the requests that are let in. Sliding windows: two numbers a caller, without a burst between two.

    Args:
        counts: where they are counted.
    """

    def __init__(self, counts: RateCounts) -> None:
        self._counts = counts
        self._windows = SlidingWindowCounterRateLimiter(TableStorage(counts))

    def take(self, route: Route, claims: Claims | None, address: str) -> Denial | None:
        """Count a request by all limits of its route, or by none and refuse it where one of them is used up.

        Args:
            route: that the request is for.
            claims: of the verified token; None on a public route.
            address: of the client.
        """
        uses = [_Use(limit, _item(limit, route.id), caller(limit.by, claims, address)) for limit in route.rate_limits]
        for index, use in enumerate(uses):
            if not self._windows.hit(use.item, use.caller):
                for earlier in uses[:index]:
                    self._counts.give_back(earlier.item.key_for(earlier.caller), earlier.limit.seconds)
                return self._refused(uses)
        return None

    def _refused(self, uses: list[_Use]) -> Denial:
        """By the limit for which the caller has to wait longest."""
        waits = [(self._wait(use), use) for use in uses]
        wait, use = max(waits, key=lambda each: each[0])
        # A new window may have begun since.
        return exceeded(use.limit, use.caller, max(wait, 1))

    def _wait(self, use: _Use) -> int:
        limit = use.limit
        return self._counts.counted(use.item.key_for(use.caller), limit.seconds).retry_after(
            limit.amount, limit.seconds
        )


@lru_cache(maxsize=4096)
def _item(limit: RateLimit, route: str) -> RateLimitItem:
    """A limit as the library knows it; what is counted under it bears the route's id and who is counted."""
    return RateLimitItemPerSecond(limit.amount, limit.seconds, f"{route}/{limit.by}")


def caller(by: CountedBy, claims: Claims | None, address: str) -> str:
    """Whose requests are counted together: two callers never have the same name.

    Args:
        by: what makes a caller.
        claims: of the verified token; a limit by client or subject stands on routes only that demand one.
        address: of the client.
    """
    if by == "address":
        return site(address)
    if claims is None:
        raise TypeError(f"there is no {by} without a token")
    # The name of an issuer holds no slash.
    return f"{claims.issuer_name}/{claims.client_id if by == 'client' else claims.subject}"
