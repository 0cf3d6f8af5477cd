import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, strategies as st
from rich.console import Console

from gateway.access.query import Damage, Entry, Line
from gateway.access.summary import summarize
from gateway.cli.log_lines import MAX_FIELD, milliseconds, printable, printable_json
from gateway.cli.log_tables import BAR_WIDTH, MAX_ROWS, bar, print_summary
from gateway.cli.logs import Notes, Page, logs, render

REFUSED: dict[str, Any] = {
    "v": 1,
    "ts": "2026-11-23T16:00:00.123Z",
    "request_id": "r1",
    "client_id": "nightly-batch",
    "method": "POST",
    "path": "/maintenance/jobs/rotate-logs/runs",
    "route": "run-jobs",
    "decision": "deny",
    "reason": "scope_insufficient",
    "status": 403,
    "scopes_missing": ["jobs.run"],
    "ms_total": 0.8,
}
ALLOWED: dict[str, Any] = REFUSED | {
    "ts": "2026-11-23T16:00:01.456Z",
    "request_id": "r2",
    "decision": "allow",
    "reason": None,
    "status": 200,
    "scopes_missing": [],
    "ms_total": 1234.5,
}
HOSTILE = "\x1b[31m\x07\x9b2J\u2028\u202e[bold]x[/bold]:smile:"


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "access.jsonl", REFUSED, ALLOWED)


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(logs, [str(argument) for argument in arguments], input=stdin)


