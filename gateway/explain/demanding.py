"""What a rule demands of a verified token, demand by demand."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.model import Fact, Mark
from gateway.explain.words import either, shown
from gateway.policy.circumstances import circumstances
from gateway.policy.conditions import Compared, compare
from gateway.policy.decision import AUDIENCES, CONDITIONS, Allow, Evidence, describe_scopes
from gateway.policy.denial import Denial
from gateway.policy.model import Claims, Rule

_Demand = tuple[str, str, str]
"""The check that looks at it, what was found, and what is expected."""


def demand_facts(rule: Rule, evidence: Evidence, outcome: Allow | Denial) -> Iterator[Fact]:
    """Each demand in the order in which it is looked at; those behind the one that refuses were not reached.

    Args:
        rule: that demands.
        evidence: all that is known of the request and its sender.
        outcome: of the decision.
    """
    claims = evidence.claims
    failed = outcome.check if isinstance(outcome, Denial) else ""
    mark = Mark.OK
    demands = _of_circumstances(rule, evidence)
    if claims is not None:
        of_issuer = [("route issuers", claims.issuer_name, either(rule.issuers)), *_of_the_audience(rule, claims)]
        demands = [*of_issuer, *demands, *_of_the_sender(rule, claims)]
    for name, found, expected in demands:
        if failed == name and isinstance(outcome, Denial):
            yield Fact(Mark.FAILED, name, outcome.found, outcome.expected)
            mark = Mark.NOT_REACHED
        else:
            yield Fact(mark, name, found, expected)
    if claims is None:
        return
    for compared in compare(rule, claims, evidence.path):
        yield _condition(compared, mark)
    if failed == CONDITIONS:
        mark = Mark.NOT_REACHED
    found = shown(" ".join(claims.scopes) or "none")
    if rule.scopes_named:
        yield Fact(Mark.FAILED if failed == "scopes" else mark, "scopes", found, describe_scopes(rule))
    if isinstance(outcome, Denial) and outcome.scopes_missing:
        yield Fact(Mark.FAILED, "missing", " ".join(outcome.scopes_missing))


def _of_circumstances(rule: Rule, evidence: Evidence) -> list[_Demand]:
    looked_at = circumstances(rule.networks, rule.hours, evidence.address, evidence.now)
    return [(one.name, shown(one.found), one.expected) for one in looked_at]


def _of_the_audience(rule: Rule, claims: Claims) -> Iterator[_Demand]:
    if rule.audiences is not None:
        taken = {audience for issuer, audience in rule.audiences if issuer == claims.issuer_name}
        yield AUDIENCES, shown(" ".join(claims.audience)), either(taken)


def _of_the_sender(rule: Rule, claims: Claims) -> Iterator[_Demand]:
    if rule.require_proof is not None:
        yield "require_proof", "given", rule.require_proof
    if rule.acr:
        yield "acr", shown(claims.acr or "none"), either(list(rule.acr))
    if rule.max_age is not None:
        yield "auth_time", "recent", f"at most {rule.max_age:.0f} s ago"


def _condition(compared: Compared, mark: Mark) -> Fact:
    name = compared.called if compared.of_client else f"claim {shown(compared.name)}"
    if mark is Mark.OK and not compared.met:
        mark = Mark.FAILED
    return Fact(mark, name, shown(compared.found), shown(compared.expected))
