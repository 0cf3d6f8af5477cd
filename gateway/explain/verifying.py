"""The checks of a verification one by one, in their order (RFC 8725 §3, RFC 7519 §4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gateway.config.gateway_fields import ALGORITHMS
from gateway.explain.judging import Findings
from gateway.explain.model import Fact, Mark
from gateway.explain.words import distance, either, shown, span
from gateway.policy.denial import Denial
from gateway.policy.model import TrustedIssuer

Found = Callable[[str, Findings, Mark], str]
"""What a check that did not fail found."""

Expected = Callable[[str, Findings], str]
"""What a check expects."""

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


def refusal(findings: Findings) -> Denial | None:
    """Why the token was refused; None where all checks of it passed."""
    outcome = findings.outcome
    return outcome if findings.verified is None and isinstance(outcome, Denial) else None


def check_facts(findings: Findings, checks: Sequence[str], found: Found, expected: Expected) -> Iterator[Fact]:
    """Each check in its order: of the one that failed, what its denial says."""
    denial = refusal(findings)
    at = len(checks) if denial is None else checks.index(denial.check)
    for position, name in enumerate(checks):
        if denial is not None and position == at:
            yield Fact(Mark.FAILED, name, denial.found, denial.expected)
            continue
        is_reached = position < at and (name != "revocation" or findings.not_looked is None)
        mark = Mark.OK if is_reached else Mark.NOT_REACHED
        yield Fact(mark, name, found(name, findings, mark), expected(name, findings))


def verify_facts(findings: Findings) -> Iterator[Fact]:
    """What each check expected and found."""
    for fact in check_facts(findings, CHECKS, _found, _expected):
        if fact.mark is Mark.FAILED or not (findings.from_claims and fact.name in _OF_SIGNATURES):
            yield fact


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
        **expected_of_claims(issuer),
    }[name]


def expected_of_claims(issuer: TrustedIssuer) -> dict[str, str]:
    """What the checks of claims expect, wherever the claims are from."""
    return {
        "binding": "to a key that the sender proves to hold, or to none (cnf)",
        "claims": "exp and aud, each claim of its type",
        "audience": either(issuer.audiences),
        "expiry": f"exp ahead{_leeway(issuer.leeway)}",
        "begin": f"nbf and iat past{_leeway(issuer.leeway)}",
        "revocation": f"not among what {issuer.name} revoked",
    }


def _leeway(seconds: float) -> str:
    """By how much the clocks may differ, where they may."""
    return f", leeway {span(seconds)}" if seconds else ""


def _found(name: str, findings: Findings, mark: Mark) -> str:
    """What the token has there; unverified as long as the signature is."""
    compact, payload = findings.compact, findings.payload
    if compact is None:
        return ""
    header = compact.header
    return {
        "form": f"header, {len(payload)} claims, signature",
        "issuer": shown(payload.get("iss", "none")),
        "algorithm": shown(header.alg),
        "type": shown(header.typ or "none"),
        "key": "without kid" if header.kid is None else shown(header.kid),
        "signature": if_passed(mark, "genuine"),
        **found_in_claims(findings, mark),
    }[name]


def found_in_claims(findings: Findings, mark: Mark) -> dict[str, str]:
    """What the checks of claims found, wherever the claims are from."""
    payload = findings.payload
    return {
        "binding": "to a key" if "cnf" in payload else "to none",
        "claims": if_passed(mark, "well-formed"),
        "audience": shown(payload.get("aud", "none")),
        "expiry": distance(payload.get("exp", "none"), findings.now, ahead="expires", past="expired"),
        "begin": _begin_found(findings),
        "revocation": _revocation_found(findings, mark),
    }


def if_passed(mark: Mark, words: str) -> str:
    """What is found where nothing but the check can tell."""
    return words if mark is Mark.OK else "not checked"


def _revocation_found(findings: Findings, mark: Mark) -> str:
    """What is known of the token's revocation."""
    if mark is Mark.OK or refusal(findings) is not None:
        return if_passed(mark, "not revoked")
    return f"not looked at: {shown(findings.not_looked)}"


def _begin_found(findings: Findings) -> str:
    """The later of nbf and iat decides; each is told where both are there and differ."""
    names = [name for name in ("nbf", "iat") if name in findings.payload]
    told = [distance(findings.payload[name], findings.now, ahead=f"{name} is", past=f"{name} was") for name in names]
    if len(names) == 2 and findings.payload["nbf"] == findings.payload["iat"]:
        return told[0]
    return ", ".join(told) or "neither nbf nor iat"
