"""The one decision: does the evidence satisfy the rule?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, Rule


@dataclass(frozen=True, slots=True)
class Allow:
    """The request may enter."""


class Evidence(NamedTuple):
    """All that is known and verified about the caller.

    Attributes:
        claims: of the verified token; None where the route asks for none.
    """

    claims: Claims | None = None


ALLOW = Allow()
NO_EVIDENCE = Evidence()


def decide(rule: Rule, evidence: Evidence) -> Allow | Denial:
    """Decide whether the evidence satisfies the rule."""
    if rule.public:
        return ALLOW
    claims = evidence.claims
    if claims is None:
        return Denial(Reason.TOKEN_MISSING, "the route demands a token")
    if claims.issuer_name not in rule.issuers:
        expected = ", ".join(sorted(rule.issuers))
        return Denial(
            Reason.ISSUER_UNTRUSTED, f"the route takes tokens of {expected}; this one is from {claims.issuer_name}"
        )
    return _decide_scopes(rule, claims)


def _decide_scopes(rule: Rule, claims: Claims) -> Allow | Denial:
    granted = claims.scope_set
    if granted.issuperset(rule.all_of) and not (rule.any_of and granted.isdisjoint(rule.any_of)):
        return ALLOW
    missing = [scope for scope in rule.all_of if scope not in granted]
    if granted.isdisjoint(rule.any_of):
        missing.extend(rule.any_of)
    return Denial(
        Reason.SCOPE_INSUFFICIENT,
        f"the route demands {describe_scopes(rule)}; the token grants {' '.join(claims.scopes) or 'none'}",
        scopes_required=rule.scopes_named,
        scopes_missing=tuple(dict.fromkeys(missing)),
    )


def describe_scopes(rule: Rule) -> str:
    """The rule's scopes in words: `all of a b and one of c d`."""
    parts = []
    if rule.all_of:
        parts.append(" ".join(rule.all_of) if len(rule.all_of) == 1 else f"all of {' '.join(rule.all_of)}")
    if rule.any_of:
        parts.append(f"one of {' '.join(rule.any_of)}")
    return " and ".join(parts)
