"""`scopegate logs`: who called, and why was this refused?"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import orjson
from rich.console import Console
from rich_click import RichCommand

from gateway.access.query import (
    Damage,
    Entry,
    Filter,
    Line,
    LogUnreadableError,
    entries,
    follow,
    open_log,
    parse_moment,
    parse_status,
    read_lines,
)
from gateway.access.summary import summarize
from gateway.cli.log_lines import printable_json, render
from gateway.cli.log_tables import print_summary

__all__ = ["logs", "render"]

NOTHING_FOUND: Final = 1
CANNOT_REACH: Final = 4
TERMINAL_LIMIT: Final = 50
MAX_DAMAGE_NOTES: Final = 5

T = TypeVar("T")
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def _parsed(parse: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return a click callback that parses one value or several, and turns ValueError into a usage error."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        try:
            return tuple(map(parse, value)) if isinstance(value, tuple) else value and parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def _moment(text: str) -> float:
    return parse_moment(text, time.time())


FILTER_OPTIONS: Final[tuple[Option, ...]] = (
    click.option("--client", multiple=True, metavar="ID", help="Verified client id; '-' for requests without one."),
    click.option("--route", multiple=True, metavar="ID", help="Route id; '-' for requests that matched none."),
    click.option("--reason", multiple=True, metavar="SLUG", help="Reason of the refusal, such as scope_insufficient."),
    click.option("--issuer", multiple=True, metavar="ISSUER", help="Issuer, as the log names it."),
    click.option("--request-id", multiple=True, metavar="ID", help="The request_id that a refusal's body told."),
    click.option("--path", metavar="PREFIX", help="Beginning of the path."),
    click.option("--would-deny", is_flag=True, help="What a route's mode let pass; --reason is then why."),
    click.option("--decision", type=click.Choice(["allow", "deny"]), help="Allowed or refused."),
    click.option(
        "--status", multiple=True, metavar="STATUS", callback=_parsed(parse_status), help="404, 4xx or 400-499."
    ),
    click.option("--since", metavar="WHEN", callback=_parsed(_moment), help="RFC 3339, or ago: 15m, 2h, 1d."),
    click.option("--until", metavar="WHEN", callback=_parsed(_moment), help="The same; the moment itself is left out."),
)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that become the fields of a `Filter`."""
    for option in reversed(FILTER_OPTIONS):
        command = option(command)
    return command


@click.command("logs", cls=RichCommand)
@click.argument("file", default="logs/access.jsonl", type=click.Path(allow_dash=True))
@filter_options
@click.option("-n", "--limit", type=click.IntRange(min=0), help="The last N; 0 is all. On a terminal 50, else all.")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option("--summary", is_flag=True, help="Counts and durations instead of lines.")
@click.option("--json", "as_json", is_flag=True, help="The records as they are, or one object with --summary.")
def logs(file: str, limit: int | None, *, following: bool, summary: bool, as_json: bool, **filters: Any) -> None:
    """Search, follow and summarise the access log.

    FILE is the access log (logs/access.jsonl unless named), also as .gz, or - for standard input. An option that is
    given several times offers alternatives; different options must all agree.

    Exit codes: 0 found, 1 no record matches, 2 usage, 4 the log cannot be read.
    """
    if following and (summary or file == "-" or file.endswith(".gz")):
        raise click.UsageError("--follow goes with a growing file: neither --summary, nor standard input, nor .gz")
    wanted = Filter(**filters)
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise click.UsageError("--since is not before --until: no record can match")
    notes = Notes(file)
    page = Page(console(), as_json=as_json, limit=limit)
    try:
        lines = follow(Path(file), page.pause) if following else _lines(file)
        found = select(entries(lines, notes.damaged), wanted)
        shown = _summarise(found, page.console, as_json=as_json) if summary else page.show(found)
    except LogUnreadableError as error:
        page.release()
        click.echo(f"scopegate logs: {error}", err=True)
        raise click.exceptions.Exit(CANNOT_REACH) from None
    finally:
        notes.close()
    if not shown:
        click.echo(f"scopegate logs: no record in {file} matches", err=True)
        raise click.exceptions.Exit(NOTHING_FOUND)


def select(found: Iterable[Entry], wanted: Filter) -> Iterator[Entry]:
    """Keep what the filter matches."""
    return (entry for entry in found if wanted.matches(entry.record))


def console() -> Console:
    """Return standard output as rich sees it; a character that its encoding lacks is escaped, and ends nothing."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(markup=False, emoji=False, highlight=False)


def _lines(file: str) -> Iterator[Line]:
    if file == "-":
        yield from read_lines(sys.stdin.buffer)
        return
    with open_log(Path(file)) as log:
        yield from read_lines(log)


def _summarise(found: Iterable[Entry], output: Console, *, as_json: bool) -> int:
    summary = summarize(entry.record for entry in found)
    if as_json:
        click.echo(orjson.dumps(summary.as_json(), option=orjson.OPT_INDENT_2))
    elif summary.total:
        print_summary(output, summary)
    return summary.total


class Page:
    """Where lines go: at once, or, under a limit, the last ones when the end is reached."""

    def __init__(self, output: Console, *, as_json: bool, limit: int | None) -> None:
        self.console = output
        self._as_json = as_json
        self._limit = limit if limit is not None else TERMINAL_LIMIT if output.is_terminal else 0
        self._says_limit = limit is None
        self._held: deque[Entry] | None = deque(maxlen=self._limit) if self._limit else None
        self._day = ""
        self._found = 0

    def show(self, found: Iterable[Entry]) -> int:
        """Show the records; return how many were found."""
        for entry in found:
            self._found += 1
            if self._held is None:
                self._write(entry)
            else:
                self._held.append(entry)
        self.release()
        return self._found

    def release(self) -> None:
        """Show what was held back: the end is reached, and what comes from here on is shown at once."""
        held, self._held = self._held, None
        for entry in held or ():
            self._write(entry)
        if held and self._says_limit and self._found > len(held):
            click.echo(f"The last {len(held)} of {self._found:,}; -n 0 shows all.", err=True)

    def pause(self, seconds: float) -> None:
        """Wait at the end of a file that is followed."""
        self.release()
        sys.stdout.flush()
        time.sleep(seconds)

    def _write(self, entry: Entry) -> None:
        terminal = self.console.is_terminal
        if self._as_json:
            click.echo(printable_json(entry.line.raw) if terminal else entry.line.raw.rstrip())
        elif terminal:
            self._write_day(str(entry.record.get("ts")))
            self.console.print(render(entry.record), soft_wrap=True)
        else:
            click.echo(render(entry.record, date=True).plain)

    def _write_day(self, ts: str) -> None:
        """Put a heading where a new day begins, so that lines need not carry their date."""
        day, separator, _ = ts.partition("T")
        if separator and len(day) == 10 and day.isprintable() and day != self._day:
            self._day = day
            self.console.print(day, style="bold")


class Notes:
    """What is said about damaged lines, on standard error: the first few one by one, the others as a number."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._damaged = 0

    def damaged(self, damage: Damage) -> None:
        """Note one damaged line."""
        self._damaged += 1
        if self._damaged <= MAX_DAMAGE_NOTES:
            click.echo(f"{self._file}:{damage.line}: {damage.why}; skipped", err=True)

    def close(self) -> None:
        """Say how many were not noted one by one."""
        if self._damaged > MAX_DAMAGE_NOTES:
            more = self._damaged - MAX_DAMAGE_NOTES
            click.echo(f"{self._file}: and {more:,} more damaged lines; skipped", err=True)
