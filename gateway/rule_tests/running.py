"""Each case is judged as `explain` judges claims; what was found stands beside what was expected."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.explain.grounds import Grounds
from gateway.explain.judging import Findings, judge_as_if
from gateway.explain.model import Explanation
from gateway.explain.telling import tell
from gateway.policy.denial import Denial
from gateway.rule_tests.cases import RuleCase, is_met


@dataclass(frozen=True, slots=True)
class Result:
    """A case and what came of it.

    Attributes:
        case: as it was judged.
        met: whether that is what it expects.
        reason: for which the route refuses the request; None where it lets it in.
        let_pass: whether the route's mode lets it pass all the same.
        status: of the refusal; None where none is sent.
        detail: what was expected and found by the check that failed.
        route: that decided; None where none matched.
        explanation: the whole trace, of a case that is not met.
    """

    case: RuleCase
    met: bool
    reason: str | None
    status: int | None
    detail: str
    route: str | None
    let_pass: bool
    explanation: Explanation | None


def run(cases: Sequence[RuleCase], grounds: Grounds) -> list[Result]:
    """Judge all cases, in an event loop of its own: reading a request needs one."""
    return asyncio.run(_run(cases, grounds))


async def _run(cases: Sequence[RuleCase], grounds: Grounds) -> list[Result]:
    return [_result(case, await judge_as_if(grounds, case.request, case.claims, case.at, case.key)) for case in cases]


def _result(case: RuleCase, findings: Findings) -> Result:
    denial = findings.outcome if isinstance(findings.outcome, Denial) else None
    reason = None if denial is None else denial.reason.value
    route = None if findings.route is None else findings.route.id
    let_pass = findings.let_pass is not None
    met = is_met(case, reason, route, let_pass=let_pass)
    return Result(
        case=case,
        met=met,
        reason=reason,
        status=None if denial is None or let_pass else denial.meaning.status,
        detail="" if denial is None else denial.detail,
        route=route,
        let_pass=let_pass,
        explanation=None if met else tell(findings),
    )
