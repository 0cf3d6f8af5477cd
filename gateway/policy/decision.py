"""The one decision: does the evidence satisfy the rule?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, Proof, Rule


@dataclass(frozen=True, slots=True)
class Allow:
    """The request may enter."""


class Evidence(NamedTuple):
    """All that is known and verified about the caller.

    Attributes:
        claims: of the verified token; None where the route asks for none.
        proofs: how the sender proved that the token is its own.
        now: seconds since the epoch; only rules about the time of an authentication look at it.
    """

    claims: Claims | None = None
    proofs: frozenset[Proof] = frozenset()
    now: float = 0.0


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
    if rule.is_demanding and (denial := _decide_sender(rule, claims, evidence)) is not None:
        return denial
    return _decide_scopes(rule, claims)


def _decide_sender(rule: Rule, claims: Claims, evidence: Evidence) -> Denial | None:
    """What a rule demands of the sender beyond scopes: a proof (RFC 9449, RFC 8705), an authentication (RFC 9470)."""
    if rule.require_proof is not None and rule.require_proof not in evidence.proofs:
        given = " and ".join(sorted(evidence.proofs)) or "none"
        scheme = "DPoP" if rule.require_proof == "dpop" else "Bearer"
        return Denial(Reason.PROOF_INVALID, f"the route demands {rule.require_proof}; proofs: {given}", scheme=scheme)
    if rule.acr and claims.acr not in rule.acr:
        detail = f"the route demands acr {' or '.join(rule.acr)}; the token says {claims.acr or 'none'}"
        return _step_up(rule, detail)
    if rule.max_age is None or (claims.auth_time is not None and evidence.now - claims.auth_time <= rule.max_age):
        return None
    told = "no auth_time" if claims.auth_time is None else f"{evidence.now - claims.auth_time:.0f} s"
    return _step_up(
        rule, f"the route demands an authentication at most {rule.max_age:.0f} s ago; the token says {told}"
    )


def _step_up(rule: Rule, detail: str) -> Denial:
    """What the client has to ask its user for (RFC 9470 §3)."""
    parameters = []
    if rule.acr:
        parameters.append(("acr_values", " ".join(rule.acr)))
    if rule.max_age is not None:
        parameters.append(("max_age", f"{rule.max_age:.0f}"))
    return Denial(Reason.AUTHENTICATION_INSUFFICIENT, detail, parameters=tuple(parameters))


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
