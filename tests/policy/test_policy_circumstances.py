"""From where and when a request comes."""

from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from gateway.policy.circumstances import DAY, WEEK, Hours, within
from gateway.policy.decision import ALLOW, Evidence, decide
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Rule

from .policy_case import CLAIMS

LOCAL = frozenset({"local"})
INSIDE = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("fd00::1", True),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("::10.1.2.3", False),
        ("", False),
        ("010.1.2.3", False),
        ("10.1.2.3.example", False),
    ],
)
def test_an_address_is_of_a_network_or_not(address: str, *, inside: bool) -> None:
    assert within(INSIDE, address) is inside
    rule = Rule(issuers=LOCAL, networks=INSIDE)
    outcome = decide(rule, Evidence(CLAIMS, address=address))
    assert (outcome is ALLOW) is inside
    assert inside or (isinstance(outcome, Denial) and outcome.reason is Reason.NETWORK_NOT_ALLOWED)


def hours(*windows: tuple[int, int]) -> Hours:
    return Hours(windows, UTC, "then")


def at(text: str, zone: timezone | ZoneInfo = UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


MONDAY = 0
SUNDAY = 6 * DAY


@pytest.mark.parametrize(
    ("window", "moment", "holds"),
    [
        ((MONDAY + 480, MONDAY + 1080), "2026-11-23T08:00:00", True),
        ((MONDAY + 480, MONDAY + 1080), "2026-11-23T17:59:59", True),
        ((MONDAY + 480, MONDAY + 1080), "2026-11-23T07:59:59", False),
        ((MONDAY + 480, MONDAY + 1080), "2026-11-23T18:00:00", False),
        ((MONDAY + 480, MONDAY + 1080), "2026-11-24T09:00:00", False),
        ((MONDAY + 1320, MONDAY + DAY + 360), "2026-11-24T05:59:59", True),
        ((MONDAY + 1320, MONDAY + DAY + 360), "2026-11-23T05:59:59", False),
        ((SUNDAY + 1320, SUNDAY + DAY + 360), "2026-11-23T05:59:59", True),
        ((SUNDAY + 1320, SUNDAY + DAY + 360), "2026-11-23T06:00:00", False),
        ((SUNDAY + 1320, SUNDAY + DAY + 360), "2026-11-29T22:00:00", True),
        ((SUNDAY, SUNDAY + DAY), "2026-11-29T23:59:59", True),
        ((SUNDAY, SUNDAY + DAY), "2026-11-30T00:00:00", False),
    ],
)
def test_a_moment_is_within_a_window_of_the_week_or_not(window: tuple[int, int], moment: str, *, holds: bool) -> None:
    rule = Rule(issuers=LOCAL, hours=hours(window))
    outcome = decide(rule, Evidence(CLAIMS, now=at(moment)))
    assert (outcome is ALLOW) is holds
    assert holds or (isinstance(outcome, Denial) and outcome.reason is Reason.OUTSIDE_HOURS)


@pytest.mark.parametrize(("moment", "holds"), [("2026-07-01T06:00:00", True), ("2026-12-01T06:00:00", False)])
def test_the_clocks_of_the_zone_count_summer_time_included(moment: str, *, holds: bool) -> None:
    berlin = Hours(tuple((day * DAY + 480, day * DAY + 1080) for day in range(7)), ZoneInfo("Europe/Berlin"), "then")
    assert berlin.hold(at(moment)) is holds
    assert berlin.shown(at("2026-12-04T08:00:00")) == "Fri 09:00 CET"


def test_a_public_route_may_be_bounded_and_needs_no_token_all_the_same() -> None:
    rule = Rule(public=True, networks=INSIDE, hours=hours((0, DAY)))
    monday, tuesday = at("2026-11-23T12:00:00"), at("2026-11-24T12:00:00")
    assert decide(rule, Evidence(now=monday, address="10.0.0.1")) is ALLOW
    elsewhere = decide(rule, Evidence(now=monday, address="192.0.2.1"))
    late = decide(rule, Evidence(now=tuesday, address="10.0.0.1"))
    assert isinstance(elsewhere, Denial)
    assert isinstance(late, Denial)
    assert elsewhere.detail == "network: expected 10.0.0.0/8 or fd00::/8, found 192.0.2.1"
    assert late.detail == "hours: expected then, found Tue 12:00 UTC"


@given(st.integers(0, 2**31), st.integers(0, WEEK - 1), st.integers(1, DAY), st.integers(-12, 12))
def test_a_window_holds_exactly_for_its_minutes_each_week(now: int, begin: int, length: int, offset: int) -> None:
    zone = timezone(timedelta(hours=offset))
    there = datetime.fromtimestamp(now, zone)
    minute = there.weekday() * DAY + there.hour * 60 + there.minute
    inside = minute in {(begin + each) % WEEK for each in range(length)}
    assert Hours(((begin, begin + length),), zone, "then").hold(now) is inside
