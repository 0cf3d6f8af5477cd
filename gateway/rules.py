"""The rules in force, and the judgement of one request under them: match, take, verify, decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from aiohttp.http_parser import RawRequestMessage

from gateway.policy.bearer import take_token
from gateway.policy.decision import NO_EVIDENCE, Allow, Evidence, decide
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.headers import Field, Kind, ReceivedHead, kind_of
from gateway.policy.model import BearerToken, Claims, RequestHead, Route, Rule
from gateway.policy.preflight import Preflight, preflight
from gateway.policy.printable import brief
from gateway.policy.resource_metadata import ResourceMetadata
from gateway.policy.routes import RouteTable
from gateway.policy.token_from import as_authorization
from gateway.rates.counts import RateCounts
from gateway.tokens.introspection import UnknownToken
from gateway.tokens.introspector import Introspector
from gateway.tokens.key_source import KeySource
from gateway.tokens.proof import ProofTerms, Sender, prove
from gateway.tokens.verifier import TokenVerifier, VerifiedToken
from gateway.tokens.verify import UnknownKey
from gateway.upstream.pool import Upstream

Rates = Callable[[Route, Claims | None, str], Denial | None]
"""Counts a request of a caller (its claims; its address), or says why it is refused."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All that a configuration says about requests. A request finishes under the rules that it began with.

    Attributes:
        revision: which configuration this is, as the access log names it.
        table: the routes.
        verifier: verifies tokens with the keys at hand.
        keys: where each issuer's keys come from.
        introspectors: ask the issuers that are asked about tokens, by name.
        upstreams: by name.
        realm: named in challenges.
        metadata: what is told of the protected resource; None where nothing is.
        proofs: how the senders of bound tokens prove that they may use them.
        trusted_proxies: whose word about the client is taken.
        counts: how often callers have called; they outlive the rules.
        rates: keeps the limits of routes by them; None where no route has any.
    """

    revision: str
    table: RouteTable
    verifier: TokenVerifier
    keys: Mapping[str, KeySource]
    introspectors: Mapping[str, Introspector]
    upstreams: Mapping[str, Upstream]
    realm: str
    trusted_proxies: TrustedProxies
    proofs: ProofTerms
    metadata: ResourceMetadata | None
    counts: RateCounts
    rates: Rates | None


class Judgement(NamedTuple):
    """What was found out about a request, as far as the journey went.

    Attributes:
        outcome: the decision; UnknownKey where the issuer's keys have to be looked for first, UnknownToken where it has
            to be asked about the token; Preflight where the gateway itself answers.
        route: the route that matched.
        token: the verified token.
        cached: whether its verification was remembered; None where no token was looked at.
        seconds: that verification took.
    """

    outcome: Allow | Denial | UnknownKey | UnknownToken | Preflight
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
_BEARER = b"Bearer "


def judge(  # noqa: PLR0913, PLR0917 - the journey's whole luggage
    head: RequestHead,
    sender: Sender,
    table: RouteTable,
    verifier: TokenVerifier,
    proofs: ProofTerms,
    now: float,
    known: Known = UNKNOWN,
) -> Judgement:
    """Match, take, verify, decide. Never waits, and changes nothing but the memory of tokens and of proofs."""
    if table.takes_preflights and (asked := preflight(head, table)) is not None:
        return Judgement(asked, asked.route)
    route = known.route or table.match(head)
    if isinstance(route, Denial):
        return Judgement(route)
    rule = route.rule
    if not rule.is_plain:
        found = _find_token(head, sender, rule, proofs, now)
        if not isinstance(found, RequestHead):
            return Judgement(found, route)
        head, known = found, UNKNOWN
    started = time.perf_counter()
    verified: VerifiedToken | UnknownKey | UnknownToken | Denial | None
    if known.token is not None and (known.route or _is_of(rule, known.token)) and verifier.holds(known.token, now):
        verified = known.token
    else:
        verified = _recall(head, verifier, now)
    cached, as_bearer = verified is not None, True
    if verified is None:
        token = take_token(head)
        if isinstance(token, Denial):
            return Judgement(_challenged(token, rule, proofs), route)
        as_bearer = token.scheme == "Bearer"
        verified = None if as_bearer and rule.asks is None else verifier.recall(token, now, rule.asks)
        cached = verified is not None
        verified = verified or verifier.verify(token, now, rule.asks)
    if not isinstance(verified, VerifiedToken):
        return Judgement(verified, route, None, cached, time.perf_counter() - started)
    if as_bearer and verified.claims.confirmation is None and not rule.is_demanding:
        outcome = decide(rule, verified.evidence)
    else:
        outcome = _judge_sender(head, sender, rule, verified, proofs, now)
    return Judgement(outcome, route, verified, cached, time.perf_counter() - started)


def _find_token(
    head: RequestHead, sender: Sender, rule: Rule, proofs: ProofTerms, now: float
) -> RequestHead | Allow | Denial:
    """The head as the journey takes it: with the token in Authorization. A public route looks at none."""
    if rule.token_from is None:
        return decide(rule, _circumstances(head, sender, rule, proofs, now) if rule.is_bounded else NO_EVIDENCE)
    found = as_authorization(head, rule.token_from, proofs.origin(sender, head.host))
    return _challenged(found, rule, proofs) if isinstance(found, Denial) else found


def _judge_sender(  # noqa: PLR0913, PLR0917 - as above
    head: RequestHead, sender: Sender, rule: Rule, verified: VerifiedToken, proofs: ProofTerms, now: float
) -> Allow | Denial:
    """Decide where the token is bound to a key, or the rule demands more of the sender than scopes."""
    token = take_token(head)
    if isinstance(token, Denial):
        raise TypeError("a token was verified that the request does not carry")
    given = prove(token, verified.claims, head, sender, proofs, now)
    if isinstance(given, Denial):
        # Nobody can send a DPoP token there (RFC 9449 §7.1), so none is asked for.
        return given if rule.token_from is None else replace(given, scheme="Bearer", parameters=(), nonce=None)
    evidence = _circumstances(head, sender, rule, proofs, now)
    outcome = decide(rule, evidence._replace(claims=verified.claims, proofs=given))
    if isinstance(outcome, Denial) and outcome.scheme == "DPoP":
        return replace(outcome, parameters=(("algs", proofs.algorithms),))
    return outcome


def _circumstances(head: RequestHead, sender: Sender, rule: Rule, proofs: ProofTerms, now: float) -> Evidence:
    """What is known of a request beside its token, as far as the rule looks at it."""
    address = proofs.trusted_proxies.client_address(sender.peer, head.forwarding) if rule.networks else ""
    return Evidence(now=now, path=head.path, address=address)


def _is_of(rule: Rule, token: VerifiedToken) -> bool:
    """Whether what is known of a token counts on this route: of an opaque one, another issuer may tell otherwise."""
    return token.thumbprint is not None or token.claims.issuer_name == rule.asks


def _challenged(denial: Denial, rule: Rule, proofs: ProofTerms) -> Denial:
    """A refusal for want of a token says what the route demands: scopes, and the scheme of its proof."""
    if rule.require_proof == "dpop":
        parameters = (("algs", proofs.algorithms),)
        return replace(denial, scopes_required=rule.scopes_named, scheme="DPoP", parameters=parameters)
    return replace(denial, scopes_required=rule.scopes_named)


def beyond_rates(rules: Rules, judgement: Judgement, sender: Sender, head: RequestHead) -> Denial | None:
    """Count a request by the limits of its route; why it is refused where one of them is used up."""
    route, token = judgement.route, judgement.token
    if route is None or rules.rates is None:
        raise RuntimeError("a route has limits, and nobody keeps them")
    address = rules.trusted_proxies.client_address(sender.peer, head.forwarding)
    return rules.rates(route, None if token is None else token.claims, address)


def without_key(unknown: UnknownKey, source: KeySource) -> Denial:
    """A key that was looked for and is not there: the client's fault only if the issuer was asked, and lacks it."""
    named = "a key without kid" if unknown.kid is None else f"kid {brief(unknown.kid, 80)}"
    if source.current is None or source.error is not None:
        found = f"{named}, and {unknown.issuer} gives no keys"
        return unmet(Reason.KEYS_UNAVAILABLE, "key", f"one that {unknown.issuer} publishes", found)
    return unmet(Reason.KEY_UNKNOWN, "key", f"one that {unknown.issuer} publishes", named)


