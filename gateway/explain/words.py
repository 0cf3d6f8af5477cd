"""Values and times in words that a terminal shows and does not obey."""

from __future__ import annotations

import json
import time

from gateway.policy.claims import LATEST_TIME
from gateway.policy.printable import brief

LONGEST = 200
"""Characters of one value; a claim may be as long as its issuer likes."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def shown(value: object) -> str:
    """A value from a request, a token or a file: strings as they are, the rest as JSON, all of it printable."""
    return brief(value if isinstance(value, str) else json.dumps(value), LONGEST)


def span(seconds: float) -> str:
    """A duration in its largest unit: `59 min`."""
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= size), (1, "s"))
    return f"{abs(seconds) / size:.0f} {unit}" if size == 1 else f"{int(abs(seconds) // size)} {unit}"


def moment(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def distance(value: object, now: float, *, ahead: str, past: str) -> str:
    """A NumericDate (RFC 7519 §2) as a distance and a date: `expires in 59 min (2026-...)`; what is none, as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_TIME:
        return shown(value)
    words = f"{ahead} in {span(value - now)}" if value > now else f"{past} {span(now - value)} ago"
    return f"{words} ({moment(value)})"


def either(names: object) -> str:
    """Names with `or` between them, in the order that they have; sets are sorted."""
    ordered = sorted(names) if isinstance(names, set | frozenset) else names
    return " or ".join(shown(name) for name in ordered) if isinstance(ordered, list | tuple) else shown(ordered)
