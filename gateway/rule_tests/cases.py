"""A case of a file becomes a request, the claims of its token, and what has to come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from gateway.client.client_keys import ClientKey, base64url
from gateway.client.dpop_proof import DpopKey
from gateway.config import ConfigError, Document, nearest
from gateway.config.errors import Path, in_file_order
from gateway.config.rule_tests import ALLOW, DENY, WOULD_DENY, CallerConfig, CaseConfig
from gateway.explain.grounds import Grounds
from gateway.explain.reading import Request
from gateway.explain.words import shown
from gateway.policy.model import TrustedIssuer

AT = datetime(2026, 1, 7, 12, tzinfo=UTC).timestamp()
"""When a case is judged that does not say it: the same in every run, so that no start depends on the hour."""

CERTIFICATE = bytes(range(32))
"""SHA-256 of the certificate that a sender shows: which one it is does not matter."""

LIFETIME = 3600
"""Seconds that an assumed token is valid."""


@dataclass(frozen=True, slots=True)
class RuleCase:
    """One case, ready to be judged.

    Attributes:
        name: what it shows.
        place: where it stands; the message is empty.
        request: that is sent, without its token.
        sender: who sends it, in words.
        claims: of its token; None where it bears none.
        key: with which the sender proves that the token is its own (RFC 9449); None where it sends no such proof.
        at: when, in seconds since the epoch.
        expect: allow, deny, a reason, or would_deny= and a reason.
        route: that has to decide; None for any.
    """

    name: str
    place: ConfigError
    request: Request
    sender: str
    claims: Mapping[str, object] | None = field(repr=False)
    key: DpopKey | None
    at: float
    expect: str
    route: str | None


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of one document, as they were read.

    Attributes:
        document: that they stand in, under `tests`.
        entries: each of them.
        callers: that they may name; None where the document can have none.
        at: when cases are judged that do not say it.
    """

    document: Document
    entries: tuple[CaseConfig, ...]
    callers: Mapping[str, CallerConfig] | None = None
    at: float | None = None


def resolve(cases: Cases, grounds: Grounds) -> tuple[list[RuleCase], list[ConfigError]]:
    """The cases against one configuration; or no case, and everything that they name and that is not there."""
    faults = [
        cases.document.error(("tests", index, *below) if _holds(cases, index, below) else ("tests", index), message)
        for index, entry in enumerate(cases.entries)
        for below, message in _faults(entry, cases.callers, grounds)
    ]
    faults += [
        cases.document.error(("callers", name, "issuer"), message)
        for name, caller in (cases.callers or {}).items()
        for message in _unknown_issuer(caller, grounds)
    ]
    if faults:
        return [], in_file_order(faults)
    return [_resolved(cases, index, entry, grounds) for index, entry in enumerate(cases.entries)], []


def _holds(cases: Cases, index: int, below: Path) -> bool:
    return ("tests", index, *below) in cases.document.values


def _faults(
    entry: CaseConfig, callers: Mapping[str, CallerConfig] | None, grounds: Grounds
) -> Iterator[tuple[Path, str]]:
    known = callers or {}
    if entry.caller is not None and callers is None:
        yield ("as",), "callers have a name in a file of cases only: say scopes, client, issuer or claims here"
    elif entry.caller is not None and entry.caller not in known:
        yield ("as",), f"{entry.caller!r} is no caller: {nearest(entry.caller, known, 'callers')}"
    for message in _unknown_issuer(entry, grounds):
        yield ("issuer",), message
    routes = [route.id for route in grounds.table.routes]
    if entry.route is not None and entry.route not in routes:
        yield ("route",), f"{entry.route!r} is no route: {nearest(entry.route, routes, 'routes')}"
    if entry.token is None and _issuer_name(entry, known, grounds) is None:
        names = [issuer.name for issuer in grounds.issuers]
        remedy = f"write issuer: {' or '.join(names)}" if names else "no issuer is trusted: write token: none"
        yield (), f"does not say whose token it is: {remedy}"
    for name in entry.headers:
        if name.lower() in _fields_of_tokens(grounds):
            yield ("headers", name), "routes take tokens from it: say scopes, client, issuer and claims instead"


def _unknown_issuer(entry: CallerConfig, grounds: Grounds) -> Iterator[str]:
    names = [issuer.name for issuer in grounds.issuers]
    if entry.issuer is not None and entry.issuer not in names:
        yield f"{entry.issuer!r} is no issuer: {nearest(entry.issuer, names, 'issuers')}"


def _fields_of_tokens(grounds: Grounds) -> set[str]:
    places = [route.rule.token_from for route in grounds.table.routes]
    return {place.name.lower() if place.kind == "header" else "cookie" for place in places if place is not None}


