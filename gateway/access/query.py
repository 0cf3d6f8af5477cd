"""The query side of the access log: read lines, follow a growing file, keep what a filter matches.

Everything streams: memory is bounded by `MAX_LINE`, whatever the size of the log. Fields of a record are read with
distrust, because a log may be damaged, of a newer version, or written by something else: a field of a wrong type
simply does not match.
"""

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

MAX_LINE: Final = 1 << 20
CHUNK: Final = 1 << 16
ABSENT: Final = "-"

Record = Mapping[str, Any]
Sleep = Callable[[float], None]


class Line(NamedTuple):
    """One line as it was read; `raw` ends in a newline unless it is the file's half-written last one."""

    number: int
    raw: bytes


class Entry(NamedTuple):
    """One record with the line that it was read from."""

    line: Line
    record: Record


class Damage(NamedTuple):
    """A line that holds no record: its number from 1, and what is wrong with it."""

    line: int
    why: str


class LogUnreadableError(Exception):
    """The log cannot be read (any further); the message names the file and the remedy."""


class LineSplitter:
    """Cut chunks of bytes into lines. A line longer than `MAX_LINE` is cut short there, which `entries` reports."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that the chunk completes."""
        *complete, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:MAX_LINE]
        for text in complete:
            self._number += 1
            yield Line(self._number, text[:MAX_LINE] + b"\n")

    def end(self) -> Iterator[Line]:
        """Yield what follows the last newline, if anything does."""
        if self._rest:
            yield Line(self._number + 1, self._rest)


