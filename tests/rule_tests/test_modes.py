"""Cases on routes whose mode lets pass what they refuse: that is an outcome of its own."""

from pathlib import Path

import pytest

from .rules_on_trial import GATEWAY, Trial

MODES = """\
  - {id: shadow, methods: [GET], path: /shadow, scopes: [a], mode: shadow, upstream: api}
  - id: grace
    methods: [GET]
    path: /grace
    scopes: [a]
    mode: grace until 2026-02-01
    grace_clients: [old]
    upstream: api
"""


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path, GATEWAY + MODES)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("GET /shadow a -> allow shadow", None),
        ("GET /shadow b -> would_deny=scope_insufficient shadow", "scope_insufficient"),
        ("GET /shadow none -> would_deny=token_missing", "token_missing"),
        ("{request: GET /shadow, scopes: b, expect: {would_deny: scope_insufficient}}", "scope_insufficient"),
        ("{request: GET /shadow, claims: {exp: 1000}, expect: {would_deny: token_expired}}", "token_expired"),
        ("GET /grace client=old -> would_deny=scope_insufficient grace", "scope_insufficient"),
    ],
)
def test_a_refusal_that_a_mode_lets_pass_is_expected_as_such(trial: Trial, case: str, reason: str | None) -> None:
    (told,) = trial.judged(case)
    assert told["passed"], told
    found = told["found"]
    assert (found["decision"], found["reason"], found["would_deny"], found["status"]) == ("allow", None, reason, None)


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ("GET /shadow b -> allow", "allow, would_deny=scope_insufficient by shadow"),
        ("GET /shadow b -> deny", "allow, would_deny=scope_insufficient by shadow"),
        ("GET /shadow b -> scope_insufficient", "allow, would_deny=scope_insufficient by shadow"),
        ("GET /shadow b -> would_deny=token_missing", "allow, would_deny=scope_insufficient by shadow"),
        ("GET /shadow a -> would_deny=scope_insufficient", "allow by shadow"),
        ("GET /jobs a -> would_deny=scope_insufficient", "deny scope_insufficient by list-jobs"),
        ("GET /grace client=new -> would_deny=scope_insufficient", "deny scope_insufficient by grace"),
        (
            "{request: GET /grace, client: old, at: '2026-02-01T00:00:00Z', expect: {would_deny: scope_insufficient}}",
            "deny scope_insufficient by grace",
        ),
    ],
)
def test_it_is_neither_entry_nor_refusal_and_a_case_that_expects_those_fails(
    trial: Trial, case: str, found: str
) -> None:
    trial.write(case)
    outcome = trial.run()
    assert outcome.exit_code == 1
    assert f"    found     {found}" in outcome.stdout


def test_coverage_counts_it_as_a_refusal(trial: Trial) -> None:
    trial.write("GET /shadow b -> would_deny=scope_insufficient", "GET /shadow a -> allow")
    lines = trial.run().stdout.splitlines()
    assert "reasons reached: scope_insufficient 1" in lines
    assert not [line for line in lines if "never refused" in line]


@pytest.mark.parametrize(
    ("expect", "fault"),
    [
        ("would_deny=scope_insuficient", "did you mean 'scope_insufficient'?"),
        ("would_deny=deny", "is neither allow nor deny nor a reason"),
        ("{woud_deny: token_missing}", "must be"),
        ("{would_deny: 7}", "must be"),
    ],
)
def test_a_faulty_outcome_is_told(trial: Trial, expect: str, fault: str) -> None:
    (told,) = trial.faults(f"{{request: GET /shadow, token: none, expect: {expect}}}")
    assert fault in told


def test_an_inline_case_of_a_mode_blocks_a_start_once_the_mode_is_gone(trial: Trial) -> None:
    trial.add_inline("GET /shadow b -> would_deny=scope_insufficient shadow")
    assert trial.checked().exit_code == 0
    trial.gateway.write_text(trial.gateway.read_text().replace("mode: shadow, ", ""))
    outcome = trial.checked()
    assert outcome.exit_code == 3
    assert "expected allow, would_deny=scope_insufficient by shadow, found deny scope_insufficient" in outcome.stderr
