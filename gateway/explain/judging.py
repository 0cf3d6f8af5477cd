"""The gateway's judgement of one request, with all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import aiohttp

from gateway import build
from gateway.client.dpop_proof import DpopKey
from gateway.explain.grounds import Grounds, asked
from gateway.explain.reading import Request, read_request
from gateway.explain.stand_in import stand_in
from gateway.policy.bearer import take_token
from gateway.policy.decision import ALLOW, Allow
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import BearerToken, Claims, RequestHead, Route, TrustedIssuer
from gateway.policy.modes import lets_pass
from gateway.policy.preflight import Preflight
from gateway.policy.token_from import as_authorization
from gateway.rules import Judgement, judge, without_key
from gateway.sources import Sources
from gateway.tokens.compact import CompactToken, read_compact
from gateway.tokens.introspection import Unclear, UnknownToken, judge_answer
from gateway.tokens.introspector import Introspector
from gateway.tokens.key_source import KeySource
from gateway.tokens.keys import KeySet
from gateway.tokens.proof import ProofTerms
from gateway.tokens.verifier import Keys, TokenVerifier, VerifiedToken
from gateway.tokens.verify import UnknownKey, by_iss, issuer_of, verify


@dataclass(frozen=True, slots=True)
class NoKeys:
    """The issuer's keys can't be had, so that nothing can be said; `detail` is why."""

    issuer: str
    detail: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The issuer tells nothing of an opaque token, so that nothing can be said; `detail` is why."""

    issuer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What the journey's functions said.

    Attributes:
        grounds: what the judgement rests on.
        request: as it was sent.
        now: seconds since the epoch.
        outcome: the decision.
        head: what was judged; None where the request could not be read.
        route: that matched.
        token: as it was taken; None where there is none, or where nobody looked.
        verified: what verification said of it.
        compact: the token taken apart, verified or not.
        header_passed: whether form, issuer and header were accepted.
        keys: the keys of the token's issuer.
        from_claims: whether claims without a signature were judged.
        assumed: of those claims.
        asked: the issuer that an opaque token belongs to; None for any other token.
        answer: what it tells of the token.
        answer_from: where that comes from, in words.
        preflight: the request, if it is one that the gateway answers itself.
        not_looked: why nobody knows whether the token is revoked; None where its issuer's feed was asked.
    """

    grounds: Grounds
    request: Request
    now: float
    outcome: Allow | Denial
    head: RequestHead | None = None
    route: Route | None = None
    token: BearerToken | None = field(default=None, repr=False)
    verified: VerifiedToken | None = None
    compact: CompactToken | None = field(default=None, repr=False)
    header_passed: bool = False
    keys: KeySet | None = None
    from_claims: bool = False
    assumed: tuple[str, ...] = ()
    not_looked: str | None = "nobody was asked"
    asked: TrustedIssuer | None = None
    answer: Mapping[str, object] | None = field(default=None, repr=False)
    answer_from: str = ""
    preflight: Preflight | None = None

    @property
    def payload(self) -> Mapping[str, object]:
        """The token's claims, verified or not; empty where none can be read. Of an opaque one, its issuer's answer."""
        if self.answer is not None and self.asked is not None:
            return {"iss": self.asked.issuer, **self.answer}
        return {} if self.compact is None else self.compact.payload

    @property
    def let_pass(self) -> Denial | None:
        """The refusal that the route's mode lets pass; None where there is none, or where it is enforced."""
        outcome, claims = self.outcome, None if self.verified is None else self.verified.claims
        if not isinstance(outcome, Denial) or self.route is None or self.preflight is not None:
            return None
        return outcome if lets_pass(self.route.rule.mode, outcome, claims, self.now) else None

    @property
    def sender(self) -> Claims | None:
        """The claims of a token that is good, and that is the sender's own as far as it has to be."""
        passed = self.let_pass
        return None if self.verified is None or (passed and not passed.knows_sender) else self.verified.claims

    @property
    def issuer(self) -> TrustedIssuer | None:
        """The trusted issuer that the token names."""
        return self.asked or issuer_of(self.payload, self.grounds.by_iss)


class _Sender:
    """There is a request, and no connection that it came by: what is known of it stands in the request."""

    def __init__(self, grounds: Grounds, request: Request) -> None:
        self.peer = request.peer
        self.scheme = "http" if grounds.config.tls is None else "https"
        self.client_certificate = request.client_certificate


def taken(findings: Findings) -> BearerToken | Denial | None:
    """The token, as the journey takes it; None where nobody looks for one."""
    head, route = findings.head, findings.route
    if head is None or route is None or not route.rule.takes_token or findings.preflight is not None:
        return None
    place = route.rule.token_from
    if place is not None:
        sender = _Sender(findings.grounds, findings.request)
        found = as_authorization(head, place, findings.grounds.proofs(findings.now).origin(sender, head.host))
        return found if isinstance(found, Denial) else take_token(found)
    return take_token(head)


