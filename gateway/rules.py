"""The rules in force, and the judgement of one request under them: match, take, verify, decide."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from aiohttp.http_parser import RawRequestMessage

from gateway.policy.bearer import take_token
from gateway.policy.decision import NO_EVIDENCE, Allow, decide
from gateway.policy.denial import Denial, Reason
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.headers import Field, ReceivedHead
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


class Known(NamedTuple):
    """What was found out about a request before, and need not be found out again.

    Attributes:
        route: which the table gives for the very same method and target; None where that is to be asked.
        token: which the verifier found in the very same Authorization field.
    """

    route: Route | None
    token: VerifiedToken | None


UNKNOWN = Known(None, None)


def judge(
    head: RequestHead, table: RouteTable, verifier: TokenVerifier, now: float, known: Known = UNKNOWN
) -> Judgement:
    """Match, take, verify, decide. Never waits, and changes nothing but the verifier's memory."""
    route = known.route or table.match(head)
    if isinstance(route, Denial):
        return Judgement(route)
    rule = route.rule
    if rule.public:
        return Judgement(decide(rule, NO_EVIDENCE), route)
    started = time.perf_counter()
    verified: VerifiedToken | UnknownKey | Denial
    if known.token is not None and verifier.holds(known.token, now):
        cached, verified = True, known.token
    else:
        token = take_token(head)
        if isinstance(token, Denial):
            return Judgement(replace(token, scopes_required=rule.scopes_named), route)
        recalled = verifier.recall(token, now)
        cached = recalled is not None
        verified = recalled if recalled is not None else verifier.verify(token, now)
    seconds = time.perf_counter() - started
    if isinstance(verified, VerifiedToken):
        return Judgement(decide(rule, verified.evidence), route, verified, cached, seconds)
    return Judgement(verified, route, None, cached, seconds)


class Familiar(NamedTuple):
    """A request that was let in, kept with its connection: the next one differs in little but its target.

    Attributes:
        rules: under which it was judged.
        version: of HTTP.
        fields: as received.
        received: its head.
        known: what its judgement found out.
    """

    rules: Rules
    version: tuple[int, int]
    fields: Sequence[Field]
    received: ReceivedHead
    known: Known

    def resembles(self, rules: Rules, message: RawRequestMessage) -> bool:
        """Whether a request under these rules has the very same version and fields."""
        return rules is self.rules and message.raw_headers == self.fields and message.version == self.version

    def read(self, message: RawRequestMessage) -> tuple[ReceivedHead | Denial, Known]:
        """The head of a request that resembles this one, and what is known of it already."""
        head = self.received.head
        if message.path == head.target and message.method == head.method:
            return self.received, self.known
        return self.received.of(message.method, message.path), Known(None, self.known.token)


NOT_JUDGED = Judgement(Denial(Reason.REQUEST_MALFORMED, "the request's form was refused before it was judged"))
"""What stands in the place of a judgement until there is one."""
