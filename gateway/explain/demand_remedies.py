"""What would meet the demands of a rule, beside its scopes; or how the rule would have to change."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.judging import Findings
from gateway.explain.model import Change
from gateway.explain.targets import nearest_routes
from gateway.explain.words import shown
from gateway.policy.claims import check_claims
from gateway.policy.conditions import compare
from gateway.policy.decision import NO_EVIDENCE, Evidence
from gateway.policy.denial import Denial
from gateway.policy.model import Claims


def claims_if_valid(findings: Findings) -> Claims | None:
    """The token's claims; where it was refused, those that it would have with audience, times and binding put right."""
    if findings.verified is not None:
        return findings.verified.claims
    issuer = findings.issuer
    if issuer is None:
        return None
    kept = {name: value for name, value in findings.payload.items() if name not in {"cnf", "nbf", "iat"}}
    claims = check_claims(kept | {"aud": sorted(issuer.audiences), "exp": findings.now + 1}, issuer, findings.now)
    return claims if isinstance(claims, Claims) else None


def denied(findings: Findings, denial: Denial) -> Iterator[Change]:
    """Where else to go, or what closes the route."""
    del denial
    route = "" if findings.route is None else findings.route.id
    near = [near for near in nearest_routes(findings) if not near.endswith(f"({route})")]
    instead = (f"remove deny: true from route {route} in {findings.grounds.file}, and say whom it lets in",)
    yield Change(f"use the path of another route: {near[0]}" if near else "use the path of another route", instead)


def conditions(findings: Findings, denial: Denial) -> Iterator[Change]:
    """For each condition that does not hold, who could call instead, or what to change in the rule."""
    claims, route, file = claims_if_valid(findings), findings.route, findings.grounds.file
    if claims is None or route is None:
        yield Change(denial.meaning.hint)
        return
    for failed in compare(route.rule, claims, evidence_of(findings).path):
        if failed.met:
            continue
        found, expected = shown(failed.found), shown(failed.expected)
        if failed.of_client:
            add = (f"add {found} to the clients of route {route.id} in {file}",) if claims.client_id else ()
            yield Change(f"call as {expected} (found {found})", add)
        else:
            name = shown(failed.name)
            change = f"change claims.{name} of route {route.id} in {file}"
            yield Change(f"use a token with the claim {name}: expected {expected}, found {found}", (change,))


def evidence_of(findings: Findings) -> Evidence:
    """What is known of the request beside its token."""
    head = findings.head
    if head is None:
        return NO_EVIDENCE._replace(now=findings.now)
    proxies = findings.grounds.proofs(findings.now).trusted_proxies
    address = proxies.client_address(findings.request.peer, head.forwarding)
    return Evidence(now=findings.now, path=head.path, address=address)


def network(findings: Findings, denial: Denial) -> Iterator[Change]:
    """From where to call, or which networks to add; where the address is not known, who has to tell it."""
    route = "" if findings.route is None else findings.route.id
    instead = [f"add the client's network to the networks of route {route} in {findings.grounds.file}"]
    if not findings.request.peer:
        instead.insert(0, "say who connects with --peer")
    elif not evidence_of(findings).address:
        instead = ["let the proxy write the client's address, and nothing else, into X-Forwarded-For"]
    yield Change(f"call from {denial.expected} (found {shown(denial.found)})", tuple(instead))


def hours(findings: Findings, denial: Denial) -> Iterator[Change]:
    """When to call, or which hours to change."""
    route = "" if findings.route is None else findings.route.id
    change = f"change hours of route {route} in {findings.grounds.file}"
    yield Change(f"call at {denial.expected} (found {denial.found})", (change,))
