"""A bound on guessing: who failed too often within a minute has to wait (RFC 6749 §2.3.1)."""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass


class Throttle:
    """Counts failures for each pair of client id and network address, over a sliding window.

    Counting by the pair keeps a stranger elsewhere from locking a client out. Bounded: beyond `most` pairs, the one
    that failed longest ago is forgotten.
    """

    def __init__(
        self, clock: Callable[[], float], *, limit: int = 10, window: float = 60.0, most: int = 10_000
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._window = window
        self._most = most
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def retry_after(self, client_ids: Collection[str], address: str) -> int | None:
        """Whole seconds until one of these clients may try again from this address; None when it may now."""
        now = self._clock()
        waits = [self._wait(self._failures.get((client_id, address)), now) for client_id in client_ids]
        longest = max(waits, default=0.0)
        return math.ceil(longest) if longest > 0 else None

    def failed(self, client_ids: Collection[str], address: str) -> None:
        """Note a failure."""
        for client_id in client_ids:
            pair = (client_id, address)
            self._failures.setdefault(pair, deque(maxlen=self._limit)).append(self._clock())
            self._failures.move_to_end(pair)
            if len(self._failures) > self._most:
                self._failures.popitem(last=False)

    def _wait(self, failures: deque[float] | None, now: float) -> float:
        if failures is None or len(failures) < self._limit:
            return 0.0
        return failures[0] + self._window - now


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to authenticate: as which clients, from where."""

    throttle: Throttle
    client_ids: frozenset[str]
    address: str

    def retry_after(self) -> int | None:
        """Whole seconds until it may be made; None when it may be made now."""
        return self.throttle.retry_after(self.client_ids, self.address)

    def failed(self) -> None:
        """Note that it failed."""
        self.throttle.failed(self.client_ids, self.address)