def _bearing(head: RequestHead, route: Route | Denial, token: bytes) -> RequestHead:
    """The head with its token where the route takes it."""
    place = route.rule.token_from if isinstance(route, Route) else None
    if place is None:
        return head
    name, value = place.name.encode(), token
    if place.kind == "cookie":
        name, value = b"Cookie", name + b"=" + token
    return head._replace(fields=(*head.fields, (name, value)), authorization=head.authorization[:-1])


async def judge_request(
    grounds: Grounds, request: Request, now: float, answer: Mapping[str, object] | None = None
) -> Findings | NoKeys | NoAnswer:
    """Judge a request with its token, or with none.

    Args:
        grounds: what the judgement rests on.
        request: as it was sent.
        now: seconds since the epoch.
        answer: what the issuer tells of an opaque token; None asks it.

    Raises:
        GroundsError: a file of keys can't be used.
    """
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        sources = asked(grounds, http, lambda: now)
        head = await _read(grounds, request)
        if isinstance(head, Denial):
            return Findings(grounds, request, now, head)
        keys, asking, revoked = sources.keys, sources.introspectors, sources.revoked
        verifier = TokenVerifier(grounds.issuers, keys, capacity=1, log_key=b"", revoked=revoked, asked=asking)
        judgement = judge(head, _Sender(grounds, request), grounds.table, verifier, grounds.proofs(now), now)
        if isinstance(judgement.outcome, UnknownKey):
            await keys[judgement.outcome.issuer].look_for(judgement.outcome.kid)
            judgement = judge(head, _Sender(grounds, request), grounds.table, verifier, grounds.proofs(now), now)
        unknown = judgement.outcome
        told = await _told(asking, unknown, answer) if isinstance(unknown, UnknownToken) else None
        if isinstance(told, NoAnswer):
            return told
        if told is not None and isinstance(unknown, UnknownToken):
            refusal = _admit(unknown, told.answer, told.issuer, verifier, now)
            judgement = (
                judgement._replace(outcome=refusal)
                if refusal is not None
                else judge(head, _Sender(grounds, request), grounds.table, verifier, grounds.proofs(now), now)
            )
        not_looked = await _ask(judgement, sources)
        if revoked:
            judgement = judge(head, _Sender(grounds, request), grounds.table, verifier, grounds.proofs(now), now)
    outcome = _settled(judgement.outcome, keys)
    if isinstance(outcome, NoKeys):
        return outcome
    findings = Findings(grounds, request, now, outcome, head, not_looked=not_looked)
    if told is not None:
        findings = replace(findings, asked=told.issuer, answer=told.answer, answer_from=told.origin)
    return _findings(findings, judgement, grounds.issuers, keys)


@dataclass(frozen=True, slots=True)
class _Told:
    issuer: TrustedIssuer
    answer: Mapping[str, object]
    origin: str


async def _told(
    asking: Mapping[str, Introspector], unknown: UnknownToken, answer: Mapping[str, object] | None
) -> _Told | NoAnswer:
    """What the issuer tells of a token: what is given, or what it answers when it is asked."""
    introspector = asking[unknown.issuer]
    if answer is not None:
        return _Told(introspector.issuer, answer, "the answer in the file")
    document = await introspector.inquire(unknown.token.value.decode("ascii"))
    if isinstance(document, Unclear):
        return NoAnswer(unknown.issuer, document.detail)
    return _Told(introspector.issuer, document, "its introspection endpoint")


def _admit(
    unknown: UnknownToken, answer: Mapping[str, object], issuer: TrustedIssuer, verifier: TokenVerifier, now: float
) -> Denial | None:
    """Why the token is refused by its issuer's answer; None where it is good, and the verifier remembers it."""
    outcome = judge_answer(answer, issuer, now)
    admitted = outcome if isinstance(outcome, Denial) else verifier.admit(unknown, outcome)
    return admitted if isinstance(admitted, Denial) else None


async def _ask(judgement: Judgement, sources: Sources) -> str | None:
    """Ask the token's issuer what it revoked; in words why that could not be, None where it answered."""
    token, outcome = judgement.token, judgement.outcome
    if token is None and not isinstance(outcome, UnknownKey):
        return "the token is refused anyway"
    name = outcome.issuer if isinstance(outcome, UnknownKey) else token.claims.issuer_name if token is not None else ""
    feed = sources.feeds.get(name)
    if feed is None:
        return f"revocations is off for {name}"
    keys = sources.keys[name]
    if feed.uri is None and keys.status.attempted_at is None:
        # The metadata that tells is read with the keys, which an opaque token does not need.
        await keys.refresh()
        if keys.error is not None:
            return keys.error
    await feed.poll()
    status = feed.status
    if status is None:
        return f"{name} has no feed of revocations"
    return status.error


