"""explain tells by which fields routes are told apart."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.explain import explain

CONFIG = """\
upstreams: {api: {url: "http://127.0.0.1:9000"}}
routes:
  - {id: two, path: /jobs, fields: {X-Version: "2"}, public: true, upstream: api}
  - {id: old, path: /jobs, fields: {X-Version: ["0", "1"], X-Beta: false}, public: true, upstream: api}
"""


def explained(folder: Path, *fields: str) -> dict[str, Any]:
    file = folder / "gateway.yaml"
    file.write_text(CONFIG)
    headers = [argument for field in fields for argument in ("--header", field)]
    outcome = CliRunner().invoke(explain, ["GET", "/jobs", *headers, "-c", str(file), "--json"])
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


@pytest.mark.parametrize(
    ("fields", "why", "changes"),
    [
        (["x-version: 2"], ["matches", "the path fits, but it takes X-Version: 0 or 1 (found 2)"], []),
        (["X-Version: 1"], ["the path fits, but it takes X-Version: 2 (found 1)", "matches"], []),
        (
            ["X-Beta:"],
            [
                "the path fits, but it takes X-Version: 2 (found none)",
                "the path fits, but it takes X-Version: 0 or 1 (found none) and no X-Beta (found an empty one)",
            ],
            [
                "send X-Version: 2 (found none), for route two",
                "send X-Version: 0 or 1 (found none) and no X-Beta (found an empty one), for route old",
            ],
        ),
        (
            ["X-Version: 2", "X_Beta: 1"],
            ["fits, too", "fields: expected X-Beta once, in this spelling, found X_Beta"],
            ["send X-Beta once, in this spelling (found X_Beta): servers read other spellings alike"],
        ),
    ],
)
def test_each_route_says_which_fields_kept_it_from_matching(
    tmp_path: Path, fields: list[str], why: list[str], changes: list[str]
) -> None:
    found = explained(tmp_path, *fields)
    assert [each["why"] for each in found["candidates"]] == why
    told = [text for change in found["changes"] for text in (change["do"], *change["instead"])]
    assert told[: len(changes)] == changes


def test_all_that_a_client_may_do_is_told_with_the_fields(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    listed = CliRunner().invoke(explain, ["--list", "-c", str(file)])
    assert [" ".join(line.split()) for line in listed.stdout.splitlines()[1:]] == [
        "two any /jobs DELETE /jobs (X-Version: 2)",
        "old any /jobs DELETE /jobs (X-Version: 0)",
    ]
    told = json.loads(CliRunner().invoke(explain, ["--list", "-c", str(file), "--json"]).stdout)
    assert [entry["such_as"]["fields"] for entry in told] == [[["X-Version", "2"]], [["X-Version", "0"]]]
