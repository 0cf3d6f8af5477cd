"""For each reason the smallest change that turns the refusal into entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.config.gateway_fields import ALGORITHMS
from gateway.explain.demand_remedies import claims_if_valid, conditions, denied, evidence_of, hours, network
from gateway.explain.judging import Findings
from gateway.explain.model import Change
from gateway.explain.pages import preflight_changes
from gateway.explain.scopes import get_token, scope_changes
from gateway.explain.targets import allowing, by_fields, hosts_of_path, nearest_routes, repaired
from gateway.explain.words import either, shown, span
from gateway.policy.decision import AUDIENCES, Allow, decide
from gateway.policy.denial import Denial, Reason
from gateway.policy.routes import METHODS

LARGEST_LEEWAY = 300.0
"""Seconds; the configuration takes no more."""

Remedy = Callable[[Findings, Denial], Iterator[Change]]


def changes(findings: Findings) -> tuple[Change, ...]:
    """What has to be done; nothing where the request is let in."""
    outcome = findings.outcome
    if isinstance(outcome, Allow):
        return ()
    found = [*_REMEDIES.get(outcome.reason, _hint)(findings, outcome), *_further(findings)]
    return tuple(dict.fromkeys(found))


def _further(findings: Findings) -> Iterator[Change]:
    """What would refuse the same token next, once its verification's fault is gone."""
    if findings.verified is not None or findings.route is None or findings.preflight is not None:
        return
    claims = claims_if_valid(findings)
    if claims is not None and isinstance(
        denial := decide(findings.route.rule, evidence_of(findings)._replace(claims=claims)), Denial
    ):
        yield from _REMEDIES.get(denial.reason, _hint)(findings, denial)


def _hint(findings: Findings, denial: Denial) -> Iterator[Change]:
    del findings
    yield Change(denial.hint or denial.meaning.hint)


# The request


def _target(findings: Findings, denial: Denial) -> Iterator[Change]:
    path = repaired(findings.request.target)
    instead = tuple(allowing(findings))
    if path is not None:
        yield Change(f"send the path as {shown(path)}, if that is what is meant ({shown(denial.detail)})", instead)
    else:
        yield Change(f"send another path: {shown(denial.detail)}", instead)


def _no_route(findings: Findings, denial: Denial) -> Iterator[Change]:
    del denial
    path = shown(findings.request.target.partition("?")[0])
    add = f"add a route for {path} to {findings.grounds.file}"
    near = nearest_routes(findings)
    if missed := [f"send {fields}, for route {route.id}" for route, fields in by_fields(findings)]:
        yield Change(missed[0], (*missed[1:], add))
    elif hosts := hosts_of_path(findings):
        yield Change(f"name a host that takes this path: {either(hosts)}", (*near, add))
    elif near:
        yield Change(f"use the path of a route that there is: {near[0]}", (*near[1:], add))
    else:
        yield Change(add)


def _method(findings: Findings, denial: Denial) -> Iterator[Change]:
    head = findings.head
    fitting = () if head is None else findings.grounds.table.candidates(head.path, head.host)
    method, file = shown(findings.request.method), findings.grounds.file
    add = [f"add {method} to the methods of route {route.id} in {file}" for route in fitting]
    yield Change(f"use {either(list(denial.allow))}", tuple(add))


def _malformed(findings: Findings, denial: Denial) -> Iterator[Change]:
    method = findings.request.method
    if method not in METHODS and method.upper() in METHODS:
        yield Change(f"write the method as {method.upper()}: methods are case-sensitive (RFC 9110 §9.1)")
        return
    if denial.check == "fields":
        yield Change(f"send {denial.expected} (found {denial.found}): servers read other spellings alike")
        return
    if findings.route is not None:
        place = findings.route.rule.token_from
        where = "'Authorization: Bearer TOKEN'" if place is None else f"in the {place}"
        yield Change(f"send one token, {where}, and nothing else: {shown(denial.detail)}")
        return
    once = "with each of Host, Content-Length and Authorization at most once"
    yield Change(f"send a well-formed head, {once}: {shown(denial.detail)}")


# The token


def _missing(findings: Findings, denial: Denial) -> Iterator[Change]:
    del denial
    if findings.route is not None:
        yield get_token(findings.grounds, findings.route)


def _token_form(findings: Findings, denial: Denial) -> Iterator[Change]:
    del findings
    yield Change(
        f"send the token exactly as the token endpoint returned it: {shown(denial.detail)}",
        ("let the issuer give out signed JWTs, if its tokens are opaque or encrypted",),
    )


