"""What changes for the pages of other origins is found, with a preflight that shows it."""

import random
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from gateway.policy.cors import ANY, Cors
from gateway.policy.fields import FieldCondition
from gateway.policy.model import Mode, Route, Rule
from gateway.policy.routes import RouteTable
from gateway.prove.difference import Change, compare
from gateway.prove.replay import Replayed, replay
from gateway.prove.verdicts import NOW, Caller, Policy, Request, verdict
from gateway.prove.words import request_in_words, verdict_as_json

from .tables import ISSUERS

APP, DESK = "https://app.example", "https://desk.example"
CORS = Cors((APP,), ("Authorization",))
READ = Route(
    "read", "/jobs/{job}", frozenset({"GET"}), Rule(issuers=frozenset({"one"}), all_of=("a",)), "up", cors=CORS
)
MORE = replace(READ, cors=replace(CORS, origins=(APP, DESK)))
UNTOLD = "route read: what answers tell pages of other origins (cors) cannot be compared"


def policy(*routes: Route) -> Policy:
    return Policy(RouteTable(routes), ISSUERS)


def asking(method: str, origin: str, *headers: str, target: str = "/jobs/any") -> Request:
    fields = [("Origin", origin), ("Access-Control-Request-Method", method)]
    fields += [("Access-Control-Request-Headers", name) for name in headers]
    return Request("OPTIONS", target, fields=tuple(fields))


@pytest.mark.parametrize(
    ("after", "change", "witness", "unproven"),
    [
        (MORE.cors, Change.ALLOWED, asking("GET", DESK), ()),
        (replace(CORS, origins=(DESK,)), Change.REFUSED, asking("GET", APP), ()),
        (replace(CORS, origins=(ANY,)), Change.ALLOWED, asking("GET", "https://any.invalid"), ()),
        (replace(CORS, headers=("authorization", "X-Job")), Change.ALLOWED, asking("GET", APP, "x-job"), ()),
        (replace(CORS, headers=()), Change.REFUSED, asking("GET", APP, "authorization"), ()),
        (None, Change.REFUSED, asking("GET", APP), (UNTOLD,)),
    ],
)
def test_a_change_of_what_pages_may_is_told_with_a_preflight(
    after: Cors | None, change: Change, witness: Request, unproven: tuple[str, ...]
) -> None:
    found = compare(policy(READ), policy(replace(READ, cors=after)))
    told = {finding.change: finding for finding in found.findings}
    assert told[change].witness._replace(caller=Caller()) == witness
    assert told[change].methods == ("OPTIONS",)
    assert found.unproven == unproven


def test_a_route_that_begins_to_speak_to_pages_is_told_and_what_the_upstream_said_is_not_known() -> None:
    found = compare(policy(replace(READ, cors=None)), policy(READ))
    assert [finding.change for finding in found.findings] == [Change.ALLOWED]
    assert found.unproven == (UNTOLD,)


@pytest.mark.parametrize("changes", [{"credentials": True}, {"expose": ("ETag",)}])
def test_what_no_preflight_shows_is_unproven(changes: dict[str, Any]) -> None:
    found = compare(policy(READ), policy(replace(READ, cors=replace(CORS, **changes))))
    assert (found.findings, found.unproven) == ((), (UNTOLD,))


def test_how_long_browsers_remember_and_how_fields_are_written_changes_nothing() -> None:
    same = replace(CORS, max_age=1, headers=("AUTHORIZATION",))
    found = compare(policy(READ), policy(replace(READ, cors=same)))
    assert (found.findings, found.unproven) == ((), ())


def test_a_witness_is_told_with_its_fields_and_goes_to_no_upstream() -> None:
    (finding,) = compare(policy(READ), policy(MORE)).findings
    told = request_in_words(finding.witness)
    assert told.startswith(f"OPTIONS /jobs/any (Origin: {DESK}, Access-Control-Request-Method: GET)")
    assert verdict_as_json(finding.after)["upstream"] is None
    assert (str(finding.before), str(finding.after)) == ("origin_untrusted", "allow")


def test_a_preflight_and_a_request_that_change_are_two_findings() -> None:
    opened = replace(MORE, methods=frozenset({"GET", "OPTIONS"}), rule=Rule(public=True))
    closed = replace(READ, methods=frozenset({"GET", "OPTIONS"}))
    found = compare(policy(closed), policy(opened))
    assert sorted(finding.methods for finding in found.findings) == [("GET", "OPTIONS"), ("OPTIONS",)]


