"""The checks of an opaque token, which its issuer was asked about, one by one (RFC 7662 §2.2, RFC 7519 §4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.judging import Findings
from gateway.explain.model import Fact, Mark
from gateway.explain.verifying import check_facts, expected_of_claims, found_in_claims, if_passed
from gateway.explain.words import shown
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
        **expected_of_claims(issuer),
    }[name]


def _found(name: str, findings: Findings, mark: Mark) -> str:
    return {
        "form": f"no JWT: what it means is told by {findings.answer_from}",
        "activity": if_passed(mark, "active"),
        "issuer": shown((findings.answer or {}).get("iss", "not told, so the one that was asked")),
        **found_in_claims(findings, mark),
    }[name]
