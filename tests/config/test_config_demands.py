"""What a route demands: how it is read, and every fault of it at its place."""

import pytest

from .gateway_samples import UP_TO_ROUTES, config, faults

DENIES = "has no effect on a route that denies everyone"


def of_route(route: str) -> list[str]:
    """The faults of a file with this one route, each without its line and column."""
    return [fault.partition(": ")[2] for fault in faults(f"{UP_TO_ROUTES}  - {{id: a, {route}}}\n")]


def test_a_route_that_denies_everyone_needs_nothing_else() -> None:
    found = config(f"{UP_TO_ROUTES}  - {{id: a, path: '/a/{{rest...}}', deny: true}}\n")
    assert found.routes[0].deny
    assert found.routes[0].upstream is None


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("path: /a, deny: true, public: true", ["routes[0].deny: contradicts public: true: keep one of the two"]),
        (
            "path: /a, deny: true, scopes: [x]",
            [f"routes[0].scopes: {DENIES}: remove scopes, or remove deny: true"],
        ),
        (
            "path: /a, deny: true, upstream: api, max_body: 1KiB",
            [
                f"routes[0].upstream: {DENIES}: remove upstream, or remove deny: true",
                f"routes[0].max_body: {DENIES}: remove max_body, or remove deny: true",
            ],
        ),
        ("path: /a, scopes: [x]", ["routes[0].upstream: is required and missing: add it"]),
        ("path: /a, public: true", ["routes[0].upstream: is required and missing: add it"]),
        ("path: /a, deny: 1, upstream: api, scopes: [x]", ["routes[0].deny: must be true or false, not 1"]),
    ],
)
def test_a_route_denies_everyone_or_says_whom_it_lets_in(route: str, expected: list[str]) -> None:
    assert of_route(route) == expected
