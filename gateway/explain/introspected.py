"""The checks of an opaque token, which its issuer was asked about, one by one (RFC 7662 §2.2, RFC 7519 §4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.judging import Findings
from gateway.explain.model import Fact, Mark
from gateway.explain.words import distance, either, shown, span
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import TrustedIssuer

CHECKS = ("form", "activity", "issuer", "binding", "claims", "audience", "expiry", "begin", "revocation")

_FAILED_AT = {
    Reason.TOKEN_MALFORMED: "form",
    Reason.ISSUER_UNTRUSTED: "issuer",
    Reason.PROOF_INVALID: "binding",
    Reason.CLAIM_INVALID: "claims",
    Reason.AUDIENCE_MISMATCH: "audience",
    Reason.TOKEN_EXPIRED: "expiry",
    Reason.TOKEN_NOT_YET_VALID: "begin",
}


def _failed_check(findings: Findings) -> str | None:
    if findings.verified is not None or not isinstance(findings.outcome, Denial):
        return None
    if findings.outcome.reason is Reason.TOKEN_REVOKED:
        return "revocation" if findings.payload.get("active") else "activity"
    return _FAILED_AT.get(findings.outcome.reason, CHECKS[-1])


def introspected_facts(findings: Findings, issuer: TrustedIssuer) -> Iterator[Fact]:
    """What each check expected and found in the issuer's answer."""
    failed = _failed_check(findings)
    at = len(CHECKS) if failed is None else CHECKS.index(failed)
    for position, name in enumerate(CHECKS):
        mark = Mark.OK if position < at else Mark.FAILED if position == at else Mark.NOT_REACHED
        if name == "revocation" and mark is Mark.OK and findings.not_looked is not None:
            mark = Mark.NOT_REACHED
        yield Fact(mark, name, _found(name, findings, mark), _expected(name, issuer))


def _expected(name: str, issuer: TrustedIssuer) -> str:
    leeway = f", leeway {span(issuer.leeway)}" if issuer.leeway else ""
    return {
        "form": "an opaque token",
        "activity": f"{issuer.name} calls it active",
        "issuer": issuer.issuer,
        "binding": "to a key that the sender proves to hold, or to none (cnf)",
        "claims": "exp and aud, each claim of its type",
        "audience": either(issuer.audiences),
        "expiry": f"exp ahead{leeway}",
        "begin": f"nbf and iat past{leeway}",
        "revocation": f"not among what {issuer.name} revoked",
    }[name]


def _found(name: str, findings: Findings, mark: Mark) -> str:
    payload, now = findings.payload, findings.now
    if mark is Mark.FAILED and name in {"form", "claims"} and isinstance(findings.outcome, Denial):
        return shown(findings.outcome.detail)
    if findings.answer is None:
        return "" if name != "form" else "no JWT"
    return {
        "form": "no JWT",
        "activity": f"{'active' if payload.get('active') else 'not active'}, by {findings.answer_from}",
        "issuer": shown(findings.answer.get("iss", "not told, so the one that was asked")),
        "binding": "to a key" if "cnf" in payload else "to none",
        "claims": "well-formed" if mark is Mark.OK else "not checked",
        "audience": shown(payload.get("aud", "none")),
        "expiry": distance(payload.get("exp", "none"), now, ahead="expires", past="expired"),
        "begin": _begin(findings),
        "revocation": _revocation(findings, mark),
    }[name]


def _begin(findings: Findings) -> str:
    names = [name for name in ("nbf", "iat") if name in findings.payload]
    told = [distance(findings.payload[name], findings.now, ahead=f"{name} is", past=f"{name} was") for name in names]
    return ", ".join(told) or "neither nbf nor iat"


def _revocation(findings: Findings, mark: Mark) -> str:
    if mark is Mark.NOT_REACHED:
        return f"not looked at: {shown(findings.not_looked)}" if findings.verified is not None else "not checked"
    return "not revoked" if mark is Mark.OK else "revoked"