def _issuer_name(entry: CaseConfig, callers: Mapping[str, CallerConfig], grounds: Grounds) -> str | None:
    """Whose token the case is about: the issuer that it names, or its caller; or the only one."""
    caller = callers.get(entry.caller or "")
    named = entry.issuer or (None if caller is None else caller.issuer)
    return grounds.issuers[0].name if named is None and len(grounds.issuers) == 1 else named


def _resolved(cases: Cases, index: int, entry: CaseConfig, grounds: Grounds) -> RuleCase:
    callers = cases.callers or {}
    at = next(moment for moment in (entry.at, cases.at, AT) if moment is not None)
    method, target = entry.request.split()
    host = entry.host or str(grounds.config.listen)
    fields = tuple((name, text) for name, text in entry.headers.items())
    has_host = entry.host is None and any(name.lower() == "host" for name in entry.headers)
    sender, claims = "no token", None
    key = DpopKey(ClientKey(generate_private_key(SECP256R1()), "ES256")) if entry.proof == "dpop" else None
    certificate = CERTIFICATE if entry.proof == "mtls" else None
    if entry.token is None:
        bearer = _combined(entry, callers.get(entry.caller or ""))
        name = _issuer_name(entry, callers, grounds)
        claims = next(_claims(bearer, issuer, grounds, at) for issuer in grounds.issuers if issuer.name == name)
        claims = {**_confirmation(key, certificate), **claims}
        sender = _in_words(bearer)
    return RuleCase(
        name=entry.name or f"{entry.request} with {sender} -> {entry.expect}",
        place=cases.document.error(("tests", index), ""),
        request=Request(
            method,
            target,
            fields if has_host else (("Host", host), *fields),
            peer=entry.peer or "",
            client_certificate=certificate,
        ),
        sender=sender,
        claims=claims,
        key=key,
        at=at,
        expect=entry.expect,
        route=entry.route,
    )


def _combined(entry: CallerConfig, caller: CallerConfig | None) -> CallerConfig:
    """What the case says of the token, and where it says nothing, what its caller says."""
    if caller is None:
        return entry
    return CallerConfig(
        issuer=entry.issuer or caller.issuer,
        client=entry.client or caller.client,
        scopes=caller.scopes if entry.scopes is None else entry.scopes,
        claims={**caller.claims, **entry.claims},
    )


def _claims(bearer: CallerConfig, issuer: TrustedIssuer, grounds: Grounds, at: float) -> dict[str, object]:
    """What that issuer would have signed: good in every respect that the case does not speak of."""
    lifetime = min(LIFETIME, issuer.max_lifetime or LIFETIME)
    first, *others = grounds.config.issuers[issuer.name].audience
    audience = [first, *others] if others else first
    claims: dict[str, object] = {"iss": issuer.issuer, "aud": audience, "iat": int(at), "exp": int(at + lifetime)}
    claims |= {path: values[0] for path, values in issuer.conditions}
    if bearer.client is not None:
        claims |= {"sub": bearer.client, **dict.fromkeys(issuer.client_claims[:1], bearer.client)}
    if bearer.scopes:
        granted = " ".join(issuer.scope_prefix + scope for scope in bearer.scopes)
        claims |= dict.fromkeys(issuer.scope_claims[:1], granted)
    return claims | bearer.claims


def _confirmation(key: DpopKey | None, certificate: bytes | None) -> dict[str, object]:
    """To which key the token is bound (RFC 9449 §6.1, RFC 8705 §3.1)."""
    if key is not None:
        return {"cnf": {"jkt": key.thumbprint}}
    return {} if certificate is None else {"cnf": {"x5t#S256": base64url(certificate)}}


def _in_words(bearer: CallerConfig) -> str:
    """`jobs.read jobs.run, client batch`."""
    parts = [" ".join(bearer.scopes) if bearer.scopes else "a token without scopes"]
    parts += [f"client {bearer.client}"] if bearer.client is not None else []
    parts += [f"issuer {bearer.issuer}"] if bearer.issuer is not None else []
    parts += [f"{name} {shown(value)}" for name, value in bearer.claims.items()]
    return ", ".join(parts)


def is_met(case: RuleCase, reason: str | None, route: str | None, *, let_pass: bool = False) -> bool:
    """Whether what was found is what the case expects.

    Args:
        case: that expects something.
        reason: for which the route refuses the request; None where it lets it in.
        route: that decided.
        let_pass: whether the route's mode lets the request pass all the same; that is neither allow nor deny.
    """
    if case.route is not None and case.route != route:
        return False
    if reason is None:
        return case.expect == ALLOW
    return case.expect == WOULD_DENY + reason if let_pass else case.expect in {DENY, reason}
