"""The outcome of a test run, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.config.rule_tests import ALLOW, DENY, WOULD_DENY
from gateway.explain.words import shown
from gateway.rule_tests.cases import RuleCase
from gateway.rule_tests.coverage import Coverage
from gateway.rule_tests.running import Result


def expected(case: RuleCase) -> str:
    """`deny scope_insufficient by run-job`, or `allow, would_deny=scope_insufficient by run-job`."""
    return _outcome(None if case.expect == ALLOW else case.expect, case.route)


def found(result: Result) -> str:
    """The same of what came, with the check that failed."""
    told = _outcome(f"{WOULD_DENY}{result.reason}" if result.let_pass else result.reason, result.route)
    return f"{told} ({shown(result.detail)})" if result.detail else told


def _outcome(reason: str | None, route: str | None) -> str:
    verdict = ALLOW if reason is None else DENY if reason == DENY else f"{DENY} {reason}"
    if reason is not None and reason.startswith(WOULD_DENY):
        verdict = f"{ALLOW}, {reason}"
    return verdict if route is None else f"{verdict} by {route}"


def lines(results: Sequence[Result], covered: Coverage) -> Iterator[str]:
    """Every case that fails with what was expected and found, then the sums."""
    failed = [result for result in results if not result.met]
    for result in failed:
        yield from _failure(result)
        yield ""
    yield f"{_counted(len(results), 'case')}: {len(results) - len(failed)} passed, {len(failed)} failed"
    yield from _coverage_lines(covered)


def _failure(result: Result) -> Iterator[str]:
    case, place = result.case, result.case.place
    yield f"FAILED {place.file}:{place.line}:{place.column}: {shown(case.name)}"
    yield f"    request   {shown(case.request.method)} {shown(case.request.target)} with {shown(case.sender)}"
    yield f"    expected  {expected(case)}"
    yield f"    found     {found(result)}"
    for change in () if result.explanation is None else result.explanation.changes:
        yield f"    change    {' or '.join((change.do, *change.instead))}"


def _coverage_lines(covered: Coverage) -> Iterator[str]:
    total, unreached = len(covered.routes), covered.unreached
    missing = f"; not {', '.join(unreached)}" if unreached else ""
    yield f"routes reached: {total - len(unreached)} of {total}{missing}"
    never_in = [each.route for each in covered.routes if each.decides and each.denied and not each.allowed]
    never_out = [each.route for each in covered.routes if each.decides and each.allowed and not each.denied]
    if never_in:
        yield f"  never let anyone in: {', '.join(never_in)}"
    if never_out:
        yield f"  never refused anyone: {', '.join(never_out)}"
    told = ", ".join(f"{reason} {count}" for reason, count in covered.reasons)
    yield f"reasons reached: {told or 'none'}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def as_json(results: Sequence[Result], covered: Coverage) -> dict[str, Any]:
    """The same facts as one JSON object."""
    return {
        "ok": all(result.met for result in results),
        "cases": [_case_as_json(result) for result in results],
        "coverage": {
            "routes": [
                {"route": each.route, "allowed": each.allowed, "denied": each.denied} for each in covered.routes
            ],
            "reasons": dict(covered.reasons),
        },
    }


def _case_as_json(result: Result) -> dict[str, Any]:
    case, place = result.case, result.case.place
    return {
        "name": case.name,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "method": case.request.method,
        "path": case.request.target.partition("?")[0],
        "passed": result.met,
        "expected": {"outcome": case.expect, "route": case.route},
        "found": {
            "decision": ALLOW if result.reason is None or result.let_pass else DENY,
            "reason": None if result.let_pass else result.reason,
            "would_deny": result.reason if result.let_pass else None,
            "status": result.status,
            "route": result.route,
            "detail": result.detail,
        },
        "changes": [] if result.explanation is None else [change.do for change in result.explanation.changes],
    }