def test_a_preflight_is_refused_in_shadow_too() -> None:
    shadow = replace(READ, rule=replace(READ.rule, mode=Mode("shadow")))
    assert not verdict(policy(shadow), asking("GET", DESK)).allowed
    assert verdict(policy(shadow), asking("GET", APP)).allowed
    assert verdict(policy(shadow), asking("GET", APP)).would_deny is None


def test_a_preflight_that_went_on_with_its_token_and_is_refused_now_is_told() -> None:
    before = replace(MORE, methods=frozenset({"GET", "OPTIONS"}))
    found = compare(policy(before), policy(replace(before, methods=frozenset({"GET", "OPTIONS", "POST"}))))
    (refused,) = [each for each in found.findings if each.change is Change.REFUSED and each.after.is_preflight]
    assert (refused.before.route, str(refused.before), str(refused.after)) == (before, "allow", "origin_untrusted")
    assert refused.witness.caller.payload is not None


_cors = st.builds(
    Cors,
    st.sampled_from([(APP,), (APP, DESK), (DESK,), (ANY,)]),
    st.sampled_from([(), ("A",), ("a", "B"), ("B",)]),
)
_routes = st.builds(
    lambda path, methods, cors, public, versioned: replace(
        READ,
        path=path,
        methods=frozenset(methods),
        cors=cors,
        rule=Rule(public=True) if public else READ.rule,
        fields=(FieldCondition("X-V"),) if versioned else (),
    ),
    st.sampled_from(["/jobs/{job}", "/{x...}", "/jobs/any"]),
    st.sets(st.sampled_from(["GET", "POST", "OPTIONS"]), min_size=1),
    st.none() | _cors,
    st.booleans(),
    st.booleans(),
)
_tables = st.lists(_routes, min_size=1, max_size=3).map(
    lambda routes: policy(*(replace(route, id=f"r{at}") for at, route in enumerate(routes)))
)
EVERY_PREFLIGHT = [
    asking(method, origin, *headers, target=target)
    for method, origin, headers, target in product(
        ["GET", "POST", "OPTIONS", "PUT"],
        [APP, DESK, "null", "https://any.invalid"],
        [(), ("a",), ("b",), ("a,b",), ("c",)],
        ["/jobs/any", "/jobs/7", "/else"],
    )
]


def change_of(old: Policy, new: Policy, request: Request) -> Change | None:
    before, after = verdict(old, request).allowed, verdict(new, request).allowed
    return None if before == after else Change.ALLOWED if after else Change.REFUSED


@settings(max_examples=60)
@given(_tables, _tables, st.randoms(use_true_random=True))
def test_all_that_changes_for_pages_is_found_and_each_witness_is_answered_as_it_says(
    old: Policy, new: Policy, dice: random.Random
) -> None:
    found = compare(old, new)
    for finding in found.findings:
        if finding.change is not Change.REROUTED:
            assert change_of(old, new, finding.witness) is finding.change
    told = {finding.change for finding in found.findings}
    for asked in dice.sample(EVERY_PREFLIGHT, 60):
        assert change_of(old, new, asked) in {None, *told}
        with_token = asked._replace(
            caller=Caller({"iss": "https://one.example", "scope": "a", "aud": "api", "exp": NOW + 9})
        )
        assert found.unproven or change_of(old, new, with_token) in {None, *told}


ANSWERED = {
    "method": "OPTIONS",
    "path": "/jobs/7",
    "decision": "allow",
    "status": 204,
    "upstream": None,
    "route": "read",
}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ANSWERED, Replayed.LEFT_OUT),
        (ANSWERED | {"decision": "deny", "reason": "origin_untrusted", "status": 403}, Replayed.LEFT_OUT),
        (ANSWERED | {"upstream": "up"}, Replayed.REFUSED),
        (ANSWERED | {"method": "GET", "status": 200, "issuer": "https://two.example"}, Replayed.REFUSED),
        (ANSWERED | {"decision": "deny", "reason": "token_missing", "status": 401}, Replayed.SAME),
    ],
)
def test_a_record_does_not_tell_what_a_preflight_asked_about(record: dict[str, Any], expected: Replayed) -> None:
    assert replay(policy(READ), record, NOW).replayed is expected
