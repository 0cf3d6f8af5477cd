import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.access.query import (
    MAX_LINE,
    Damage,
    Filter,
    Line,
    LineSplitter,
    LogUnreadableError,
    StatusRange,
    entries,
    epoch,
    follow,
    open_log,
    parse_moment,
    parse_status,
    read_lines,
)
from gateway.access.summary import MAX_KEYS, OTHERS, Durations, Summary, summarize

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z

RECORD: dict[str, Any] = {
    "v": 1,
    "ts": "2026-11-23T12:00:00.500Z",
    "request_id": "r1",
    "client_id": "nightly-batch",
    "issuer": "local",
    "method": "POST",
    "path": "/maintenance/jobs/rotate-logs/runs",
    "route": "run-jobs",
    "decision": "deny",
    "reason": "scope_insufficient",
    "status": 403,
    "scopes_missing": ["jobs.run"],
    "ms_total": 0.8,
}


def read(data: bytes) -> tuple[list[dict[str, Any]], list[Damage]]:
    damage: list[Damage] = []
    found = [dict(entry.record) for entry in entries(read_lines(io.BytesIO(data)), damage.append)]
    return found, damage


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(), True),
        (Filter(client=("nightly-batch",)), True),
        (Filter(client=("other", "nightly-batch")), True),
        (Filter(client=("nightly",)), False),
        (Filter(client=("-",)), False),
        (Filter(route=("run-jobs",)), True),
        (Filter(route=("read-jobs",)), False),
        (Filter(reason=("scope_insufficient",)), True),
        (Filter(reason=("token_expired",)), False),
        (Filter(issuer=("local",)), True),
        (Filter(issuer=("corporate",)), False),
        (Filter(request_id=("r1",)), True),
        (Filter(request_id=("r2",)), False),
        (Filter(decision="deny"), True),
        (Filter(decision="allow"), False),
        (Filter(path="/maintenance/jobs"), True),
        (Filter(path="/jobs"), False),
        (Filter(status=(StatusRange(403, 403),)), True),
        (Filter(status=(StatusRange(500, 599), StatusRange(400, 499))), True),
        (Filter(status=(StatusRange(200, 299),)), False),
        (Filter(since=NOON + 0.5), True),
        (Filter(since=NOON + 0.6), False),
        (Filter(until=NOON + 0.6), True),
        (Filter(until=NOON + 0.5), False),
        (Filter(since=NOON, until=NOON + 1), True),
        (Filter(client=("nightly-batch",), decision="allow"), False),
    ],
)
def test_a_filter_asks_that_all_its_fields_agree(wanted: Filter, matches: bool) -> None:  # noqa: FBT001 - a table's column
    assert wanted.matches(RECORD) is matches


def test_a_dash_finds_records_without_the_field() -> None:
    anonymous = RECORD | {"client_id": None, "route": ""}
    assert Filter(client=("-",), route=("-",)).matches(anonymous)
    assert Filter(issuer=("-",)).matches({})


@pytest.mark.parametrize("wrong", [None, "403", [403], {"a": 1}, 4.03])
def test_a_field_of_a_wrong_type_does_not_match(wrong: object) -> None:
    wanted = Filter(status=(StatusRange(400, 499),))
    assert not wanted.matches({"status": wrong})
    assert not Filter(client=("x",)).matches({"client_id": wrong})
    assert not Filter(since=0).matches({"ts": wrong})
    assert not Filter(path="/").matches({"path": wrong})


@pytest.mark.parametrize(
    ("text", "status"),
    [("404", (404, 404)), ("4xx", (400, 499)), ("5XX", (500, 599)), ("400-499", (400, 499)), ("401-401", (401, 401))],
)
def test_a_status_is_a_code_a_class_or_a_range(text: str, status: tuple[int, int]) -> None:
    assert parse_status(text) == status


@pytest.mark.parametrize("text", ["", "4", "4x", "xxx", "999", "4040", "400-", "-400", "499-400", "४०४", "404 "])
def test_another_status_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write "):
        parse_status(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOON - 90),
        ("15m", NOON - 900),
        ("2h", NOON - 7200),
        ("1d", NOON - 86_400),
        ("1w", NOON - 604_800),
        ("2026-11-23T12:00:00Z", NOON),
        ("2026-11-23t12:00:00.250z", NOON + 0.25),
        ("2026-11-23T13:00:00+01:00", NOON),
        ("2026-11-23T12:00", NOON),
        ("2026-11-23 12:00:00", NOON),
        ("2026-11-23", NOON - 43_200),
    ],
)
def test_a_moment_is_a_timestamp_or_some_time_ago(text: str, moment: float) -> None:
    assert parse_moment(text, NOON) == moment


