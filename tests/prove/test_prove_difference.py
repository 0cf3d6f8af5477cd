"""`compare`: all that changes is found, and what is found is so."""

import random
from dataclasses import fields as dataclass_fields, replace
from datetime import timedelta, timezone
from ipaddress import ip_network

import pytest
from hypothesis import given, settings, strategies as st

from gateway.policy.claim_fields import ClaimField
from gateway.policy.cors import Cors
from gateway.policy.fields import FieldCondition
from gateway.policy.model import (
    ClaimCondition,
    Mode,
    PathVariable,
    Route,
    RouteTimeouts,
    Rule,
    TokenFrom,
    WebSocketTerms,
)
from gateway.policy.path_rewrite import PathRewrite
from gateway.policy.paths import Oddity
from gateway.policy.rates import RateLimit
from gateway.policy.routes import RouteTable
from gateway.policy.scopes import ScopeGroup
from gateway.prove.difference import Change, compare, newly_allowed
from gateway.prove.verdicts import NOW, Caller, Policy, Request, verdict
from gateway.prove.words import request_in_words

from .tables import (
    ADDRESSES,
    EVERY_CALLER,
    EVERY_FIELDS,
    EVERY_HOST,
    EVERY_REQUEST,
    HOURS,
    ISSUERS,
    MOMENTS,
    NETWORKS,
    pairs,
)


def change_of(old: Policy, new: Policy, request: Request) -> Change | None:
    before, after = verdict(old, request), verdict(new, request)
    if before.allowed != after.allowed:
        return Change.ALLOWED if after.allowed else Change.REFUSED
    if after.allowed and before.route is not None and after.route is not None:
        goes = [each.route.destination(request.target) for each in (before, after) if each.route is not None]
        return None if goes[0] == goes[1] else Change.REROUTED
    return None


@settings(max_examples=60)
@given(pairs(), st.randoms(use_true_random=True))
def test_all_that_changes_is_found_and_each_witness_is_answered_as_it_says(
    policies: tuple[Policy, Policy], dice: random.Random
) -> None:
    old, new = policies
    found = compare(old, new)
    for finding in found.findings:
        assert change_of(old, new, finding.witness) is finding.change
    told = set(Change) if found.unproven else {finding.change for finding in found.findings}
    for method, target in dice.sample(EVERY_REQUEST, 40):
        for caller in dice.sample(EVERY_CALLER, 8):
            sender = caller._replace(address=dice.choice(ADDRESSES), at=dice.choice(MOMENTS))
            fields = dice.choice(((), *EVERY_FIELDS))
            asked = Request(method, target, sender, dice.choice(EVERY_HOST), fields)
            assert change_of(old, new, asked) in {None, *told}


def route(name: str, path: str, **terms: object) -> Route:
    rule = {key: terms.pop(key) for key in list(terms) if key in Rule.__dataclass_fields__}
    rule.setdefault("issuers", frozenset({"one", "two"}))
    methods = terms.pop("methods", frozenset({"GET"}))
    return Route(name, path, methods, Rule(**rule), "up", **terms)  # type: ignore[arg-type]


def policy(*routes: Route) -> Policy:
    return Policy(RouteTable(routes), ISSUERS)


