"""What a route demands: how it is read, and every fault of it at its place."""

import pickle
from typing import Any

import pytest

from gateway import build_rule
from gateway.config.schema import schema

from .gateway_samples import UP_TO_ROUTES, config, faults

DENIES = "has no effect on a route that denies everyone"


def of_route(route: str) -> list[str]:
    """The faults of a file with this one route, each without its line and column."""
    return [fault.partition(": ")[2] for fault in faults(f"{UP_TO_ROUTES}  - {{id: a, {route}}}\n")]


TWO_ISSUERS = """\
issuers:
  main: {issuer: https://i.example, audience: [api, batch]}
  other: {issuer: https://o.example, audience: partner}
upstreams: {api: {url: "http://127.0.0.1:9000"}}
routes:
"""


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("audiences: [batch], issuers: [main]", []),
        ("audiences: [batch, partner]", []),
        ("audiences: [bach], issuers: [main]", ["[0]: 'bach' is no audience of main: did you mean 'batch'?"]),
        (
            "audiences: [batch, partner], issuers: [main]",
            ["[1]: 'partner' is no audience of main: audiences are: api, batch"],
        ),
        ("audiences: [x]", ["[0]: 'x' is no audience of main or other: audiences are: api, batch, partner"]),
        (
            "audiences: [batch]",
            [": lets in no token of other: add one of partner, or list the other issuers under issuers"],
        ),
        ("audiences: []", [": must not be empty"]),
        ("audiences: [api, api], issuers: [main]", [": 'api' is listed twice: keep one"]),
        ("audiences: api", [": must be a list, not 'api'"]),
        ("audiences: [{a: b}], issuers: [main]", ["[0]: must be a string, not a mapping"]),
    ],
)
def test_a_route_takes_audiences_for_which_its_issuers_are_trusted(route: str, expected: list[str]) -> None:
    told = faults(f"{TWO_ISSUERS}  - {{id: a, path: /a, scopes: [x], {route}, upstream: api}}\n")
    assert [fault.partition("routes[0].audiences")[2] for fault in told] == expected


def test_an_audience_counts_for_the_issuers_that_are_trusted_for_it() -> None:
    text = "  - {defaults: {audiences: [batch, partner], upstream: api}, routes: [{id: a, path: /a, scopes: [x]}]}\n"
    found = config(TWO_ISSUERS + text)
    taken = frozenset({("main", "batch"), ("other", "partner")})
    assert build_rule.rule(found.routes[0], found.issuers).audiences == taken
    public = config(TWO_ISSUERS + text.replace("scopes: [x]", "public: true")).routes[0]
    assert public.audiences is None


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


# Clients and claims


def test_clients_and_claims_say_who_may_enter_without_scopes() -> None:
    found = config(
        f"{UP_TO_ROUTES}"
        "  - {id: a, path: /a, upstream: api, clients: [x, y]}\n"
        "  - {id: b, path: '/b/{tenant}', upstream: api, claims: {tenant: '{tenant}', level: [1, true]}}\n"
        "  - {id: c, path: /c, upstream: api, clients: {main: [x]}}\n"
    )
    assert found.routes[0].clients == ("x", "y")
    assert found.routes[1].claims == {"tenant": ("{tenant}",), "level": (1, True)}
    assert found.routes[2].clients == {"main": ("x",)}


CLIENTS = "routes[0].clients: must be a list of client ids, such as [nightly-batch], or one for each issuer"
A_VALUE = "write a text, a whole number, true or false, or a list"
NO_BRACES = "it has none that stands for one segment, and a value itself holds no braces"


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("path: /a, upstream: api, clients: x", [CLIENTS]),
        ("path: /a, upstream: api, clients: []", [CLIENTS]),
        ("path: /a, upstream: api, clients: [1]", [CLIENTS]),
        ("path: /a, upstream: api, clients: {main: []}", [CLIENTS]),
        (
            "path: /a, upstream: api, clients: {}",
            ["routes[0].clients: must not be empty: list at least one client, or write deny: true"],
        ),
        ("path: /a, upstream: api, clients: [x, x]", ["routes[0].clients: 'x' is listed twice: keep one"]),
        (
            "path: /a, upstream: api, clients: {mian: [x]}",
            ["routes[0].clients.mian: 'mian' is no issuer of this route: did you mean 'main'?"],
        ),
        (
            "path: /a, upstream: api, public: true, clients: [x]",
            ["routes[0].clients: has no effect on a public route: remove clients, or remove public: true"],
        ),
        (
            "path: '/a/{tenant}', upstream: api, claims: {t: '{tennant}'}",
            ["routes[0].claims.t: '{tennant}' is no variable of the path: did you mean '{tenant}'?"],
        ),
        (
            "path: '/a/{tenant}', upstream: api, claims: {t: [x, 'org-{tenant}']}",
            ["routes[0].claims.t[1]: 'org-{tenant}' is no variable of the path: did you mean '{tenant}'?"],
        ),
        (
            "path: /a, upstream: api, claims: {t: '{tenant}'}",
            [f"routes[0].claims.t: '{{tenant}}' is no variable of the path: {NO_BRACES}"],
        ),
        (
            "path: '/a/{x...}', upstream: api, claims: {t: '{x}'}",
            ["routes[0].claims.t: '{x}' takes many segments: compare with one that takes one segment"],
        ),
        (
            "path: /a, upstream: api, claims: {t: []}",
            [f"routes[0].claims.t: a list is no claim's value: {A_VALUE}"],
        ),
        (
            "path: x, upstream: api, claims: {t: '{x}'}",
            ["routes[0].path: a path begins with '/': write '/x'"],
        ),
    ],
)
def test_every_fault_of_clients_and_claims_is_told(route: str, expected: list[str]) -> None:
    assert of_route(route) == expected


