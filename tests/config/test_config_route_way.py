"""How a route's requests go on: how it is read, and every fault of it at its place."""

import pickle
from typing import Any

import pytest

from gateway.build import route, trusted_issuer
from gateway.policy.claim_fields import ClaimField
from gateway.policy.model import RouteTimeouts
from gateway.policy.path_rewrite import PathRewrite

from .gateway_samples import UP_TO_ROUTES, config, faults


def of_route(keys: str, routes: str = "") -> list[str]:
    """The faults of a file with this one route, each without its line and column."""
    return [fault.partition(": ")[2] for fault in faults(f"{UP_TO_ROUTES}{routes}  - {{id: a, {keys}}}\n")]


def built(routes: str) -> list[Any]:
    found = config(f"{UP_TO_ROUTES}{routes}")
    plain = [route(entry, found.issuers) for entry in found.routes]
    assert pickle.loads(pickle.dumps(plain)) == plain
    return plain


# The beginning of the path


@pytest.mark.parametrize(
    ("path", "rewrite", "expected"),
    [
        ("/m/jobs/{job}", "{prefix: /m, to: /v2}", PathRewrite("/m", "/v2")),
        ("/m/jobs/{job}", "{prefix: /m/jobs, to: /}", PathRewrite("/m/jobs", "")),
        ("/m/jobs", "{prefix: /m/jobs, to: /a/b/c}", PathRewrite("/m/jobs", "/a/b/c")),
        ("/m/", "{prefix: /m, to: /}", PathRewrite("/m", "")),
        ("/m/{rest...}", "{prefix: /, to: /v2}", PathRewrite("", "/v2")),
        ("/a%28b/{x}", "{prefix: /a(b, to: /v}", PathRewrite("/a(b", "/v")),
    ],
)
@pytest.mark.parametrize("who", ["scopes: [x]", "public: true"])
def test_a_beginning_of_the_path_is_replaced(path: str, rewrite: str, expected: PathRewrite, who: str) -> None:
    (found,) = built(f"  - {{id: a, path: '{path}', {who}, upstream: api, rewrite: {rewrite}}}\n")
    assert found.rewrite == expected
    assert found.alters_head


def test_a_group_gives_its_routes_their_rewriting() -> None:
    own, other, none = built(
        "  - prefix: /m/{tenant}\n"
        "    defaults: {upstream: api, scopes: [x], rewrite: {prefix: /m, to: /v2}}\n"
        "    routes:\n"
        "      - {id: a, path: /a}\n"
        "      - {id: b, path: /b, rewrite: {prefix: /, to: /v3}}\n"
        "      - {id: c, path: /c, deny: true}\n"
    )
    assert (own.rewrite, other.rewrite, none.rewrite) == (PathRewrite("/m", "/v2"), PathRewrite("", "/v3"), None)


NOT_ITS_BEGINNING = (
    "routes[0].rewrite.prefix: is not what the route's path begins with, prefixes of groups included: "
    "write whole literal segments of it, or / for none"
)
DOTS = "'..' is a dot segment, which no request can carry: write the path that it stands for"
TWO_SLASHES = (
    "routes[0].rewrite.to: would let a path begin with '//', behind which servers read a host: "
    "write another path, or remove empty_segments"
)
VARIABLE = "holds a variable: write whole literal segments, or / for none"
AMBIGUOUS = "can be read in several ways: write it without escapes of '/' and ';'"


