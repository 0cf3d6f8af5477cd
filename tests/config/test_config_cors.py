"""What a route says of the pages of other origins: how it is read, every fault of it, and what groups make of it."""

import pickle
from typing import Any

import pytest

from gateway import build
from gateway.config.schema import schema
from gateway.policy.cors import Cors

from .gateway_samples import UP_TO_ROUTES, config, faults

APP = "https://app.example"
TERMS = "path: /a, upstream: api, scopes: [x]"
SENDS = "headers: [Authorization]"


ALL = """{
    origins: [https://app.example, 'http://localhost:3000'], headers: [authorization, X-Job], expose: [ETag],
    credentials: true, max_age: 1d }"""


def of_route(route: str) -> list[str]:
    """The faults of a file with this one route, each without its line and column."""
    return [fault.partition(": ")[2] for fault in faults(f"{UP_TO_ROUTES}  - {{id: a, {route}}}\n")]


def cors(*routes: str) -> list[Cors | None]:
    found = config(UP_TO_ROUTES + "".join(f"  - {each}\n" for each in routes))
    return [build.route(each, found.issuers).cors for each in found.routes]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (f"{{origins: [{APP}], {SENDS}}}", Cors((APP,), ("Authorization",))),
        (f"{{origins: '{APP}', {SENDS}}}", Cors((APP,), ("Authorization",))),
        (f"{{origins: '*', {SENDS}, max_age: 0s}}", Cors(("*",), ("Authorization",), max_age=0)),
        (
            ALL,
            Cors(
                (APP, "http://localhost:3000"), ("authorization", "X-Job"), ("ETag",), credentials=True, max_age=86400
            ),
        ),
    ],
)
def test_a_route_says_what_pages_may_do(written: str, expected: Cors) -> None:
    (found,) = cors(f"{{id: a, {TERMS}, cors: {written}}}")
    assert found == expected
    assert pickle.loads(pickle.dumps(found)) == expected


def test_without_it_the_upstream_says_what_pages_may_do() -> None:
    assert cors(f"{{id: a, {TERMS}}}") == [None]


AT = "routes[0].cors"
EVERY_PAGE = "would let every page act as who is logged in: list the origins, or remove credentials"
NO_STAR = "'*' does not stand for Authorization, nor for any field beside cookies: name each"
TOKEN = "lets pages send no {}, which the route demands: add it to headers"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("'*'", [f"{AT}: must be a mapping of keys, not '*'"]),
        (f"{{{SENDS}}}", [f"{AT}.origins: is required and missing: add it"]),
        (f"{{origins: [], {SENDS}}}", [f"{AT}.origins: must not be empty"]),
        (f"{{origins: [{APP}, {APP}], {SENDS}}}", [f"{AT}.origins: '{APP}' is listed twice: keep one"]),
        (f"{{origins: [{APP}/], {SENDS}}}", [f"{AT}.origins[0]: '{APP}/' is more than an origin: write '{APP}'"]),
        (f"{{origins: '{APP}/x', {SENDS}}}", [f"{AT}.origins: '{APP}/x' is more than an origin: write '{APP}'"]),
        (f"{{origins: [{APP}:443], {SENDS}}}", [f"{AT}.origins[0]: no browser writes '{APP}:443': write '{APP}'"]),
        (
            f"{{origins: [app.example], {SENDS}}}",
            [f"{AT}.origins[0]: 'app.example' is no origin: write scheme and host, such as {APP}"],
        ),
        (
            f"{{origins: ['null'], {SENDS}}}",
            [f"{AT}.origins[0]: 'null' is what anybody's sandboxed pages and local files send: remove it"],
        ),
        (
            f"{{origins: ['*', {APP}], {SENDS}}}",
            [f"{AT}.origins: '*' stands for every origin: list it alone, or remove it"],
        ),
        (
            f"{{origins: ['*'], credentials: true, {SENDS}}}",
            [
                f"{AT}.credentials: {EVERY_PAGE}",
            ],
        ),
        (
            f"{{origins: '*', {SENDS}, expose: ['*']}}",
            [f"{AT}.expose[0]: {NO_STAR}"],
        ),
        (
            "{origins: '*', headers: [Authorization, 'a b']}",
            [f"{AT}.headers[1]: 'a b' is no name of a field: write one such as Authorization"],
        ),
        (
            "{origins: '*', headers: [Authorization, AUTHORIZATION]}",
            [f"{AT}.headers: 'AUTHORIZATION' is listed twice: keep one"],
        ),
        (f"{{origins: '*', {SENDS}, max_age: 2d}}", [f"{AT}.max_age: must be at most 1d"]),
        (
            f"{{origins: '*', {SENDS}, methods: [GET]}}",
            [f"{AT}.methods: unknown key: known keys are: credentials, expose, headers, max_age, origins"],
        ),
        ("{origins: '*'}", [f"{AT}: {TOKEN.format('Authorization')}"]),
        ("{origins: '*', headers: [X-A]}", [f"{AT}.headers: {TOKEN.format('Authorization')}"]),
    ],
)
def test_what_is_wrong_with_it_is_told_at_its_place(written: str, expected: list[str]) -> None:
    assert of_route(f"{TERMS}, cors: {written}") == expected


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("public: true", []),
        ("scopes: [x], token_from: {header: X-Key}", [f"{AT}: {TOKEN.format('X-Key')}"]),
        (
            "scopes: [x], token_from: {cookie: t}",
            [f"{AT}: lets pages send no cookie, in which the token is: write credentials: true"],
        ),
        ("scopes: [x], require_proof: dpop", [f"{AT}: {TOKEN.format(name)}" for name in ("Authorization", "DPoP")]),
    ],
)
def test_pages_have_to_be_able_to_send_the_token(route: str, expected: list[str]) -> None:
    assert of_route(f"path: /a, upstream: api, {route}, cors: {{origins: [{APP}]}}") == expected


