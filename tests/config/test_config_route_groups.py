"""Groups of routes and included files: what becomes of them, and where their faults are told."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.cli.reading import read
from gateway.config.gateway_file import GatewayConfig, included_by, parse
from gateway.plan import Plan

from .gateway_samples import UP_TO_ROUTES, config, faults

HEAD = UP_TO_ROUTES.removesuffix("routes:\n")


def routes(text: str) -> list[tuple[str, str, tuple[str, ...], str | None]]:
    """Id, path, scopes and upstream of each route."""
    found = config(f"{HEAD}routes:\n{text}")
    return [
        (route.id, route.path, () if route.scopes is None else route.scopes.all_of, route.upstream)
        for route in found.routes
    ]


def test_a_group_gives_its_routes_a_prefix_and_defaults() -> None:
    assert routes("""
  - {id: first, path: /first, scopes: [x], upstream: api}
  - prefix: /m
    defaults: {upstream: api, scopes: [m.read]}
    routes:
      - {id: own, path: "/{job:int}"}
      - {id: bare, path: "", scopes: [m.list]}
      - prefix: /admin
        defaults: {scopes: [m.admin]}
        routes: [{id: inner, path: /x}, {id: slash, path: /}]
  - {id: last, path: /last, scopes: [y], upstream: api}
