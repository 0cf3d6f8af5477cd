"""The checks of a verification one by one, in their order (RFC 8725 §3, RFC 7519 §4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.gateway_fields import ALGORITHMS
from gateway.explain.judging import Findings
from gateway.explain.model import Fact, Mark
from gateway.explain.words import distance, either, shown, span
from gateway.policy.denial import Denial, Reason

CHECKS = (
    "form",
    "issuer",
    "algorithm",
    "type",
    "key",
    "signature",
    "binding",
    "claims",
    "audience",
    "expiry",
    "begin",
    "revocation",
)
_OF_SIGNATURES = frozenset({"form", "algorithm", "type", "key", "signature"})
"""Checks that say nothing where claims are judged without a signature."""

_TOLD_BY_DETAIL = frozenset({"key", "claims"})
"""Checks of several things, of which only the denial's detail names the one that failed."""

_FAILED_AT = {
    Reason.TOKEN_MALFORMED: "form",
    Reason.ISSUER_UNTRUSTED: "issuer",
    Reason.KEY_UNKNOWN: "key",
    Reason.SIGNATURE_INVALID: "signature",
    Reason.PROOF_INVALID: "binding",
    Reason.AUDIENCE_MISMATCH: "audience",
    Reason.TOKEN_EXPIRED: "expiry",
    Reason.TOKEN_NOT_YET_VALID: "begin",
}


def failed_check(findings: Findings) -> str | None:
    """The check that refused the token; None where all passed."""
    if findings.verified is not None or not isinstance(findings.outcome, Denial):
        return None
    if findings.outcome.check in CHECKS[:-1]:
        return findings.outcome.check
    reason = findings.outcome.reason
    if reason is Reason.ALGORITHM_NOT_ALLOWED:
        return "key" if findings.header_passed else "algorithm"
    if reason is Reason.CLAIM_INVALID:
        return "claims" if findings.header_passed else "type"
    if reason is Reason.TOKEN_REVOKED:
        return "revocation" if _has_its_key(findings) else "key"
    return _FAILED_AT.get(reason, CHECKS[-1])


def _has_its_key(findings: Findings) -> bool:
    """Whether the token's key is published; one that was revoked need not be, and then nothing was verified."""
    keys, compact = findings.keys, findings.compact
    return keys is not None and compact is not None and bool(keys.candidates(compact.header.kid, compact.header.alg))


def verify_facts(findings: Findings) -> Iterator[Fact]:
    """What each check expected and found."""
    failed = failed_check(findings)
    at = len(CHECKS) if failed is None else CHECKS.index(failed)
    for position, name in enumerate(CHECKS):
        if findings.from_claims and name in _OF_SIGNATURES and name != failed:
            continue
        mark = Mark.OK if position < at else Mark.FAILED if position == at else Mark.NOT_REACHED
        if name == "revocation" and mark is Mark.OK and findings.not_looked is not None:
            mark = Mark.NOT_REACHED
        outcome = findings.outcome
        if mark is Mark.FAILED and isinstance(outcome, Denial) and outcome.check == name != CHECKS[-1]:
            yield Fact(mark, name, outcome.found, outcome.expected)
        else:
            yield Fact(mark, name, _found(name, findings, mark), _expected(name, findings))


def _expected(name: str, findings: Findings) -> str:
    issuer = findings.issuer
    if name == "form":
        return "a signed JWT in the compact form"
    if name == "issuer":
        return either([trusted.issuer for trusted in findings.grounds.issuers])
    if issuer is None:
        return ""
    any_algorithm = issuer.algorithms == frozenset(ALGORITHMS)
    return {
        "algorithm": "an asymmetric one" if any_algorithm else either(issuer.algorithms),
        "type": either(issuer.token_types) if issuer.token_types else "any",
        "key": f"one that {issuer.name} publishes",
        "signature": "made with that key",
        "binding": "to a key that can be proven, or to none (cnf)",
        "claims": "exp and aud, each claim of its type",
        "audience": either(issuer.audiences),
        "expiry": f"exp ahead{_leeway(issuer.leeway)}",
        "begin": f"nbf and iat past{_leeway(issuer.leeway)}",
        "revocation": f"not among what {issuer.name} revoked",
    }[name]


def _leeway(seconds: float) -> str:
    return f", leeway {span(seconds)}" if seconds else ""


def _found(name: str, findings: Findings, mark: Mark) -> str:
    """What the token has there; unverified as long as the signature is."""
    compact, payload, now = findings.compact, findings.payload, findings.now
    detail = findings.outcome.detail if isinstance(findings.outcome, Denial) else ""
    if mark is Mark.FAILED and (compact is None or name in _TOLD_BY_DETAIL):
        return shown(detail)
    if compact is None:
        return ""
    header = compact.header
    return {
        "form": f"header, {len(payload)} claims, signature",
        "issuer": shown(payload.get("iss", "none")),
        "algorithm": shown(header.alg),
        "type": shown(header.typ or "none"),
        "key": "without kid" if header.kid is None else shown(header.kid),
        "signature": _word(mark, "genuine", "not made with that key"),
        "binding": "to a key" if "cnf" in payload else "to none",
        "claims": _word(mark, "well-formed", ""),
        "audience": shown(payload.get("aud", "none")),
        "expiry": distance(payload.get("exp", "none"), now, ahead="expires", past="expired"),
        "begin": _begin(findings),
        "revocation": _revocation(findings, mark),
    }[name]


def _word(mark: Mark, passed: str, failed: str) -> str:
    return {Mark.OK: passed, Mark.FAILED: failed, Mark.NOT_REACHED: "not checked"}[mark]


def _revocation(findings: Findings, mark: Mark) -> str:
    if mark is Mark.NOT_REACHED and failed_check(findings) is None:
        return f"not looked at: {shown(findings.not_looked)}"
    return _word(mark, "not revoked", "revoked")


def _begin(findings: Findings) -> str:
    """The later of nbf and iat decides; each is told where both are there and differ."""
    names = [name for name in ("nbf", "iat") if name in findings.payload]
    told = [distance(findings.payload[name], findings.now, ahead=f"{name} is", past=f"{name} was") for name in names]
    if len(names) == 2 and findings.payload["nbf"] == findings.payload["iat"]:
        return told[0]
    return ", ".join(told) or "neither nbf nor iat"