@pytest.mark.parametrize(
    "route",
    [
        "scopes: [x], token_from: {header: X-Key}, cors: {origins: '*', headers: [x-key]}",
        f"scopes: [x], token_from: {{cookie: t}}, cors: {{origins: [{APP}], credentials: true}}",
        "scopes: [x], require_proof: dpop, cors: {origins: '*', headers: [authorization, dpop]}",
    ],
)
def test_what_lets_them_send_it_is_no_fault(route: str) -> None:
    assert of_route(f"path: /a, upstream: api, {route}") == []


def test_where_nobody_enters_no_page_does() -> None:
    (fault,) = of_route("path: /a, deny: true, cors: {origins: '*'}")
    assert fault == f"{AT}: has no effect on a route that denies everyone: remove cors, or remove deny: true"


def test_the_routes_of_a_group_may_have_it_in_common() -> None:
    common = f"{{upstream: api, scopes: [x], cors: {{origins: [{APP}], {SENDS}}}}}"
    own = f"cors: {{origins: '*', {SENDS}}}"
    routes = f"[{{id: a, path: /a}}, {{id: b, path: /b, {own}}}, {{id: c, path: /c, deny: true}}]"
    assert cors(f"{{defaults: {common}, routes: {routes}}}") == [
        Cors((APP,), ("Authorization",)),
        Cors(("*",), ("Authorization",)),
        None,
    ]


def test_a_fault_of_the_defaults_is_told_there() -> None:
    group = f"{{defaults: {{upstream: api, cors: {{origins: [{APP}/]}}}}, routes: [{{id: a, path: /a, public: true}}]}}"
    (fault,) = faults(f"{UP_TO_ROUTES}  - {group}\n")
    assert "origins[0]: 'https://app.example/' is more than an origin" in fault


def test_the_schema_knows_it() -> None:
    route: dict[str, Any] = schema()["$defs"]["RouteConfig"]["properties"]
    assert "cors" in route
    found = schema()["$defs"]["CorsConfig"]
    assert set(found["properties"]) == {"origins", "headers", "expose", "credentials", "max_age"}
    assert found["required"] == ["origins"]