@pytest.mark.parametrize(
    "text",
    ["", "now", "15", "m", "-5m", "1.5h", "15 m", "2026-13-01", "2026-W48-1", "20261123", "12:00", "9999999999d"],
)
def test_another_moment_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write 2026-"):
        parse_moment(text, NOON)


@given(st.text())
def test_any_text_is_a_moment_or_a_clear_error(text: str) -> None:
    try:
        assert isinstance(parse_moment(text, NOON), float)
    except ValueError as error:
        assert "is no moment" in str(error)  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize("ts", [None, 5, "", "yesterday", "0001-01-01T00:00:00+23:59", "2026-11-23T99:00:00Z"])
def test_what_is_no_timestamp_has_no_epoch(ts: object) -> None:
    assert epoch(ts) is None or ts == "0001-01-01T00:00:00+23:59"


def test_a_damaged_line_is_reported_with_its_number_and_skipped() -> None:
    found, damage = read(b'{"a":1}\n\nnot json\n[1]\n{"a":2}\n')
    assert found == [{"a": 1}, {"a": 2}]
    assert damage == [Damage(3, "is not JSON"), Damage(4, "is not a JSON object")]


def test_a_half_written_last_line_is_no_damage() -> None:
    assert read(b'{"a":1}\n{"a":') == ([{"a": 1}], [])


def test_a_last_line_that_lacks_only_its_newline_is_read() -> None:
    assert read(b'{"a":1}\r\n{"a":2}') == ([{"a": 1}, {"a": 2}], [])


@pytest.mark.parametrize("line", [b'{"a":"\xff"}', b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 100_000, b'{"a":"\x1b"}'])
def test_a_hostile_line_is_damage_and_nothing_worse(line: bytes) -> None:
    assert read(line + b"\n" + b'{"a":1}\n') == ([{"a": 1}], [Damage(1, "is not JSON")])


def test_a_record_of_a_newer_version_is_a_record() -> None:
    assert read(b'{"v":99,"new":{"deep":[1]},"status":200}\n')[1] == []
    assert Filter(status=(StatusRange(200, 200),)).matches({"v": 99, "status": 200})


