"""The table of counts, as the library `limits` wants what it counts in."""

from __future__ import annotations

from limits.storage.base import SlidingWindowCounterSupport, Storage

from gateway.rates.counts import RateCounts

_ONE_STRATEGY = "here windows slide: the strategy has to be SlidingWindowCounterRateLimiter"


class TableStorage(Storage, SlidingWindowCounterSupport):
    """Counts in a table of ours: the library's own memory is one process's, is cleared by a thread, and has no bound.

    Args:
        counts: the table.
    """

    STORAGE_SCHEME = None

    def __init__(self, counts: RateCounts) -> None:
        super().__init__()
        self._counts = counts

    @property
    def base_exceptions(self) -> type[Exception]:
        """What a failing table raises."""
        return OSError

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a request in windows of `expiry` seconds, if there is room for it."""
        if amount != 1:
            raise NotImplementedError("a request counts once")
        return self._counts.take(key, limit, expiry)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Requests in the window before and the seconds for which they count on; the same of this window."""
        counted = self._counts.counted(key, expiry)
        left = expiry - counted.elapsed
        return counted.before, left if counted.before else 0.0, counted.within, left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002 - the library's signature
        """Count a caller anew."""
        self._counts.forget(key)

    def clear(self, key: str) -> None:
        """Count a caller anew."""
        self._counts.forget(key)

    def reset(self) -> None:
        """Count everyone anew."""
        self._counts.forget_all()

    def check(self) -> bool:
        """Whether the table can be read."""
        self._counts.counted("", 1)
        return True

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Of another strategy."""
        raise NotImplementedError(_ONE_STRATEGY)

    def get(self, key: str) -> int:
        """Of another strategy."""
        raise NotImplementedError(_ONE_STRATEGY)

    def get_expiry(self, key: str) -> float:
        """Of another strategy."""
        raise NotImplementedError(_ONE_STRATEGY)
