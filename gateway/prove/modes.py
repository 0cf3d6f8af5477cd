"""Routes whose mode wants to be looked after: in shadow, or in a grace that is over."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.policy.modes import moment
from gateway.prove.proofs import Doubt, Kind
from gateway.prove.verdicts import Policy


def mode_doubts(policy: Policy, now: float) -> Iterator[Doubt]:
    """One doubt for each such route; `now` in seconds since the epoch."""
    for route in policy.table.routes:
        mode = route.rule.mode
        if mode.name == "shadow":
            told = (
                "is in shadow, so what it refuses goes on all the same: remove mode once no would_deny is left to mend"
            )
            yield Doubt(Kind.SHADOW, route, "mode", told)
        elif mode.name == "grace" and now >= mode.until:
            clients = ", ".join(sorted({client for _, client in mode.clients}))
            told = f"is over since {moment(mode.until)}, so {clients} may be refused: remove mode and grace_clients"
            yield Doubt(Kind.GRACE_OVER, route, "mode", told)
