"""How often one caller may call: how it is read, and every fault of it at its place."""

import pickle
import re
from typing import Any

import pytest

from gateway import build
from gateway.config.rate_section import RateLimitConfig
from gateway.policy.rates import RateLimit

from .gateway_samples import UP_TO_ROUTES, config, faults


def of_route(route: str) -> list[str]:
    """The faults of a file with this one route, each without its line and column."""
    return [fault.partition(": ")[2] for fault in faults(f"{UP_TO_ROUTES}  - {{id: a, path: /a, {route}}}\n")]


def limits(text: str, route: str = "a") -> tuple[RateLimit, ...]:
    """The limits of a route of a file."""
    found = config(UP_TO_ROUTES + text)
    (entry,) = (entry for entry in found.routes if entry.id == route)
    built = build.route(entry, found.issuers)
    assert pickle.loads(pickle.dumps(built)) == built
    return built.rate_limits


@pytest.mark.parametrize(
    ("written", "amount", "seconds"),
    [
        ("1/second", 1, 1),
        ("100/minute", 100, 60),
        ("5000/hour", 5000, 3600),
        ("9999999/day", 9_999_999, 86400),
        ("1000/15 minutes", 1000, 900),
        ("7/31 days", 7, 31 * 86400),
    ],
)
def test_a_limit_is_requests_in_a_window(written: str, amount: int, seconds: int) -> None:
    route = f"  - {{id: a, path: /a, upstream: api, scopes: [x], rate_limits: [{{limit: {written}, by: client}}]}}\n"
    assert limits(route) == (RateLimit(amount, seconds, "client"),)
    assert str(limits(route)[0]) == f"{written} by client"


def no_rate(written: str) -> str:
    return f"{written} is no rate: write one such as 10/second, 100/minute or 1000/15 minutes"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("100", [no_rate("100")]),
        ("100/m", [no_rate("'100/m'")]),
        ("100 / minute", [no_rate("'100 / minute'")]),
        ("100/minutes", [no_rate("'100/minutes'")]),
        ("100/15minutes", [no_rate("'100/15minutes'")]),
        ("100/0 minutes", [no_rate("'100/0 minutes'")]),
        ("100/month", [no_rate("'100/month'")]),
        ("0/minute", [no_rate("'0/minute'")]),
        ("-1/minute", [no_rate("'-1/minute'")]),
        ("1.5/minute", [no_rate("'1.5/minute'")]),
        ("10000000/minute", [no_rate("'10000000/minute'")]),
        ('"\\u0661/minute"', [no_rate("'\u0661/minute'")]),
        ("[1/minute]", [no_rate("a list")]),
        ("1/32 days", ["'1/32 days' has a window longer than 31 days: write a shorter one"]),
        ("1/9999999 days", ["'1/9999999 days' has a window longer than 31 days: write a shorter one"]),
    ],
)
def test_what_is_no_limit_is_told(limit: str, expected: list[str]) -> None:
    found = of_route(f"upstream: api, scopes: [x], rate_limits: [{{limit: {limit}, by: client}}]")
    assert found == [f"routes[0].rate_limits[0].limit: {message}" for message in expected]


DENIES = "has no effect on a route that denies everyone"
PUBLIC = "a public route looks at no token, which names the"
OWN = "write by: address, or give it rate_limits of its own"


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (
            "scopes: [x], upstream: api, rate_limits: {limit: 1/day, by: client}",
            ["routes[0].rate_limits: must be a list"],
        ),
        (
            "scopes: [x], upstream: api, rate_limits: [{limit: 1/day}]",
            ["routes[0].rate_limits[0].by: is required and missing: add it"],
        ),
        (
            "scopes: [x], upstream: api, rate_limits: [{limit: 1/day, by: clients}]",
            ["routes[0].rate_limits[0].by: must be 'client', 'subject' or 'address', not 'clients'"],
        ),
        (
            "scopes: [x], upstream: api, rate_limits: [{limit: 1/day, by: client, per: x}]",
            ["routes[0].rate_limits[0].per: unknown key: known keys are: by, limit"],
        ),
        (
            "scopes: [x], upstream: api, rate_limits: [{limit: 1/day, by: client}, {limit: 2/24 hours, by: client}]",
            ["routes[0].rate_limits[1]: counts the same as rate_limits[0]: keep the smaller of the two"],
        ),
        (
            "public: true, upstream: api, rate_limits: [{limit: 1/day, by: address}, {limit: 1/day, by: client}]",
            [f"routes[0].rate_limits[1].by: {PUBLIC} client: {OWN}"],
        ),
        (
            "public: true, upstream: api, rate_limits: [{limit: 1/day, by: subject}, x]",
            [
                f"routes[0].rate_limits[0].by: {PUBLIC} subject: {OWN}",
                "routes[0].rate_limits[1]: must be a mapping of keys",
            ],
        ),
        (
            "deny: true, rate_limits: [{limit: 1/day, by: address}]",
            [f"routes[0].rate_limits: {DENIES}: remove rate_limits, or remove deny: true"],
        ),
    ],
)
def test_every_fault_of_limits_is_told(route: str, expected: list[str]) -> None:
    assert [fault[: len(wanted)] for fault, wanted in zip(of_route(route), expected, strict=True)] == expected


GROUP = """\
  - defaults: {upstream: api, rate_limits: [{limit: 10/minute, by: client}]}
    routes:
      - {id: a, path: /a, scopes: [x]}
      - {id: own, path: /own, scopes: [x], rate_limits: [{limit: 1/minute, by: subject}]}
      - {id: none, path: /none, public: true, rate_limits: []}
      - {id: closed, path: /closed, deny: true}
"""


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("a", (RateLimit(10, 60, "client"),)),
        ("own", (RateLimit(1, 60, "subject"),)),
        ("none", ()),
        ("closed", ()),
    ],
)
def test_a_group_may_limit_its_routes_and_a_route_has_its_own_limits_instead(
    route: str, expected: tuple[RateLimit, ...]
) -> None:
    assert limits(GROUP, route) == expected


def test_limits_of_a_group_that_a_public_route_cannot_keep_are_told_where_they_stand() -> None:
    text = UP_TO_ROUTES + GROUP.replace(", rate_limits: []", "")
    (fault,) = faults(text)
    assert fault == f"6:68: routes[0].defaults.rate_limits[0].by: {PUBLIC} client: {OWN}"


def test_the_schema_takes_what_is_read() -> None:
    schema: dict[str, Any] = RateLimitConfig.model_json_schema()["properties"]["limit"]
    for written in schema["examples"]:
        assert re.fullmatch(schema["pattern"], written)
        assert RateLimitConfig.model_validate({"limit": written, "by": "client"}).limit[0] > 0
