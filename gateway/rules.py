"""The rules in force, and the judgement of one request under them: match, take, verify, decide."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.policy.bearer import take_token
from gateway.policy.decision import NO_EVIDENCE, Allow, Evidence, decide
from gateway.policy.denial import Denial, Reason
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.model import RequestHead, Route
from gateway.policy.routes import RouteTable
from gateway.tokens.key_source import KeySource
from gateway.tokens.verifier import TokenVerifier, VerifiedToken
from gateway.tokens.verify import UnknownKey
from gateway.upstream.pool import Upstream


@dataclass(frozen=True, slots=True)
class Rules:
    """All that a configuration says about requests. A request finishes under the rules that it began with.

    Attributes:
        revision: which configuration this is, as the access log names it.
        table: the routes.
        verifier: verifies tokens with the keys at hand.
        keys: where each issuer's keys come from.
        upstreams: by name.
        realm: named in challenges.
        trusted_proxies: whose word about the client is taken.
    """

    revision: str
    table: RouteTable
    verifier: TokenVerifier
    keys: Mapping[str, KeySource]
    upstreams: Mapping[str, Upstream]
    realm: str
    trusted_proxies: TrustedProxies


class Judgement(NamedTuple):
    """What was found out about a request, as far as the journey went.

    Attributes:
        outcome: the decision, or UnknownKey where the issuer's keys have to be looked for first.
        route: the route that matched.
        token: the verified token.
        cached: whether its verification was remembered; None where no token was looked at.
        seconds: that verification took.
    """

    outcome: Allow | Denial | UnknownKey
    route: Route | None = None
    token: VerifiedToken | None = None
    cached: bool | None = None
    seconds: float | None = None


def judge(head: RequestHead, table: RouteTable, verifier: TokenVerifier, now: float) -> Judgement:
    """Match, take, verify, decide. Never waits, and changes nothing but the verifier's memory."""
    route = table.match(head)
    if isinstance(route, Denial):
        return Judgement(route)
    if route.rule.public:
        return Judgement(decide(route.rule, NO_EVIDENCE), route)
    token = take_token(head)
    if isinstance(token, Denial):
        return Judgement(replace(token, scopes_required=route.rule.scopes_named), route)
    started = time.perf_counter()
    recalled = verifier.recall(token, now)
    cached = recalled is not None
    verified = recalled if recalled is not None else verifier.verify(token, now)
    seconds = time.perf_counter() - started
    if not isinstance(verified, VerifiedToken):
        return Judgement(verified, route, None, cached, seconds)
    return Judgement(decide(route.rule, Evidence(verified.claims)), route, verified, cached, seconds)


NOT_JUDGED = Judgement(Denial(Reason.REQUEST_MALFORMED, "the request's form was refused before it was judged"))
"""What stands in the place of a judgement until there is one."""
