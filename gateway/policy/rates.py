"""How often one caller may call: what a limit says, who is counted as one, and when there is room again.

Requests are counted in windows that follow each other. Those of the window before count by the share of it that is
still less than a whole window ago. So two numbers a caller do, and where two windows meet nobody gets twice the limit
at once, but one more than it at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import floor
from typing import Literal, NamedTuple

from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.printable import brief

CountedBy = Literal["client", "subject", "address"]

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""In which a window is given; in seconds."""

CHECK = "rate limit"

_ROUNDING = 1e-6
"""Seconds, more than what calculating with them loses."""

_SITE_BITS = 64
"""Of an IPv6 address: within them one customer has as many addresses as he likes (RFC 6177 §2)."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests that one caller may make within a window.

    Attributes:
        amount: of them.
        seconds: that the window lasts.
        by: what makes a caller.
    """

    amount: int
    seconds: int
    by: CountedBy

    def __str__(self) -> str:
        unit, size = next((unit, size) for unit, size in reversed(UNITS.items()) if self.seconds % size == 0)
        times = self.seconds // size
        return f"{self.amount}/{unit if times == 1 else f'{times} {unit}s'} by {self.by}"


class Counted(NamedTuple):
    """Requests of one caller that were let in.

    Attributes:
        before: in the window before.
        within: in this one.
        elapsed: seconds since this one began.
    """

    before: int
    within: int
    elapsed: float

    def has_room(self, limit: int, seconds: int) -> bool:
        """Whether one more keeps the limit, in windows that last so many seconds."""
        return self.before * (seconds - self.elapsed) < (limit - self.within) * seconds

    def retry_after(self, limit: int, seconds: int) -> int:
        """Whole seconds after which there is room for one more, if nobody else takes it; 0 where there is room now."""
        if self.has_room(limit, seconds):
            return 0
        if self.within < limit:
            wait = seconds * (self.before - limit + self.within) / self.before - self.elapsed
        else:
            wait = seconds - self.elapsed + seconds * (self.within - limit) / self.within
        return floor(max(wait, 0.0) + _ROUNDING) + 1


@lru_cache(maxsize=4096)
def site(address: str) -> str:
    """An IPv4 address, also one within IPv6, or the /64 of an IPv6 one; what is no address stands for itself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), _SITE_BITS), strict=False))


def exceeded(limit: RateLimit, name: str, wait: int) -> Denial:
    """The refusal of a caller that has used up a limit.

    Args:
        limit: that is used up.
        name: of the caller; "" where its address is not known.
        wait: seconds until there is room again.
    """
    who = f"{limit.by} {brief(name, 120)}" if name else f"callers whose {limit.by} is not known"
    found = f"all of it used by {who}, for {wait} s more"
    return replace(unmet(Reason.RATE_LIMITED, CHECK, f"at most {limit}", found), retry_after=wait)
