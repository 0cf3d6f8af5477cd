"""The result of a run: a table for the terminal, a page with a picture for docs/."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.load import Measurement

OURS = "Scopegate"


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of one proxy under one load.

    Attributes:
        load: its name.
        proxy: its name.
        rate: answers a second.
        ratio: our rate by this one's, paired round by round.
        p50: microseconds.
        p99: microseconds.
        cpu: microseconds of the proxy's processor time for each answer.
        resident: MiB.
        errors: in all rounds.
    """

    load: str
    proxy: str
    rate: float
    ratio: float
    p50: float
    p99: float
    cpu: float
    resident: float
    errors: int


Results = Mapping[tuple[str, str], Sequence[Measurement]]
"""The measurements of all rounds, by (load, proxy)."""


def rows(results: Results) -> list[Row]:
    """Medians over the rounds; ratios are formed within a round, since the machine's speed drifts between them."""
    return [_row(load, proxy, found, results[load, OURS]) for (load, proxy), found in results.items()]


def _row(load: str, proxy: str, found: Sequence[Measurement], ours: Sequence[Measurement]) -> Row:
    return Row(
        load=load,
        proxy=proxy,
        rate=median(each.rate for each in found),
        ratio=median(mine.rate / theirs.rate for mine, theirs in zip(ours, found, strict=True)),
        p50=median(each.p50 for each in found),
        p99=median(each.p99 for each in found),
        cpu=median(each.cpu for each in found),
        resident=median(each.resident for each in found) / (1 << 20),
        errors=sum(each.errors for each in found),
    )


def show(table: Sequence[Row]) -> None:
    """Print the table."""
    shown = Table("load", "proxy", title="medians; Scopegate ÷ is our rate by theirs, in the same round")
    for heading in ("answers/s", "Scopegate ÷", "p50 ms", "p99 ms", "CPU µs/answer", "MiB", "errors"):
        shown.add_column(heading, justify="right")
    before = ""
    for row in table:
        if before not in {"", row.load}:
            shown.add_section()
        before = row.load
        shown.add_row(row.load, row.proxy, *_cells(row))
    console = Console()
    console.width = max(console.width, 120)  # a pipe is no reason to fold a table
    console.print(shown)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{row.rate:,.0f}",
        f"{row.ratio:.2f}",
        f"{row.p50 / 1000:.2f}",
        f"{row.p99 / 1000:.2f}",
        f"{row.cpu:.1f}",
        f"{row.resident:.0f}",
        f"{row.errors}",
    )


def markdown(table: Sequence[Row]) -> str:
    """The table in Markdown."""
    lines = [
        "| load | proxy | answers/s | Scopegate ÷ | p50 ms | p99 ms | CPU µs/answer | MiB | errors |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [f"| {row.load} | {row.proxy} | " + " | ".join(_cells(row)) + " |" for row in table]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """What the run was made on, as far as it matters to others."""
    return f"{os.cpu_count()} cores, Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"


COLOURS = {"Scopegate": "#1b7f5c", "Envoy": "#b0488f", "HAProxy": "#3d6db5", "plain aiohttp": "#8a8a8a"}
BAR, GAP, LEFT, WIDTH = 20, 26, 150, 760


def picture(table: Sequence[Row]) -> str:
    """Bars of answers a second, as SVG."""
    most = max(row.rate for row in table)
    parts: list[str] = []
    top = 34
    before = ""
    for row in table:
        if row.load != before:
            top += GAP
            parts.append(f'<text x="0" y="{top}" font-weight="bold">{row.load}</text>')
            top += 8
            before = row.load
        length = (WIDTH - LEFT - 90) * row.rate / most
        parts.append(
            f'<text x="{LEFT - 10}" y="{top + 15}" text-anchor="end">{row.proxy}</text>'
            f'<rect x="{LEFT}" y="{top}" width="{length:.0f}" height="{BAR - 4}" fill="{COLOURS[row.proxy]}"/>'
            f'<text x="{LEFT + length + 8:.0f}" y="{top + 13}">{row.rate:,.0f}</text>'
        )
        top += BAR
    title = '<text x="0" y="20" font-size="15">Answers a second on one core, access log on (more is better)</text>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 {WIDTH + 20} {top + 14}"',
            '  font-family="sans-serif" font-size="13" fill="#222">',
            '<rect x="-10" width="100%" height="100%" fill="#fff"/>',
            title,
            *parts,
            "</svg>\n",
        ]
    )


BEGIN, END = "<!-- the table of make bench -->\n", "<!-- the end of the table -->\n"


def write(table: Sequence[Row], page: Path) -> None:
    """Put the table between its marks on a page, and the picture beside the page."""
    text = page.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{markdown(table)}\n{END}{after}")
    page.with_suffix(".svg").write_text(picture(table))