async def judge_claims(grounds: Grounds, request: Request, payload: Mapping[str, object], now: float) -> Findings:
    """Judge a request as if it bore a token with these claims, signed by its issuer.

    Raises:
        GroundsError: a file of keys can't be used.
    """
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        asked(grounds, http, lambda: now)
    return await judge_as_if(grounds, request, payload, now)


async def judge_as_if(
    grounds: Grounds, request: Request, payload: Mapping[str, object] | None, now: float, key: DpopKey | None = None
) -> Findings:
    """The same without a look at the files of keys.

    Args:
        grounds: what the judgement rests on.
        request: without a token.
        payload: its token's claims; None for a request without one.
        now: seconds since the epoch.
        key: with which the sender proves that the token is its own; None for one that sends no proof.
    """
    head = await _read(grounds, request)
    if isinstance(head, Denial):
        return Findings(grounds, request, now, head, from_claims=True)
    route = grounds.table.match(head)
    signed = stand_in(payload or {}, route if isinstance(route, Route) else None, grounds, now)
    if payload is not None:
        head = _bearing(head._replace(authorization=(b"Bearer " + signed.token,)), route, signed.token)
    if payload is not None and key is not None:
        head = _proving(head, signed.token, key, _Sender(grounds, request), grounds.proofs(now), now)
    verifier = TokenVerifier(signed.issuers, signed.keys, capacity=1, log_key=b"")
    judgement = judge(head, _Sender(grounds, request), grounds.table, verifier, grounds.proofs(now), now)
    outcome = judgement.outcome
    if isinstance(outcome, UnknownKey | UnknownToken):
        raise TypeError("the stand-in for a token is a JWT, and names a key that its own issuer has")
    looked = judgement.route is not None and not judgement.route.rule.public and not isinstance(outcome, Preflight)
    not_looked = "there are claims only, and no token"
    decided = _answered(outcome) if isinstance(outcome, Preflight) else outcome
    findings = Findings(grounds, request, now, decided, head, from_claims=True, not_looked=not_looked)
    findings = replace(findings, assumed=signed.assumed if payload is not None and looked else ())
    return _findings(findings, judgement, signed.issuers, signed.keys)


def _proving(  # noqa: PLR0913, PLR0917 - what a proof is of
    head: RequestHead, token: bytes, key: DpopKey, sender: _Sender, terms: ProofTerms, now: float
) -> RequestHead:
    """The head with its token under the scheme DPoP, and a proof that fits it (RFC 9449 §7.1)."""
    url = terms.origin(sender, head.host) + head.target.partition("?")[0]
    nonce = None if terms.rules.nonce_is_good is None else "given"
    proof = key.proof(head.method, url, now, nonce=nonce, access_token=token.decode())
    return head._replace(authorization=(b"DPoP " + token,), dpop=(proof.encode(),))


async def _read(grounds: Grounds, request: Request) -> RequestHead | Denial:
    received = await read_request(request.wire, build.client_limits(grounds.config.limits))
    if isinstance(received, Denial) or request.token is None:
        return received if isinstance(received, Denial) else received.head
    return _bearing(received.head, grounds.table.match(received.head), request.token)


def _settled(
    outcome: Allow | Denial | UnknownKey | UnknownToken | Preflight, sources: Mapping[str, KeySource]
) -> Allow | Denial | NoKeys:
    """The outcome, once its issuer's keys have been looked for."""
    if isinstance(outcome, UnknownToken):
        raise TypeError("the issuer's answer was judged, and remembered where the token is good")
    if isinstance(outcome, Preflight):
        return _answered(outcome)
    if not isinstance(outcome, UnknownKey):
        return outcome
    source = sources[outcome.issuer]
    denial = without_key(outcome, source)
    if denial.reason is Reason.KEYS_UNAVAILABLE:
        return NoKeys(outcome.issuer, source.error or "they were never fetched")
    return denial


def _answered(preflight: Preflight) -> Allow | Denial:
    return preflight.outcome if isinstance(preflight.outcome, Denial) else ALLOW


def _findings(
    findings: Findings, judgement: Judgement, issuers: tuple[TrustedIssuer, ...], keys: Mapping[str, Keys]
) -> Findings:
    """Add what the token is, as far as the journey looked at it."""
    outcome = judgement.outcome
    preflight = outcome if isinstance(outcome, Preflight) else None
    findings = replace(findings, route=judgement.route, preflight=preflight)
    token = taken(findings)
    if token is None or isinstance(token, Denial):
        return findings
    compact = read_compact(token.value)
    before_keys = verify(token, by_iss(issuers), lambda _: None, findings.now)
    findings = replace(
        findings,
        token=token,
        verified=judgement.token,
        compact=None if isinstance(compact, Denial) else compact,
        header_passed=isinstance(before_keys, UnknownKey),
    )
    issuer = findings.issuer
    return replace(findings, keys=None if issuer is None else keys[issuer.name].current)
