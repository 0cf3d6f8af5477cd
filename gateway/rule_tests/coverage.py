"""Which routes and which reasons the cases reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.explain.grounds import Grounds
from gateway.rule_tests.running import Result


@dataclass(frozen=True, slots=True)
class RouteCoverage:
    """How many cases a route let in and how many it refused (also in vain), and whether it can do either."""

    route: str
    allowed: int
    denied: int
    decides: bool

    @property
    def reached(self) -> bool:
        """Whether any case came to it."""
        return bool(self.allowed or self.denied)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the cases came to: every route, in the table's order, and how often each reason was given."""

    routes: tuple[RouteCoverage, ...]
    reasons: tuple[tuple[str, int], ...]

    @property
    def unreached(self) -> list[str]:
        """Routes that no case came to."""
        return [each.route for each in self.routes if not each.reached]


def coverage(results: Sequence[Result], grounds: Grounds) -> Coverage:
    """Count what was found, whether it was expected or not."""
    allowed = Counter(result.route for result in results if result.reason is None)
    denied = Counter(result.route for result in results if result.reason is not None)
    reasons = Counter(result.reason for result in results if result.reason is not None)
    return Coverage(
        routes=tuple(
            RouteCoverage(each.id, allowed[each.id], denied[each.id], each.rule.takes_token)
            for each in grounds.table.routes
        ),
        reasons=tuple(sorted(reasons.items())),
    )
