"""A judgement as an Explanation: what each step expected and found, in the order in which it looked.

Which check failed is told by the denial's reason; those before it passed, those after it were not reached. Nothing is
checked a second time here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gateway.config.gateway_file import GatewayConfig
from gateway.explain.demand_remedies import evidence_of
from gateway.explain.demanding import demand_facts
from gateway.explain.going_on import going_on
from gateway.explain.introspected import introspected_facts
from gateway.explain.judging import Findings, taken
from gateway.explain.limiting import rate_facts
from gateway.explain.model import Candidate, Explanation, Fact, Mark, Scopes, Step, Verdict
from gateway.explain.pages import answers_itself, granted, telling_pages
from gateway.explain.proving import failed_proof, proving
from gateway.explain.remedies import changes
from gateway.explain.targets import fields_missed
from gateway.explain.verifying import verify_facts
from gateway.explain.words import shown
from gateway.policy.decision import Allow, describe_scopes
from gateway.policy.denial import Denial, Reason, refuse
from gateway.policy.model import RequestHead, Route, Rule
from gateway.policy.modes import warning
from gateway.policy.paths import query_keys
from gateway.policy.preflight import Granted
from gateway.policy.routes import RouteTable

_ANSWER_FIELDS = (b"WWW-Authenticate", b"Allow", b"Retry-After")


def tell(findings: Findings) -> Explanation:
    """Explain what was found."""
    path, _, query = findings.request.target.partition("?")
    candidates = tuple(_candidates(findings))
    return Explanation(
        method=shown(findings.request.method),
        path=shown(path),
        query_keys=tuple(query_keys(query)),
        at=findings.now,
        steps=(_match(findings, candidates), *_judged(findings), *telling_pages(findings)),
        candidates=candidates,
        scopes=_scopes(findings),
        verdict=_verdict(findings),
        changes=changes(findings),
        assumed=findings.assumed,
    )


def _judged(findings: Findings) -> tuple[Step, ...]:
    if findings.preflight is not None:
        return tuple(map(answers_itself, ("take", "verify", "decide")))
    return (_take(findings), _verify(findings), *proving(findings), _decide(findings))


def _candidates(findings: Findings) -> Iterator[Candidate]:
    head, table = findings.head, findings.grounds.table
    if head is None:
        return
    if findings.preflight is not None:
        head = head._replace(method=findings.preflight.method)
    fitting = table.candidates(head.path, head.host)
    for route in table.routes:
        fits, matched = route in fitting, route is findings.route
        methods = tuple(sorted(route.methods))
        yield Candidate(route.id, methods, route.path, fits, matched, _why(route, head, findings, fits=fits))


def _why(route: Route, head: RequestHead, findings: Findings, *, fits: bool) -> str:
    if route is findings.route:
        return "matches"
    if not fits:
        return "another host" if route in findings.grounds.table.candidates(head.path) else "another path"
    alone = RouteTable((route,)).match(head)
    if isinstance(alone, Route):
        return f"fits, too, but {findings.route.id} comes first" if findings.route else "fits, too"
    if alone.reason is Reason.METHOD_NOT_ALLOWED:
        return f"the path fits, but it takes {', '.join(alone.allow)}"
    if alone.reason is Reason.NO_ROUTE:
        return f"the path fits, but it takes {fields_missed(route, head)}"
    return alone.detail


def _match(findings: Findings, candidates: tuple[Candidate, ...]) -> Step:
    outcome, route = findings.outcome, findings.route
    if route is None:
        return Step(Mark.FAILED, "match", shown(outcome.detail) if isinstance(outcome, Denial) else "")
    others = len(candidates) - 1
    among = f"the first of {len(candidates)} that fits" if others else "the only route"
    if findings.preflight is not None:
        among = f"to which the preflight's {findings.preflight.method} would go"
    return Step(Mark.OK, "match", f"route {route.id}, {among}")


def _not_reached(name: str) -> Step:
    return Step(Mark.NOT_REACHED, name, "not reached")


def _nobody_looks(name: str, rule: Rule) -> Step:
    return Step(Mark.OK, name, f"nothing to do: the route {'is public' if rule.public else 'denies everyone'}")


def _take(findings: Findings) -> Step:
    if findings.route is None or findings.head is None:
        return _not_reached("take")
    if not findings.route.rule.takes_token:
        return _nobody_looks("take", findings.route.rule)
    token = taken(findings)
    if token is None or isinstance(token, Denial):
        return _not_taken(token)
    if findings.from_claims:
        return Step(Mark.OK, "take", "claims without a signature, judged as if their issuer had signed them")
    return Step(
        Mark.OK,
        "take",
        f"a {'bearer' if token.scheme == 'Bearer' else token.scheme} token of {len(token.value)} characters",
        tuple(_token_facts(findings)),
    )


def _not_taken(denial: Denial | None) -> Step:
    if denial is None:
        return _not_reached("take")
    fact = Fact(Mark.FAILED, denial.check, denial.found, denial.expected)
    return Step(Mark.FAILED, "take", denial.detail, (fact,))


def _token_facts(findings: Findings) -> Iterator[Fact]:
    """What the token says of itself: nothing of it is verified yet."""
    compact = findings.compact
    if compact is None:
        asked = findings.asked
        opaque = "" if asked is None else f"opaque: {asked.name} is asked"
        yield Fact(Mark.OK, "kind", opaque or "no signed JWT that can be read")
        return
    header = compact.header
    yield Fact(Mark.OK, "kind", "JWT" if not header.typ else f"JWT, typ {shown(header.typ)}")
    yield Fact(Mark.OK, "alg", shown(header.alg))
    yield Fact(Mark.OK, "kid", "none" if header.kid is None else shown(header.kid))
    yield Fact(Mark.OK, "issuer", shown(compact.payload.get("iss")))


def _verify(findings: Findings) -> Step:
    if findings.route is not None and not findings.route.rule.takes_token:
        return _nobody_looks("verify", findings.route.rule)
    if findings.token is None:
        return _not_reached("verify")
    asked = findings.asked
    facts = tuple(verify_facts(findings) if asked is None else introspected_facts(findings, asked))
    if findings.verified is not None:
        claims = findings.verified.claims
        who = shown(claims.client_id or claims.subject or "a client without a name")
        return Step(Mark.OK, "verify", f"{who}, by issuer {claims.issuer_name}", facts)
    detail = findings.outcome.detail if isinstance(findings.outcome, Denial) else ""
    return Step(Mark.FAILED, "verify", shown(detail), facts)


def _decide(findings: Findings) -> Step:
    route, verified, outcome = findings.route, findings.verified, findings.outcome
    if route is not None and route.rule.deny:
        return Step(Mark.FAILED, "decide", "the route denies everyone: no token is asked for, and none is looked at")
    if route is not None and route.rule.public:
        facts = (*demand_facts(route.rule, evidence_of(findings), outcome), *rate_facts(route))
        if isinstance(outcome, Denial):
            return Step(Mark.FAILED, "decide", shown(outcome.detail), facts)
        return Step(Mark.OK, "decide", "the route is public: no token is asked for, and none is looked at", facts)
    if route is None or verified is None or failed_proof(findings) is not None:
        return _not_reached("decide")
    mark = Mark.OK if isinstance(outcome, Allow) else Mark.FAILED
    summary = "the token grants what the route demands" if isinstance(outcome, Allow) else shown(outcome.detail)
    evidence = evidence_of(findings)._replace(claims=verified.claims)
    return Step(mark, "decide", summary, (*demand_facts(route.rule, evidence, outcome), *rate_facts(route)))


def _scopes(findings: Findings) -> Scopes | None:
    route, verified, outcome = findings.route, findings.verified, findings.outcome
    if route is None or not route.rule.takes_token or findings.preflight is not None:
        return None
    grants = () if verified is None else verified.claims.scopes
    missing = outcome.scopes_missing if isinstance(outcome, Denial) else ()
    rule = route.rule
    return Scopes(describe_scopes(rule), rule.all_of, rule.any_of, grants, missing)


def _destination(config: GatewayConfig, route: Route | None) -> str:
    name = "" if route is None else route.upstream
    upstream = config.upstreams[name]
    own = "" if upstream.credentials is None else f", with the gateway's own token (credentials {upstream.credentials})"
    return f"{name} ({', '.join(upstream.origins)}){own}"


def _verdict(findings: Findings) -> Verdict:
    outcome, route = findings.outcome, findings.route
    mode = "" if route is None else route.rule.mode.name
    passed, preflight = findings.let_pass, findings.preflight
    if preflight is not None and isinstance(preflight.outcome, Granted):
        return granted(preflight.outcome, mode)
    if isinstance(outcome, Allow) or passed is not None:
        destination = _destination(findings.grounds.config, route)
        allowed = Verdict(allowed=True, upstream=destination, goes_on=tuple(going_on(findings)), mode=mode)
        return allowed if passed is None else _let_pass(allowed, findings, passed)
    refusal = refuse(outcome, findings.grounds.config.realm, "")
    fields = [(name.decode(), value.decode()) for name, value in refusal.fields if name in _ANSWER_FIELDS]
    meaning = outcome.meaning
    return Verdict(
        allowed=False,
        status=refusal.status,
        reason=outcome.reason.value,
        title=meaning.title,
        hint=outcome.hint or meaning.hint,
        detail=shown(outcome.detail),
        fields=tuple(fields),
        mode=mode,
    )


def _let_pass(allowed: Verdict, findings: Findings, denial: Denial) -> Verdict:
    """What the record and, in grace, the answer say of a refusal that is not made."""
    line = b"" if findings.route is None else warning(findings.route.rule.mode, denial)
    name, _, value = line.decode().rstrip().partition(": ")
    return replace(
        allowed,
        would_deny=denial.reason.value,
        title=denial.meaning.title,
        detail=shown(denial.detail),
        fields=((name, value),) if line else (),
    )
