"""A reload that would let in what is kept out so far is refused, where the configuration in force says so."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.plan import IssuerPlan, Plan
from gateway.policy.routes import RouteTable
from gateway.prove.difference import newly_allowed
from gateway.prove.verdicts import Policy
from gateway.prove.words import request_in_words
from gateway.starting import BadFileError

REMEDY = (
    "reload.newly_allowed: refuse is in force: to let this in, start the gateway anew, "
    "or first put newly_allowed: take in force"
)


def keep_out(before: Plan, after: Plan) -> None:
    """Compare what is in force with what shall be.

    Raises:
        BadFileError: something would be newly allowed, or nothing is proven; each kind has a witness.
    """
    if before.newly_allowed == "take":
        return
    found = newly_allowed(_policy(before), _policy(after))
    lines = [
        f"newly allowed, {', '.join(finding.methods)}: such as {request_in_words(finding.witness)}"
        for finding in found.findings
    ]
    lines += [f"not proven: {doubt}" for doubt in (*found.unproven, *_doubts(before, after))]
    if lines:
        raise BadFileError("\n".join((*lines, REMEDY)))


def _policy(plan: Plan) -> Policy:
    return Policy(RouteTable(plan.routes), tuple(issuer.terms for issuer in plan.issuers.values()))


def _doubts(before: Plan, after: Plan) -> Iterator[str]:
    """What no comparison of rules can see."""
    for name, issuer in after.issuers.items():
        known = before.issuers.get(name)
        if known is None or _vouching(known) != _vouching(issuer):
            yield f"issuers.{name}: where its keys come from, or who is asked about its tokens, differs"


def _vouching(issuer: IssuerPlan) -> tuple[object, ...]:
    return issuer.keys, issuer.feed, issuer.keys_credentials, issuer.introspection
