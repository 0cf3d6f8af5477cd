"""Operations without a route, and routes without an operation."""

import json
from pathlib import Path

import pytest

from .openapi_case import READ, Folder, spec

API = spec({"/jobs": {"get": READ, "post": READ}, "/jobs/{id}": {"get": READ}}, servers=[{"url": "/v1"}])
ALL = """\
  - {id: jobs, methods: [GET, POST], path: /v1/jobs, scopes: [a], upstream: api}
  - {id: job, methods: [GET], path: "/v1/jobs/{job}", scopes: [a], upstream: api}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_where_nothing_differs_there_is_no_drift(folder: Folder) -> None:
    outcome = folder.drift(API, ALL)
    assert (outcome.exit_code, outcome.stdout) == (0, "no drift: 3 operations, 2 routes\n")


def test_what_was_imported_has_not_drifted(folder: Folder) -> None:
    written = folder.imported(API).stdout
    assert folder.drift(API, written.partition("routes:\n")[2]).exit_code == 0


def test_what_was_imported_can_be_included_as_it_is(folder: Folder) -> None:
    (folder.gateway.parent / "written.yaml").write_text(folder.imported(API).stdout, encoding="utf-8")
    outcome = folder.drift(API, "  - include: written.yaml\n")
    assert (outcome.exit_code, outcome.stdout) == (0, "no drift: 3 operations, 3 routes\n")


def test_each_difference_is_a_line_and_exit_code_1(folder: Folder) -> None:
    routes = """\
  - {id: jobs, methods: [GET, PUT], path: /v1/jobs, scopes: [a], upstream: api}
  - {id: old, methods: [GET], path: /v1/old, scopes: [a], upstream: api}
  - {id: closed, path: "/v1/secret", deny: true}
"""
    outcome = folder.drift(API, routes)
    assert outcome.exit_code == 1
    lines = [line.partition(": ")[2] for line in outcome.stdout.splitlines()]
    assert lines == [
        'paths["/jobs"].post: POST /v1/jobs: no route takes it',
        'paths["/jobs/{id}"].get: GET /v1/jobs/{id}: no route takes it',
        "route jobs takes PUT, for which there is no operation",
        "route old takes GET, for which there is no operation",
    ]
    told = json.loads(folder.drift(API, routes, "--json").stdout)
    assert not told["ok"]
    assert [each["path"] for each in told["operations_without_route"]] == ["/v1/jobs", "/v1/jobs/{id}"]
    assert told["routes_without_operation"] == [
        {"route": "jobs", "methods": ["PUT"]},
        {"route": "old", "methods": ["GET"]},
    ]


@pytest.mark.parametrize(
    ("path", "methods", "superfluous"),
    [
        ("/v1/{rest...}", "GET, POST", []),
        ("/v1/{rest...}", "GET, HEAD, OPTIONS, POST", []),
        ("/v1/{rest...}", "GET, POST, DELETE", ["DELETE"]),
        ("/v1/jobs/{job:int}", "GET", []),
        ("/v1/jobs/seven", "GET", []),
        ("/v1/jobs/{job}/runs", "GET", ["GET"]),
        ("/v1/jobs/", "GET", ["GET"]),
        ("/v1/jobs/{rest...}", "GET, POST", ["POST"]),
        ("/v2/jobs", "GET, HEAD", ["GET", "HEAD"]),
        ("/{any}/jobs", "POST", []),
    ],
)
def test_a_route_is_asked_for_where_some_path_fits_it_and_an_operation(
    folder: Folder, path: str, methods: str, superfluous: list[str]
) -> None:
    route = f'  - {{id: r, methods: [{methods}], path: "{path}", scopes: [a], upstream: api}}\n'
    told = json.loads(folder.drift(API, route, "--json").stdout)
    assert [each["methods"] for each in told["routes_without_operation"]] == ([superfluous] if superfluous else [])


def test_a_typed_route_meets_what_the_file_tells_of_the_variable(folder: Folder) -> None:
    def api(kind: str) -> dict[str, object]:
        parameter = {"name": "id", "in": "path", "schema": {"type": kind}}
        return spec({"/jobs/{id}": {"get": {**READ, "parameters": [parameter]}}})

    route = '  - {id: r, methods: [GET], path: "/jobs/{id:[0-9]+}", scopes: [a], upstream: api}\n'
    assert folder.drift(api("integer"), route).exit_code == 0
    assert "no route takes it" in folder.drift(api("string"), route).stdout


def test_only_routes_of_one_upstream_are_compared_where_that_is_asked(folder: Folder) -> None:
    routes = ALL + "  - {id: elsewhere, methods: [GET], path: /elsewhere, scopes: [a], upstream: other}\n"
    assert "route elsewhere takes GET" in folder.drift(API, routes).stdout
    assert folder.drift(API, routes, "--upstream", "api").exit_code == 0
    assert folder.drift(API, routes, "--upstream", "nobody").exit_code == 2


def test_a_faulty_configuration_ends_with_3(folder: Folder) -> None:
    outcome = folder.drift(API, ALL.replace("upstream: api", "upstream: apj"))
    assert outcome.exit_code == 3
    assert "did you mean 'api'?" in outcome.stderr


def test_trace_which_no_route_can_take_is_no_drift(folder: Folder) -> None:
    described = spec({"/v1/jobs": {"get": READ, "post": READ, "trace": READ}, "/v1/jobs/{id}": {"get": READ}})
    assert folder.drift(described, ALL).exit_code == 0
