"""`scopegate explain` on routes whose mode lets pass what they refuse."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.explain import explain

from .test_explain_demands import AT, explained, facts, step, write

ROUTE: dict[str, Any] = {"id": "run", "path": "/run", "scopes": ["jobs.run"], "issuers": ["main"], "upstream": "api"}
SHADOW = ROUTE | {"mode": "shadow"}
GRACE = ROUTE | {"mode": "grace until 2027-02-01", "grace_clients": ["old"]}
WARNED = '299 - "refused from 2027-02-01T00:00:00Z on: scope_insufficient, missing jobs.run"'


def test_what_shadow_lets_pass_is_told_with_the_step_that_failed_and_what_would_mend_it(tmp_path: Path) -> None:
    found = explained(write(tmp_path, [SHADOW]), "GET /run", {"scope": "jobs.read"})
    verdict = found["verdict"]
    assert found["allowed"] is True
    assert (verdict["mode"], verdict["would_deny"], verdict["reason"]) == ("shadow", "scope_insufficient", None)
    assert verdict["detail"] == "scopes: expected jobs.run, found jobs.read"
    assert verdict["upstream"].startswith("api (")
    assert step(found, "decide")["mark"] == "failed"
    assert facts(found)["missing"] == ("failed", "jobs.run", "")
    assert [change["do"] for change in found["changes"]] == ["ask the issuer https://main.example for scope jobs.run"]


def test_a_request_without_a_token_passes_in_shadow(tmp_path: Path) -> None:
    found = explained(write(tmp_path, [SHADOW]), "GET /run")
    assert (found["allowed"], found["verdict"]["would_deny"]) == (True, "token_missing")


@pytest.mark.parametrize(
    ("client", "now", "allowed", "fields"),
    [
        ("old", "2027-01-31T23:59:59Z", True, {"Warning": WARNED}),
        ("old", "2027-02-01T00:00:00Z", False, None),
        ("new", AT, False, None),
    ],
)
def test_grace_is_judged_for_its_clients_and_at_the_moment_that_is_asked_about(
    tmp_path: Path, client: str, now: str, *, allowed: bool, fields: dict[str, str] | None
) -> None:
    claims = {"client_id": client, "scope": "x", "exp": 1_900_000_000}
    found = explained(write(tmp_path, [GRACE]), "GET /run", claims, now=now)
    assert found["allowed"] is allowed
    assert found["verdict"]["mode"] == "grace"
    assert fields is None or found["verdict"]["fields"] == fields


def test_who_satisfies_the_rule_passes_without_a_word_of_the_mode(tmp_path: Path) -> None:
    verdict = explained(write(tmp_path, [SHADOW]), "GET /run", {"scope": "jobs.run"})["verdict"]
    assert (verdict["allowed"], verdict["would_deny"], verdict["mode"]) == (True, None, "shadow")


def test_people_are_told_what_would_be_refused_and_the_exit_code_is_the_gateways(tmp_path: Path) -> None:
    file = write(tmp_path, [GRACE])
    arguments = ["GET", "/run", "-c", str(file), "--now", AT, "--claims", "-"]
    sent = '{"iss": "https://main.example", "client_id": "old"}'
    result = CliRunner().invoke(explain, arguments, input=sent)
    assert result.exit_code == 0, result.output
    assert "allowed  it goes on to api (http://127.0.0.1:9)" in result.output
    assert "would deny  scope_insufficient  The token lacks a scope that this request needs" in result.output
    assert f"Warning     {WARNED}" in result.output
