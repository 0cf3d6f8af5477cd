"""What limits a request that is let in: told, since how much of it is used the running gateway alone knows."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.model import Fact, Mark
from gateway.policy.model import Route
from gateway.policy.rates import CHECK


def rate_facts(route: Route) -> Iterator[Fact]:
    """Each limit of a route's rates."""
    for limit in route.rate_limits:
        yield Fact(Mark.NOT_REACHED, CHECK, "counted by the running gateway", f"at most {limit}")
