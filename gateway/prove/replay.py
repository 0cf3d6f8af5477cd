"""What would have become of a past request under other rules, by its record in the access log.

A record has what was verified: issuer, client, subject and scopes. What it does not have is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.policy.decision import ALLOW, Allow, Evidence, decide
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, Rule
from gateway.prove.field_kinds import Fields, field_kinds, is_usual
from gateway.prove.segments import TooManyKindsError
from gateway.prove.verdicts import Policy, Request, Verdict, head_of, in_mode

_NOT_BY_RULES = frozenset(
    {
        *(Reason.REQUEST_MALFORMED, Reason.BODY_TOO_LARGE, Reason.RATE_LIMITED, Reason.OVERLOADED),
        *(Reason.KEYS_UNAVAILABLE, Reason.INTROSPECTION_UNAVAILABLE, Reason.INTERNAL_ERROR),
    }
)
"""Refusals that say nothing about the rules."""

_BEFORE_THE_TOKEN = frozenset(
    {
        *(Reason.NO_ROUTE, Reason.METHOD_NOT_ALLOWED, Reason.TARGET_INVALID, Reason.ROUTE_DENIED),
        *(Reason.NETWORK_NOT_ALLOWED, Reason.OUTSIDE_HOURS, Reason.ORIGIN_UNTRUSTED),
    }
)
"""Refusals of requests whose token nobody had looked at."""

_BAD_TOKENS = frozenset(
    {
        *(Reason.TOKEN_MALFORMED, Reason.ALGORITHM_NOT_ALLOWED, Reason.KEY_UNKNOWN, Reason.SIGNATURE_INVALID),
        *(Reason.AUDIENCE_MISMATCH, Reason.TOKEN_EXPIRED, Reason.TOKEN_NOT_YET_VALID, Reason.CLAIM_INVALID),
        Reason.TOKEN_REVOKED,
    }
)
"""Refusals of tokens that no rule would take."""


class Replayed(StrEnum):
    """What would have become of it."""

    SAME = "same"
    ALLOWED = "newly-allowed"
    REFUSED = "newly-refused"
    UNCLEAR = "unclear"
    """The record does not have what the rules look at."""
    LEFT_OUT = "left-out"
    """It was no rule that answered it."""


class Outcome(NamedTuple):
    """What was found.

    Attributes:
        replayed: what would have become of the request.
        verdict: of the other rules; None where there is none.
    """

    replayed: Replayed
    verdict: Verdict | None = None


def replay(policy: Policy, record: Mapping[str, Any], at: float) -> Outcome:
    """Judge a record of the access log by other rules.

    Args:
        policy: the other rules.
        record: of a request; members of a wrong type count as absent.
        at: when it came, in seconds since the epoch.
    """
    method, path, decision = (_text(record, name) for name in ("method", "path", "decision"))
    if not method or not path or decision not in {"allow", "deny"} or _reason(record) in _NOT_BY_RULES:
        return Outcome(Replayed.LEFT_OUT)
    if _is_preflight(record):
        return Outcome(Replayed.LEFT_OUT)
    verdict = _whatever_fields(policy, Request(method, path, host=_text(record, "host")), record, at)
    if verdict is None:
        return Outcome(Replayed.UNCLEAR)
    if verdict.allowed == (decision == "allow"):
        return Outcome(Replayed.SAME, verdict)
    return Outcome(Replayed.ALLOWED if verdict.allowed else Replayed.REFUSED, verdict)


def _is_preflight(record: Mapping[str, Any]) -> bool:
    """Whether the gateway answered a browser's preflight: of what that asked about, a record has nothing."""
    if record.get("method") != "OPTIONS":
        return False
    granted = record.get("decision") == "allow" and record.get("status") == 204 and not record.get("upstream")
    return granted or _reason(record) == Reason.ORIGIN_UNTRUSTED


def _whatever_fields(policy: Policy, request: Request, record: Mapping[str, Any], at: float) -> Verdict | None:
    """The verdict, if it is the same whatever fields the request had: a record has none of them."""
    told = [_verdict(policy, request._replace(fields=fields), record, at) for fields in _kinds(policy, request)]
    known = [verdict for verdict in told if verdict is not None]
    return known[0] if len(known) == len(told) > 0 and len({verdict.allowed for verdict in known}) == 1 else None