def on_terminal(*records: dict[str, Any], as_json: bool = False, limit: int | None = None) -> str:
    """Return what a terminal would get to see."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80, markup=False)
    page = Page(console, as_json=as_json, limit=limit)
    page.show(Entry(Line(1, orjson.dumps(record)), record) for record in records)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_tells_outcome_client_request_and_what_was_missing() -> None:
    assert render(REFUSED).plain.split() == [
        *("16:00:00.123", "403", "deny", "scope_insufficient", "nightly-batch", "0.80", "ms", "POST"),
        *("/maintenance/jobs/rotate-logs/runs", ">", "run-jobs", "missing:", "jobs.run"),
    ]


def test_lines_stand_in_columns() -> None:
    assert (
        render(REFUSED).plain.index("/maint")
        == render(ALLOWED).plain.index("/maint")
        == render({}).plain.index("- > -")
    )


@pytest.mark.parametrize(
    ("extra", "remark"),
    [
        ({"would_deny": True}, "would deny"),
        ({"would_deny": "token_expired"}, "would deny: token_expired"),
        ({"would_deny": True, "reason": "token_missing"}, "would deny: token_missing"),
        ({"aborted": True}, "aborted"),
        ({"scopes_missing": "a b"}, "missing: a b"),
    ],
)
def test_a_line_remarks_on_what_an_operator_would_ask(extra: dict[str, Any], remark: str) -> None:
    assert render(ALLOWED | extra).plain.endswith(f"  {remark}")


@given(
    st.dictionaries(st.sampled_from(sorted([*ALLOWED, "would_deny", "aborted"])), st.text() | st.integers() | st.none())
)
def test_any_record_is_one_printable_line(record: dict[str, Any]) -> None:
    assert render(record).plain.isprintable()
    assert render(record, date=True).plain.isprintable()


@pytest.mark.parametrize("field", sorted(ALLOWED))
def test_no_field_of_a_record_reaches_the_terminal_as_a_command(field: str) -> None:
    harmless = on_terminal(ALLOWED | {field: "x"})
    shown = on_terminal(ALLOWED | {field: HOSTILE})
    assert shown.count("\x1b") == harmless.count("\x1b")
    assert re.sub(r"\x1b\[[\d;]*m|\n", "", shown).isprintable()
    assert shown.count("\n") == harmless.count("\n")


def test_markup_in_a_record_is_shown_and_not_obeyed() -> None:
    assert "[bold]x[/bold]:smile:" in on_terminal(ALLOWED | {"path": "[bold]x[/bold]:smile:"})


@given(st.dictionaries(st.text(), st.text()))
def test_json_on_a_terminal_has_the_same_value_and_no_control_character(record: dict[str, str]) -> None:
    shown = printable_json(json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace"))
    assert shown.isprintable()
    assert json.loads(shown) == record


def test_the_terminal_gets_json_escaped_and_a_pipe_gets_it_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "access.jsonl", {"path": HOSTILE})
    assert run(path, "--json").stdout_bytes == path.read_bytes()
    on_pty = run_on_pty(path, "--json").strip()
    assert on_pty.isprintable()
    assert json.loads(on_pty) == {"path": HOSTILE}


def run_on_pty(*arguments: object) -> str:
    """Run the command with a terminal as its standard output."""
    controlling, terminal = pty.openpty()
    command = [sys.executable, "-m", "gateway", "logs", *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with os.fdopen(controlling, "rb", buffering=0) as output:
        subprocess.run(command, stdout=terminal, stderr=subprocess.DEVNULL, env=environment, check=True)
        os.close(terminal)
        return output.read(1 << 16).decode()


def test_a_terminal_gets_colour_and_a_heading_for_each_day(log: Path) -> None:
    shown = run_on_pty(log)
    assert shown.count("2026-11-23") == 1
    assert "\x1b[" in shown


def test_a_pipe_gets_plain_lines_with_whole_timestamps(log: Path) -> None:
    result = run(log)
    assert result.exit_code == 0
    assert [line[:24] for line in result.stdout.splitlines()] == [REFUSED["ts"], ALLOWED["ts"]]
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["r1", "r2"]),
        (["--decision", "deny"], ["r1"]),
        (["--status", "2xx"], ["r2"]),
        (["--status", "2xx", "--status", "403"], ["r1", "r2"]),
        (["--reason", "scope_insufficient"], ["r1"]),
        (["--reason", "-"], ["r2"]),
        (["--client", "nightly-batch", "--route", "run-jobs"], ["r1", "r2"]),
        (["--path", "/maintenance"], ["r1", "r2"]),
        (["--request-id", "r2"], ["r2"]),
        (["--since", "2026-11-23T16:00:01Z"], ["r2"]),
        (["--until", "2026-11-23T16:00:01Z"], ["r1"]),
        (["-n", "1"], ["r2"]),
        (["-n", "0"], ["r1", "r2"]),
        (["-n", "1", "--decision", "deny"], ["r1"]),
    ],
)
def test_options_choose_the_records(log: Path, options: list[str], found: list[str]) -> None:
    result = run(log, "--json", *options)
    assert [json.loads(line)["request_id"] for line in result.stdout.splitlines()] == found


def test_standard_input_is_read_for_a_dash(log: Path) -> None:
    assert run("-", "--json", stdin=log.read_bytes()).stdout_bytes == log.read_bytes()


def test_nothing_found_is_exit_1_with_a_note(log: Path) -> None:
    result = run(log, "--client", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no record" in result.stderr


@pytest.mark.parametrize("options", [[], ["--follow"], ["--summary"]])
def test_a_missing_file_is_exit_4_with_the_remedy(tmp_path: Path, options: list[str]) -> None:
    result = run(tmp_path / "none.jsonl", *options)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "access_log" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--status", "abc"],
        ["--since", "tomorrow"],
        ["--since", "1h", "--until", "2h"],
        ["--decision", "maybe"],
        ["-n", "-1"],
        ["--follow", "--summary"],
    ],
)
def test_wrong_options_are_exit_2(log: Path, options: list[str]) -> None:
    result = run(log, *options)
    assert (result.exit_code, result.stdout) == (2, "")


def test_standard_input_cannot_be_followed() -> None:
    assert run("-", "--follow").exit_code == 2


def test_a_damaged_line_is_noted_on_standard_error_and_the_rest_is_shown(log: Path) -> None:
    log.write_bytes(b"\x1b[31mdamaged\n" + log.read_bytes() + b'{"half')
    result = run(log)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == f"{log}:1: is not JSON; skipped\n"


def test_many_damaged_lines_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    notes = Notes("access.jsonl")
    for number in range(1, 9):
        notes.damaged(Damage(number, "is not JSON"))
    notes.close()
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "access.jsonl:5: is not JSON; skipped",
        "access.jsonl: and 3 more damaged lines; skipped",
    ]


def test_a_terminal_gets_the_last_fifty_and_a_note_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert on_terminal(*[ALLOWED] * 60).count("run-jobs") == 50
    assert capsys.readouterr().err == "The last 50 of 60; -n 0 shows all.\n"
    on_terminal(*[ALLOWED] * 60, limit=0)
    assert capsys.readouterr().err == ""


def test_following_shows_the_last_ones_and_then_what_comes_until_interrupted(log: Path) -> None:
    command = [sys.executable, "-m", "gateway", "logs", str(log), "-f", "-n", "1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["request_id"] == "r2"
        with log.open("ab") as file:
            file.write(orjson.dumps(REFUSED | {"request_id": "r3"}) + b"\n")
        assert json.loads(process.stdout.readline())["request_id"] == "r3"
        process.send_signal(2)
        assert process.wait() == 130
        assert process.stderr.read() == b""


def test_a_summary_is_a_picture_of_where_refusals_come_from(log: Path) -> None:
    result = run(log, "--summary")
    assert result.exit_code == 0
    for part in ("2 requests", "1 denied (50.0%)", "scope_insufficient", "nightly-batch", "jobs.run", "4xx", "█"):
        assert part in result.stdout


def test_a_summary_as_json_is_one_object(log: Path) -> None:
    document = json.loads(run(log, "--summary", "--json").stdout)
    assert document["total"] == 2
    assert document["reasons"] == {"scope_insufficient": 1}


def test_what_a_mode_let_pass_is_listed_and_summed_up(log: Path) -> None:
    assert run(log, "--would-deny").exit_code == 1
    passed = ALLOWED | {"request_id": "r3", "client_id": "signer", "route": "tried", "would_deny": "token_expired"}
    log.write_bytes(log.read_bytes() + orjson.dumps(passed) + b"\n")
    lines = run(log, "--would-deny", "--reason", "token_expired").stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("would deny: token_expired")
    shown = run(log, "--summary").stdout
    assert "1 would be denied" in shown
    assert ["signer", "tried", "token_expired", "1"] in [line.split()[:4] for line in shown.splitlines()]


def test_a_summary_of_nothing_is_exit_1_and_still_json_for_a_program(log: Path) -> None:
    result = run(log, "--summary", "--json", "--client", "nobody")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["total"] == 0


def test_a_summary_obeys_nothing_that_stands_in_a_record() -> None:
    hostile = dict.fromkeys(["ts", "client_id", "route", "reason", "decision", "would_deny"], HOSTILE) | {
        "scopes_missing": [HOSTILE]
    }
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    print_summary(console, summarize([hostile]))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.replace("\n", "").isprintable()
    assert "[bold]x" in shown


def test_a_long_summary_says_that_there_is_more() -> None:
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, summarize(REFUSED | {"client_id": f"c{number}"} for number in range(MAX_ROWS + 5)))
    assert isinstance(console.file, io.StringIO)
    assert "and 5 more" in console.file.getvalue()


@pytest.mark.parametrize(
    ("share", "cells"), [(0, 0), (1e-9, 1), (0.5, BAR_WIDTH / 2), (1, BAR_WIDTH), (2, BAR_WIDTH), (-1, 0)]
)
def test_a_bar_is_as_long_as_its_share(share: float, cells: float) -> None:
    assert len(bar(share)) == len(bar(share, ascii_only=True)) == cells


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.8, "0.80 ms"), (9.996, "10.00 ms"), (12.4, "12 ms"), (1234.5, "1.23 s"), (None, "-"), ("1", "-"), (True, "-")],
)
def test_a_duration_has_the_unit_that_reads_best(value: object, shown: str) -> None:
    assert milliseconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ("plain", "plain"),
        ("grün", "grün"),
        (403, "403"),
        ("a\x1b[2J", "a\\x1b[2J"),
        ("a\nb\u2028c", "a\\nb\\u2028c"),
        ("\ud800", "\\ud800"),
        ("x" * 1000, "x" * (MAX_FIELD - 1) + "…"),
    ],
)
def test_a_value_is_shown_and_not_obeyed(value: object, shown: str) -> None:
    assert printable(value) == shown