""") == [
        ("first", "/first", ("x",), "api"),
        ("own", "/m/{job:int}", ("m.read",), "api"),
        ("bare", "/m", ("m.list",), "api"),
        ("inner", "/m/admin/x", ("m.admin",), "api"),
        ("slash", "/m/admin/", ("m.admin",), "api"),
        ("last", "/last", ("y",), "api"),
    ]


@pytest.mark.parametrize(
    ("defaults", "route", "expected"),
    [
        ("scopes: [a], issuers: [main]", "public: true", {"public": True, "scopes": None, "issuers": None}),
        ("public: true", "scopes: [a]", {"public": False}),
        ("public: true", "claims: {tenant: a}", {"public": False}),
        ("deny: true", "public: true", {"deny": False, "public": True}),
        ("public: true", "deny: true", {"deny": True, "public": False}),
        ("scopes: [a], forward_token: true", "deny: true", {"scopes": None, "forward_token": False}),
        ("scopes: [a], claims: {tenant: a}", "scopes: [b]", {"claims": {"tenant": ("a",)}}),
        ("scope_match: hierarchic, scopes: [a]", "public: true", {"public": True}),
        ("scope_match: hierarchic", "clients: [a]", {"clients": ("a",)}),
        ("public: true", "public: false, scopes: [a]", {"public": False}),
    ],
)
def test_a_default_yields_to_what_contradicts_it(defaults: str, route: str, expected: dict[str, object]) -> None:
    text = f"  - defaults: {{upstream: api, {defaults}}}\n    routes: [{{id: a, path: /a, {route}}}]\n"
    if "deny: true" in route:
        text = text.replace("upstream: api, ", "")
    (found,) = config(f"{HEAD}routes:\n{text}").routes
    assert {key: getattr(found, key) for key in expected} == expected


def test_defaults_of_an_inner_group_yield_as_those_of_a_route_do() -> None:
    text = (
        "  - {defaults: {upstream: api, public: true}, routes: [{defaults: {scopes: [a]}, routes: [{id: a, path: /}]}]}"
    )
    assert routes(text) == [("a", "/", ("a",), "api")]


GROUPS = [
    ("{routes: []}", "7:6: routes[1].routes: must not be empty"),
    ("{prefix: /a}", "7:5: routes[1].routes: is required and missing: add it"),
    ("{prefix: /a, routes: x}", "7:26: routes[1].routes: must be a list, not 'x'"),
    ("{prefix: /a, defaults: [x], routes: [{id: a, path: /}]}", "7:18: routes[1].defaults: must be a mapping of keys"),
    ("{prefx: /a, routes: [{id: a, path: /}]}", "7:6: routes[1].prefx: unknown key: did you mean 'prefix'?"),
    ("{id: x, prefix: /a, routes: [{id: a, path: /}]}", "7:6: routes[1].id: unknown key"),
    ("{prefix: , routes: [{id: a, path: /}]}", "7:13: routes[1].prefix: is empty: give it a value"),
    ("{prefix: a, routes: [{id: a, path: /}]}", "7:14: routes[1].prefix: a path begins with '/': write '/a'"),
    ("{prefix: /a/, routes: [{id: a, path: /}]}", "7:14: routes[1].prefix: '/a/' must not end with '/'"),
    ("{prefix: '/{x...}', routes: [{id: a, path: /}]}", "7:14: routes[1].prefix: '/{x...}' takes the rest"),
    ("{prefix: '/{x:y}', routes: [{id: a, path: /}]}", "7:14: routes[1].prefix: '{x:y}': 'y' is no type"),
    ("{defaults: {id: a}, routes: [{id: a, path: /}]}", "7:6: routes[1].defaults: must not hold id"),
    (
        "{defaults: {upstrem: api}, routes: [{id: a, path: /, public: true, upstream: api}]}",
        "7:17: routes[1].defaults.upstrem: unknown key: did you mean 'upstream'?",
    ),
    (
        "{defaults: {upstream: ap}, routes: [{id: a, path: /, public: true}, {id: b, path: /b, public: true}]}",
        "7:27: routes[1].defaults.upstream: 'ap' is no upstream: did you mean 'api'?",
    ),
    (
        "{defaults: {upstream: api, scopes: [x, 'y z']}, routes: [{id: a, path: /}]}",
        "7:44: routes[1].defaults.scopes[1]: 'y z' holds a blank",
    ),
    (
        "{prefix: /a, routes: [{id: a, path: b, public: true, upstream: api}]}",
        "7:41: routes[1].routes[0].path: a path begins with '/': write '/b'",
    ),
    (
        "{prefix: '/{x}', routes: [{id: a, path: '/{x}', public: true, upstream: api}]}",
        "7:45: routes[1].routes[0].path: the variable {x} stands twice",
    ),
    (
        "{routes: [{id: a, path: /, public: true, upstream: api}, {id: one, path: /b, public: true, upstream: api}]}",
        "7:67: routes[1].routes[1].id: is the same as that of routes[0]: each route needs its own",
    ),
    (
        "{routes: [{id: a, path: /a, public: true, upstream: api}, {id: a, path: /b, public: true, upstream: api}]}",
        "7:68: routes[1].routes[1].id: is the same as that of routes[1].routes[0]: each route needs its own",
    ),
    (
        "{prefix: /on, routes: [{id: a, path: /e, public: true, upstream: api}, x]}",
        "7:76: routes[1].routes[1]: must be a mapping of keys, not 'x'",
    ),
    (
        "{defaults: {upstream: api}, routes: [{id: a, path: /a}]}",
        "7:42: routes[1].routes[0]: says neither scopes nor public: true",
    ),
    ("{include: []}", "7:6: routes[1].include: must be a string, not a list"),
    ("{include: x, id: a}", "7:18: routes[1].id: unknown key"),
    ("{include: nowhere.yaml}", "7:15: routes[1].include: is no file that exists, and fits none"),
]


@pytest.mark.parametrize(("text", "expected"), GROUPS, ids=[text for text, _ in GROUPS])
def test_a_faulty_group_is_refused_at_the_place_of_the_fault(text: str, expected: str) -> None:
    found = faults(f"{UP_TO_ROUTES}  - {{id: one, path: /one, scopes: [read], upstream: api}}\n  - {text}\n")
    assert [fault for fault in found if fault.startswith(expected)], found
    assert len(found) == 1, found


def test_a_gap_that_a_faulty_inclusion_leaves_is_no_fault() -> None:
    assert faults(f"{UP_TO_ROUTES}  - {{include: nowhere.yaml}}\n") == [
        "6:15: routes[0].include: is no file that exists, and fits none: correct it, or remove it"
    ]


def test_a_secret_in_a_prefix_is_not_shown() -> None:
    text = f"{UP_TO_ROUTES}  - {{prefix: '${{AT}}', routes: [{{id: a, path: '/{{x', public: true, upstream: api}}]}}\n"
    found = parse(text, "f", {"AT": "/hidden-place"})
    assert isinstance(found, list)
    assert "hidden" not in "\n".join(map(str, found))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "routes").mkdir()
    files = {
        "gateway.yaml": f"""{HEAD}routes:
  - {{id: first, path: /first, scopes: [x], upstream: api}}
  - prefix: /teams
    defaults: {{upstream: api}}
    routes:
      - include: routes/*.yaml
  - {{id: last, path: /last, scopes: [y], upstream: api}}
""",
        "routes/b.yaml": "prefix: /b\ndefaults: {scopes: [b]}\nroutes: [{id: b, path: /x}]\n",
        "routes/a.yaml": "routes:\n  - {id: a, path: '${A}', scopes: [a]}\n",
        "routes/.hidden.yaml": "nonsense",
        "routes/note.txt": "nonsense",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def parsed(folder: Path) -> GatewayConfig | list[str]:
    file = folder / "gateway.yaml"
    found = parse(file.read_text(), str(file), {"A": "/a"})
    if isinstance(found, GatewayConfig):
        return found
    return [str(error).replace(f"{folder}/", "") for error in found]


def test_files_are_included_in_the_order_of_their_names_where_the_inclusion_stands(folder: Path) -> None:
    found = parsed(folder)
    assert isinstance(found, GatewayConfig), found
    assert [(route.id, route.path) for route in found.routes] == [
        ("first", "/first"), ("a", "/teams/a"), ("b", "/teams/b/x"), ("last", "/last"),
    ]  # fmt: skip


def test_faults_of_an_included_file_are_told_at_their_places_in_it(folder: Path) -> None:
    (folder / "routes/a.yaml").write_text("routes:\n  - {id: last, path: /a, scops: [a]}\n  - {id: c, path: '${C}'}\n")
    (folder / "routes/b.yaml").write_text("prefix: /b\ndefaults: {scopes: [b b]}\nroutes: [{id: last, path: /x}]\n")
    (folder / "routes/c.yaml").write_text("routes: [{include: a.yaml}]\n")
    (folder / "routes/d.yaml").write_text("- {id: d, path: /d}\n")
    (folder / "routes/e.yaml").write_text("routes: [\n")
    found = parsed(folder)
    assert isinstance(found, list)
    assert [fault.partition(":")[2] for fault in found if fault.startswith("gateway.yaml")] == [
        "11:10: routes[2].id: is the same as that of routes[0] in routes/a.yaml: each route needs its own"
    ]
    theirs = [fault for fault in found if not fault.startswith("gateway.yaml")]
    beginnings = [
        "routes/a.yaml:2:5: routes[0]: says neither scopes nor public: true",
        "routes/a.yaml:2:26: routes[0].scops: unknown key: did you mean 'scopes'?",
        "routes/a.yaml:3:5: routes[1]: says neither scopes nor public: true",
        "routes/a.yaml:3:19: routes[1].path: environment variable C is not set",
        "routes/b.yaml:2:21: defaults.scopes[0]: 'b b' holds a blank",
        "routes/b.yaml:3:15: routes[0].id: is the same as that of routes[0] in routes/a.yaml",
        "routes/c.yaml:1:20: routes[0].include: an included file cannot include others: include them in gateway.yaml",
        "routes/d.yaml:1:1: must be a mapping of keys, not a list",
        "routes/e.yaml:2:1: not YAML",
    ]
    assert [fault for fault, begins in zip(theirs, beginnings, strict=True) if not fault.startswith(begins)] == []


def test_what_is_included_tells_where_files_could_appear(folder: Path) -> None:
    file = folder / "gateway.yaml"
    text = file.read_text()
    assert sorted(included_by(text, str(file), {})) == [
        folder / "routes", folder / "routes/a.yaml", folder / "routes/b.yaml",
    ]  # fmt: skip
    (folder / "teams/one").mkdir(parents=True)
    (folder / "teams/one/routes.yaml").write_text("routes: []\n")
    deep = text.replace("routes/*.yaml", "teams/**/routes.yaml")
    assert set(included_by(deep, str(file), {})) == {
        folder / "teams", folder / "teams/one", folder / "teams/one/routes.yaml",
    }  # fmt: skip
    plain = text.replace("routes/*.yaml", str(folder / "routes/a.yaml"))
    assert included_by(plain, str(file), {}) == (folder / "routes/a.yaml",)
    missing = text.replace("routes/*.yaml", "routes/z.yaml")
    assert included_by(missing, str(file), {}) == (folder / "routes/z.yaml",)
    assert included_by(HEAD, str(file), {}) == ()


