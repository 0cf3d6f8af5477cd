"""The one decision: does the evidence satisfy the rule?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.policy.circumstances import circumstances
from gateway.policy.conditions import compare
from gateway.policy.denial import DEMANDED_PROOF, Denial, Reason, unmet
from gateway.policy.model import Claims, Proof, Rule
from gateway.policy.scopes import ScopeGroup, lacking


@dataclass(frozen=True, slots=True)
class Allow:
    """The request may enter."""


class Evidence(NamedTuple):
    """All that is known and verified about the caller.

    Attributes:
        claims: of the verified token; None where the route asks for none.
        proofs: how the sender proved that the token is its own.
        now: seconds since the epoch; only rules about times look at it.
        path: of the request in its canonical form; only rules that compare claims with it look at it.
        address: of the client; only rules about networks look at it.
    """

    claims: Claims | None = None
    proofs: frozenset[Proof] = frozenset()
    now: float = 0.0
    path: str = ""
    address: str = ""


ALLOW = Allow()
NO_EVIDENCE = Evidence()
_MATCHING = {"hierarchic": "or a scope above", "wildcard": "or a wildcard for it"}
CONDITIONS = "conditions"
"""The check of client and claims."""

AUDIENCES = "route audiences"
"""The check of what a token is for."""

_CLOSED = unmet(Reason.ROUTE_DENIED, "deny", "nobody", "a request")


def decide(rule: Rule, evidence: Evidence) -> Allow | Denial:
    """Decide whether the evidence satisfies the rule."""
    if not rule.takes_token:
        return _CLOSED if rule.deny else _decide_circumstances(rule, evidence) or ALLOW
    claims = evidence.claims
    if claims is None:
        return Denial(Reason.TOKEN_MISSING, "the route demands a token")
    if claims.issuer_name not in rule.issuers:
        expected = ", ".join(sorted(rule.issuers))
        return unmet(Reason.ISSUER_UNTRUSTED, "route issuers", expected, claims.issuer_name)
    if rule.is_demanding and (denial := _decide_beyond_scopes(rule, claims, evidence)) is not None:
        return denial
    return _decide_scopes(rule, claims)


def _decide_beyond_scopes(rule: Rule, claims: Claims, evidence: Evidence) -> Denial | None:
    """What no further scope would change."""
    return (
        _decide_audience(rule, claims)
        or _decide_circumstances(rule, evidence)
        or _decide_sender(rule, claims, evidence)
        or _decide_conditions(rule, claims, evidence.path)
    )


def _decide_audience(rule: Rule, claims: Claims) -> Denial | None:
    """Whether the token is for one of the audiences that the rule takes of its issuer (RFC 9068 §4)."""
    if any(rule.takes_audience(claims.issuer_name, audience) for audience in claims.audience):
        return None
    taken = sorted(audience for issuer, audience in rule.audiences or () if issuer == claims.issuer_name)
    expected = " or ".join(taken) or f"none of {claims.issuer_name}"
    return unmet(Reason.AUDIENCE_MISMATCH, AUDIENCES, expected, " ".join(claims.audience))


def _decide_circumstances(rule: Rule, evidence: Evidence) -> Denial | None:
    """Whether the request comes from where and when the rule wants it."""
    if not rule.is_bounded:
        return None
    for one in circumstances(rule.networks, rule.hours, evidence.address, evidence.now):
        if not one.met:
            return unmet(one.reason, one.name, one.expected, one.found)
    return None


def _decide_conditions(rule: Rule, claims: Claims, path: str) -> Denial | None:
    """Whether the token's client and claims are those that the rule wants; the denial names all that are not."""
    failed = [compared for compared in compare(rule, claims, path) if not compared.met] if rule.has_conditions else ()
    if not failed:
        return None
    expected = " and ".join(f"{compared.called} {compared.expected}" for compared in failed)
    found = " and ".join(f"{compared.called} {compared.found}" for compared in failed)
    denial = unmet(Reason.CLAIM_CONDITION_FAILED, CONDITIONS, expected, found)
    return replace(denial, scopes_required=rule.scopes_named)


def _decide_sender(rule: Rule, claims: Claims, evidence: Evidence) -> Denial | None:
    """What a rule demands of the sender beyond scopes: a proof (RFC 9449, RFC 8705), an authentication (RFC 9470)."""
    if rule.require_proof is not None and rule.require_proof not in evidence.proofs:
        given = " and ".join(sorted(evidence.proofs)) or "none"
        scheme = "DPoP" if rule.require_proof == "dpop" else "Bearer"
        return replace(unmet(Reason.PROOF_INVALID, DEMANDED_PROOF, rule.require_proof, given), scheme=scheme)
    if rule.acr and claims.acr not in rule.acr:
        return _step_up(rule, "acr", " or ".join(rule.acr), claims.acr or "none")
    if rule.max_age is None or (claims.auth_time is not None and evidence.now - claims.auth_time <= rule.max_age):
        return None
    told = "no auth_time" if claims.auth_time is None else f"one {evidence.now - claims.auth_time:.0f} s ago"
    return _step_up(rule, "auth_time", f"an authentication at most {rule.max_age:.0f} s ago (max_age)", told)


def _step_up(rule: Rule, check: str, expected: str, found: str) -> Denial:
    """What the client has to ask its user for (RFC 9470 §3)."""
    parameters = []
    if rule.acr:
        parameters.append(("acr_values", " ".join(rule.acr)))
    if rule.max_age is not None:
        parameters.append(("max_age", f"{rule.max_age:.0f}"))
    denial = unmet(Reason.AUTHENTICATION_INSUFFICIENT, check, expected, found)
    return replace(denial, parameters=tuple(parameters))


def _decide_scopes(rule: Rule, claims: Claims) -> Allow | Denial:
    granted = claims.scope_set
    plain = rule.compares_plainly and granted.issuperset(rule.all_of)
    if plain and not (rule.any_of and granted.isdisjoint(rule.any_of)):
        # The usual form of a rule and a token that is let in, at once: what follows would find the same.
        return ALLOW
    missing = missing_scopes(rule, granted)
    if not missing:
        return ALLOW
    denial = unmet(Reason.SCOPE_INSUFFICIENT, "scopes", describe_scopes(rule), " ".join(claims.scopes) or "none")
    return replace(
        denial,
        scopes_required=rule.scopes_named,
        scopes_missing=missing,
    )


def missing_scopes(rule: Rule, granted: frozenset[str]) -> tuple[str, ...]:
    """The scopes with which the rule's demand would be met, alternatives included; none where it is met."""
    return tuple(dict.fromkeys(lacking(rule.scope_terms, rule.held(granted))))


def describe_scopes(rule: Rule) -> str:
    """The rule's scopes in words: `all of a b and one of c d`."""
    groups = [ScopeGroup("all", rule.all_of), ScopeGroup("any", rule.any_of), *rule.nested]
    words = " and ".join(str(group) for group in groups if group.terms)
    return words if rule.scope_match == "exact" else f"{words}, {_MATCHING[rule.scope_match]}"