TENANT = (ClaimCondition("tenant", ("x",)),)
GRACE = Mode("grace", NOW + 1000, frozenset({("one", "me")}))
READ = route("read", "/jobs/{job}", all_of=("a",))


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (READ, set()),
        (replace(READ, id="other"), set()),
        (replace(READ, path="/jobs/{other}"), set()),
        (route("read", "/jobs/{job}", public=True), {Change.ALLOWED}),
        (route("read", "/jobs/{job}", all_of=("a", "b")), {Change.REFUSED}),
        (route("read", "/jobs/{job}", any_of=("a", "b")), {Change.ALLOWED}),
        (route("read", "/jobs/{job}", all_of=("b",)), {Change.ALLOWED, Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), issuers=frozenset({"one"})), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), acr=("high",)), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), max_age=60.0), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), require_proof="mtls"), {Change.REFUSED}),
        (
            route("read", "/jobs/{job}", all_of=("a",), token_from=TokenFrom("header", "X-Token")),
            {Change.ALLOWED, Change.REFUSED},
        ),
        (route("read", "/jobs/{job}", all_of=("a",), methods=frozenset({"POST"})), {Change.ALLOWED, Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), mode=Mode("shadow")), {Change.ALLOWED}),
        (route("read", "/jobs/{job}", all_of=("z",), mode=Mode("shadow")), {Change.ALLOWED}),
        (route("read", "/jobs/{job}", all_of=("a",), mode=GRACE), {Change.ALLOWED}),
        (route("read", "/jobs/{job}", all_of=("a", "b"), mode=GRACE), {Change.ALLOWED, Change.REFUSED}),
        (route("read", "/jobs/{job...}", all_of=("a",)), {Change.ALLOWED}),
        (
            route("read", "/jobs/{job}", all_of=("a",), allow_in_path=frozenset({Oddity.ENCODED_SLASH})),
            {Change.ALLOWED},
        ),
        (replace(READ, upstream="down"), {Change.REROUTED}),
        (replace(READ, rewrite=PathRewrite("/jobs", "/v2")), {Change.REROUTED}),
        (replace(READ, rewrite=PathRewrite("/jobs", "/jobs")), set()),
        (replace(READ, claim_fields=(ClaimField("X-Tenant", "tenant"),)), {Change.REROUTED}),
        (replace(READ, forward_token=True), {Change.REROUTED}),
        (replace(READ, timeouts=RouteTimeouts(total=5.0)), set()),
        (replace(READ, hosts=("a.example",)), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), clients=frozenset({("one", "me")})), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), conditions=TENANT), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), audiences=frozenset({("one", "api")})), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), audiences=frozenset()), {Change.REFUSED}),
        (route("read", "/jobs/{job}", deny=True), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), networks=NETWORKS[0]), {Change.REFUSED}),
        (route("read", "/jobs/{job}", all_of=("a",), hours=HOURS[0]), {Change.REFUSED}),
        (route("read", "/jobs/{job}", public=True, networks=NETWORKS[0]), {Change.ALLOWED, Change.REFUSED}),
        (replace(READ, fields=(FieldCondition("X-V", ("1",)),)), {Change.REFUSED}),
    ],
)
def test_each_change_of_a_route_is_told_with_a_witness(after: Route, changes: set[Change]) -> None:
    found = compare(policy(READ), policy(after))
    assert {finding.change for finding in found.findings} == changes
    assert found.unproven == ()


def test_a_witness_bears_the_fields_that_its_route_looks_at() -> None:
    before, after = (replace(READ, fields=(FieldCondition("X-V", values),)) for values in (("1",), ("1", "2")))
    (finding,) = compare(policy(before), policy(after)).findings
    assert (finding.change, finding.witness.fields) == (Change.ALLOWED, (("X-V", "2"),))
    assert request_in_words(finding.witness).startswith("GET /jobs/any (X-V: 2) with a token of ")


def test_a_field_that_is_no_longer_looked_at_may_come_twice() -> None:
    versions = [replace(READ, fields=(FieldCondition("X-V", present=there),)) for there in (True, False)]
    (finding,) = compare(policy(*versions), policy(READ)).findings
    assert (finding.change, finding.witness.fields) == (Change.ALLOWED, (("X-V", "any"), ("X-V", "any")))
    assert str(finding.before) == "request_malformed"


def test_a_value_that_is_no_longer_compared_need_not_be_ascii() -> None:
    some = replace(READ, id="some", fields=(FieldCondition("X-V"),))
    one = replace(READ, fields=(FieldCondition("X-V", ("1",)),))
    (finding,) = compare(policy(one, some), policy(some)).findings
    assert (finding.change, finding.witness.fields) == (
        Change.ALLOWED,
        (("X-V", "\N{LATIN SMALL LETTER E WITH ACUTE}"),),
    )


