"""The summary of the access log as tables with small bars: a picture of where refusals come from."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.access.summary import Summary, Tally
from gateway.cli.log_lines import STATUS_STYLES, milliseconds, printable

BAR_WIDTH: Final = 24
MAX_ROWS: Final = 20
MAX_CELL: Final = 40


def print_summary(console: Console, summary: Summary) -> None:
    """Print the tables that have something to tell."""
    ascii_only = console.options.ascii_only
    for part in _parts(summary, ascii_only=ascii_only):
        console.print(part, highlight=False)


def bar(share: float, width: int = BAR_WIDTH, *, ascii_only: bool = False) -> str:
    """Return a bar for a share of 0 to 1, to an eighth of a cell; a share that is not 0 is always seen."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8) or int(share > 0)
    if ascii_only:
        return "#" * -(-eighths // 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + " ▏▎▍▌▋▊▉"[rest].strip()


def _parts(summary: Summary, *, ascii_only: bool) -> Iterator[RenderableType]:
    yield _headline(summary)
    if summary.reasons:
        rows = [((reason,), count) for reason, count in summary.reasons.most_common()]
        yield _counts("Reasons", ["reason"], rows, "yellow", ascii_only=ascii_only)
    if summary.would_deny_by:
        passed = summary.would_deny_by.most_common()
        yield _counts("Would be refused", ["client", "route", "reason"], passed, "magenta", ascii_only=ascii_only)
    yield _client_routes(summary.by_refusals(), ascii_only=ascii_only)
    if summary.missing_scopes:
        lacking = summary.missing_scopes.most_common()
        yield _counts("Missing scopes", ["client", "scope"], lacking, "yellow", ascii_only=ascii_only)
    yield _statuses(summary.statuses, ascii_only=ascii_only)


def _headline(summary: Summary) -> Text:
    p50, p95, p99 = (milliseconds(summary.durations.quantile(share)) for share in (0.5, 0.95, 0.99))
    denied = summary.decisions["deny"]
    line = Text(f"{summary.total:,} requests", "bold")
    line.append(f"  {printable(summary.first_ts)} to {printable(summary.last_ts)}\n", "dim")
    line.append(f"{summary.decisions['allow']:,} allowed", "green")
    line.append("  ")
    line.append(f"{denied:,} denied ({denied / max(summary.total, 1):.1%})", "red" if denied else "dim")
    if summary.would_deny:
        line.append(f"  {summary.would_deny:,} would be denied", "magenta")
    line.append(f"  p50 {p50}  p95 {p95}  p99 {p99}" + ("" if summary.durations.exact else "  (±1 %)"), "dim")
    return line


def _table(title: str, names: list[str], numbers: list[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, header_style="dim", overflow="fold")
    for number in numbers:
        table.add_column(number, header_style="dim", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=BAR_WIDTH)
    return table


def _counts(
    title: str, names: list[str], counted: Sequence[tuple[tuple[str, ...], int]], style: str, *, ascii_only: bool
) -> Table:
    table = _table(f"\n{title}", names, ["refusals"])
    most = max(count for _, count in counted)
    for key, count in counted[:MAX_ROWS]:
        cells = [_cell(part) for part in key]
        table.add_row(*cells, f"{count:,}", Text(bar(count / most, ascii_only=ascii_only), style))
    return _with_rest(table, len(counted))


def _client_routes(tallies: list[tuple[tuple[str, str], Tally]], *, ascii_only: bool) -> Table:
    table = _table("\nClients and routes", ["client", "route"], ["allowed", "refused"])
    most = max((tally.allowed + tally.refused for _, tally in tallies), default=1)
    for (client, route), tally in tallies[:MAX_ROWS]:
        picture = Text(bar(tally.refused / most, ascii_only=ascii_only), "red")
        picture.append(bar(tally.allowed / most, ascii_only=ascii_only).replace("#", "."), "green")
        refused = Text(f"{tally.refused:,}", "red" if tally.refused else "dim")
        table.add_row(_cell(client), _cell(route), f"{tally.allowed:,}", refused, picture)
    return _with_rest(table, len(tallies))


def _statuses(statuses: Counter[str], *, ascii_only: bool) -> Table:
    table = _table("\nStatus", ["status"], ["requests"])
    most = max(statuses.values(), default=1)
    for status, count in sorted(statuses.items()):
        style = STATUS_STYLES.get(int(status[0]), "") if status[0].isdigit() else ""
        table.add_row(status, f"{count:,}", Text(bar(count / most, ascii_only=ascii_only), style))
    return table


def _cell(value: str) -> Text:
    return Text(printable(value, MAX_CELL))


def _with_rest(table: Table, rows: int) -> Table:
    if rows > MAX_ROWS:
        table.add_row(Text(f"and {rows - MAX_ROWS:,} more; --json has all", "dim"))
    return table