def test_a_file_is_included_once(folder: Path) -> None:
    file = folder / "gateway.yaml"
    file.write_text(
        file.read_text().replace("      - include: routes/*.yaml", "      - include: routes/[a].yaml\n" * 2)
    )
    found = parsed(folder)
    place = "gateway.yaml:11:18: routes[1].routes[1].include"
    assert found == [f"{place}: routes/a.yaml is included already: leave it out here"]


def test_a_change_of_an_included_file_is_a_change_of_the_configuration(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A", "/a")
    before = read(folder / "gateway.yaml")
    assert isinstance(before.outcome, Plan)
    stale = [before.is_stale]
    (folder / "routes/a.yaml").write_text("routes:\n  - {id: a, path: '${A}/b', scopes: [a]}\n")
    stale.append(before.is_stale)
    assert stale == [False, True]
    after = read(folder / "gateway.yaml")
    assert isinstance(after.outcome, Plan)
    assert after.outcome.revision != before.outcome.revision
    (folder / "routes/c.yaml").write_text("routes: [{id: c, path: /c, scopes: [c]}]\n")
    assert after.is_stale


_segments = st.sampled_from(["/a", "/{x}", "/b-c"])
_keys = st.fixed_dictionaries({}, optional={"max_body": st.integers(0, 9), "forward_token": st.booleans()})
_singles = st.tuples(_segments, _keys)
_prefixes = _segments.map(lambda text: text.replace("x", "y"))
_entries = st.recursive(
    _singles,
    lambda inner: st.tuples(st.just("group"), _prefixes, _keys, st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6,
)


def written_out(entry: Any, number: list[int], prefix: str = "", defaults: dict[str, Any] | None = None) -> Any:
    """An entry as it is written, and the single routes that it means."""
    if entry[0] != "group":
        number[0] += 1
        own = {"id": str(number[0]), "path": f"/{number[0]}{entry[0]}", **entry[1]}
        return own, [{**(defaults or {}), **own, "path": prefix + own["path"]}]
    _, segment, keys, inner = entry
    number[0] += 1
    here = segment.replace("y", f"y{number[0]}")
    both = [written_out(each, number, prefix + here, {**(defaults or {}), **keys}) for each in inner]
    group = {"prefix": here, "defaults": keys, "routes": [written for written, _ in both]}
    return group, [single for _, singles in both for single in singles]


@given(st.lists(_entries, min_size=1, max_size=4))
def test_groups_mean_the_single_routes_that_they_stand_for(entries: list[Any]) -> None:
    number = [0]
    both = [written_out(entry, number) for entry in entries]
    common = {"upstreams": {"api": {"url": "http://127.0.0.1:9000"}}}
    whole = {"defaults": {"public": True, "upstream": "api"}, "routes": [written for written, _ in both]}
    grouped = parse(json.dumps({**common, "routes": [whole]}), "f")
    flat = [{**single, "public": True, "upstream": "api"} for _, singles in both for single in singles]
    assert grouped == parse(json.dumps({**common, "routes": flat}), "f")
    assert isinstance(grouped, GatewayConfig)