@pytest.mark.parametrize(
    ("path", "rewrite", "expected"),
    [
        ("/m/a", "{prefix: /n, to: /v2}", [NOT_ITS_BEGINNING]),
        ("/main/a", "{prefix: /m, to: /v2}", [NOT_ITS_BEGINNING]),
        ("/m/a", "{prefix: /m/a/b, to: /v2}", [NOT_ITS_BEGINNING]),
        ("/m/{a}", "{prefix: /m/a, to: /v2}", [NOT_ITS_BEGINNING]),
        ("/{rest...}", "{prefix: /m, to: /v2}", [NOT_ITS_BEGINNING]),
        ("/M/a", "{prefix: /m, to: /v2}", [NOT_ITS_BEGINNING]),
        ("/m/{a}", "{prefix: '/m/{a}', to: /v2}", [f"routes[0].rewrite.prefix: '/m/{{a}}' {VARIABLE}"]),
        ("/m/a", "{prefix: /m, to: '/{a}'}", [f"routes[0].rewrite.to: '/{{a}}' {VARIABLE}"]),
        ("/m/a", "{prefix: /m, to: /v%2F2}", [f"routes[0].rewrite.to: '/v%2F2' {AMBIGUOUS}"]),
        (
            "/m/a",
            "{prefix: /m/, to: /v2}",
            ["routes[0].rewrite.prefix: '/m/' must not end with '/', with which the rest of the path begins"],
        ),
        (
            "/m/a",
            "{prefix: /m, to: /v2/}",
            ["routes[0].rewrite.to: '/v2/' must not end with '/', with which the rest of the path begins"],
        ),
        ("/m/a", "{prefix: m, to: /v2}", ["routes[0].rewrite.prefix: a path begins with '/': write '/m'"]),
        ("/m/a", "{prefix: /m, to: /v2//x}", ["routes[0].rewrite.to: an empty segment ('//'): remove one slash"]),
        (
            "/m/a",
            "{prefix: /m, to: /../x}",
            [f"routes[0].rewrite.to: {DOTS}"],
        ),
        (
            "/m/a",
            "{prefix: /m, to: '/v2?x'}",
            ["routes[0].rewrite.to: 'v2?x' holds a character that must be written as an escape such as %20"],
        ),
        (
            "/m/a",
            "{prefix: /m, to: /m}",
            ["routes[0].rewrite.to: has no effect, being the same as prefix: write another path"],
        ),
        (
            "/m/a",
            "{prefix: /, to: /}",
            ["routes[0].rewrite.to: has no effect, being the same as prefix: write another path"],
        ),
        ("/m/a", "{prefix: /m}", ["routes[0].rewrite.to: is required and missing: add it"]),
        ("/m/a", "/v2", ["routes[0].rewrite: must be a mapping of keys, not '/v2'"]),
        ("/m/a", "{from: /m, to: /v2}", None),
    ],
)
def test_each_fault_of_a_rewriting_is_told(path: str, rewrite: str, expected: list[str] | None) -> None:
    found = of_route(f"path: '{path}', scopes: [x], upstream: api, rewrite: {rewrite}")
    if expected is None:
        assert found
        assert all("rewrite" in fault for fault in found)
    else:
        assert found == expected


def test_no_path_goes_on_that_begins_with_two_slashes() -> None:
    told = of_route(
        "path: '/m/{r...}', public: true, upstream: api, allow_in_path: [empty_segments], rewrite: {prefix: /m, to: /}"
    )
    assert told == [TWO_SLASHES]
    assert not of_route(
        "path: '/m/{r...}', public: true, upstream: api, allow_in_path: [empty_segments], "
        "rewrite: {prefix: /m, to: /v2}"
    )


def test_a_fault_in_a_group_stands_where_it_is_written() -> None:
    text = (
        f"{UP_TO_ROUTES}"
        "  - prefix: /m\n"
        "    defaults: {upstream: api, scopes: [x], rewrite: {prefix: /n, to: /v2}}\n"
        "    routes: [{id: a, path: /a}]\n"
    )
    assert faults(text) == ["7:62: routes[0].defaults.rewrite.prefix: " + NOT_ITS_BEGINNING.partition(": ")[2]]


def test_a_route_that_denies_everyone_sends_nothing_on() -> None:
    assert of_route("path: /m/a, deny: true, rewrite: {prefix: /m, to: /v2}") == [
        "routes[0].rewrite: has no effect on a route that denies everyone: remove rewrite, or remove deny: true"
    ]


# Claims in fields


def test_claims_are_told_in_fields_and_kept_for_that() -> None:
    text = (
        "  - {id: a, path: /a, scopes: [x], upstream: api, claim_fields: {X-Tenant: tenant, X_Roles: realm.roles}}\n"
        "  - {id: b, path: /b, claims: {level: 1}, upstream: api, claim_fields: {X-Forwarded-User: tenant}}\n"
        "  - {id: c, path: /c, scopes: [x], upstream: api}\n"
    )
    one, other, none = built(text)
    assert one.claim_fields == (ClaimField("X-Tenant", "tenant"), ClaimField("X_Roles", "realm.roles"))
    assert (one.alters_head, other.claim_fields) == (True, (ClaimField("X-Forwarded-User", "tenant"),))
    assert (none.alters_head, none.claim_fields) == (False, ())
    terms = trusted_issuer("main", config(UP_TO_ROUTES + text))
    assert (terms.kept_claims, terms.told_claims) == (("level",), ("tenant", "realm.roles"))


def test_a_group_gives_its_routes_their_fields_but_not_the_public_ones() -> None:
    own, open_to_all = built(
        "  - defaults: {upstream: api, scopes: [x], claim_fields: {X-Tenant: tenant}}\n"
        "    routes: [{id: a, path: /a}, {id: b, path: /b, public: true}]\n"
    )
    assert (own.claim_fields, open_to_all.claim_fields) == ((ClaimField("X-Tenant", "tenant"),), ())