def _issuer(findings: Findings, denial: Denial) -> Iterator[Change]:
    file, issuer, route = findings.grounds.file, findings.issuer, findings.route
    if issuer is not None and route is not None:
        add = f"add {issuer.name} to the issuers of route {route.id} in {file}"
        yield Change(f"use a token of {either(route.rule.issuers)}", (add,))
        return
    trusted = either([issuer.issuer for issuer in findings.grounds.issuers])
    found = findings.payload.get("iss")
    if not isinstance(found, str):
        yield Change(f"use a token whose iss is {trusted}: {shown(denial.detail)}")
        return
    instead = f"trust {shown(found)}: add it under issuers in {file}"
    for near in findings.grounds.issuers:
        if _alike(near.issuer) == _alike(found):
            instead = f"write issuers.{near.name}.issuer as {shown(found)} in {file}: it is compared byte for byte"
    yield Change(f"get the token from {trusted}", (instead,))


def _alike(url: str) -> str:
    return url.casefold().rstrip("/")


def _algorithm(findings: Findings, denial: Denial) -> Iterator[Change]:
    header = findings.compact.header if findings.compact is not None else None
    issuer = findings.issuer
    if header is None or issuer is None:
        yield from _hint(findings, denial)
        return
    algorithm = shown(header.alg)
    takes_all = issuer.algorithms == frozenset(ALGORITHMS)
    accepted = "RS256 or another asymmetric one" if takes_all else either(issuer.algorithms)
    if findings.header_passed:
        key = "its key" if header.kid is None else f"the key {shown(header.kid)}"
        yield Change(f"let the issuer publish {key} for {algorithm}, or sign with what that key is for")
    elif header.alg in ALGORITHMS:
        add = f"add {algorithm} to issuers.{issuer.name}.algorithms in {findings.grounds.file}"
        yield Change(f"let the issuer sign with {accepted}", (add,))
    else:
        yield Change(f"let the issuer sign with {accepted}: {algorithm} is never accepted")


def _key(findings: Findings, denial: Denial) -> Iterator[Change]:
    del denial
    issuer, keys = findings.issuer, findings.keys
    name = "" if issuer is None else issuer.name
    kids = either([key.kid or "a key without kid" for key in keys.keys]) if keys is not None else "none"
    config = findings.grounds.config.issuers.get(name)
    replaced = () if config is None or config.jwks_file is None else (_new_file(name, config.jwks_file),)
    if findings.compact is not None and findings.compact.header.kid is None:
        yield Change(f"let the issuer name the key in the token (kid): {kids} would fit", replaced)
    else:
        yield Change(f"get a new token: {name} publishes {kids}", replaced)


def _new_file(name: str, file: str) -> str:
    return f"put the issuer's present key set into {shown(file)} (issuers.{name}.jwks_file)"


def _signature(findings: Findings, denial: Denial) -> Iterator[Change]:
    del denial
    name = "" if findings.issuer is None else findings.issuer.name
    yield Change(
        "send the token unchanged, or get a new one",
        (f"check that issuers.{name} has the keys of the issuer that signed: another one may use the same kid",),
    )


def _claim(findings: Findings, denial: Denial) -> Iterator[Change]:
    issuer = findings.issuer
    if issuer is not None and not findings.header_passed:
        anything = f"write typ: any under issuers.{issuer.name} in {findings.grounds.file}"
        yield Change(f"let the issuer set typ to {either(issuer.token_types)}", (anything,))
    else:
        yield Change(f"let the issuer correct the token's claims: {shown(denial.detail)}")


def _audience(findings: Findings, denial: Denial) -> Iterator[Change]:
    issuer = findings.issuer
    if issuer is None:
        yield from _hint(findings, denial)
        return
    if denial.check == AUDIENCES and findings.route is not None:
        add = f"change audiences of route {findings.route.id} in {findings.grounds.file}"
        yield Change(f"request the audience {denial.expected} (found {shown(denial.found)})", (add,))
        return
    found = findings.payload.get("aud")
    names = found if isinstance(found, list) else [found]
    where = f"issuers.{issuer.name}.audience in {findings.grounds.file}"
    adding = tuple(f"add {shown(name)} to {where}, if that means this API" for name in names if isinstance(name, str))
    yield Change(f"request the audience {either(issuer.audiences)}", adding[:1])


def _expired(findings: Findings, denial: Denial) -> Iterator[Change]:
    del denial
    expired = findings.payload.get("exp")
    late = findings.now - expired if isinstance(expired, int | float) else LARGEST_LEEWAY
    yield Change("get a new token", tuple(_more_leeway(findings, late)))


