"""A table: aligned and folded on a terminal, a line a row elsewhere, so that it can be searched."""

import io
import sys
from collections.abc import Iterable
from io import TextIOWrapper

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.log_lines import printable

UNBROKEN = 10_000
"""The width of what is not a terminal: nothing is folded there."""

LONGEST_CELL = 2_000


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows below their columns' names on standard output; what stands in them shows itself and does no more."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell), LONGEST_CELL)) for cell in row))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    console = Console(markup=False, emoji=False, highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    plain = Console(file=io.StringIO(), width=UNBROKEN, color_system=None)
    with plain.capture() as captured:
        plain.print(table)
    for line in captured.get().splitlines():
        console.print(Text(line.rstrip()), soft_wrap=True)