FIELDS = "routes[0].claim_fields"
MEANING = "means something else already: write another name, such as X-Tenant"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("claim_fields: {}", f"{FIELDS}: must be a mapping of fields to claims, such as {{X-Tenant: tenant}}"),
        ("claim_fields: [x]", f"{FIELDS}: must be a mapping of fields to claims, such as {{X-Tenant: tenant}}"),
        ("claim_fields: {X-T: 1}", f"{FIELDS}.X-T: must be the path of a claim, such as realm_access.roles, not 1"),
        ("claim_fields: {X-T: ''}", f"{FIELDS}.X-T: must be the path of a claim, such as realm_access.roles, not ''"),
        ("claim_fields: {'X T': t}", f"{FIELDS}[\"X T\"]: 'X T' is no name of a field: write one such as X-Tenant"),
        ("claim_fields: {X-T: t, x_t: t}", f"{FIELDS}.x_t: is the same field as X-T to many servers: keep one"),
        (
            "token_from: {header: X-Api-Token}, claim_fields: {x-api.token: t}",
            f'{FIELDS}["x-api.token"]: is where the token comes from: write another name',
        ),
        *(
            (f"claim_fields: {{{name}: t}}", f"{FIELDS}.{name}: '{name}' {MEANING}")
            for name in (
                *("Authorization", "Connection", "Content-Length", "Transfer-Encoding", "Host", "Cookie", "Set_Cookie"),
                *("X-Client-Id", "X_Token_Scopes", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Prefix", "Via"),
                *("traceparent", "Client-Cert", "DPoP", "User-Agent", "Content-Type", "If-Match", "Origin", "TE"),
                *("X-HTTP-Method-Override", "Trailer", "Upgrade", "Expect"),
            )
        ),
    ],
)
def test_each_fault_of_a_field_for_a_claim_is_told(keys: str, expected: str) -> None:
    assert of_route(f"path: /a, scopes: [x], upstream: api, {keys}") == [expected]


@pytest.mark.parametrize(("who", "where"), [("public: true", "a public route"), ("deny: true", "a route that denies")])
def test_where_no_token_is_looked_at_no_claim_can_be_told(who: str, where: str) -> None:
    upstream = "upstream: api, " if "public" in who else ""
    (told,) = of_route(f"path: /a, {who}, {upstream}claim_fields: {{X-T: t}}")
    assert told.startswith(f"{FIELDS}: has no effect on {where}")


# Times


def test_a_route_has_times_of_its_own_and_groups_give_them() -> None:
    found = built(
        "  - {id: a, path: /a, scopes: [x], upstream: api, timeouts: {first_byte: 5m, idle: 30s, total: 10m}}\n"
        "  - {id: b, path: /b, public: true, upstream: api, timeouts: {total: 500ms}}\n"
        "  - defaults: {upstream: api, scopes: [x], timeouts: {idle: 1s}}\n"
        "    routes:\n"
        "      - {id: c, path: /c}\n"
        "      - {id: d, path: /d, timeouts: {first_byte: 2s}}\n"
        "      - {id: e, path: /e, deny: true}\n"
    )
    assert [each.timeouts for each in found] == [
        RouteTimeouts(300.0, 30.0, 600.0),
        RouteTimeouts(total=0.5),
        RouteTimeouts(idle=1.0),
        RouteTimeouts(first_byte=2.0),
        None,
    ]


@pytest.mark.parametrize(
    ("timeouts", "expected"),
    [
        ("{}", "must not be empty: write first_byte, idle or total, or remove timeouts"),
        ("5s", "must be a mapping of keys, not '5s'"),
        ("{idle: 5}", "5 has no unit: write 5s, or use ms, m, h or d"),
        ("{idle: 0s}", "must be at least 1ms"),
        ("{first_byte_timeout: 5s}", "unknown key: did you mean 'first_byte'?"),
    ],
)
def test_each_fault_of_a_time_is_told(timeouts: str, expected: str) -> None:
    (told,) = of_route(f"path: /a, scopes: [x], upstream: api, timeouts: {timeouts}")
    assert told.startswith("routes[0].timeouts")
    assert told.endswith(f": {expected}")


def test_where_nothing_goes_on_no_time_passes() -> None:
    (told,) = of_route("path: /a, deny: true, timeouts: {total: 1s}")
    assert told.startswith("routes[0].timeouts: has no effect on a route that denies everyone")
