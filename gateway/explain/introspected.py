"""The checks of an opaque token, which its issuer was asked about, one by one (RFC 7662 §2.2, RFC 7519 §4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.judging import Findings
from gateway.explain.model import Fact, Mark
from gateway.explain.verifying import begin_found, check_facts, if_passed, leeway, revocation_found
from gateway.explain.words import distance, either, shown
from gateway.policy.model import TrustedIssuer

CHECKS = ("form", "activity", "issuer", "binding", "claims", "audience", "expiry", "begin", "revocation")


def introspected_facts(findings: Findings, issuer: TrustedIssuer) -> Iterator[Fact]:
    """What each check expected and found in the issuer's answer."""
    return check_facts(findings, CHECKS, _found, lambda name, _: _expected(name, issuer))


def _expected(name: str, issuer: TrustedIssuer) -> str:
    return {
        "form": "an opaque token",
        "activity": f"{issuer.name} calls it active",
        "issuer": issuer.issuer,
        "binding": "to a key that the sender proves to hold, or to none (cnf)",
        "claims": "exp and aud, each claim of its type",
        "audience": either(issuer.audiences),
        "expiry": f"exp ahead{leeway(issuer.leeway)}",
        "begin": f"nbf and iat past{leeway(issuer.leeway)}",
        "revocation": f"not among what {issuer.name} revoked",
    }[name]


def _found(name: str, findings: Findings, mark: Mark) -> str:
    payload, now = findings.payload, findings.now
    return {
        "form": f"no JWT: what it means is told by {findings.answer_from}",
        "activity": if_passed(mark, "active"),
        "issuer": shown((findings.answer or {}).get("iss", "not told, so the one that was asked")),
        "binding": "to a key" if "cnf" in payload else "to none",
        "claims": if_passed(mark, "well-formed"),
        "audience": shown(payload.get("aud", "none")),
        "expiry": distance(payload.get("exp", "none"), now, ahead="expires", past="expired"),
        "begin": begin_found(findings),
        "revocation": revocation_found(findings, mark),
    }[name]
