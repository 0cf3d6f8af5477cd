"""A route's mode: how it is read, every fault of it, and what groups make of it."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway import build_rule
from gateway.config.mode_fields import read_mode
from gateway.config.schema import schema
from gateway.policy.model import ENFORCE, Mode

from .gateway_samples import LEAST, UP_TO_ROUTES, config, faults

NEW_YEAR = 1_798_675_200.0
"""2026-12-31T00:00:00Z."""
IN_GRACE = "mode: grace until 2026-12-31, grace_clients: [x]"


def of_route(route: str) -> list[str]:
    """The faults of a file with this one route, each without its line and column."""
    text = f"{UP_TO_ROUTES}  - {{id: a, path: /a, {route}}}\n"
    return [fault.partition(": ")[2] for fault in faults(text)]


def mode(route: str) -> Mode:
    found = config(f"{UP_TO_ROUTES}  - {{id: a, path: /a, upstream: api, {route}}}\n")
    return build_rule.rule(found.routes[0], found.issuers).mode


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("scopes: [x]", ENFORCE),
        ("scopes: [x], mode: enforce", ENFORCE),
        ("scopes: [x], mode: shadow", Mode("shadow")),
        ("public: true, mode: shadow, max_body: 0", Mode("shadow")),
        ("public: true, mode: enforce", ENFORCE),
        (f"scopes: [x], {IN_GRACE}", Mode("grace", NEW_YEAR, frozenset({("main", "x")}))),
        (
            "scopes: [x], mode: grace until 2026-12-31T01:00:00+01:00, grace_clients: {main: [x, y]}",
            Mode("grace", NEW_YEAR, frozenset({("main", "x"), ("main", "y")})),
        ),
        (
            "scopes: [x], mode: grace until 2026-12-31T00:00Z, grace_clients: [x]",
            Mode("grace", NEW_YEAR, frozenset({("main", "x")})),
        ),
    ],
)
def test_a_mode_is_read(route: str, expected: Mode) -> None:
    assert mode(route) == expected


NO_MODE = "is no mode: write enforce, shadow, or grace until a date such as 2026-12-31"
NO_GRACE = "write mode: grace until DATE, or remove grace_clients"
NO_CLIENT = "remove grace_clients, or remove public: true"
NOTHING_REFUSED = (
    "has no effect on a public route that refuses nothing: "
    "remove mode, or demand one of networks, hours, max_body, rate_limits"
)
NO_DATE = "is no date that can end the grace: write a date such as 2026-12-31, or 2026-12-31T18:00:00Z"


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("scopes: [x], mode: shdow", [f"routes[0].mode: 'shdow' {NO_MODE}"]),
        ("scopes: [x], mode: Shadow", [f"routes[0].mode: 'Shadow' {NO_MODE}"]),
        ("scopes: [x], mode: true", [f"routes[0].mode: true {NO_MODE}"]),
        ("scopes: [x], mode: grace, grace_clients: [x]", [f"routes[0].mode: 'grace' {NO_MODE}"]),
        (
            "scopes: [x], mode: grace until tomorrow, grace_clients: [x]",
            [f"routes[0].mode: 'tomorrow' {NO_DATE}"],
        ),
        (
            "scopes: [x], mode: grace until 2026-12-31T18:00, grace_clients: [x]",
            [f"routes[0].mode: '2026-12-31T18:00' {NO_DATE}"],
        ),
        (
            "scopes: [x], mode: grace until 2026-02-29, grace_clients: [x]",
            ["routes[0].mode: '2026-02-29' is no day or time of the calendar"],
        ),
        *(
            (
                f"scopes: [x], mode: grace until {text}, grace_clients: [x]",
                [f"routes[0].mode: '{text}' is no day or time of the calendar"],
            )
            for text in ("9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01")
        ),
        (
            "scopes: [x], mode: grace until 2026-12-31",
            ["routes[0].mode: needs grace_clients: list the clients that enter until then"],
        ),
        (
            "scopes: [x], mode: shadow, grace_clients: [x]",
            [f"routes[0].grace_clients: has no effect without a grace: {NO_GRACE}"],
        ),
        (
            "scopes: [x], mode: grace until 2026-12-31, grace_clients: {other: [x]}",
            ["routes[0].grace_clients.other: 'other' is no issuer of this route: they are: main"],
        ),
        (
            "scopes: [x], mode: grace until 2026-12-31, grace_clients: []",
            ["routes[0].grace_clients: must be a list of client ids, such as [nightly-batch], or one for each issuer"],
        ),
        ("public: true, mode: shadow", [f"routes[0].mode: {NOTHING_REFUSED}"]),
        ("public: true, mode: shadow, rate_limits: []", [f"routes[0].mode: {NOTHING_REFUSED}"]),
        (
            f"public: true, {IN_GRACE}",
            [
                "routes[0].mode: has no effect on a public route, which knows no client: remove mode",
                f"routes[0].grace_clients: has no effect on a public route: {NO_CLIENT}",
            ],
        ),
    ],
)
def test_a_faulty_mode_is_refused_with_a_remedy(route: str, expected: list[str]) -> None:
    assert of_route(f"upstream: api, {route}") == expected


def test_a_route_that_denies_everyone_has_no_mode() -> None:
    denies = "has no effect on a route that denies everyone"
    assert of_route("deny: true, mode: shadow") == [
        f"routes[0].mode: {denies}: remove mode, or remove deny: true",
    ]


def test_where_several_issuers_are_taken_grace_says_whose_clients_it_means() -> None:
    text = LEAST.replace("upstreams:", "  other: {issuer: https://o.example, audience: api}\nupstreams:", 1)
    (fault,) = faults(text.replace("scopes: [read]", f"scopes: [read], {IN_GRACE}"))
    assert "routes[0].grace_clients: a client id means nothing without its issuer" in fault
    assert "write {main: [...], other: [...]}" in fault


@pytest.mark.parametrize(
    ("defaults", "route", "expected"),
    [
        ("scopes: [x], mode: shadow", "", "shadow"),
        ("scopes: [x], mode: shadow", "mode: enforce", "enforce"),
        ("scopes: [x], mode: shadow", "public: true", "enforce"),
        ("scopes: [x], mode: shadow", "public: true, max_body: 1KiB", "shadow"),
        ("max_body: 1KiB, mode: shadow", "public: true", "shadow"),
        ("public: true, mode: shadow", "", "enforce"),
        ("public: true, mode: shadow", "scopes: [x]", "shadow"),
        ("mode: shadow", "deny: true", "enforce"),
        (f"scopes: [x], {IN_GRACE}", "", "grace"),
        (f"scopes: [x], {IN_GRACE}", "mode: shadow", "shadow"),
        (f"scopes: [x], {IN_GRACE}", "public: true", "enforce"),
        (IN_GRACE, "deny: true", "enforce"),
        ("scopes: [x], grace_clients: [y]", "", "enforce"),
        ("scopes: [x], grace_clients: [y]", "mode: grace until 2026-12-31", "grace"),
    ],
)
def test_a_mode_among_the_defaults_of_a_group(defaults: str, route: str, expected: str) -> None:
    upstream = "" if "deny" in route else "upstream: api, "
    separated = f", {route}" if route else ""
    text = f"  - {{defaults: {{{upstream}{defaults}}}, routes: [{{id: a, path: /a{separated}}}]}}\n"
    assert config(UP_TO_ROUTES + text).routes[0].mode.name == expected


def test_a_grace_of_a_groups_defaults_that_names_no_client_is_a_fault_of_the_route() -> None:
    text = "  - {defaults: {mode: grace until 2026-12-31}, routes: [{id: a, path: /a, scopes: [x], upstream: api}]}\n"
    (fault,) = faults(UP_TO_ROUTES + text)
    assert fault.endswith("mode: needs grace_clients: list the clients that enter until then")


@given(st.text() | st.none() | st.integers() | st.text().map("grace until ".__add__))
def test_whatever_a_mode_is_it_is_read_or_refused(value: Any) -> None:
    try:
        found = read_mode(value)
    except ValueError:
        found = None
    readable = isinstance(value, str) and value.startswith(("enforce", "shadow", "grace until "))
    assert readable or found is None


def test_the_schema_completes_modes() -> None:
    route = schema()["$defs"]["RouteConfig"]["properties"]["mode"]
    assert route["anyOf"][0] == {"enum": ["enforce", "shadow"]}
    assert route["examples"] == ["shadow", "grace until 2026-12-31"]