def _not_yet(findings: Findings, denial: Denial) -> Iterator[Change]:
    del denial
    starts = [start for name in ("nbf", "iat") if isinstance(start := findings.payload.get(name), int | float)]
    early = max(starts, default=findings.now) - findings.now
    yield Change(f"wait {span(early)}, or set the issuer's clock right", tuple(_more_leeway(findings, early)))


def _more_leeway(findings: Findings, seconds: float) -> Iterator[str]:
    """Where the clocks differ by no more than a leeway may be; an instant more, because `exp` itself is too late."""
    needed = int(seconds) + 1
    if needed <= LARGEST_LEEWAY and findings.issuer is not None:
        where = f"issuers.{findings.issuer.name} in {findings.grounds.file}"
        yield f"write leeway: {needed}s under {where}, if the clocks differ"


_UNBOUND = "ask the issuer for a token that is bound to no key (without cnf: neither DPoP nor mutual TLS)"


def _proof(findings: Findings, denial: Denial) -> Iterator[Change]:
    """What the sender has to do about each check; or an unbound token, where no proof is demanded."""
    demanded = findings.route is not None and findings.route.rule.require_proof is not None
    instead = () if demanded else (_UNBOUND,)
    told = f"{denial.check}: expected {denial.expected}, found {denial.found}"
    if findings.route is not None and findings.route.rule.token_from is not None and denial.check == "scheme":
        yield Change(f"use a route that takes the token in Authorization: {told}", instead)
    elif denial.check == "scheme":
        yield Change(f"send 'Authorization: {denial.expected.partition(',')[0]} TOKEN' ({told})", instead)
    elif denial.check == "certificate":
        yield Change(f"connect with the certificate that the token was issued for ({told})", instead)
    elif denial.check == "require_proof":
        bound = "DPoP" if denial.expected == "dpop" else "mutual TLS"
        yield Change(f"ask the issuer for a token that is bound by {bound}, and send its proof")
    elif denial.check.startswith("proof"):
        yield Change(f"make a new proof for this very request ({told})", instead)
    else:
        yield Change(_UNBOUND)


def _step_up(findings: Findings, denial: Denial) -> Iterator[Change]:
    route = "" if findings.route is None else findings.route.id
    key = "acr" if denial.check == "acr" else "max_age"
    yield Change(
        f"authenticate anew, and get a new token ({denial.check}: expected {denial.expected}, found {denial.found})",
        (f"change {key} of route {route} in {findings.grounds.file}",),
    )


def _origin(findings: Findings, denial: Denial) -> Iterator[Change]:
    if findings.preflight is not None:
        yield from preflight_changes(findings, denial)
        return
    yield Change(
        f"send it from {denial.expected}, so that Origin or Sec-Fetch-Site says so (found {denial.found})",
        (f"set public_url in {findings.grounds.file} to what browsers call the gateway, if a proxy ends TLS",),
    )


def _scope(findings: Findings, denial: Denial) -> Iterator[Change]:
    del denial
    claims = claims_if_valid(findings)
    if findings.route is not None and claims is not None:
        yield from scope_changes(findings.grounds, findings.route, claims)


_REMEDIES: dict[Reason, Remedy] = {
    Reason.TARGET_INVALID: _target,
    Reason.NO_ROUTE: _no_route,
    Reason.METHOD_NOT_ALLOWED: _method,
    Reason.REQUEST_MALFORMED: _malformed,
    Reason.TOKEN_MISSING: _missing,
    Reason.TOKEN_MALFORMED: _token_form,
    Reason.ISSUER_UNTRUSTED: _issuer,
    Reason.ALGORITHM_NOT_ALLOWED: _algorithm,
    Reason.KEY_UNKNOWN: _key,
    Reason.SIGNATURE_INVALID: _signature,
    Reason.CLAIM_INVALID: _claim,
    Reason.AUDIENCE_MISMATCH: _audience,
    Reason.TOKEN_EXPIRED: _expired,
    Reason.TOKEN_NOT_YET_VALID: _not_yet,
    Reason.PROOF_INVALID: _proof,
    Reason.AUTHENTICATION_INSUFFICIENT: _step_up,
    Reason.ORIGIN_UNTRUSTED: _origin,
    Reason.SCOPE_INSUFFICIENT: _scope,
    Reason.CLAIM_CONDITION_FAILED: conditions,
    Reason.ROUTE_DENIED: denied,
    Reason.NETWORK_NOT_ALLOWED: network,
    Reason.OUTSIDE_HOURS: hours,
}
