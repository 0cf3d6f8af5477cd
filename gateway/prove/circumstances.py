"""From where and when a request comes, one of each kind that some rules tell apart."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import ceil

from gateway.policy.circumstances import Hours, Network, within
from gateway.prove.verdicts import NOW

ANYWHERE = ""
"""The address of a caller at which no rule looks."""

_USUAL = ("192.0.2.1", "2001:db8::1")
_EVERYWHERE: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def addresses(networks: Iterable[Network]) -> list[str]:
    """An address of each network that is of none within it, and one of none for each version of IP."""
    named = tuple(dict.fromkeys(networks))
    if not named:
        return [ANYWHERE]
    outside = [each for each in _USUAL if not within(named, each)]
    found = [_own_address(each, named) for each in (*named, *(_EVERYWHERE if len(outside) < len(_USUAL) else ()))]
    return list(dict.fromkeys([*outside, *(each for each in found if each is not None)]))


def moments(hours: Iterable[Hours], ends: Iterable[float] = ()) -> list[float]:
    """When each window begins and ends, and the minute before, in seconds since the epoch; else any time.

    Likewise of each end of a grace, and the second before.
    """
    around = {float(at) for end in ends for at in (ceil(end) - 1, ceil(end))}
    named = list(dict.fromkeys(hours))
    edges = {(at, each) for each in named for window in each.windows for edge in window for at in (edge, edge - 1)}
    return sorted({_moment(at, each) for at, each in edges} | around) or [float(NOW)]


def _moment(minute: int, hours: Hours) -> float:
    """A minute of the week in which NOW is, as the clocks there show it."""
    now = datetime.fromtimestamp(NOW, hours.zone)
    monday = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=now.weekday())
    return (monday + timedelta(minutes=minute)).timestamp()


def _own_address(network: Network, named: tuple[Network, ...]) -> str | None:
    """The first address of a network that no narrower one has."""
    left: list[Network] = [network]
    for other in named:
        left = [piece for each in left for piece in _without(each, other, network)]
    return str(left[0].network_address) if left else None


def _without(one: Network, other: Network, whole: Network) -> list[Network]:
    """A part of a network without another network that lies within the whole."""
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network) and isinstance(whole, IPv4Network):
        narrower = other != whole and other.subnet_of(whole)
        if narrower and one.subnet_of(other):
            return []
        return list(one.address_exclude(other)) if narrower and other.subnet_of(one) else [one]
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network) and isinstance(whole, IPv6Network):
        narrower = other != whole and other.subnet_of(whole)
        if narrower and one.subnet_of(other):
            return []
        return list(one.address_exclude(other)) if narrower and other.subnet_of(one) else [one]
    return [one]
