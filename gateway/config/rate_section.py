"""How often one caller may call a route, in the gateway's file."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.config.binding import MisplacedError, Section
from gateway.config.errors import Path
from gateway.config.fields import shown
from gateway.config.route_demands import is_true
from gateway.policy.rates import UNITS

LONGEST = 31
"""Days that a window may last: counts are in memory, and begin anew with the gateway."""

_UNIT = "|".join(UNITS)
_RATE = re.compile(rf"([1-9][0-9]{{0,6}})/(?:({_UNIT})|([1-9][0-9]{{0,6}}) ({_UNIT})s)")


def _rate(text: Any) -> tuple[int, int]:
    """Requests, and the seconds of the window in which so many may come."""
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{shown(text)} is no rate: write one such as 10/second, 100/minute or 1000/15 minutes")
    amount, unit, times, units = found.groups()
    seconds = UNITS[unit] if unit else int(times) * UNITS[units]
    if seconds > LONGEST * UNITS["day"]:
        raise ValueError(f"{shown(text)} has a window longer than {LONGEST} days: write a shorter one")
    return int(amount), seconds


class RateLimitConfig(Section):
    """How often one caller may call."""

    limit: Annotated[
        tuple[int, int],
        BeforeValidator(_rate),
        WithJsonSchema(
            {
                "type": "string",
                "pattern": f"^{_RATE.pattern}$",
                "examples": ["10/second", "100/minute", "5000/hour", "1000/15 minutes"],
            }
        ),
    ] = Field(description="Requests in a window: 100/minute, 10/second, 1000/15 minutes.")
    by: Literal["client", "subject", "address"] = Field(
        description="Whose requests are counted together: those of a client, of a token's subject, or of an address."
    )


def _each_counts(limits: tuple[RateLimitConfig, ...]) -> tuple[RateLimitConfig, ...]:
    """Of two limits that count the same, the larger one would have no effect."""
    counted = [(one.limit[1], one.by) for one in limits]
    for index, one in enumerate(counted):
        if one in counted[:index]:
            first = counted.index(one)
            raise MisplacedError(((index,), f"counts the same as rate_limits[{first}]: keep the smaller of the two"))
    return limits


RateLimits = Annotated[tuple[RateLimitConfig, ...], AfterValidator(_each_counts)]


def rate_faults(path: Path, route: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Nobody is known on a public route but the address that calls.

    Args:
        path: of the route in the file.
        route: its section, as plain data.
    """
    limits = route.get("rate_limits")
    if not is_true(route.get("public")) or not isinstance(limits, list):
        return
    for index, limit in enumerate(limits):
        by = limit.get("by") if isinstance(limit, dict) else None
        if by in {"client", "subject"}:
            place, remedy = (*path, "rate_limits", index, "by"), "write by: address, or give it rate_limits of its own"
            yield place, f"a public route looks at no token, which names the {by}: {remedy}"
