"""From where and when a request comes: what a rule may demand of everyone, with or without a token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from gateway.policy.denial import Reason

Network = IPv4Network | IPv6Network

DAY = 24 * 60
WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of the week at which requests are taken.

    Attributes:
        windows: begin and end of each, in minutes since Monday 00:00; an end may lie in the next week.
        zone: whose clocks show these times.
        words: the same for people.
    """

    windows: tuple[tuple[int, int], ...]
    zone: tzinfo
    words: str

    def hold(self, now: float) -> bool:
        """Whether the clocks there show one of these times; `now` in seconds since the epoch."""
        there = datetime.fromtimestamp(now, self.zone)
        minute = there.weekday() * DAY + there.hour * 60 + there.minute
        return any(begin <= minute < end or minute + WEEK < end for begin, end in self.windows)

    def shown(self, now: float) -> str:
        """A moment as the clocks there show it: `Fri 09:00 CET`."""
        there = datetime.fromtimestamp(now, self.zone)
        return f"{DAYS[there.weekday()].title()} {there:%H:%M} {there.tzname()}"


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Circumstance(NamedTuple):
    """What became of one such demand.

    Attributes:
        reason: for which a request is refused that does not meet it.
        name: of the demand.
        met: whether it holds.
        expected: in words.
        found: in words.
    """

    reason: Reason
    name: str
    met: bool
    expected: str
    found: str


def circumstances(
    networks: tuple[Network, ...], hours: Hours | None, address: str, now: float
) -> Iterator[Circumstance]:
    """Each demand, in the order in which it is looked at.

    Args:
        networks: from which requests are taken; none for any.
        hours: at which requests are taken; None for any.
        address: of the client; "" where it is not known.
        now: seconds since the epoch.
    """
    if networks:
        expected = " or ".join(map(str, networks))
        met = within(networks, address)
        yield Circumstance(Reason.NETWORK_NOT_ALLOWED, "network", met, expected, address or "no address that is known")
    if hours is not None:
        yield Circumstance(Reason.OUTSIDE_HOURS, "hours", hours.hold(now), hours.words, hours.shown(now))


@lru_cache(maxsize=4096)
def within(networks: tuple[Network, ...], address: str) -> bool:
    """Whether an address is of one of the networks; an IPv4 address within IPv6 counts as what it is (RFC 4291 §2.5.5).

    What is no address is of none.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)
