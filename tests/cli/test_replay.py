"""`scopegate replay`: what it prints of a log, and its exit codes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.replay import replay

CONFIG = Path(__file__).parents[2] / "config"
CALLED = {
    "ts": "2026-11-23T16:00:00.000Z",
    "method": "POST",
    "path": "/maintenance/jobs/7/runs",
    "host": "api.example",
    "client_ip": "10.1.2.3",
    "route": "run-job",
    "issuer": "http://127.0.0.1:8081",
    "client_id": "nightly",
    "scopes_granted": ["jobs.run"],
    "decision": "allow",
    "reason": None,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("gateway.yaml", "issuer.yaml"):
        shutil.copy(CONFIG / name, tmp_path / name)
    return tmp_path / "gateway.yaml"


def run(config: Path, records: list[dict[str, Any]], *arguments: str) -> Result:
    log = config.parent / "access.jsonl"
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    return CliRunner().invoke(replay, [str(log), "--against", str(config), *arguments])


def narrowed(config: Path) -> Path:
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("scopes: [jobs.run]", "scopes: [jobs.run, jobs.read]"), encoding="utf-8")
    return config


def test_a_log_that_comes_out_alike_is_no_finding(config: Path) -> None:
    outcome = run(config, [CALLED] * 3)
    assert outcome.exit_code == 0
    assert outcome.stdout == "3 requests: 3 same, 0 newly allowed, 0 newly refused, 0 unclear, 0 left out\n"


def test_what_would_change_is_told_by_client_and_route(config: Path) -> None:
    other = CALLED | {"client_id": "audit", "scopes_granted": ["jobs.run", "jobs.read"]}
    outcome = run(narrowed(config), [CALLED, CALLED, other, {"ts": None}])
    assert outcome.exit_code == 1
    _, row = (" ".join(line.split()) for line in outcome.stdout.splitlines())
    sample = "POST /maintenance/jobs/7/runs"
    assert row == f"newly-refused 2 nightly run-job: allow run-job: scope_insufficient {sample}"
    assert outcome.stderr == "4 requests: 1 same, 0 newly allowed, 2 newly refused, 0 unclear, 1 left out\n"


@pytest.mark.parametrize(("fail_on", "code"), [("newly-allowed", 0), ("newly-refused", 1), ("any", 1)])
def test_the_exit_code_tells_of_what_was_asked(config: Path, fail_on: str, code: int) -> None:
    assert run(narrowed(config), [CALLED], "--fail-on", fail_on).exit_code == code


def test_what_a_mode_let_pass_is_newly_refused_where_it_is_enforced(config: Path) -> None:
    passed = CALLED | {"scopes_granted": [], "mode": "shadow", "would_deny": "scope_insufficient"}
    outcome = run(config, [CALLED, passed])
    assert outcome.exit_code == 1
    _, row = (" ".join(line.split()) for line in outcome.stdout.splitlines())
    told = "run-job: allow, would_deny=scope_insufficient run-job: scope_insufficient"
    assert row == f"newly-refused 1 nightly {told} POST /maintenance/jobs/7/runs"


def test_it_is_told_as_json(config: Path) -> None:
    found = json.loads(run(narrowed(config), [CALLED], "--json").stdout)
    assert (found["requests"], found["counts"]["newly-refused"]) == (1, 1)
    (change,) = found["changes"]
    assert (change["client"], change["requests"]) == ("nightly", 1)


def test_a_log_that_is_not_there_cannot_be_reached(config: Path) -> None:
    outcome = CliRunner().invoke(replay, [str(config.parent / "no.jsonl"), "--against", str(config)])
    assert outcome.exit_code == 4
    assert "there is no such file" in outcome.stderr


def test_a_damaged_line_is_told_and_skipped(config: Path) -> None:
    log = config.parent / "access.jsonl"
    log.write_text("nonsense\n" + json.dumps(CALLED) + "\n")
    outcome = CliRunner().invoke(replay, [str(log), "--against", str(config)])
    assert (outcome.exit_code, outcome.stderr) == (0, "line 1 is not JSON\n")


@pytest.mark.parametrize("text", ["", "nonsense\n", "{}\n", '{"ts": null}\n' * 3])
def test_a_file_in_which_nothing_can_be_judged_is_no_proof_of_anything(config: Path, text: str) -> None:
    log = config.parent / "access.jsonl"
    log.write_text(text)
    outcome = CliRunner().invoke(replay, [str(log), "--against", str(config)])
    assert (outcome.exit_code, outcome.stdout) == (4, "")
    assert "access.jsonl holds no request that can be judged: is it an access log?\n" in outcome.stderr


def test_a_bad_configuration_is_told_as_check_tells_it(config: Path) -> None:
    config.write_text("routes: []\n", encoding="utf-8")
    assert run(config, [CALLED]).exit_code == 3