def test_a_field_that_comes_with_tokens_is_unproven() -> None:
    cookie = route("desk", "/desk", all_of=("a",), token_from=TokenFrom("cookie", "t"))
    for name in ("Origin", "cookie"):
        asked = replace(READ, fields=(FieldCondition(name),))
        assert compare(policy(cookie, READ), policy(cookie, asked)).unproven == (
            f"route read: which requests {name} selects cannot be compared, since tokens come with it",
        )
    assert compare(policy(READ), policy(replace(READ, fields=(FieldCondition("Origin"),)))).unproven == ()


def test_fields_of_too_many_kinds_are_unproven() -> None:
    many = tuple(FieldCondition(f"X-{at}", ("1", "2")) for at in range(5))
    (unproven,) = compare(policy(READ), policy(replace(READ, fields=many))).unproven
    assert unproven.startswith("there are more kinds of path than")


def test_a_change_of_order_is_a_change() -> None:
    wide, narrow = route("wide", "/{all...}", public=True), route("narrow", "/jobs/{job}", all_of=("a",))
    (finding,) = compare(policy(narrow, wide), policy(wide, narrow)).findings
    assert (finding.change, finding.witness.target) == (Change.ALLOWED, "/jobs/any")
    assert (str(finding.before), str(finding.after)) == ("token_missing", "allow")


def test_a_witness_is_at_a_host_that_the_route_takes() -> None:
    before, after = replace(READ, hosts=("*.a.example",)), replace(READ, hosts=("*.a.example", "b.example"))
    (finding,) = compare(policy(before), policy(after)).findings
    assert (finding.change, finding.witness.host) == (Change.ALLOWED, "b.example")


def test_the_methods_of_a_change_are_told_together() -> None:
    (finding,) = compare(policy(READ), policy(replace(READ, methods=frozenset({"GET", "PUT", "POST"})))).findings
    assert finding.methods == ("POST", "PUT")


@pytest.mark.parametrize(
    "terms",
    [
        {"max_body": 5},
        {"websocket": WebSocketTerms(60.0, end_at_expiry=True)},
        {"rate_limits": (RateLimit(5, 60, "client"),)},
    ],
)
def test_what_concerns_more_than_heads_is_unproven(terms: dict[str, object]) -> None:
    found = compare(policy(READ), policy(replace(READ, **terms)))  # type: ignore[arg-type]
    assert found.findings == ()
    assert found.unproven == (f"route read: {next(iter(terms))} changes, which cannot be compared",)


def test_what_is_told_of_the_caller_opens_no_door() -> None:
    told = replace(READ, claim_fields=(ClaimField("X-Tenant", "tenant"),), forward_token=True)
    found = newly_allowed(policy(READ), policy(told))
    assert (found.findings, found.unproven) == ((), ())


CHANGED: dict[str, object] = {
    "path": "/work/{job}",
    "methods": frozenset({"POST"}),
    "rule": Rule(public=True),
    "upstream": "down",
    "forward_token": True,
    "allow_in_path": frozenset({Oddity.ENCODED_SLASH}),
    "websocket": WebSocketTerms(60.0, end_at_expiry=True),
    "max_body": 5,
    "hosts": ("a.example",),
    "fields": (FieldCondition("X-V", ("1",)),),
    "rewrite": PathRewrite("/jobs", "/v2"),
    "claim_fields": (ClaimField("X-Tenant", "tenant"),),
    "cors": Cors(("https://page.example",)),
    "rate_limits": (RateLimit(5, 60, "client"),),
}
UNSAID = {"id", "timeouts"}
"""What of a route changes neither who enters, nor where a request goes, nor what is told there of the caller."""


