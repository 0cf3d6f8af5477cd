"""explain tells what becomes of a preflight, and whether a page may read the answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.explain import explain

CONFIG = """\
issuers: {local: {issuer: "https://issuer.example", audience: api}}
upstreams: {api: {url: "http://127.0.0.1:9000"}}
routes:
  - id: read
    methods: [GET]
    path: /jobs/{job}
    scopes: [jobs.read]
    upstream: api
    cors: { origins: [https://app.example], headers: [Authorization], expose: [ETag] }
  - id: run
    methods: [POST]
    path: /jobs/{job}
    scopes: [jobs.run]
    upstream: api
"""
MORE = """\
  - id: second
    methods: [GET]
    path: /versions
    fields: { X-Version: "2" }
    scopes: [jobs.read]
    upstream: api
  - id: first
    methods: [GET]
    path: /versions
    scopes: [jobs.read]
    upstream: api
    cors: { origins: [https://app.example], headers: [Authorization] }
  - id: all
    methods: [GET]
    path: /all/{rest...}
    scopes: [jobs.read]
    upstream: api
  - id: one
    methods: [GET, POST]
    path: /all/one
    scopes: [jobs.read]
    upstream: api
    cors: { origins: [https://app.example], headers: [Authorization] }
"""
PAGE = ("--header", "Origin: https://app.example")
ASKING = (*PAGE, "--header", "Access-Control-Request-Method: GET")


def run(folder: Path, *arguments: str, claims: str | None = None, more: bool = False) -> tuple[int, str]:
    file = folder / "gateway.yaml"
    file.write_text(CONFIG + MORE * more)
    given = [] if claims is None else ["--claims", "-"]
    outcome = CliRunner().invoke(explain, [*arguments, "-c", str(file), *given], input=claims)
    return outcome.exit_code, outcome.stdout


def explained(folder: Path, *arguments: str, claims: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(folder, *arguments, "--json", claims=claims)[1])
    return found


def steps(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["name"], step["mark"]) for step in found["steps"]]


@pytest.mark.parametrize("claims", [None, '{"scope": "jobs.read"}'])
def test_a_preflight_that_is_granted_shows_what_the_browser_is_told(tmp_path: Path, claims: str | None) -> None:
    found = explained(tmp_path, "OPTIONS", "/jobs/x", *ASKING, claims=claims)
    assert (found["allowed"], found["changes"], found["assumed"], found["scopes"]) == (True, [], [], None)
    assert (found["verdict"]["status"], found["verdict"]["upstream"]) == (204, None)
    assert found["verdict"]["fields"] == {
        "Access-Control-Allow-Origin": "https://app.example",
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Headers": "Authorization",
        "Access-Control-Max-Age": "600",
    }
    assert steps(found) == [(name, "ok") for name in ("match", "take", "verify", "decide", "cors")]
    assert [(each["route"], each["why"]) for each in found["candidates"]] == [
        ("read", "matches"),
        ("run", "the path fits, but it takes POST"),
    ]


def test_people_read_that_the_gateway_answers_it(tmp_path: Path) -> None:
    code, told = run(tmp_path, "OPTIONS", "/jobs/x", *ASKING)
    assert code == 0
    assert "route read, to which the preflight's GET would go" in told
    assert "the gateway answers the preflight itself: 204" in told
    assert "Access-Control-Allow-Methods" in told


@pytest.mark.parametrize(
    ("fields", "failed", "change"),
    [
        (
            ("--header", "Origin: https://x.example", *ASKING[2:]),
            ("preflight origin", "https://x.example", "https://app.example"),
            "add https://x.example to cors.origins of route read",
        ),
        (
            (*ASKING, "--header", "Access-Control-Request-Headers: authorization,x-a"),
            ("preflight headers", "x-a", "Authorization"),
            "add x-a to cors.headers of route read",
        ),
    ],
)
def test_a_preflight_that_is_refused_shows_what_to_list(
    tmp_path: Path, fields: tuple[str, ...], failed: tuple[str, str, str], change: str
) -> None:
    found = explained(tmp_path, "OPTIONS", "/jobs/x", *fields)
    assert (found["allowed"], found["verdict"]["reason"]) == (False, "origin_untrusted")
    assert steps(found)[-1] == ("cors", "failed")
    facts = [fact for step in found["steps"] for fact in step["facts"] if fact["mark"] == "failed"]
    assert [(fact["name"], fact["found"], fact["expected"]) for fact in facts] == [failed]
    assert [each["do"].partition(" in /")[0] for each in found["changes"]] == [change]


def test_what_the_route_would_say_to_the_page_is_told_of_any_request_that_a_page_sends(tmp_path: Path) -> None:
    found = explained(tmp_path, "GET", "/jobs/x", *PAGE, claims='{"scope": "jobs.read"}')
    assert found["allowed"]
    assert found["steps"][-1]["summary"] == "pages of https://app.example may read the answer"
    found = explained(tmp_path, "GET", "/jobs/x", "--header", "Origin: null", claims='{"scope": "jobs.read"}')
    assert found["allowed"]
    assert steps(found)[-1] == ("cors", "failed")
    assert "browsers keep the answer from pages of null" in found["steps"][-1]["summary"]


def test_nothing_is_told_of_pages_where_none_sends_or_the_route_says_nothing_of_them(tmp_path: Path) -> None:
    for arguments in (("GET", "/jobs/x"), ("POST", "/jobs/x", *PAGE), ("OPTIONS", "/else"), ("GET", "/jobs//x", *PAGE)):
        assert "cors" not in dict(steps(explained(tmp_path, *arguments)))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/versions", "GET goes to second or first, by fields that no preflight tells: give all of them the same cors"),
        ("/all/one", "GET goes to all, which says nothing of pages"),
    ],
)
def test_a_preflight_that_the_gateway_leaves_to_the_rules_is_told_with_the_reason(
    tmp_path: Path, path: str, why: str
) -> None:
    found = json.loads(run(tmp_path, "OPTIONS", path, *ASKING, "--json", more=True)[1])
    assert (found["verdict"]["reason"], steps(found)[-1]) == ("method_not_allowed", ("cors", "failed"))
    assert found["steps"][-1]["summary"].startswith(f"the gateway does not answer this preflight: {why}")


def test_of_a_preflight_where_no_route_says_anything_of_pages_nothing_is_told(tmp_path: Path) -> None:
    asking = (*PAGE, "--header", "Access-Control-Request-Method: POST")
    assert "cors" not in dict(steps(explained(tmp_path, "OPTIONS", "/jobs/x", *asking)))


def test_options_alone_tells_how_to_ask_about_a_preflight(tmp_path: Path) -> None:
    found = explained(tmp_path, "OPTIONS", "/jobs/x")
    assert found["verdict"]["reason"] == "method_not_allowed"
    assert "--header 'Access-Control-Request-Method: ...'" in found["steps"][-1]["summary"]