def test_where_several_issuers_are_taken_clients_are_told_by_issuer() -> None:
    two = UP_TO_ROUTES.replace("upstreams:", "  other: {issuer: https://o.example, audience: api}\nupstreams:")
    message = (
        "a client id means nothing without its issuer, and several are taken here: "
        "write {main: [...], other: [...]}, or take one issuer's tokens only (issuers)"
    )
    assert faults(f"{two}  - {{id: a, path: /a, upstream: api, clients: [x]}}\n") == [
        f"7:38: routes[0].clients: {message}"
    ]
    assert faults(f"{two}  - {{id: a, path: /a, upstream: api, clients: {{main: [x]}}}}\n") == []
    assert faults(f"{two}  - {{id: a, path: /a, upstream: api, issuers: [main], clients: [x]}}\n") == []


# Scopes


def test_scopes_may_be_nested() -> None:
    found = config(
        f"{UP_TO_ROUTES}  - {{id: a, path: /a, upstream: api, scopes: {{any: [a, {{all: [b, {{any: [c]}}]}}]}}}}\n"
    )
    (route,) = found.routes
    rule = build_rule.rule(route, found.issuers)
    assert (rule.all_of, rule.any_of) == ((), ())
    assert list(map(str, rule.nested)) == ["one of a (all of b (one of c))"]
    assert rule.scope_match == "exact"


@pytest.mark.parametrize(
    ("scopes", "all_of", "any_of", "nested"),
    [
        ("[a, b]", "a b", "", []),
        ("{any: [a, b]}", "", "a b", []),
        ("[a, {any: [b, c]}]", "a", "", ["one of b c"]),
        ("{all: [a, {all: [b], any: [c, d]}], any: [e, f]}", "a", "e f", ["all of b (one of c d)"]),
        ("{all: [a], any: [e, {all: [f, g]}]}", "a", "", ["one of e (all of f g)"]),
    ],
)
def test_plain_scopes_stay_plain_beside_nested_ones(scopes: str, all_of: str, any_of: str, nested: list[str]) -> None:
    found = config(f"{UP_TO_ROUTES}  - {{id: a, path: /a, upstream: api, scopes: {scopes}}}\n")
    rule = build_rule.rule(found.routes[0], found.issuers)
    assert (rule.all_of, rule.any_of) == (tuple(all_of.split()), tuple(any_of.split()))
    assert list(map(str, rule.nested)) == nested


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("[a, {}]", "scopes[1]: must not be empty: write {all: [...]} or {any: [...]}"),
        ("[a, {any: []}]", "scopes[1].any: must be a list of at least one scope"),
        ("[a, {any: b}]", "scopes[1].any: must be a list of at least one scope"),
        ("[a, {one: [b]}]", "scopes[1].one: unknown key: known keys are: all, any"),
        ("[a, {anny: [b]}]", "scopes[1].anny: unknown key: did you mean 'any'?"),
        ("[{any: [b, b]}]", "scopes[0].any[1]: 'b' is listed twice: keep one"),
        (
            "[{any: [b, {all: [c, 7]}]}]",
            "scopes[0].any[1].all[1]: must be a scope, or {all: [...]} or {any: [...]}, not 7",
        ),
        ("[{any: [b, c d]}]", "scopes[0].any[1]: 'c d' holds a blank: write each scope as its own item of the list"),
        ("{any: [a, [b]]}", "scopes.any[1]: must be a string, not a list"),
    ],
)
def test_every_fault_of_nested_scopes_is_told_at_its_place(scopes: str, expected: str) -> None:
    assert of_route(f"path: /a, upstream: api, scopes: {scopes}") == [f"routes[0].{expected}"]


