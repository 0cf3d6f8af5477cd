"""Operations become routes that take their requests, and demand what their security says."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from gateway.config import Document
from gateway.openapi.demands import as_scopes, demand
from gateway.openapi.document import Spec
from gateway.openapi.entries import entries_of
from gateway.openapi.operations import read_operations
from gateway.openapi.templates import sample_path
from gateway.policy.decision import Allow, Evidence, decide
from gateway.policy.model import Claims, Route, Rule
from gateway.policy.routes import RouteTable

from .openapi_case import READ, Folder, secured, spec


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_an_operation_becomes_a_route_with_its_method_path_scopes_and_id(folder: Folder) -> None:
    content = spec({"/jobs/{jobId}": {"get": {**READ, "operationId": "read job"}}}, servers=[{"url": "/v1"}])
    outcome = folder.imported(content, "--upstream", "maintenance")
    assert outcome.stdout.splitlines() == [
        f"# Jobs 1, from {folder.spec} by `scopegate import openapi`.",
        "# Read what it lets in before you use it.",
        "routes:",
        "",
        "  - id: read-job",
        "    methods: [GET]",
        '    path: "/v1/jobs/{job_id}"',
        "    scopes: [read]",
        "    upstream: maintenance",
    ]
    assert outcome.stderr == ""


SECURITY: list[tuple[list[dict[str, list[str]]], object]] = [
    ([{"oauth": ["a"]}], ["a"]),
    ([{"oauth": ["a", "b"]}], ["a", "b"]),
    ([{"oauth": ["a"], "oidc": ["b"]}], ["a", "b"]),
    ([{"oauth": ["a"]}, {"oauth": ["b"]}], {"any": ["a", "b"]}),
    ([{"oauth": ["a", "b"]}, {"oauth": ["a", "c"]}], {"all": ["a"], "any": ["b", "c"]}),
    ([{"oauth": ["a", "b"]}, {"oidc": ["c"]}], {"any": [{"all": ["a", "b"]}, "c"]}),
    ([{"oauth": ["a", "b"]}, {"oidc": ["a"]}], ["a"]),
    ([{"oauth": ["a", "b"]}, {"oidc": ["b", "a"]}], ["a", "b"]),
    ([{"oauth": ["a"], "key": []}], ["a"]),
    ([{"oauth": ["a"]}, {"key": []}], ["a"]),
    ([{"bearer": ["role"]}], ["role"]),
    ([{"bearer": []}], ["some"]),
    ([{"oauth": ["a"]}, {"bearer": []}], {"any": ["a", "some"]}),
]


@pytest.mark.parametrize(("requirements", "scopes"), SECURITY)
def test_within_a_requirement_all_hold_and_between_requirements_one(
    folder: Folder, requirements: list[dict[str, list[str]]], scopes: object
) -> None:
    content = spec({"/x": {"get": secured(*requirements)}})
    findings = read_operations(Spec(Document("f", content, {}, {})))
    found = demand(findings.operations[0], findings.schemes, ["some"])
    assert as_scopes(found.choices) == scopes
    (route,) = folder.routes(content, "--scope", "some")
    granted = [
        set(subset) for size in range(5) for subset in itertools.combinations(("a", "b", "c", "role", "some"), size)
    ]
    for subset in granted:
        named = [
            {scope for scopes in requirement.values() for scope in scopes} or {"some"}
            for requirement in requirements
            if set(requirement) & {"oauth", "oidc", "bearer"}
        ]
        assert _enters(route, subset) == any(needed <= subset for needed in named), subset


def _enters(route: Route, scopes: set[str]) -> bool:
    claims = Claims("main", "https://main.example", "s", "c", ("api",), tuple(sorted(scopes)), 2e9, None, "")
    return isinstance(decide(route.rule, Evidence(claims)), Allow)


@pytest.mark.parametrize(
    ("security", "warning"),
    [
        ([], "security: [] lets everyone in, without a token"),
        ([{}], "the requirement {} lets everyone in, without a token"),
        ([{"oauth": ["a"]}, {}], "the requirement {} lets everyone in, without a token"),
    ],
)
def test_what_needs_no_token_is_public_with_a_warning(folder: Folder, security: list[Any], warning: str) -> None:
    outcome = folder.imported(spec({"/x": {"get": {"security": security}}}))
    assert "    public: true\n" in outcome.stdout
    assert outcome.stderr.startswith(f"warning: {folder.spec}:1:")
    assert outcome.stderr.endswith(f': paths["/x"].get.security: GET /x: {warning}\n')


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ({}, "nothing is said of security, so no route is written: add security, [] for none"),
        (secured({"key": []}), "key (apiKey) is no access token, so nobody enters by it alone"),
        (secured({"basic": []}, {"tls": []}), "basic (http basic) is no access token, so nobody enters by it alone"),
        (secured({"ouath": ["a"]}), "ouath (which is not declared) is no access token, so nobody enters by it alone"),
        (
            secured({"bearer": []}),
            "it demands a token and no scope, which a route can't say: choose a scope by --scope",
        ),
        (secured({"oauth": ["a b"]}), "'a b' holds a blank"),
    ],
)
def test_what_cannot_be_demanded_gets_no_route_and_a_warning(folder: Folder, operation: Any, why: str) -> None:
    outcome = folder.imported(spec({"/x": {"get": operation}, "/y": {"get": READ}}))
    assert outcome.exit_code == 0
    assert "path: /x" not in outcome.stdout
    assert "path: /y" in outcome.stdout
    assert f"# without a route: GET /x: {why}" in outcome.stdout
    assert why in outcome.stderr


def test_the_security_of_the_whole_file_holds_where_an_operation_has_none_of_its_own(folder: Folder) -> None:
    content = spec({"/x": {"get": {}, "post": secured({"oauth": ["b"]})}}, security=[{"oauth": ["a"]}])
    scopes = {next(iter(route.methods)): route.rule.scopes_named for route in folder.routes(content)}
    assert scopes == {"GET": ("a",), "POST": ("b",)}


PATHS = [
    ("/", "/"),
    ("/jobs/", "/jobs/"),
    ("/jobs/{jobId}", "/jobs/{job_id}"),
    ("/jobs/{job-ID}/runs/{2}", "/jobs/{job_id}/runs/{_2}"),
    ("/a/{x}/b/{X}", "/a/{x}/b/{x_}"),
    ("/caf\u00e9/a b", "/caf%C3%A9/a%20b"),
    ("/reports/{name}.csv", r"/reports/{name:[\w.~!$&'()*+,=:@\-]+\.csv}"),
    ("/jobs/{id}:cancel", r"/jobs/{id:[\w.~!$&'()*+,=:@\-]+\:cancel}"),
]


@pytest.mark.parametrize(("path", "template"), PATHS)
def test_a_path_becomes_a_template(folder: Folder, path: str, template: str) -> None:
    assert [route.path for route in folder.routes(spec({path: {"get": READ}}))] == [template]


def test_a_variable_has_the_type_that_its_schema_tells(folder: Folder) -> None:
    def parameter(name: str, **schema: object) -> dict[str, object]:
        return {"name": name, "in": "path", "required": True, "schema": schema}

    own = [parameter("b", type="integer"), parameter("c", type="integer", minimum=-5), parameter("d", type="string")]
    item = {
        "parameters": [parameter("a", format="uuid"), parameter("d", type="integer")],
        "get": {**READ, "parameters": own},
    }
    assert [route.path for route in folder.routes(spec({"/{a}/{b}/{c}/{d}": item}))] == ["/{a:uuid}/{b:int}/{c}/{d}"]


@pytest.mark.parametrize("path", ["/a/../b", "/a//b", "/a;x", "/a%2fb/{x}", "/{a"])
def test_a_path_that_no_request_can_carry_gets_no_route(folder: Folder, path: str) -> None:
    outcome = folder.imported(spec({path: {"get": READ}, "/y": {"get": READ}}))
    assert outcome.stdout.count("- id:") == 1
    assert "no route is written: its path can't be said: " in outcome.stderr


def test_trace_is_never_forwarded_so_it_gets_no_route(folder: Folder) -> None:
    assert "TRACE is never forwarded" in folder.imported(spec({"/x": {"trace": READ}})).stderr


SERVERS: list[tuple[list[dict[str, Any]], str]] = [
    ([{"url": "https://api.example"}], "/x"),
    ([{"url": "https://api.example/v1/"}], "/v1/x"),
    ([{"url": "/v1"}], "/v1/x"),
    ([{"url": "v1"}], "/v1/x"),
    (
        [
            {
                "url": "https://{h}.example:{p}/{b}",
                "variables": {"h": {"default": "a"}, "p": {"default": "8443"}, "b": {"default": "v2"}},
            }
        ],
        "/v2/x",
    ),
    ([{"url": "https://a.example/v1"}, {"url": "https://b.example/v1"}], "/v1/x"),
    ([{"url": "https://a.example/v1"}, {"url": "https://a.example/v2"}], "/v1/x"),
    ([], "/x"),
]


@pytest.mark.parametrize(("servers", "path"), SERVERS)
def test_paths_are_below_the_servers(folder: Folder, servers: list[dict[str, Any]], path: str) -> None:
    outcome = folder.imported(spec({"/x": {"get": READ}}, servers=servers))
    assert f"path: {path}\n" in outcome.stdout
    differ = len({server["url"][-2:] for server in servers}) > 1
    assert ("have different paths: /v1 counts, not /v2; choose one by --base" in outcome.stderr) == differ


def test_the_nearest_servers_count_and_a_base_comes_before_all(folder: Folder) -> None:
    item = {"servers": [{"url": "/item"}], "get": {**READ, "servers": [{"url": "/own"}]}, "put": READ}
    content = spec({"/x": item, "/y": {"get": READ}}, servers=[{"url": "/all"}])
    assert sorted(route.path for route in folder.routes(content)) == ["/all/y", "/item/x", "/own/x"]
    assert {route.path for route in folder.routes(content, "--base", "/b/")} == {"/b/x", "/b/y"}


def test_what_others_wrote_is_neither_substituted_nor_read_as_yaml(folder: Folder) -> None:
    scopes = ["${HOME}", "${file:/etc/hostname}", "$${x", "on", "010", "a:", "#b", "[c]", "true"]
    content = spec({"/x/${HOME}": {"get": secured({"oauth": scopes})}}, info={"title": "a\nroutes: []", "version": "1"})
    (route,) = folder.routes(content)
    assert route.rule.all_of == tuple(scopes)


def test_ids_are_each_their_own(folder: Folder) -> None:
    paths = {
        f"/{name}": {"get": {**READ, "operationId": given}}
        for name, given in zip("abc", ["x y", "x/y", ""], strict=True)
    }
    paths["/"] = {"get": {**READ, "operationId": "\u00e9"}}
    assert [route.id for route in folder.routes(spec(paths))] == ["root", "x-y", "x-y-2", "get-c"]


_RULE = Rule(issuers=frozenset({"main"}), all_of=("read",))
segments = st.sampled_from(["a", "b", "{x}", "{y}.csv", "{z}:run", "c-{w}"])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.lists(segments, min_size=1, max_size=3), st.sampled_from(["get", "post"])), min_size=1, max_size=12
    )
)
def test_every_operation_is_decided_by_its_own_route(drawn: list[tuple[list[str], str]]) -> None:
    paths: dict[str, dict[str, Any]] = {}
    for number, (parts, method) in enumerate(drawn):
        template = "".join("/" + part.replace("{", f"{{v{at}") for at, part in enumerate(parts))
        paths.setdefault(template, {})[method] = {**READ, "operationId": f"{method}{number}"}
    described = Spec(Document("f", spec(paths), {}, {}))
    findings = read_operations(described)
    entries = entries_of(described, findings, "api")
    assert not entries.left_out
    routes = [
        Route(each["id"], each["path"], frozenset(each["methods"]), rule=_RULE, upstream="api")
        for each in entries.routes
    ]
    table = RouteTable(routes)
    for operation in findings.operations:
        path = sample_path(operation)
        assert path is not None
        first = next(route for route in table.candidates(path) if operation.method in route.methods)
        assert first.id == operation.id