def test_a_line_without_end_is_damage_and_does_not_fill_the_memory() -> None:
    splitter = LineSplitter()
    for _ in range(64):
        assert list(splitter.feed(b'"' * (MAX_LINE // 16))) == []
        assert len(splitter._rest) <= MAX_LINE
    lines = list(splitter.feed(b'\n{"a":1}\n'))
    damage: list[Damage] = []
    assert [entry.record for entry in entries(lines, damage.append)] == [{"a": 1}]
    assert damage == [Damage(1, f"is longer than {MAX_LINE:,} bytes")]


@given(st.lists(st.binary(max_size=20)), st.integers(min_value=1, max_value=7))
def test_lines_do_not_depend_on_how_the_bytes_were_cut(texts: list[bytes], size: int) -> None:
    data = b"\n".join(texts)
    splitter = LineSplitter()
    lines = [line for at in range(0, len(data), size) for line in splitter.feed(data[at : at + size])]
    assert b"".join(line.raw for line in [*lines, *splitter.end()]) == data


def test_a_rotated_file_is_read_through_its_compression(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl.1.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n{"a":2}\n'))
    with open_log(path) as log:
        assert [line.number for line in read_lines(log)] == [1, 2]


def test_a_compressed_file_that_breaks_off_gives_what_it_has_and_then_an_error(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl.1.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n' * 10)[:-8])
    seen: list[Line] = []
    with open_log(path) as log, pytest.raises(LogUnreadableError, match="breaks off"):
        seen.extend(read_lines(log))
    assert len(seen) == 10
    path.write_bytes(b"no gzip at all")
    with open_log(path) as log, pytest.raises(LogUnreadableError, match="breaks off"):
        list(read_lines(log))


def test_a_missing_file_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadableError, match="access_log"):
        open_log(tmp_path / "access.jsonl")
    with pytest.raises(LogUnreadableError, match="directory"):
        open_log(tmp_path)


class Stop(Exception):  # noqa: N818 - the signal of a test, no error
    """Ends a follow: nothing more will be written."""


def scripted(*steps: Callable[[], object]) -> Callable[[float], None]:
    """Return a sleep that does one step each time it is called."""
    remaining = iter(steps)

    def sleep(_seconds: float) -> None:
        step = next(remaining, None)
        if step is None:
            raise Stop
        step()

    return sleep


def followed(path: Path, *steps: Callable[[], object]) -> list[tuple[int, bytes]]:
    seen: list[tuple[int, bytes]] = []
    lines = follow(path, scripted(*steps))
    with pytest.raises(Stop):
        seen.extend((line.number, line.raw) for line in lines)
    return seen


def append(path: Path, data: bytes) -> Callable[[], object]:
    def step() -> None:
        with path.open("ab") as file:
            file.write(data)

    return step


def idle() -> None:
    """Let one interval pass."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.jsonl"
    path.write_bytes(b"one\n")
    return path


def test_following_shows_what_is_there_and_what_comes(log: Path) -> None:
    assert followed(log, append(log, b"two\nthree\n"), idle, append(log, b"four\n")) == [
        (1, b"one\n"),
        (2, b"two\n"),
        (3, b"three\n"),
        (4, b"four\n"),
    ]


def test_following_waits_for_the_other_half_of_a_line(log: Path) -> None:
    assert followed(log, append(log, b"tw"), append(log, b"o\n")) == [(1, b"one\n"), (2, b"two\n")]


def test_following_survives_rotation_and_loses_nothing(log: Path) -> None:
    old = log.with_suffix(".1")

    def rotate() -> None:
        log.rename(old)
        append(log, b"new one\n")()

    # The writer has not reopened yet: it writes one more line to the file that was renamed.
    steps = [rotate, append(old, b"old two\n"), append(log, b"new two\n")]
    assert followed(log, *steps) == [(1, b"one\n"), (2, b"old two\n"), (1, b"new one\n"), (2, b"new two\n")]


def test_following_waits_while_no_file_has_the_name(log: Path) -> None:
    old = log.with_suffix(".1")
    steps = [lambda: log.rename(old), append(old, b"two\n"), idle, append(log, b"three\n"), idle, idle]
    assert followed(log, *steps) == [(1, b"one\n"), (2, b"two\n"), (1, b"three\n")]


def test_following_starts_anew_when_the_file_was_truncated(log: Path) -> None:
    steps = [append(log, b"half"), lambda: log.write_bytes(b""), append(log, b"x\n")]
    assert followed(log, *steps) == [(1, b"one\n"), (1, b"x\n")]


def test_following_ends_with_the_file_closed_when_the_reader_stops(log: Path) -> None:
    lines = follow(log, scripted())
    assert isinstance(lines, Iterator)
    assert [line.raw for line in islice(lines, 1)] == [b"one\n"]
    del lines  # an unclosed file would be a ResourceWarning, and that an error


def test_following_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadableError, match="no such file"):
        next(follow(tmp_path / "none", scripted()))


def test_following_a_pipe_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    kept_open = os.open(path, os.O_RDWR)
    with pytest.raises(LogUnreadableError, match="without --follow"):
        next(follow(path, scripted()))
    os.close(kept_open)


def records() -> Iterator[dict[str, Any]]:
    yield RECORD
    yield RECORD | {"ts": "2026-11-23T11:59:59.000Z", "ms_total": 1.2}
    yield RECORD | {"client_id": None, "reason": "token_missing", "status": 401, "scopes_missing": None}
    yield RECORD | {"decision": "allow", "reason": None, "status": 200, "scopes_missing": [], "would_deny": True}
    yield RECORD | {"decision": "allow", "reason": None, "status": "odd", "scopes_missing": [], "ms_total": "odd"}


def test_a_summary_says_who_was_refused_what_and_why() -> None:
    summary = summarize(records())
    assert summary.total == 5
    assert summary.decisions == {"deny": 3, "allow": 2}
    assert summary.reasons == {"scope_insufficient": 2, "token_missing": 1}
    assert summary.statuses == {"4xx": 3, "2xx": 1, "-": 1}
    assert summary.would_deny == 1
    assert summary.missing_scopes == {("nightly-batch", "jobs.run"): 2}
    assert [(key, tally.allowed, tally.refused) for key, tally in summary.by_refusals()] == [
        (("nightly-batch", "run-jobs"), 2, 2),
        (("-", "run-jobs"), 0, 1),
    ]
    assert (summary.first_ts, summary.last_ts) == ("2026-11-23T11:59:59.000Z", RECORD["ts"])
    assert summary.durations.count == 4


PASSED = RECORD | {"decision": "allow", "reason": None, "status": 200, "would_deny": "scope_insufficient"}


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(would_deny=True), True),
        (Filter(would_deny=True, reason=("scope_insufficient",)), True),
        (Filter(would_deny=True, reason=("token_missing",)), False),
        (Filter(reason=("scope_insufficient",)), False),
        (Filter(would_deny=True, decision="deny"), False),
        (Filter(would_deny=True, client=("other",)), False),
    ],
)
def test_what_a_mode_let_pass_is_found_by_that_and_by_its_reason(wanted: Filter, *, matches: bool) -> None:
    assert wanted.matches(PASSED) is matches
    assert not Filter(would_deny=True).matches(RECORD)


def test_a_summary_says_who_would_be_refused_where_and_for_what() -> None:
    nobody = PASSED | {"client_id": None, "would_deny": "token_missing"}
    summary = summarize([PASSED, PASSED, nobody, RECORD])
    assert summary.would_deny == 3
    assert summary.as_json()["would_deny_by"] == [
        {"client": "nightly-batch", "route": "run-jobs", "reason": "scope_insufficient", "requests": 2},
        {"client": "-", "route": "run-jobs", "reason": "token_missing", "requests": 1},
    ]
    assert summary.decisions == {"allow": 3, "deny": 1}


def test_a_summary_is_plain_json() -> None:
    document = summarize(records()).as_json()
    assert json.loads(json.dumps(document)) == document
    assert document["ms_total"] == {"count": 4, "exact": True, "p50": 0.8, "p95": 1.2, "p99": 1.2}
    assert document["missing_scopes"] == [{"client": "nightly-batch", "scope": "jobs.run", "refusals": 2}]


def test_a_summary_of_nothing_has_no_quantiles() -> None:
    document = summarize([]).as_json()
    assert (document["total"], document["first_ts"], document["ms_total"]["p50"]) == (0, None, None)


def test_a_summary_is_bounded_in_what_it_keeps_apart() -> None:
    summary = Summary()
    for number in range(MAX_KEYS + 10):
        name = f"c{number}"
        missing = {"scopes_missing": [name], "would_deny": name}
        summary.add({"client_id": name, "reason": name, "decision": "deny", **missing})
    assert len(summary.client_routes) == MAX_KEYS + 1
    assert summary.client_routes[OTHERS, OTHERS].refused == 10
    assert summary.reasons[OTHERS] == 10
    assert summary.missing_scopes[OTHERS, OTHERS] == 10
    assert summary.would_deny_by[OTHERS, OTHERS, OTHERS] == 10


@given(st.lists(st.floats(min_value=0.01, max_value=1e6), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_the_histogram_is_within_a_hundredth_of_the_exact_quantile(values: list[float], share: float) -> None:
    exact, rough = Durations(), Durations(max_exact=0)
    for value in values:
        exact.add(value)
        rough.add(value)
    assert exact.exact
    assert not rough.exact
    assert rough.quantile(share) == pytest.approx(exact.quantile(share), rel=0.01)


def test_durations_that_were_exact_stay_counted_when_the_histogram_takes_over() -> None:
    durations = Durations(max_exact=3)
    for value in (1.0, 2.0, 3.0, 4.0):
        durations.add(value)
    assert [durations.quantile(share) for share in (0.25, 0.5, 1.0)] == pytest.approx([1, 2, 4], rel=0.01)


@pytest.mark.parametrize("value", [None, "1", True, -1, float("nan"), float("inf"), 10**400, [1]])
def test_what_is_no_duration_is_left_out(value: object) -> None:
    durations = Durations()
    durations.add(value)
    assert durations.count == 0