@pytest.mark.parametrize("demand", ["claims: {}", "acr: []"])
@pytest.mark.parametrize("beside", ["", ", scopes: [x]"])
def test_a_demand_that_demands_nothing_does_not_open_a_route(demand: str, beside: str) -> None:
    key = demand.partition(":")[0]
    told = of_route(f"path: /a, upstream: api, {demand}{beside}")
    assert (
        f"routes[0].{key}: must not be empty, because it would demand nothing: write a value, or remove {key}" in told
    )


def test_how_scopes_match_is_said_where_scopes_are_demanded() -> None:
    assert of_route("path: /a, upstream: api, clients: [x], scope_match: wildcard") == [
        "routes[0].scope_match: has no effect without scopes: list some, or remove scope_match"
    ]
    assert of_route("path: /a, upstream: api, scopes: [x], scope_match: prefix") == [
        "routes[0].scope_match: must be 'exact', 'hierarchic' or 'wildcard', not 'prefix'"
    ]


def test_editors_complete_nested_scopes() -> None:
    whole: Any = schema()
    section = whole["$defs"]["RouteConfig"]["properties"]["scopes"]["anyOf"][1]
    (_, inner) = section["properties"]["any"]["items"]["anyOf"]
    assert set(section["properties"]) == set(inner["properties"]) == {"all", "any"}


# From where and when


@pytest.mark.parametrize(
    ("written", "windows", "words"),
    [
        ('"08:00-18:00"', [(day * 1440 + 480, day * 1440 + 1080) for day in range(7)], "08:00-18:00 (UTC)"),
        (
            '{times: ["08:00-12:00", "13:00-24:00"], days: [tue, mon]}',
            [(480, 720), (780, 1440), (1920, 2160), (2220, 2880)],
            "08:00-12:00, 13:00-24:00 tue, mon (UTC)",
        ),
        (
            '{times: "22:00-06:00", days: [sun], zone: Europe/Berlin}',
            [(8640 + 1320, 8640 + 1800)],
            "22:00-06:00 sun (Europe/Berlin)",
        ),
        ('{times: "18:30-00:00", days: [mon]}', [(1110, 1440)], "18:30-24:00 mon (UTC)"),
    ],
)
def test_hours_are_windows_of_the_week(written: str, windows: list[tuple[int, int]], words: str) -> None:
    found = config(f"{UP_TO_ROUTES}  - {{id: a, path: /a, upstream: api, scopes: [x], hours: {written}}}\n")
    hours = build_rule.rule(found.routes[0], found.issuers).hours
    assert hours is not None
    assert (list(hours.windows), hours.words) == (windows, words)
    assert pickle.loads(pickle.dumps(hours)) == hours


NO_ZONE = "is no time zone that this machine knows: write one such as Europe/Berlin, or install tzdata"
NO_TIME = "write one such as 08:00-18:00, until 24:00 at most"
NO_WINDOW = "write one such as 08:00-18:00, or 00:00-24:00 for all"


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ("hours: 8-18", f"hours: '8-18' is no time of day: {NO_TIME}"),
        ('hours: "08:00-18:60"', f"hours: '08:00-18:60' is no time of day: {NO_TIME}"),
        ('hours: "08:00-25:00"', f"hours: '08:00-25:00' is no window of a day: {NO_WINDOW}"),
        ('hours: "24:00-08:00"', f"hours: '24:00-08:00' is no window of a day: {NO_WINDOW}"),
        ('hours: "08:00-08:00"', f"hours: '08:00-08:00' is no window of a day: {NO_WINDOW}"),
        ("hours: {times: []}", f"hours.times: a list is no time of day: {NO_TIME}"),
        ("hours: {days: [mon]}", "hours.times: is required and missing: add it"),
        (
            'hours: {times: "08:00-18:00", days: [monday]}',
            "hours.days[0]: 'monday' is not known: did you mean 'mon'?",
        ),
        (
            'hours: {times: "08:00-18:00", zone: Mars/Base}',
            f"hours.zone: 'Mars/Base' {NO_ZONE}",
        ),
        (
            'hours: {times: "08:00-18:00", zone: ../../etc/passwd}',
            f"hours.zone: '../../etc/passwd' {NO_ZONE}",
        ),
        ("networks: []", "networks: must not be empty"),
        ("networks: [10.0.0.1/8]", "networks[0]: '10.0.0.1/8' has bits beyond its prefix: did you mean '10.0.0.0/8'?"),
    ],
)
def test_every_fault_of_networks_and_hours_is_told(bounds: str, expected: str) -> None:
    assert of_route(f"path: /a, upstream: api, scopes: [x], {bounds}") == [f"routes[0].{expected}"]


def test_public_routes_may_be_bounded_and_those_that_deny_need_no_bound() -> None:
    assert of_route('path: /a, upstream: api, public: true, networks: [10.0.0.0/8], hours: "08:00-18:00"') == []
    assert of_route("path: /a, deny: true, networks: [10.0.0.0/8]") == [
        f"routes[0].networks: {DENIES}: remove networks, or remove deny: true"
    ]
