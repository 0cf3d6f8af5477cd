"""The verdict on one request: match, take, check and decide, by the functions that the gateway uses.

Only the token's signature is taken for granted: what is asked here is what a genuine token may do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from gateway.policy.bearer import take_token
from gateway.policy.claims import check_claims
from gateway.policy.decision import ALLOW, Allow, Evidence, decide
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.model import ENFORCE, Claims, Proof, RequestHead, Route, TokenFrom, TrustedIssuer
from gateway.policy.modes import lets_pass
from gateway.policy.paths import canonical_target
from gateway.policy.preflight import preflight
from gateway.policy.routes import RouteTable
from gateway.policy.token_from import as_authorization
from gateway.tokens.verify import by_iss, issuer_of

NOW = 1_700_000_000
"""When proofs take place, in seconds since the epoch: what is judged is relative to it."""

HOST = "api.example"

_TOKEN = b"TOKEN"

_NO_SCHEME = unmet(Reason.PROOF_INVALID, "scheme", "DPoP, since the token is bound to a DPoP key", "Bearer")
"""A token in another place than Authorization comes under no scheme, and so with no proof (RFC 9449 §7.1)."""


class Policy(NamedTuple):
    """What decides about requests.

    Attributes:
        table: the routes.
        issuers: whose tokens are taken, in the file's order.
    """

    table: RouteTable
    issuers: tuple[TrustedIssuer, ...]


class Caller(NamedTuple):
    """Who sends a request.

    Attributes:
        payload: the claims of its token; None where it has none.
        proofs: how it proves that the token is its own.
        place: where it puts the token; None for Authorization.
        address: from which it sends; "" where no rule looks at it.
        at: when it sends, in seconds since the epoch.
    """

    payload: Mapping[str, object] | None = None
    proofs: frozenset[Proof] = frozenset()
    place: TokenFrom | None = None
    address: str = ""
    at: float = NOW


class Request(NamedTuple):
    """A request as a client would send it.

    Attributes:
        method: of it.
        target: its path, in the form in which it is sent.
        caller: who sends it.
        host: its Host field.
        fields: names and values of further fields.
    """

    method: str
    target: str
    caller: Caller = Caller()
    host: str = HOST
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def origin(self) -> str:
        """Of the page that sends it, where a browser does."""
        return f"https://{self.host}"


class Verdict(NamedTuple):
    """What becomes of a request.

    Attributes:
        outcome: the decision, once the route's mode has had its say.
        route: that matched.
        would_deny: the refusal that the mode lets pass; None where there is none.
        is_preflight: whether the gateway itself answers: it goes to no upstream.
    """

    outcome: Allow | Denial
    route: Route | None = None
    would_deny: Denial | None = None
    is_preflight: bool = False

    @property
    def allowed(self) -> bool:
        """Whether it enters."""
        return isinstance(self.outcome, Allow)

    def __str__(self) -> str:
        if isinstance(self.outcome, Denial):
            return self.outcome.reason.value
        return "allow" if self.would_deny is None else f"allow, would_deny={self.would_deny.reason}"


def verdict(policy: Policy, request: Request) -> Verdict:
    """What the gateway would answer to a request, if its token were signed by the issuer that it names."""
    head = head_of(request)
    if isinstance(head, Denial):
        return Verdict(head)
    asked = preflight(head, policy.table) if policy.table.takes_preflights else None
    if asked is not None:
        outcome = asked.outcome if isinstance(asked.outcome, Denial) else ALLOW
        return Verdict(outcome, asked.route, is_preflight=True)
    route = policy.table.match(head)
    if isinstance(route, Denial):
        return Verdict(route)
    return in_mode(route, *_outcome(policy, route, head, request), request.caller.at)


def in_mode(route: Route, outcome: Allow | Denial, claims: Claims | None, at: float) -> Verdict:
    """What the route's mode makes of a decision on a token with these claims, in seconds since the epoch."""
    if isinstance(outcome, Denial) and lets_pass(route.rule.mode, outcome, claims, at):
        return Verdict(ALLOW, route, outcome)
    return Verdict(outcome, route)


def enforced(policy: Policy) -> Policy:
    """The same, in which every refusal is made, whatever the modes of the routes."""
    routes = policy.table.routes
    if all(route.rule.mode is ENFORCE for route in routes):
        return policy
    plain = [replace(route, rule=replace(route.rule, mode=ENFORCE)) for route in routes]
    return Policy(RouteTable(plain), policy.issuers)


def head_of(request: Request) -> RequestHead | Denial:
    """The head that the gateway would read; a Denial where the target is of a form that no route takes."""
    canonical = canonical_target(request.target)
    if isinstance(canonical, Denial):
        return canonical
    authorization, placed = _placed(request.caller, request.origin)
    return RequestHead(
        method=request.method,
        target=request.target,
        path=canonical.path,
        query=canonical.query,
        oddities=canonical.oddities,
        host=request.host,
        authorization=authorization,
        fields=(*((name.encode(), value.encode()) for name, value in request.fields), *placed),
    )


def path_of(request: Request) -> str:
    """Its path in canonical form; "/" where it has none."""
    head = head_of(request)
    return "/" if isinstance(head, Denial) else head.path


def _placed(caller: Caller, origin: str) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, bytes], ...]]:
    """Where the token is: in Authorization, in another field, or in a cookie that a page of this origin sends."""
    if caller.payload is None:
        return (), ()
    if caller.place is None:
        return (b"Bearer " + _TOKEN,), ()
    if caller.place.kind == "header":
        return (), ((caller.place.name.encode(), _TOKEN),)
    cookie = caller.place.name.encode() + b"=" + _TOKEN
    return (), ((b"Cookie", cookie), (b"Origin", origin.encode()))


def _outcome(policy: Policy, route: Route, head: RequestHead, request: Request) -> tuple[Allow | Denial, Claims | None]:
    """The decision, and the claims of the token that is good."""
    rule = route.rule
    caller = request.caller
    evidence = Evidence(now=caller.at, path=head.path, address=caller.address)
    without = decide(rule, evidence)
    if not isinstance(without, Denial) or without.reason is not Reason.TOKEN_MISSING:
        return without, None
    found = head if rule.token_from is None else as_authorization(head, rule.token_from, request.origin)
    token = found if isinstance(found, Denial) else take_token(found)
    if isinstance(token, Denial):
        return token, None
    payload = caller.payload or {}
    issuer = issuer_of(payload, by_iss(policy.issuers))
    if issuer is None:
        return unmet(Reason.ISSUER_UNTRUSTED, "issuer", "one that is trusted", str(payload.get("iss"))), None
    claims = check_claims(payload, issuer, caller.at)
    if isinstance(claims, Denial):
        return claims, None
    if rule.token_from is not None and "dpop" in caller.proofs:
        return _NO_SCHEME, None
    return decide(rule, evidence._replace(claims=claims, proofs=caller.proofs)), claims