def test_another_claim_in_the_same_field_is_told_and_another_order_is_not() -> None:
    names = (("X-Tenant", "tenant"), ("X-Role", "role"))
    one, turned, other = (
        replace(READ, claim_fields=tuple(ClaimField(*each) for each in told))
        for told in (names, names[::-1], (("X-Tenant", "org"), names[1]))
    )
    assert compare(policy(one), policy(turned)).findings == ()
    (finding,) = compare(policy(one), policy(other)).findings
    assert (finding.change, finding.witness.caller.payload is None) == (Change.REROUTED, False)


def test_whatever_of_a_route_changes_is_told() -> None:
    assert CHANGED.keys() | UNSAID == {each.name for each in dataclass_fields(Route) if each.init}
    for name, value in CHANGED.items():
        found = compare(policy(READ), policy(replace(READ, **{name: value})))  # type: ignore[arg-type]
        assert found.findings or found.unproven, name


def test_claims_that_are_compared_with_the_path_in_another_way_are_unproven() -> None:
    before, after = (
        route("read", "/{a}/{b}", conditions=(ClaimCondition("tenant", (PathVariable(name, at),)),))
        for name, at in (("a", 0), ("b", 1))
    )
    (unproven,) = newly_allowed(policy(before), policy(after)).unproven
    assert unproven.startswith("route read: claims are compared with the path in another way")
    renamed = replace(before, path="/{c}/{b}")
    assert compare(policy(before), policy(renamed)).unproven == ()


def test_a_condition_on_a_claim_that_means_something_already_is_unproven() -> None:
    after = route("read", "/jobs/{job}", all_of=("a",), conditions=(ClaimCondition("aud", ("api",)),))
    (unproven,) = newly_allowed(policy(READ), policy(after)).unproven
    assert unproven == "route read: what conditions lets in cannot be compared"


def test_scopes_that_grant_others_are_tried() -> None:
    before, after = (
        route("read", "/jobs", all_of=("jobs.read",), scope_match=match) for match in ("exact", "hierarchic")
    )
    (finding,) = compare(policy(before), policy(after)).findings
    assert finding.change is Change.ALLOWED
    assert finding.witness.caller.payload is not None
    assert finding.witness.caller.payload["scope"] == "jobs"


def test_scopes_that_can_be_met_in_too_many_ways_are_unproven() -> None:
    many = tuple(ScopeGroup("any", (f"a{at}", f"b{at}")) for at in range(9))
    (unproven,) = newly_allowed(policy(READ), policy(route("read", "/jobs/{job}", nested=many))).unproven
    assert unproven == "route read: what scopes lets in cannot be compared"


def test_a_narrower_network_and_shorter_hours_show_at_their_edges() -> None:
    wide = route("read", "/jobs", all_of=("a",), networks=(ip_network("10.0.0.0/8"),))
    narrow = route("read", "/jobs", all_of=("a",), networks=(ip_network("10.0.0.0/9"), ip_network("10.128.0.0/10")))
    (finding,) = compare(policy(narrow), policy(wide)).findings
    assert finding.witness.caller.address == "10.192.0.0"
    early, late = (route("read", "/jobs", all_of=("a",), hours=hours) for hours in HOURS)
    (finding,) = newly_allowed(policy(early), policy(late)).findings
    assert "at 2023-11-" in request_in_words(finding.witness)


def test_hours_of_two_time_zones_are_unproven() -> None:
    there = replace(HOURS[0], zone=timezone(timedelta(hours=1)))
    before, after = (route("read", "/jobs", all_of=("a",), hours=hours) for hours in (HOURS[0], there))
    assert compare(policy(before), policy(after)).unproven == (
        "route read: hours of different time zones cannot be compared",
    )


def test_opaque_tokens_are_unproven() -> None:
    asked = replace(READ, rule=replace(READ.rule, asks="one"))
    assert newly_allowed(policy(READ), policy(asked)).unproven == (
        "route read: which opaque tokens are taken cannot be compared",
    )