def _recall(head: RequestHead, verifier: TokenVerifier, now: float) -> VerifiedToken | Denial | None:
    """What was found out about these credentials before: they are known to be well-formed if they are known at all."""
    if len(head.authorization) == 1 and head.authorization[0].startswith(_BEARER):
        return verifier.recall(BearerToken(head.authorization[0][len(_BEARER) :]), now)
    return None


class Familiar(NamedTuple):
    """A request that was let in, kept with its connection: the next one differs in its target and its token at most.

    Attributes:
        rules: under which it was judged.
        version: of HTTP.
        fields: as received.
        received: its head.
        known: what its judgement found out.
        credentials_at: where among the fields its one Authorization is; -1 where it has none or several.
    """

    rules: Rules
    version: tuple[int, int]
    fields: tuple[Field, ...]
    received: ReceivedHead
    known: Known
    credentials_at: int

    def read(self, rules: Rules, message: RawRequestMessage) -> tuple[ReceivedHead | Denial, Known] | None:
        """The head of a request, and what is known of it already; None where it is not like this one."""
        if rules is not self.rules or message.version != self.version:
            return None
        head, fields = self.received.head, message.raw_headers
        authorization, token = head.authorization, self.known.token
        if fields != self.fields:
            if not self._differs_in_token(fields):
                return None
            authorization, token = (fields[self.credentials_at][1],), None
        if message.path != head.target or message.method != head.method:
            return self.received.of(message.method, message.path, authorization), Known(None, token)
        if token is not None:
            return self.received, self.known
        return self.received.bearing(authorization), Known(self.known.route, None)

    def _differs_in_token(self, fields: tuple[Field, ...]) -> bool:
        """Whether all fields are the same but for the value of Authorization."""
        at, known = self.credentials_at, self.fields
        return (
            at >= 0
            and len(fields) == len(known)
            and fields[at][0] == known[at][0]
            and fields[:at] == known[:at]
            and fields[at + 1 :] == known[at + 1 :]
        )


def familiar(rules: Rules, message: RawRequestMessage, received: ReceivedHead, judgement: Judgement) -> Familiar | None:
    """What to remember of a request that was let in; nothing where its token was not in Authorization."""
    if judgement.route is None or judgement.route.rule.token_from is not None:
        return None
    fields = message.raw_headers
    at = [position for position, (name, _) in enumerate(fields) if kind_of(name) is Kind.AUTHORIZATION]
    known = Known(judgement.route, judgement.token)
    return Familiar(rules, message.version, fields, received, known, at[0] if len(at) == 1 else -1)


NOT_JUDGED = Judgement(Denial(Reason.REQUEST_MALFORMED, "the request's form was refused before it was judged"))
"""What stands in the place of a judgement until there is one."""
