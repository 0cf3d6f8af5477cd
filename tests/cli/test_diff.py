"""`scopegate diff`: what it prints, and its exit codes."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.diff import diff
from gateway.cli.explain import explain

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    for name in ("gateway.yaml", "issuer.yaml"):
        shutil.copy(CONFIG / name, tmp_path / name)
    return tmp_path / "gateway.yaml"


@pytest.fixture
def wider(old: Path) -> Path:
    """Runs may be started by those who may read."""
    return changed(old, "scopes: [jobs.run]", "scopes: { any: [jobs.run, jobs.read] }")


def changed(old: Path, before: str, after: str) -> Path:
    text = old.read_text(encoding="utf-8")
    assert before in text
    new = old.with_name("new.yaml")
    new.write_text(text.replace(before, after), encoding="utf-8")
    return new


def run(*arguments: object) -> Result:
    return CliRunner().invoke(diff, [str(each) for each in arguments])


def test_two_files_that_answer_alike_are_no_finding(old: Path) -> None:
    outcome = run(old, changed(old, "{job}", "{number}"))
    assert (outcome.exit_code, outcome.stdout) == (0, "no request changes its verdict\n")


def test_each_change_is_a_row_with_a_request_that_shows_it(old: Path, wider: Path) -> None:
    outcome = run(old, wider)
    assert outcome.exit_code == 1
    head, *rows = (" ".join(line.split()) for line in outcome.stdout.splitlines())
    token = "with a token of http://127.0.0.1:8081, for https://maintenance.example, scope jobs.read"
    assert head == "change methods such as before after"
    assert sorted(rows) == [
        (
            f"newly-allowed DELETE DELETE /maintenance/jobs/any/runs/any {token} "
            "cancel-run: scope_insufficient cancel-run: allow"
        ),
        f"newly-allowed POST POST /maintenance/jobs/any/runs {token} run-job: scope_insufficient run-job: allow",
    ]
    assert outcome.stderr == "2 newly allowed, 0 newly refused, 0 rerouted; 0 not proven\n"


@pytest.mark.parametrize(("fail_on", "code"), [("newly-allowed", 1), ("newly-refused", 0), ("any", 1)])
def test_the_exit_code_tells_of_what_was_asked(old: Path, wider: Path, fail_on: str, code: int) -> None:
    assert run(old, wider, "--fail-on", fail_on).exit_code == code


def test_what_the_upstream_is_told_of_the_caller_is_a_row(old: Path) -> None:
    claim = "scopes: [jobs.run]\n    claim_fields: { X-Tenant: tenant }\n    forward_token: true"
    outcome = run(old, changed(old, "scopes: [jobs.run]", claim))
    rows = outcome.stdout.splitlines()[1:]
    assert (outcome.exit_code, {row.split()[0] for row in rows}) == (1, {"rerouted"})
    assert any(
        "run-job: allow, to maintenance /maintenance/jobs/any/runs with X-Tenant of tenant, the token" in row
        for row in rows
    )
    assert run(old, old.with_name("new.yaml"), "--fail-on", "newly-allowed").exit_code == 0


def test_what_cannot_be_compared_is_never_taken_for_the_same(old: Path) -> None:
    new = changed(old, "audience: https://maintenance.example", "audience: https://maintenance.example\n    leeway: 5s")
    outcome = run(old, new, "--fail-on", "newly-allowed")
    assert outcome.exit_code == 1
    assert outcome.stdout == (
        "not proven: issuer local: tokens that leeway tell apart cannot be compared\n"
        "0 newly allowed, 0 newly refused, 0 rerouted; 1 not proven\n"
    )


def test_a_bad_configuration_is_told_as_check_tells_it(old: Path) -> None:
    outcome = run(old, changed(old, "scopes: [jobs.run]", "scope: [jobs.run]"))
    assert (outcome.exit_code, outcome.stdout) == (3, "")
    assert "unknown key" in outcome.stderr


def test_a_witness_as_json_is_what_explain_takes(old: Path, wider: Path, tmp_path: Path) -> None:
    outcome = run(old, wider, "--json")
    assert outcome.exit_code == 1
    found = json.loads(outcome.stdout)
    assert found["unproven"] == []
    claims = tmp_path / "claims.json"
    for finding in found["findings"]:
        witness = finding["witness"]
        claims.write_text(json.dumps(witness["claims"]))
        for file, verdict in ((old, finding["before"]), (wider, finding["after"])):
            arguments = [witness["method"], witness["path"], "-c", str(file), "--claims", str(claims)]
            explained = CliRunner().invoke(explain, arguments)
            assert explained.exit_code == (0 if verdict["decision"] == "allow" else 1)
            assert verdict["reason"] is None or verdict["reason"] in explained.stdout


def test_what_is_sent_elsewhere_is_told_with_both_places(old: Path) -> None:
    route = "scopes: [jobs.run]\n    rewrite: { prefix: /maintenance, to: /v2 }"
    outcome = run(old, changed(old, "scopes: [jobs.run]", route))
    assert outcome.exit_code == 1
    rows = [" ".join(line.split()) for line in outcome.stdout.splitlines()]
    assert any(
        row.startswith("rerouted POST ")
        and row.endswith(
            "run-job: allow, to maintenance /maintenance/jobs/any/runs run-job: allow, to maintenance /v2/jobs/any/runs"
        )
        for row in rows
    ), rows
    told = json.loads(run(old, old.with_name("new.yaml"), "--json").stdout)["findings"]
    moved = {"prefix": "/maintenance", "to": "/v2"}
    assert {(each["change"], each["before"]["rewrite"] is None) for each in told} == {("rerouted", True)}
    assert all(each["after"]["rewrite"] == moved for each in told)
