"""One record of the access log as one line that is made to be read.

What stands in a record came with a request, from anyone: no character of it reaches the terminal that does more than
show itself.
"""

import json
from typing import Any, Final

from rich.text import Text

from gateway.access.query import ABSENT, Record
from gateway.access.summary import scopes

MAX_FIELD: Final = 300
STATUS_STYLES: Final = {2: "green", 3: "cyan", 4: "yellow", 5: "bold red"}


def printable(value: object, limit: int = MAX_FIELD) -> str:
    r"""Return the value as text that shows itself and does nothing else; `-` for none.

    Control characters, line separators, characters that reorder text, and unusual blanks are written as Python
    escapes (`\x1b`), and what exceeds the limit is cut.
    """
    if value is None or value == "":
        return ABSENT
    text = value if isinstance(value, str) else json.dumps(value)
    shown = text if len(text) <= limit else f"{text[: limit - 1]}…"
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


def printable_json(raw: bytes) -> str:
    """Return a line of JSON with the same value, in characters that a terminal shows and does not obey."""
    return "".join(
        char if char.isprintable() else " " if char in "\t\r" else json.dumps(char)[1:-1]
        for char in raw.decode(errors="replace").rstrip()
    )


def render(record: Record, *, date: bool = False) -> Text:
    """Return one record as one line: when, outcome, who, how long, what, where to, and what was missing.

    `date` puts the whole timestamp in front, not only the time of day. Print it with `soft_wrap=True`, so that a
    narrow terminal breaks the line and cuts nothing off.
    """
    decision = printable(record.get("decision"))
    status, status_style = _status(record.get("status"))
    line = Text()
    line.append(_moment(record.get("ts"), date=date), "dim")
    line.append(f"  {status:>3}", status_style)
    line.append(f" {decision:<5}", "red" if decision == "deny" else "green")
    line.append(f" {_blank_if_absent(record.get('reason')):<19}", "bold yellow" if decision == "deny" else "")
    line.append(f" {printable(record.get('client_id')):<16}", "cyan")
    line.append(f" {milliseconds(record.get('ms_total')):>9}", "dim")
    line.append(f"  {printable(record.get('method')):<6}")
    line.append(f" {printable(record.get('path'))}", "bold")
    line.append(f" > {printable(record.get('route'))}", "blue")
    for remark, style in _remarks(record):
        line.append(f"  {remark}", style)
    return line


def milliseconds(value: object) -> str:
    """Return a duration in milliseconds, with the unit that reads best; `-` for none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ABSENT
    if value >= 1000:
        return f"{value / 1000:,.2f} s"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def _moment(ts: object, *, date: bool) -> str:
    text = printable(ts, 32)
    _, separator, time_of_day = text.partition("T")
    return f"{text:<24}" if date else f"{time_of_day.removesuffix('Z') if separator else text:<12}"


def _status(status: object) -> tuple[str, str]:
    style = STATUS_STYLES.get(status // 100, "") if isinstance(status, int) else ""
    return printable(status), style


def _blank_if_absent(value: object) -> str:
    return printable(value) if value else ""


def _remarks(record: Record) -> list[tuple[str, str]]:
    """Say what an operator would ask next."""
    remarks: list[tuple[str, str]] = []
    if missing := scopes(record.get("scopes_missing")):
        remarks.append((f"missing: {printable(' '.join(missing))}", "yellow"))
    elif detail := record.get("detail"):
        remarks.append((printable(detail), "yellow"))
    if would_deny := record.get("would_deny"):
        why: Any = would_deny if isinstance(would_deny, str) else record.get("reason")
        remarks.append((f"would deny: {printable(why)}" if why else "would deny", "magenta"))
    if record.get("aborted"):
        remarks.append(("aborted", "red"))
    return remarks
