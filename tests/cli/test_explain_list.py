"""`scopegate explain --list`: all that a client may do."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.explain import explain

HEAD = """
issuers:
  one: {issuer: https://one.example, audience: api, jwks_file: keys.json}
upstreams: {api: {url: "http://127.0.0.1:9000"}}
routes:
  - {id: open, path: /open, methods: [GET], public: true, upstream: api}
  - {id: read, path: "/jobs/{job}", methods: [GET, HEAD], scopes: [read], upstream: api}
  - {id: write, path: "/jobs/{job}", scopes: [write], upstream: api}
  - {id: mine, path: "/of/{tenant}/{rest...}", methods: [GET], scopes: [read], claims: {tenant: "{tenant}"},
     upstream: api}
  - {id: bound, path: /bound, methods: [GET], scopes: [read], require_proof: dpop, upstream: api}
  - {id: cookie, path: /cookie, methods: [POST], scopes: [read], token_from: {cookie: t}, host: a.example,
     upstream: api}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (tmp_path / "gateway.yaml").write_text(HEAD)
    return tmp_path / "gateway.yaml"


def run(file: Path, claims: dict[str, Any] | None, *arguments: str) -> Result:
    if claims is not None:
        (file.parent / "claims.json").write_text(json.dumps(claims))
        arguments = (*arguments, "--claims", str(file.parent / "claims.json"))
    return CliRunner().invoke(explain, ["--list", "-c", str(file), *arguments])


def listed(file: Path, claims: dict[str, Any] | None) -> dict[str, list[str]]:
    outcome = run(file, claims, "--json")
    return {entry["route"]: entry["methods"] for entry in json.loads(outcome.stdout)}


def test_without_claims_it_is_what_needs_no_token(file: Path) -> None:
    outcome = run(file, None)
    assert outcome.exit_code == 0
    assert [line.split() for line in outcome.stdout.splitlines()] == [
        ["route", "methods", "path", "such", "as"],
        ["open", "GET", "/open", "GET", "/open"],
    ]


def test_with_claims_it_is_every_route_that_lets_them_in(file: Path) -> None:
    assert listed(file, {"scope": "read"}) == {"open": ["GET"], "read": ["GET", "HEAD"], "cookie": ["POST"]}


def test_methods_that_an_earlier_route_takes_are_left_out(file: Path) -> None:
    assert listed(file, {"scope": "write"})["write"] == ["DELETE", "OPTIONS", "PATCH", "POST", "PUT"]


def test_a_claim_that_is_compared_with_the_path_stands_in_it(file: Path) -> None:
    assert "mine" not in listed(file, {"scope": "read", "tenant": "a/b"})
    outcome = run(file, {"scope": "read", "tenant": ["x", "acme"]}, "--json")
    (mine,) = (entry for entry in json.loads(outcome.stdout) if entry["route"] == "mine")
    assert mine["such_as"]["path"].startswith("/of/x/")


def test_a_bound_token_is_taken_as_proven(file: Path) -> None:
    assert listed(file, {"scope": "read", "cnf": {"jkt": "A" * 43}})["bound"] == ["GET"]


def test_a_host_is_told_where_it_counts(file: Path) -> None:
    outcome = run(file, {"scope": "read"})
    assert "/cookie at a.example" in outcome.stdout


def test_what_enters_by_a_mode_alone_is_told_as_such(file: Path) -> None:
    file.write_text(HEAD.replace("scopes: [write]", "scopes: [write], mode: shadow"))
    found = {entry["route"]: entry["would_deny"] for entry in json.loads(run(file, {"scope": "read"}, "--json").stdout)}
    assert found == {"open": None, "read": None, "write": "scope_insufficient", "cookie": None}
    outcome = run(file, {"scope": "read"})
    assert "DELETE /jobs/any (by shadow alone: would_deny=scope_insufficient)" in outcome.stdout
    assert json.loads(run(file, {"scope": "write"}, "--json").stdout)[1]["would_deny"] is None


def test_nothing_is_the_exit_code_1(file: Path) -> None:
    file.write_text(HEAD.replace("public: true", "scopes: [never]"))
    outcome = run(file, {"scope": "other"})
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (1, "", "nothing\n")


@pytest.mark.parametrize("arguments", [["GET", "/open", "--list"], [], ["GET"]])
def test_a_request_or_a_list_is_asked_for(file: Path, arguments: list[str]) -> None:
    outcome = CliRunner().invoke(explain, [*arguments, "-c", str(file)])
    assert outcome.exit_code == 2
