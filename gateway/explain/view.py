"""An Explanation for people, and the same facts as JSON."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.explain.model import Candidate, Explanation, Mark, Step, Verdict
from gateway.explain.words import moment

MOST_ROUTES = 12
"""Routes with another path that a person is shown; JSON has all."""

UNBROKEN = 10_000
"""The width of what is not a terminal: nothing is folded there, a line stays a line."""

_SIGNS = {Mark.OK: "✓", Mark.FAILED: "✗", Mark.NOT_REACHED: "·"}
_ASCII_SIGNS = {Mark.OK: "+", Mark.FAILED: "x", Mark.NOT_REACHED: "-"}
_STYLES = {Mark.OK: "green", Mark.FAILED: "bold red", Mark.NOT_REACHED: "dim"}


def show(console: Console, explanation: Explanation) -> None:
    """Print an explanation: aligned and coloured on a terminal, as plain lines elsewhere."""
    if console.is_terminal:
        _print(console, explanation, ascii_only=console.options.ascii_only)
        return
    plain = Console(file=io.StringIO(), width=UNBROKEN, color_system=None, markup=False, emoji=False, highlight=False)
    with plain.capture() as captured:
        _print(plain, explanation, ascii_only=console.options.ascii_only)
    for line in captured.get().splitlines():
        console.print(Text(line.rstrip()), soft_wrap=True)


def _print(console: Console, explanation: Explanation, *, ascii_only: bool) -> None:
    signs = _ASCII_SIGNS if ascii_only else _SIGNS
    for part in _parts(explanation, signs):
        console.print(part)


def _parts(explanation: Explanation, signs: dict[Mark, str]) -> Iterator[RenderableType]:
    yield _request(explanation)
    apart = True
    for step in explanation.steps:
        has_more = bool(step.facts) or (step.name == "match" and bool(explanation.candidates))
        if apart or has_more:
            yield Text()
        apart = has_more
        yield _headline(step, signs)
        if step.name == "match" and explanation.candidates:
            yield Padding(_routes(explanation.candidates, signs), (0, 0, 0, 4), expand=False)
        if step.facts:
            yield Padding(_facts(step, signs), (0, 0, 0, 4), expand=False)
    if explanation.assumed:
        yield Text()
        yield Text(f"assumed, because the claims do not say it: {', '.join(explanation.assumed)}", "magenta")
    yield Text()
    yield from _verdict(explanation.verdict)
    if explanation.changes:
        yield Text()
        yield Text("smallest change", "bold")
        yield Padding(_changes(explanation), (0, 0, 0, 4), expand=False)


def _request(explanation: Explanation) -> Text:
    query = f"  query: {', '.join(explanation.query_keys)}" if explanation.query_keys else ""
    asked = (f"{explanation.method} {explanation.path}", "bold")
    return Text.assemble(asked, (f"{query}  at {moment(explanation.at)}", "dim"))


def _headline(step: Step, signs: dict[Mark, str]) -> Text:
    reached = step.mark is not Mark.NOT_REACHED
    name, summary = (f"{step.name:<7}", "bold" if reached else "dim"), (step.summary, "" if reached else "dim")
    return Text.assemble((f"{signs[step.mark]} ", _STYLES[step.mark]), name, summary)


def _grid(columns: int) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        grid.add_column(overflow="fold")
    return grid


def _routes(candidates: tuple[Candidate, ...], signs: dict[Mark, str]) -> Table:
    grid = _grid(5)
    others = [candidate for candidate in candidates if not candidate.path_fits]
    hidden = {id(candidate) for candidate in others[MOST_ROUTES:]}
    for candidate in candidates:
        if id(candidate) in hidden:
            continue
        mark = Mark.OK if candidate.matched else Mark.FAILED if candidate.path_fits else Mark.NOT_REACHED
        style = "dim" if mark is Mark.NOT_REACHED else ""
        cells = (candidate.route, _methods(candidate), candidate.path, candidate.why)
        grid.add_row(Text(signs[mark], _STYLES[mark]), *(Text(cell, style) for cell in cells))
    if hidden:
        grid.add_row(Text(), Text(f"and {len(hidden)} more with another path; --json has all", "dim"))
    return grid


def _methods(candidate: Candidate) -> str:
    return "any" if len(candidate.methods) > 4 else ",".join(candidate.methods)


def _facts(step: Step, signs: dict[Mark, str]) -> Table:
    says_expected = any(fact.expected for fact in step.facts)
    grid = _grid(4 if says_expected else 3)
    for fact in step.facts:
        style = _STYLES[fact.mark] if fact.mark is not Mark.OK else ""
        cells = [Text(signs[fact.mark], _STYLES[fact.mark]), Text(fact.name, style), Text(fact.found, style)]
        if says_expected:
            cells.append(Text(f"expected {fact.expected}" if fact.expected else "", "dim"))
        grid.add_row(*cells)
    return grid


def _verdict(verdict: Verdict) -> Iterator[RenderableType]:
    if verdict.allowed and verdict.upstream is None:
        yield Text.assemble(("allowed", "bold green"), f"  the gateway answers the preflight itself: {verdict.status}")
        yield from _named(verdict.fields)
        return
    if verdict.allowed:
        yield Text.assemble(("allowed", "bold green"), f"  it goes on to {verdict.upstream}")
        yield from _named((*verdict.goes_on, *_refused_in_vain(verdict)))
        return
    yield Text.assemble((f"{verdict.status} {verdict.reason}", "bold red"), f"  {verdict.title}")
    yield from _named((*verdict.fields, ("hint", verdict.hint)))


def _refused_in_vain(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """What the route's mode lets pass."""
    if verdict.would_deny is not None:
        yield "mode", f"{verdict.mode}: the route refuses it, and it passes all the same"
        yield "would deny", f"{verdict.would_deny}  {verdict.title}"
        yield from verdict.fields


def _named(values: tuple[tuple[str, str], ...]) -> Iterator[RenderableType]:
    if values:
        grid = _grid(2)
        for name, value in values:
            grid.add_row(Text(name, "dim"), Text(value))
        yield Padding(grid, (0, 0, 0, 4), expand=False)


def _changes(explanation: Explanation) -> Table:
    grid = _grid(2)
    several = len(explanation.changes) > 1
    for number, change in enumerate(explanation.changes, 1):
        grid.add_row(Text(f"{number}." if several else "do", "bold cyan"), Text(change.do, "cyan"))
        for other in change.instead:
            grid.add_row(Text("or", "dim"), Text(other))
    return grid


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The same facts for programs; `at` is RFC 3339, the answer's fields are an object."""
    facts = asdict(explanation)
    request = {name: facts.pop(name) for name in ("method", "path", "query_keys")}
    verdict = facts.pop("verdict")
    verdict["fields"], verdict["goes_on"] = dict(verdict["fields"]), dict(verdict["goes_on"])
    return {
        "allowed": verdict["allowed"],
        "request": request,
        **facts,
        "at": moment(explanation.at),
        "verdict": verdict,
    }