def open_log(path: Path) -> BufferedIOBase:
    """Open a log for reading; one that ends in `.gz` is decompressed.

    Raises:
        LogUnreadableError: there is no such file, or it may not be read.
    """
    try:
        return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    except FileNotFoundError:
        raise LogUnreadableError(
            f"{path}: there is no such file. Name the file that `access_log` in the gateway's configuration names, "
            "or start the gateway: it creates the file."
        ) from None
    except OSError as error:
        raise LogUnreadableError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_lines(log: BufferedIOBase | BinaryIO) -> Iterator[Line]:
    """Yield the lines of an open log as they come.

    Raises:
        LogUnreadableError: the medium or the compression failed half-way.
    """
    splitter = LineSplitter()
    read = log.read1 if isinstance(log, BufferedIOBase) else log.read
    try:
        while chunk := read(CHUNK):
            yield from splitter.feed(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise LogUnreadableError(f"the log breaks off: {error}. What stands before is shown.") from None
    yield from splitter.end()


def follow(path: Path, sleep: Sleep, interval: float = 0.25) -> Iterator[Line]:
    """Yield the lines of a log, and then those that are written to it, for ever.

    `sleep(interval)` (seconds) is called whenever there is nothing new, and only then. When another file stands under
    the name (rotation), the old one is read for one interval more, for its writer may not have reopened yet; line
    numbers then start anew. A file that became shorter is read again from its start. What this cannot see: a file
    that was truncated and outgrew its former size within one interval.

    Raises:
        LogUnreadableError: the file cannot be opened, or is no file that grows.
    """
    while True:
        with open_log(path) as log:
            if not log.seekable():
                raise LogUnreadableError(
                    f"{path}: is no regular file; read it without --follow, it is waited for anyway"
                )
            yield from _follow_one(log, path, sleep, interval)


def _follow_one(log: BufferedIOBase, path: Path, sleep: Sleep, interval: float) -> Iterator[Line]:
    """Yield the lines of one file until another one has taken its name."""
    splitter = LineSplitter()
    replaced = False
    while True:
        while chunk := log.read1(CHUNK):
            yield from splitter.feed(chunk)
        if replaced:
            return
        replaced = _is_replaced(log, path)
        if os.fstat(log.fileno()).st_size < log.tell():
            log.seek(0)
            splitter = LineSplitter()
        else:
            sleep(interval)


def _is_replaced(log: BufferedIOBase, path: Path) -> bool:
    """Whether another file has the name; none at all is the moment between rename and creation, or an end."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(log.fileno()))
    except OSError:
        return False


def entries(lines: Iterable[Line], on_damage: Callable[[Damage], None]) -> Iterator[Entry]:
    """Yield the record of each line. A damaged line is reported and skipped; a half-written last one is only skipped.

    A record of a newer `v` is a record: versions add fields, they don't change the meaning of one.
    """
    for line in lines:
        if not line.raw.strip():
            continue
        try:
            record = orjson.loads(line.raw)
        except orjson.JSONDecodeError:
            if line.raw.endswith(b"\n"):
                why = f"is longer than {MAX_LINE:,} bytes" if len(line.raw) > MAX_LINE else "is not JSON"
                on_damage(Damage(line.number, why))
            continue
        if isinstance(record, dict):
            yield Entry(line, record)
        else:
            on_damage(Damage(line.number, "is not a JSON object"))


class StatusRange(NamedTuple):
    """HTTP status codes from first to last, both included."""

    first: int
    last: int


_STATUS: Final = re.compile(r"([1-5])xx|([1-5]\d\d)(?:-([1-5]\d\d))?", re.IGNORECASE | re.ASCII)


def parse_status(text: str) -> StatusRange:
    """Read `404`, `4xx` or `400-499`.

    Raises:
        ValueError: it is none of these; the message says what would be.
    """
    found = _STATUS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no status; write 404, 4xx or 400-499")
    hundred, first, last = found.groups()
    if hundred:
        return StatusRange(int(hundred) * 100, int(hundred) * 100 + 99)
    status = StatusRange(int(first), int(last or first))
    if status.last < status.first:
        raise ValueError(f"{text!r} ends before it starts; write {status.last}-{status.first}")
    return status


_AGO: Final = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# RFC 3339 §5.6, and by courtesy a date alone, a time without seconds, and no offset (UTC, as the log has it).
_TIMESTAMP: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)


def parse_moment(text: str, now: float) -> float:
    """Read a moment: RFC 3339 (`2026-11-23T16:00:00Z`), or a time before now (`90s`, `15m`, `2h`, `1d`, `1w`).

    Returns seconds since the epoch, as `now` is.

    Raises:
        ValueError: it is neither; the message says what would be.
    """
    if ago := _AGO.fullmatch(text):
        return now - int(ago[1]) * _UNIT_SECONDS[ago[2]]
    moment = epoch(text) if _TIMESTAMP.fullmatch(text) else None
    if moment is None:
        raise ValueError(f"{text!r} is no moment; write 2026-11-23T16:00:00Z, 2026-11-23, or 15m, 2h, 1d (ago)")
    return moment


def epoch(ts: object) -> float | None:
    """Seconds since the epoch of a timestamp as a record has it; None for anything else."""
    if not isinstance(ts, str):
        return None
    try:
        moment = datetime.fromisoformat(ts.upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a record must have. Several values of one field are alternatives; all fields that are given must agree.

    The value `-` stands for an absent one, as the log's lines show it. `since` is included, `until` is not (seconds
    since the epoch); `path` is a prefix. `would_deny` asks for what a route's mode let pass; `reason` is then
    that of the refusal which was not made.
    """

    client: tuple[str, ...] = ()
    route: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    issuer: tuple[str, ...] = ()
    request_id: tuple[str, ...] = ()
    decision: str | None = None
    status: tuple[StatusRange, ...] = ()
    since: float | None = None
    until: float | None = None
    path: str | None = None
    would_deny: bool = False

    def matches(self, record: Record) -> bool:
        """Whether the record has everything that is asked for."""
        return (
            self._matches_names(record)
            and (not self.would_deny or bool(record.get("would_deny")))
            and (self.decision is None or record.get("decision") == self.decision)
            and (self.path is None or str(record.get("path") or "").startswith(self.path))
            and (not self.status or self._matches_status(record.get("status")))
            and ((self.since is None and self.until is None) or self._matches_time(epoch(record.get("ts"))))
        )

    def _matches_names(self, record: Record) -> bool:
        return all(
            not wanted or (record.get(field) or ABSENT) in wanted
            for field, wanted in (
                ("client_id", self.client),
                ("route", self.route),
                ("would_deny" if self.would_deny else "reason", self.reason),
                ("issuer", self.issuer),
                ("request_id", self.request_id),
            )
        )

    def _matches_status(self, status: object) -> bool:
        return isinstance(status, int) and any(wanted.first <= status <= wanted.last for wanted in self.status)

    def _matches_time(self, moment: float | None) -> bool:
        return (
            moment is not None
            and (self.since is None or self.since <= moment)
            and (self.until is None or moment < self.until)
        )
