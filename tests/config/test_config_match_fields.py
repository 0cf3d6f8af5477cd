"""`fields`: how a route says which fields of a request it looks at, and what is wrong with it."""

import pytest

from gateway import build
from gateway.policy.fields import FieldCondition

from .gateway_samples import LEAST, UP_TO_ROUTES, config, faults

REST = "scopes: [read], upstream: api}\n"


def test_a_value_a_list_and_whether_it_is_there_are_conditions() -> None:
    fields = "{X-Version: '2', X-Region: [eu, us west], User-Agent: true, X-Debug: false}"
    found = config(f"{LEAST}  - {{id: a, path: /a, fields: {fields}, {REST}")
    assert build.route(found.routes[1], found.issuers).fields == (
        FieldCondition("X-Version", ("2",)),
        FieldCondition("X-Region", ("eu", "us west")),
        FieldCondition("User-Agent"),
        FieldCondition("X-Debug", present=False),
    )
    assert build.route(found.routes[0], found.issuers).fields == ()


@pytest.mark.parametrize("terms", ["public: true, upstream: api", "deny: true", "scopes: [read], upstream: api"])
def test_routes_of_every_kind_may_look_at_fields_and_take_them_from_their_group(terms: str) -> None:
    text = f"  - {{defaults: {{fields: {{A: x}}}}, routes: [{{id: a, path: /a, {terms}}}]}}\n"
    own = f"  - {{defaults: {{fields: {{A: x}}}}, routes: [{{id: b, path: /a, fields: {{B: y}}, {terms}}}]}}\n"
    group, other = config(f"{UP_TO_ROUTES}{text}{own}").routes
    assert (group.fields, other.fields) == ((FieldCondition("A", ("x",)),), (FieldCondition("B", ("y",)),))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("{}", ': must be a mapping of names to values, such as {X-Api-Version: "2"}'),
        ("[A]", ': must be a mapping of names to values, such as {X-Api-Version: "2"}'),
        ("{A: 2}", ".A: 2 is a number, and fields hold text: write '2' in quotes"),
        ("{A: [x, 2.5]}", ".A[1]: 2.5 is a number, and fields hold text: write '2.5' in quotes"),
        ("{A: []}", ".A: must not be empty: list values, or write true for any, false for none"),
        (
            "{A: {b: c}}",
            ".A: a mapping is no value of a field: write visible ASCII, true for any value, or false for none",
        ),
        (
            "{A: [true]}",
            ".A[0]: true is no value of a field: write visible ASCII, true for any value, or false for none",
        ),
        ("{A: ''}", ".A: '' is no value of a field: write visible ASCII, true for any value, or false for none"),
        ("{A: ' x'}", ".A: ' x' is no value of a field: write visible ASCII, true for any value, or false for none"),
        ("{A: é}", ".A: 'é' is no value of a field: write visible ASCII, true for any value, or false for none"),
        ("{A: [x, y, x]}", ".A[2]: 'x' is listed twice: keep one"),
        ("{'A B': x}", "[\"A B\"]: 'A B' is no name of a field: write one such as X-Api-Version"),
        ("{X-A: x, x_a: y}", ".x_a: is the same field as X-A to many servers: keep one"),
        ("{Host: x}", ".Host: 'Host' means something else already: write host, a key of the route"),
        (
            "{Authorization: true}",
            (
                ".Authorization: 'Authorization' means something else already: "
                "write issuers, clients or claims, keys of the route"
            ),
        ),
        (
            "{X-Forwarded-For: x}",
            (
                ".X-Forwarded-For: 'X-Forwarded-For' means something else already: "
                "write networks, a key of the route, for where a request comes from"
            ),
        ),
        *(
            (
                f"{{{name}: x}}",
                f".{name}: '{name}' means something else already: match on a field that goes on as it came",
            )
            for name in ("X-Client-Id", "x_token_scopes", "Content-Length", "TE", "X-Real-IP", "DPoP", "Upgrade")
        ),
    ],
)
def test_a_field_that_cannot_be_looked_at_is_refused(fields: str, expected: str) -> None:
    told = faults(f"{LEAST}  - {{id: a, path: /a, fields: {fields}, {REST}")
    assert [fault.partition(": ")[2] for fault in told] == [f"routes[1].fields{expected}"]


def test_every_fault_is_told_at_once() -> None:
    told = faults(f"{LEAST}  - {{id: a, path: /a, fields: {{A: 2, Host: x, B: [y, y]}}, {REST}")
    assert [fault.partition(": ")[0] for fault in told] == ["7:35", "7:44", "7:54"]


@pytest.mark.parametrize(
    ("place", "name", "told"),
    [
        ("{header: X-Token}", "X_Token", True),
        ("{header: X-Token}", "X-Other", False),
        ("{cookie: t}", "Cookie", True),
        ("{cookie: t}", "Origin", False),
    ],
)
def test_a_field_that_holds_tokens_cannot_tell_routes_apart(place: str, name: str, *, told: bool) -> None:
    text = f"{LEAST}  - {{id: a, path: /a, fields: {{{name}: true}}, {REST}"
    text += f"  - {{id: b, path: /b, token_from: {place}, {REST}"
    message = f"routes[1].fields.{name}: holds the token of route 'b': tell the routes apart by another field"
    assert [fault.partition(": ")[2] for fault in faults(text)] == [message] * told


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ("{A: x}", "{a: x}", True),
        ("{A: [x, y]}", "{A: x, B: z}", True),
        ("{A: x}", "{A: [x, y]}", False),
        ("{A: true}", "{A: x}", True),
        ("{A: true}", "{A: false}", False),
        ("{A: x}", "{A: y}", False),
        ("{A: x}", "{B: x}", False),
    ],
)
def test_a_route_is_covered_by_one_for_all_of_its_fields(earlier: str, later: str, *, shadowed: bool) -> None:
    text = "".join(
        f"  - {{id: r{index}, path: /x, fields: {fields}, {REST}" for index, fields in enumerate((earlier, later))
    )
    assert [": routes[1].path: never matches" in fault for fault in faults(UP_TO_ROUTES + text)] == [True] * shadowed


def test_a_route_with_fields_below_one_without_never_matches() -> None:
    with_fields, without = (f"  - {{id: {name}, path: /x, {REST}" for name in ("a, fields: {A: x}", "b"))
    assert faults(UP_TO_ROUTES + with_fields + without) == []
    (fault,) = faults(UP_TO_ROUTES + without + with_fields)
    assert "never matches, because all goes to 'b' above" in fault