def _kinds(policy: Policy, request: Request) -> list[Fields]:
    """Fields of every kind that the routes tell apart; none at all where there are too many."""
    head = head_of(request)
    if isinstance(head, Denial):
        return [()]
    fitting = policy.table.candidates(head.path, head.host)
    try:
        kinds = field_kinds(route for route in fitting if request.method in route.methods)
    except TooManyKindsError:
        return []
    return [fields for fields in kinds if is_usual(fields)]


def _verdict(policy: Policy, request: Request, record: Mapping[str, Any], at: float) -> Verdict | None:
    """The verdict; None where the record does not tell enough."""
    head = head_of(request)
    if isinstance(head, Denial):
        return Verdict(head)
    route = policy.table.match(head)
    if isinstance(route, Denial):
        return Verdict(route)
    evidence = Evidence(now=at, path=head.path, address=_text(record, "client_ip"))
    decided = _decided(policy, route.rule, record, evidence)
    if decided is None:
        # In shadow it enters, whatever the record does not tell.
        return Verdict(ALLOW, route) if route.rule.mode.name == "shadow" else None
    return in_mode(route, *decided, at)


def _decided(
    policy: Policy, rule: Rule, record: Mapping[str, Any], evidence: Evidence
) -> tuple[Allow | Denial, Claims | None] | None:
    """The decision, and the claims that are known; None where the record does not tell enough."""
    if not rule.takes_token:
        return decide(rule, evidence), None
    if _reason(record) in _BAD_TOKENS and not _was_verified(record):
        return Denial(Reason(_reason(record))), None
    claims = _claims(policy, rule, record)
    if claims is None:
        return None if _had_a_token_perhaps(record) else (decide(rule, evidence), None)
    known = _known_part(rule)
    outcome = decide(known, evidence._replace(claims=claims))
    if isinstance(outcome, Allow) and (known != rule or _reason(record) == Reason.PROOF_INVALID):
        again = decide(rule, evidence._replace(claims=claims))
        return (again, claims) if isinstance(again, Denial) and _is_told(again, record) else None
    return outcome, claims


def _is_told(denial: Denial, record: Mapping[str, Any]) -> bool:
    """Whether the record says that this very demand was not met: what was found then is found again."""
    told = _text(record, "detail").startswith(f"{denial.check}: expected {denial.expected}, found ")
    return told and denial.reason == _reason(record)


def _known_part(rule: Rule) -> Rule:
    """What a rule demands of that which a record has."""
    return replace(rule, require_proof=None, acr=(), max_age=None, conditions=(), token_from=None)


def _had_a_token_perhaps(record: Mapping[str, Any]) -> bool:
    """Whether nobody looked for one: on a public route, or because the request was refused before."""
    return not _reason(record) or _reason(record) in _BEFORE_THE_TOKEN or bool(record.get("issuer"))


def _was_verified(record: Mapping[str, Any]) -> bool:
    """Whether a token that was refused for its audience was good elsewhere: it was a route that narrowed them."""
    return _reason(record) == Reason.AUDIENCE_MISMATCH and bool(_text(record, "issuer"))


def _claims(policy: Policy, rule: Rule, record: Mapping[str, Any]) -> Claims | None:
    """What was verified of the token; None where there was none, or it is not known whose it would be now."""
    iss = _text(record, "issuer")
    names = [issuer.name for issuer in policy.issuers if issuer.issuer == iss]
    if not iss or len({name in rule.issuers for name in names}) > 1:
        return None
    return Claims(
        issuer_name=next(iter(names), ""),
        issuer=iss,
        subject=_text(record, "sub"),
        client_id=_text(record, "client_id"),
        audience=_texts(record, "aud"),
        scopes=_texts(record, "scopes_granted"),
        expires_at=0.0,
        not_before=None,
        jti="",
    )


def _reason(record: Mapping[str, Any]) -> str:
    """Why it was refused, or would have been but for its route's mode; "" where it satisfied the rules."""
    return _text(record, "reason" if record.get("decision") == "deny" else "would_deny")


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _texts(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = record.get(name)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
