"""`scopegate test`: what it runs, what it prints, and how it ends."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from gateway.cli.reading import read
from gateway.plan import Plan

from .rules_on_trial import Trial

GOOD = "GET /jobs jobs.read -> allow list-jobs"
BAD = "GET /jobs jobs.run -> allow list-jobs"


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def test_failing_cases_are_told_with_place_expected_and_found_and_then_the_sums(trial: Trial) -> None:
    trial.write(GOOD, BAD, "PUT /jobs none -> deny", "GET /healthz none -> allow")
    outcome = trial.run()
    assert outcome.exit_code == 1
    assert outcome.stdout.splitlines() == [
        f"FAILED {trial.cases}:4:5: GET /jobs with jobs.run -> allow",
        "    request   GET /jobs with jobs.run",
        "    expected  allow by list-jobs",
        "    found     deny scope_insufficient by list-jobs (scopes: expected jobs.read, found jobs.run)",
        "    change    ask the issuer https://main.example for scope jobs.read",
        "",
        "4 cases: 3 passed, 1 failed",
        "routes reached: 3 of 6; not run-job, strong, cookie",
        "  never let anyone in: bound",
        "reasons reached: scope_insufficient 1, token_missing 1",
    ]


def test_json_has_every_case_and_the_coverage(trial: Trial) -> None:
    trial.write(GOOD, "{name: others are refused, request: GET /jobs, token: none, expect: deny}")
    outcome = trial.run("--json")
    assert outcome.exit_code == 0
    told = json.loads(outcome.stdout)
    assert told["ok"]
    assert told["cases"][1] == {
        "name": "others are refused",
        "file": str(trial.cases),
        "line": 4,
        "column": 5,
        "method": "GET",
        "path": "/jobs",
        "passed": True,
        "expected": {"outcome": "deny", "route": None},
        "found": {
            "decision": "deny",
            "reason": "token_missing",
            "would_deny": None,
            "status": 401,
            "route": "list-jobs",
            "detail": told["cases"][1]["found"]["detail"],
        },
        "changes": [],
    }
    assert told["coverage"]["reasons"] == {"token_missing": 1}
    assert {"route": "list-jobs", "allowed": 1, "denied": 1} in told["coverage"]["routes"]


def test_junit_has_a_suite_a_file_and_a_failure_a_failing_case(trial: Trial, tmp_path: Path) -> None:
    trial.add_inline("GET /healthz none -> allow")
    trial.write(GOOD, BAD, "{name: 'a <b> & \"c\" \u2014', request: GET /jobs, token: none, expect: deny}")
    outcome = trial.run("--junit", tmp_path / "out.xml")
    assert outcome.exit_code == 1
    root = fromstring((tmp_path / "out.xml").read_bytes())
    assert (root.get("tests"), root.get("failures")) == ("4", "1")
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [
        (str(trial.gateway), "1"),
        (str(trial.cases), "3"),
    ]
    failing = [case.get("line") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failing == ["4"]
    assert 'a <b> & "c" \\u2014' in [case.get("name") for case in root.iter("testcase")]


def test_files_are_named_or_the_one_beside_is_taken_and_inline_cases_always(trial: Trial, tmp_path: Path) -> None:
    trial.add_inline("GET /healthz none -> allow")
    trial.write(BAD)
    other = tmp_path / "other.yaml"
    other.write_text(f"tests:\n  - {GOOD}\n", encoding="utf-8")
    assert trial.run().exit_code == 1
    outcome = trial.run(other)
    assert (outcome.exit_code, outcome.stdout.splitlines()[0]) == (0, "2 cases: 2 passed, 0 failed")
    assert "3 cases: 2 passed, 1 failed" in trial.run(other, trial.cases).stdout.splitlines()


def test_where_every_route_has_to_be_reached_one_that_is_not_is_a_failure(trial: Trial) -> None:
    trial.write(GOOD)
    assert trial.run().exit_code == 0
    assert trial.run("--all-routes").exit_code == 1


def test_no_case_at_all_is_a_no(trial: Trial) -> None:
    outcome = trial.run()
    assert outcome.exit_code == 1
    assert outcome.stderr == f"there are no cases: write some into {trial.cases}, or under tests in {trial.gateway}\n"


def test_a_missing_file_a_faulty_one_and_a_faulty_configuration_end_with_3(trial: Trial, tmp_path: Path) -> None:
    outcome = trial.run(tmp_path / "none.yaml")
    assert (outcome.exit_code, outcome.stderr) == (
        3,
        f"{tmp_path}/none.yaml:1:1: cannot be read: no such file or directory\n",
    )
    trial.cases.write_text(
        "tests:\n  - GET /jobs none -> allow\n  - GET /jobs none -> allow\nwhat: 1\n", encoding="utf-8"
    )
    assert trial.run().exit_code == 3
    trial.gateway.write_text("routes: 1\n", encoding="utf-8")
    assert trial.run().exit_code == 3


def test_a_file_that_cannot_be_written_ends_with_4(trial: Trial, tmp_path: Path) -> None:
    trial.write(GOOD)
    outcome = trial.run("--junit", tmp_path / "no" / "out.xml")
    assert outcome.exit_code == 4
    assert outcome.stderr == f"{tmp_path}/no/out.xml cannot be written: no such file or directory\n"


def test_a_failing_inline_case_is_an_error_of_the_gateways_file(trial: Trial) -> None:
    trial.add_inline(GOOD, BAD)
    outcome = trial.checked()
    assert outcome.exit_code == 3
    assert outcome.stderr == (
        f"{trial.gateway}:15:5: tests[1]: fails (GET /jobs with jobs.run -> allow): expected allow by list-jobs, "
        "found deny scope_insufficient by list-jobs (scopes: expected jobs.read, found jobs.run); "
        "change the rules, or the case\n"
    )
    assert isinstance(read(trial.gateway).outcome, list), "a start and a reload read no plan from it"


def test_inline_cases_that_pass_let_the_file_through(trial: Trial) -> None:
    trial.add_inline(GOOD)
    outcome = trial.checked()
    assert outcome.exit_code == 0, outcome.stderr
    assert isinstance(read(trial.gateway).outcome, Plan)


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("GET /jobs @reader -> allow", "callers have a name in a file of cases only"),
        ("GET /jobs none -> allow nothing", "'nothing' is no route: "),
        ("GET /jobs none -> alow", "did you mean 'allow'?"),
    ],
)
def test_a_faulty_inline_case_is_an_error_too(trial: Trial, case: str, fault: str) -> None:
    trial.add_inline(case)
    outcome = trial.checked()
    assert outcome.exit_code == 3
    assert f"{trial.gateway}:14:5: tests[0]: " in outcome.stderr
    assert fault in outcome.stderr