def test_an_issuers_new_audience_lets_in_tokens_for_it() -> None:
    wider = Policy(RouteTable([READ]), (replace(ISSUERS[0], audiences=frozenset({"api", "other"})), ISSUERS[1]))
    (finding,) = newly_allowed(policy(READ), wider).findings
    assert finding.witness.caller.payload is not None
    assert finding.witness.caller.payload["aud"] == "other"


def test_a_token_that_is_bound_by_dpop_enters_nowhere_but_in_authorization() -> None:
    place = TokenFrom("header", "X-T")
    moved, bound = route("read", "/r", token_from=place), route("read", "/r", require_proof="dpop")
    for before, after in ((moved, bound), (bound, moved)):
        for finding in compare(policy(before), policy(after)).findings:
            caller = finding.witness.caller
            assert caller.place is None or not caller.proofs
    caller = Caller({"iss": "https://one.example", "aud": "api", "exp": NOW + 9}, frozenset({"dpop"}), place)
    assert str(verdict(policy(moved), Request("GET", "/r", caller))) == "proof_invalid"


def test_a_route_that_takes_another_audience_lets_in_tokens_for_it() -> None:
    before, after = (
        route("read", "/jobs", all_of=("a",), audiences=frozenset({("one", audience)})) for audience in ("api", "batch")
    )
    allowed, refused = sorted(compare(policy(before), policy(after)).findings, key=lambda finding: finding.change)
    assert [str(allowed.before), str(refused.after)] == ["audience_mismatch", "audience_mismatch"]
    assert allowed.witness.caller.payload is not None
    assert allowed.witness.caller.payload["aud"] == "batch"


def test_terms_of_an_issuer_that_no_claim_shows_are_unproven() -> None:
    wider = Policy(RouteTable([READ]), (replace(ISSUERS[0], algorithms=frozenset({"RS256", "ES256"})), ISSUERS[1]))
    assert newly_allowed(policy(READ), wider).unproven == (
        "issuer one: tokens that algorithms tell apart cannot be compared",
    )


def test_a_table_of_too_many_kinds_is_unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.prove.paths.MOST_PATHS", 3)
    many = policy(*(route(f"r{number}", f"/{number}", all_of=("a",)) for number in range(9)))
    (unproven,) = compare(policy(READ), many).unproven
    assert unproven.startswith("there are more kinds of path than")


SHADOW = replace(READ, rule=replace(READ.rule, mode=Mode("shadow")))


def test_from_shadow_to_enforced_whoever_lacks_something_is_newly_refused_with_a_witness() -> None:
    found = compare(policy(SHADOW), policy(READ))
    assert found.unproven == ()
    (finding,) = found.findings
    assert (finding.change, str(finding.before), str(finding.after)) == (
        *(Change.REFUSED, "allow, would_deny=token_missing"),
        "token_missing",
    )


def test_between_two_rules_in_shadow_nothing_changes() -> None:
    stricter = replace(SHADOW, rule=replace(SHADOW.rule, all_of=("a", "b")))
    assert compare(policy(SHADOW), policy(stricter)).findings == ()


def test_a_witness_of_a_grace_is_sent_by_a_client_in_grace_before_its_end() -> None:
    graceful = replace(READ, rule=replace(READ.rule, mode=GRACE))
    (finding,) = compare(policy(READ), policy(graceful)).findings
    caller = finding.witness.caller
    assert caller.payload is not None
    assert (caller.payload["client_id"], caller.at) == ("me", NOW + 999)
    assert str(finding.after).startswith("allow, would_deny=")


def test_a_longer_grace_differs_between_the_two_ends_only() -> None:
    ends = [replace(READ, rule=replace(READ.rule, mode=replace(GRACE, until=until))) for until in (NOW + 9, NOW + 99)]
    (finding,) = compare(policy(ends[0]), policy(ends[1])).findings
    assert finding.change is Change.ALLOWED
    assert NOW + 9 <= finding.witness.caller.at < NOW + 99
