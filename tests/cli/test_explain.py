"""`scopegate explain`: a request told step by step; what the command takes, and its exit codes."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.explain import explain

from .explain_case import ISSUER, KEY, NOW, OTHER, STRANGER, advice, key_set, run, run_json, token, with_token


def test_every_candidate_says_why_it_matched_or_not(config: Path) -> None:
    found = with_token(config, "POST", "/jobs/a/runs", token(scope="jobs.run"))
    assert [(each["route"], each["matched"], each["why"]) for each in found["candidates"]] == [
        ("health", False, "another path"),
        ("list-jobs", False, "another path"),
        ("run-job", True, "matches"),
        ("any-job", False, "fits, too, but run-job comes first"),
        ("files", False, "another path"),
    ]
    refused = run_json(config, "PUT", "/jobs")
    assert refused["candidates"][1]["why"] == "the path fits, but it takes GET"


@pytest.mark.parametrize(
    ("sent", "failed"),
    [
        ("opaque", "form"),
        (token(iss="x"), "issuer"),
        (token(iss=OTHER), "type"),
        (token(headers={"kid": "gone"}), "key"),
        (token(STRANGER), "signature"),
        (token(cnf={}), "binding"),
        (token(sub=1), "claims"),
        (token(aud="x"), "audience"),
        (token(exp=1), "expiry"),
        (token(nbf=NOW + 9), "begin"),
    ],
)
def test_checks_before_the_failed_one_passed_and_those_behind_were_not_reached(
    config: Path, sent: str, failed: str
) -> None:
    facts = with_token(config, "GET", "/jobs", sent)["steps"][2]["facts"]
    marks = [fact["mark"] for fact in facts]
    at = [fact["name"] for fact in facts].index(failed)
    assert marks == ["ok"] * at + ["failed"] + ["not_reached"] * (len(marks) - at - 1)


def test_a_token_without_kid_is_told_to_name_one_of_several_keys(config: Path) -> None:
    keys = key_set(KEY)["keys"] + key_set(STRANGER, "k2")["keys"]
    (config.parent / "keys.json").write_text(json.dumps({"keys": keys}))
    found = with_token(config, "GET", "/jobs", token(headers={"kid": None}))
    assert found["verdict"]["reason"] == "key_unknown"
    assert "name the key in the token (kid): k1 or k2" in advice(found)


def test_of_many_routes_a_person_sees_those_that_matter_and_a_program_all(config: Path) -> None:
    more = [f"  - {{id: more-{n}, path: /more/{n}, public: true, upstream: api}}\n" for n in range(30)]
    config.write_text(config.read_text() + "".join(more))
    output = run(config, "GET", "/more/29").stdout
    assert "and 22 more with another path" in output
    assert "more-29" in output
    assert len(run_json(config, "GET", "/more/29")["candidates"]) == 35


def test_steps_behind_a_refusal_are_not_reached(config: Path) -> None:
    steps = with_token(config, "GET", "/jobs", token(exp=1))["steps"]
    assert [(step["name"], step["mark"]) for step in steps] == [
        ("match", "ok"),
        ("take", "ok"),
        ("verify", "failed"),
        ("decide", "not_reached"),
    ]


def test_a_token_is_told_with_its_header_and_times_in_words(config: Path) -> None:
    result = run(config, "GET", "/jobs", "--token-file", "-", stdin=token() + "\n")
    assert result.exit_code == 0
    for words in ("a bearer token of", "ES256", "k1", "expires in 59 min (2027-01-15T08:59:59Z)", "iat was 1 min ago"):
        assert words in result.stdout
    assert result.stderr == ""


def test_an_opaque_token_is_told_with_its_size(config: Path) -> None:
    output = run(config, "GET", "/jobs", "--token-file", "-", stdin="opaque").stdout
    assert "a bearer token of 6 characters" in output
    assert "no signed JWT" in output


def test_a_long_value_stays_on_its_line_where_there_is_no_terminal(config: Path) -> None:
    kid = "_3_3hjAaIwWMvwi_5098VsQNY_R69q6fEKDI4PWtRB4"
    result = run(config, "GET", "/jobs", "--token-file", "-", stdin=token(headers={"kid": kid}))
    assert any(line.split() == ["✓", "kid", kid] for line in result.stdout.splitlines())


def test_a_token_that_expired_and_lacks_a_scope_needs_both_changes(config: Path) -> None:
    found = with_token(config, "POST", "/jobs/a/runs", token(exp=NOW - 7200))
    assert [change["do"] for change in found["changes"]] == [
        "get a new token",
        f"ask the issuer {ISSUER} for scope jobs.run",
    ]


# The command


def test_exit_codes_tell_allowed_and_refused(config: Path) -> None:
    assert run(config, "GET", "/healthz").exit_code == 0
    assert run(config, "GET", "/jobs").exit_code == 1


@pytest.mark.parametrize(
    ("options", "stdin", "words"),
    [
        (["--token-file", "-", "--claims", "-"], "x", "either"),
        (["--claims", "-", "--token-file", "-"], "{}", "either"),
        (["--token-file", "-"], "", "no token"),
        (["--token-file", "-"], "a\nb\n", "more than one line"),
        (["--token-file", "-"], "a" * (1 << 21), "larger"),
        (["--token-file", "/nowhere/token"], "", "nowhere"),
        (["--claims", "-"], "[]", "JSON object"),
        (["--claims", "-"], '{"a": 1, "a": 2}', "twice"),
        (["--header", "Authorization: Bearer abc"], "", "--token-file"),
        (["--header", "nonsense"], "", "Name: value"),
        (["--header", "A: b\r\nC: d"], "", "line break"),
        (["--host", "a\nb"], "", "line break"),
        (["--now", "yesterday"], "", "no moment"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_would_be_right(
    config: Path, options: list[str], stdin: str, words: str
) -> None:
    result = run(config, "GET", "/jobs", *options, stdin=stdin)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", "").split())
    assert result.stdout == ""


def test_a_line_break_in_the_request_line_is_wrong_usage(config: Path) -> None:
    assert run(config, "GET", "/jobs HTTP/1.1\r\nHost: x").exit_code == 2


def test_a_bad_configuration_is_exit_3_with_every_error(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("routes: []\nnonsense: 1\n")
    result = run(file, "GET", "/jobs")
    assert result.exit_code == 3
    assert result.stderr.count(str(file)) >= 2


def test_a_key_file_that_is_no_key_set_is_exit_3(config: Path) -> None:
    (config.parent / "keys.json").write_text("{}")
    result = run(config, "GET", "/jobs", "--claims", "-", stdin="{}")
    assert result.exit_code == 3
    assert "issuers.main.jwks_file" in result.stderr


def test_now_is_the_present_unless_given(config: Path) -> None:
    sent = token(exp=int(time.time()) + 60, iat=None)
    result = CliRunner().invoke(explain, ["GET", "/jobs", "-c", str(config), "--token-file", "-"], input=sent)
    assert result.exit_code == 0


@pytest.mark.parametrize(("host", "code"), [("api.example:8443", 0), ("a/b", 1)])
def test_the_host_field_can_be_given(config: Path, host: str, code: int) -> None:
    assert run(config, "GET", "/healthz", "--host", host).exit_code == code
