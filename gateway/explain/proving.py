"""How the sender proves that a bound token is its own, check by check (RFC 9449 §4.3, RFC 8705 §3)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.judging import Findings
from gateway.explain.model import Fact, Mark, Step
from gateway.policy.denial import Denial
from gateway.policy.model import Confirmation
from gateway.tokens.dpop import PROOF_CHECKS

_EXPECTED = {
    "scheme": "as the token is bound",
    "proof": "one DPoP field",
    "proof form": "a signed JWT",
    "proof typ": "dpop+jwt",
    "proof alg": "an asymmetric one of its key",
    "proof key": "a public key in jwk",
    "proof signature": "that of the key in jwk",
    "proof htm": "the request's method",
    "proof htu": "the request's address",
    "proof iat": "a moment ago",
    "proof ath": "the hash of the token that is sent",
    "proof binding": "the key that the token is bound to",
    "proof jti": "a name of its own",
    "proof nonce": "one of the gateway, where it demands them",
    "proof replay": "a proof that was not used before",
    "certificate": "the one that the token is bound to",
}
_NOT_LOOKED_AT = {
    "proof nonce": "not looked at: the running gateway alone knows its nonces",
    "proof replay": "not looked at: the running gateway alone knows which proofs were used",
}


def failed_proof(findings: Findings) -> Denial | None:
    """The refusal of a verified token for want of its proof."""
    outcome = findings.outcome
    if findings.verified is None or not isinstance(outcome, Denial) or outcome.check not in _EXPECTED:
        return None
    return outcome


def proving(findings: Findings) -> Iterator[Step]:
    """The step between verification and decision; none where there is nothing to prove."""
    token, verified = findings.token, findings.verified
    if token is None or verified is None:
        return
    bound, failed = verified.claims.confirmation, failed_proof(findings)
    if bound is None and failed is None:
        return
    checks = list(_checks(bound))
    facts = tuple(_facts(checks, failed))
    if failed is None:
        yield Step(Mark.OK, "prove", "the sender holds the key that the token is bound to", facts)
    else:
        yield Step(Mark.FAILED, "prove", failed.detail, facts)


def _checks(bound: Confirmation | None) -> Iterator[str]:
    yield "scheme"
    if bound is not None and bound.jkt is not None:
        yield from PROOF_CHECKS
    if bound is not None and bound.x5t_s256 is not None:
        yield "certificate"


def _facts(checks: list[str], failed: Denial | None) -> Iterator[Fact]:
    at = len(checks) if failed is None else checks.index(failed.check)
    for position, name in enumerate(checks):
        if failed is not None and position == at:
            yield Fact(Mark.FAILED, name, failed.found, failed.expected)
        elif position > at or name in _NOT_LOOKED_AT:
            yield Fact(Mark.NOT_REACHED, name, _NOT_LOOKED_AT.get(name, "not checked"), _EXPECTED[name])
        else:
            yield Fact(Mark.OK, name, "as expected", _EXPECTED[name])
