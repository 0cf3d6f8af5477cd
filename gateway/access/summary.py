"""What a stretch of the access log amounts to: who was refused what, where, why, and how long requests took.

Memory is bounded: at most `MAX_KEYS` distinct values of anything are counted apart, the others together as
`OTHERS`; durations are exact up to `MAX_EXACT` of them, and fall into a histogram after that.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.access.query import ABSENT, Record, epoch

MAX_KEYS: Final = 10_000
MAX_EXACT: Final = 100_000
OTHERS: Final = "(others)"


class Durations:
    """Quantiles of durations in milliseconds, by nearest rank.

    Exact up to `MAX_EXACT` values. Beyond, a histogram with buckets that grow by 2 % each: a quantile is then off by
    1 % at most (the sketch of Masson, Rim and Lee, "DDSketch", VLDB 2019), from 1 µs to 10,000 s.
    """

    _GROWTH: Final = 1.02
    _SMALLEST: Final = 1e-3
    _LARGEST: Final = 1e7

    def __init__(self, max_exact: int = MAX_EXACT) -> None:
        self._max_exact = max_exact
        self._values = array("d")
        self._buckets: Counter[int] = Counter()
        self.count = 0

    def add(self, milliseconds: object) -> None:
        """Count one duration; what is no finite, non-negative number is left out."""
        if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
            return
        if not 0 <= milliseconds <= self._LARGEST:
            return
        self.count += 1
        if self.count <= self._max_exact:
            self._values.append(milliseconds)
            return
        if self._values:
            self._buckets.update(map(self._bucket, self._values))
            self._values = array("d")
        self._buckets[self._bucket(milliseconds)] += 1

    @property
    def exact(self) -> bool:
        """Whether every value is still known."""
        return self.count <= self._max_exact

    def quantile(self, share: float) -> float | None:
        """Return the value that `share` (0 to 1) of all values do not exceed; None when there is none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        if self.exact:
            return sorted(self._values)[rank - 1]
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                break
        else:
            raise AssertionError("the buckets hold fewer values than were counted")
        return self._SMALLEST * 2 * self._GROWTH**bucket / (1 + self._GROWTH)

    def _bucket(self, milliseconds: float) -> int:
        return math.ceil(math.log(max(milliseconds, self._SMALLEST) / self._SMALLEST, self._GROWTH))


@dataclass(slots=True)
class Tally:
    """How many requests were allowed and how many refused."""

    allowed: int = 0
    refused: int = 0


@dataclass(slots=True)
class Summary:
    """The counts. A client or route that a record does not name is `-`.

    What a route's mode let pass counts as allowed, and again in `would_deny_by` client, route and reason.
    """

    total: int = 0
    first_ts: str | None = None
    last_ts: str | None = None
    decisions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    would_deny: int = 0
    would_deny_by: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    client_routes: dict[tuple[str, str], Tally] = field(default_factory=dict)
    missing_scopes: Counter[tuple[str, str]] = field(default_factory=Counter)
    durations: Durations = field(default_factory=Durations)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.total += 1
        self._add_moment(record.get("ts"))
        _count(self.decisions, _name(record, "decision"))
        if record.get("reason"):
            _count(self.reasons, _name(record, "reason"))
        status = record.get("status")
        _count(self.statuses, f"{status // 100}xx" if isinstance(status, int) and 100 <= status <= 599 else ABSENT)
        if record.get("would_deny"):
            self.would_deny += 1
            key = (_name(record, "client_id"), _name(record, "route"), _name(record, "would_deny"))
            _count(self.would_deny_by, key, others=(OTHERS, OTHERS, OTHERS))
        self._add_client(record)
        self.durations.add(record.get("ms_total"))

    def _add_moment(self, ts: object) -> None:
        # Records are written as requests end, and several workers write: the first line need not be the earliest.
        moment = epoch(ts)
        if moment is None or not isinstance(ts, str):
            return
        if self.first_ts is None or moment < (epoch(self.first_ts) or moment):
            self.first_ts = ts
        if self.last_ts is None or moment >= (epoch(self.last_ts) or moment):
            self.last_ts = ts

    def _add_client(self, record: Record) -> None:
        client = _name(record, "client_id")
        key = (client, _name(record, "route"))
        if key not in self.client_routes and len(self.client_routes) >= MAX_KEYS:
            key = (OTHERS, OTHERS)
        tally = self.client_routes.setdefault(key, Tally())
        if record.get("decision") == "allow":
            tally.allowed += 1
        else:
            tally.refused += 1
        missing = record.get("scopes_missing")
        for scope in scopes(missing):
            _count(self.missing_scopes, (client, scope), others=(OTHERS, OTHERS))

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain JSON values; durations in milliseconds, most refusals first."""
        return {
            "total": self.total,
            "first_ts": self.first_ts,
            "last_ts": self.last_ts,
            "decisions": dict(self.decisions.most_common()),
            "reasons": dict(self.reasons.most_common()),
            "statuses": dict(sorted(self.statuses.items())),
            "would_deny": self.would_deny,
            "would_deny_by": [
                {"client": client, "route": route, "reason": reason, "requests": count}
                for (client, route, reason), count in self.would_deny_by.most_common()
            ],
            "clients": [
                {"client": client, "route": route, "allowed": tally.allowed, "refused": tally.refused}
                for (client, route), tally in self.by_refusals()
            ],
            "missing_scopes": [
                {"client": client, "scope": scope, "refusals": count}
                for (client, scope), count in self.missing_scopes.most_common()
            ],
            "ms_total": {
                "count": self.durations.count,
                "exact": self.durations.exact,
                "p50": self.durations.quantile(0.5),
                "p95": self.durations.quantile(0.95),
                "p99": self.durations.quantile(0.99),
            },
        }

    def by_refusals(self) -> list[tuple[tuple[str, str], Tally]]:
        """Return (client, route) and their tally: most refusals first, then most requests, then by name."""
        return sorted(self.client_routes.items(), key=lambda item: (-item[1].refused, -item[1].allowed, item[0]))


def summarize(records: Iterable[Record]) -> Summary:
    """Count every record."""
    summary = Summary()
    for record in records:
        summary.add(record)
    return summary


def scopes(value: object) -> list[str]:
    """Scopes as a record holds them: a list, or one string with blanks between."""
    if isinstance(value, str):
        return value.split()
    return [scope for scope in value if isinstance(scope, str)] if isinstance(value, list) else []


def _name(record: Record, key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) and value else ABSENT


def _count(counter: "Counter[Any]", key: Any, *, others: Any = OTHERS) -> None:
    counter[key if key in counter or len(counter) < MAX_KEYS else others] += 1
