"""`prove`: what is doubtful in a table, with a request that shows it."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from gateway.policy.fields import FieldCondition
from gateway.policy.model import ClaimCondition, PathVariable, Route, Rule
from gateway.policy.paths import Oddity
from gateway.policy.routes import METHODS, RouteTable
from gateway.prove.granted import Grants, never_granted
from gateway.prove.proofs import Kind, prove
from gateway.prove.verdicts import Policy, Request, enforced, verdict

from .tables import EVERY_CALLER, EVERY_FIELDS, EVERY_HOST, EVERY_REQUEST, ISSUERS, pairs

BOTH = frozenset({"one", "two"})


def route(name: str, path: str, *scopes: str, **terms: object) -> Route:
    """A route for GET that demands scopes, or is public where there are none."""
    rule = Rule(issuers=BOTH, all_of=scopes) if scopes else Rule(public=True)
    return Route(name, path, frozenset({"GET"}), rule, "up", **terms)  # type: ignore[arg-type]


def policy(*routes: Route) -> Policy:
    return Policy(RouteTable(routes), ISSUERS)


@settings(max_examples=40)
@given(pairs(), st.randoms(use_true_random=True))
def test_every_doubt_is_shown_by_its_witness(policies: tuple[Policy, Policy], dice: random.Random) -> None:
    asked = enforced(policies[0])
    found = prove(policies[0])
    unreachable = {doubt.route.id for doubt in found.doubts if doubt.kind is Kind.UNREACHABLE}
    for method, target in dice.sample(EVERY_REQUEST, 100):
        fields = dice.choice(((), *EVERY_FIELDS))
        request = Request(method, target, dice.choice(EVERY_CALLER), dice.choice(EVERY_HOST), fields)
        winner = verdict(asked, request).route
        assert winner is None or winner.id not in unreachable
    for doubt in found.doubts:
        assert doubt.witness is not None
        said = verdict(asked, doubt.witness)
        alone = verdict(Policy(RouteTable([doubt.route]), ISSUERS), doubt.witness)
        if doubt.kind is Kind.UNREACHABLE:
            assert said.route != doubt.route
        elif doubt.kind is Kind.OVERLAP:
            assert said.route != doubt.route
            assert said.allowed != alone.allowed
        elif doubt.kind in {Kind.PUBLIC_BELOW, Kind.READ_OTHERWISE}:
            assert said.allowed
            assert said.route == doubt.route


V2, V3 = ((FieldCondition("X-V", (value,)),) for value in "23")
V, NO_V = (FieldCondition("X-V"),), (FieldCondition("X-V", present=False),)


@pytest.mark.parametrize(
    ("routes", "doubts"),
    [
        ([route("a", "/jobs/{job}", "a"), route("b", "/jobs", "b")], []),
        ([route("narrow", "/jobs/new", "a"), route("wide", "/jobs/{job}", "b")], []),
        ([route("one", "/jobs/{job}", "a"), route("same", "/{all...}", "a")], []),
        ([route("one", "/{a}/x", "a"), route("two", "/y/{b}", "b")], [(Kind.OVERLAP, "two", "/y/x")]),
        ([route("one", "/{a}/x", "a"), route("two", "/y/{b}", "a")], []),
        (
            [
                route("digits", "/{a:[0-9]+}", "a"),
                route("letters", "/{a:[0-9a-f]+}", "a"),
                route("both", "/{a:[0-4]}", "a"),
            ],
            [(Kind.UNREACHABLE, "both", "/0")],
        ),
        ([route("odd", "/a%3Bb", "a")], [(Kind.UNREACHABLE, "odd", "/a%3Bb")]),
        ([route("open", "/a/status"), route("guard", "/a/{rest...}", "a")], [(Kind.PUBLIC_BELOW, "open", "/a/status")]),
        ([route("open", "/b/status"), route("guard", "/a/{rest...}", "a")], []),
        (
            [replace(route("any", "/a", "a"), methods=frozenset(METHODS))],
            [(Kind.OPEN_METHODS, "any", "/a")],
        ),
        ([replace(route("none", "/a", "a"), methods=frozenset(METHODS), rule=Rule(deny=True))], []),
        (
            [
                route("admin", "/files/admin", "admin"),
                route("files", "/files/{file}", "a", allow_in_path=frozenset({Oddity.PATH_PARAMETERS})),
            ],
            [(Kind.READ_OTHERWISE, "files", "/files/admin;x")],
        ),
        (
            [
                route("admin", "/files/{dir}/admin", "admin"),
                route("files", "/files/{file}", "a", allow_in_path=frozenset({Oddity.ENCODED_SLASH})),
            ],
            [(Kind.READ_OTHERWISE, "files", "/files/any%2Fadmin")],
        ),
        ([route("two", "/a", "a", fields=V2), route("any", "/a", "b")], []),
        ([route("two", "/a", "a", fields=V2), route("three", "/a", "b", fields=V3)], []),
        (
            [route("two", "/a/{x}", "a", fields=V2), route("debug", "/a/{x}", "b", fields=(FieldCondition("X-D"),))],
            [(Kind.OVERLAP, "debug", "/a/any")],
        ),
        (
            [route("one", "/a", "a", fields=V2), route("same", "/a", "b", fields=(FieldCondition("x_v", ("2",)),))],
            [(Kind.UNREACHABLE, "one", "/a"), (Kind.UNREACHABLE, "same", "/a")],
        ),
        (
            [
                route("there", "/a", "a", fields=(FieldCondition("X-V"),)),
                route("gone", "/a", "a", fields=(FieldCondition("X-V", present=False),)),
                route("late", "/a", "b"),
            ],
            [(Kind.UNREACHABLE, "late", "/a")],
        ),
        ([route("files", "/files/{file...}", "a", allow_in_path=frozenset(Oddity))], []),
    ],
)
def test_what_is_doubtful_is_told(routes: list[Route], doubts: list[tuple[Kind, str, str]]) -> None:
    found = prove(policy(*routes))
    assert found.unproven == ()
    told = [(doubt.kind, doubt.route.id, doubt.witness and doubt.witness.target) for doubt in found.doubts]
    assert told == doubts


def denying(name: str, path: str, **terms: object) -> Route:
    return replace(route(name, path, **terms), rule=Rule(deny=True))


@pytest.mark.parametrize(
    ("routes", "doubts"),
    [
        ([route("two", "/a", "a", fields=V2), route("rest", "/a")], [(Kind.PUBLIC_BELOW, "rest", ())]),
        ([route("two", "/a", "a", fields=V2), route("rest", "/{x...}")], [(Kind.PUBLIC_BELOW, "rest", ())]),
        ([route("two", "/a", "a", fields=V2), route("some", "/a", fields=V)], [(Kind.PUBLIC_BELOW, "some", ("any",))]),
        (
            [route("two", "/a", "a", fields=V2), route("three", "/a", "b", fields=V3), route("rest", "/a")],
            [(Kind.PUBLIC_BELOW, "rest", ())],
        ),
        ([route("two", "/a", "a", "b", fields=V2), route("rest", "/a", "a")], [(Kind.OVERLAP, "two", ())]),
        (
            [route("two", "/a", "a", "b", fields=V2), route("three", "/a", "a", "c", fields=V3), route("d", "/a", "a")],
            [(Kind.OVERLAP, "two", ())],
        ),
    ],
)
def test_a_field_that_can_be_left_out_to_get_past_a_demand_is_told(
    routes: list[Route], doubts: list[tuple[Kind, str, tuple[str, ...]]]
) -> None:
    found = prove(policy(*routes))
    assert found.unproven == ()
    told = [
        (doubt.kind, doubt.route.id, doubt.witness and tuple(value for _, value in doubt.witness.fields))
        for doubt in found.doubts
    ]
    assert told == doubts


@pytest.mark.parametrize(
    "routes",
    [
        [route("two", "/a", "a", fields=V2), route("rest", "/a", "b")],
        [route("two", "/a", "a", fields=V2), route("rest", "/a", "a")],
        [route("two", "/a", "a", fields=V2), route("rest", "/a", "a", "b")],
        [route("two", "/a", "a", "b", fields=V2), route("three", "/a", "c", fields=V3), route("rest", "/a", "a")],
        [route("two", "/a", "a", fields=V2), route("three", "/a", fields=V3)],
        [route("two", "/a", "a", fields=V2), route("none", "/a", fields=NO_V)],
        [route("two", "/a", "a", fields=V2), denying("rest", "/a")],
        [denying("two", "/a", fields=V2), route("rest", "/a")],
        [route("two", "/a", "a", fields=V2), route("closed", "/a", "a"), route("other", "/b")],
        [route("two", "/a", "a", fields=V2), replace(route("rest", "/a"), methods=frozenset({"POST"}))],
        [route("two", "/a", "a", fields=V2, hosts=("a.example",)), route("rest", "/a", hosts=("b.example",))],
    ],
)
def test_versions_told_apart_by_fields_are_no_way_past_each_other(routes: list[Route]) -> None:
    assert prove(policy(*routes)).doubts == ()


def test_a_route_that_never_takes_a_request_is_no_guard() -> None:
    never = route("never", "/a", "b", "c", fields=V2)
    found = prove(policy(route("two", "/a", "b", fields=V2), never, route("rest", "/a", "b")))
    assert [(doubt.kind, doubt.route.id) for doubt in found.doubts] == [(Kind.UNREACHABLE, "never")]


def test_a_way_past_is_told_with_both_requests() -> None:
    public, weaker = (
        prove(policy(route("two", "/a", "a", "b", fields=V2), below)).doubts[0]
        for below in (route("rest", "/a"), route("rest", "/a", "a"))
    )
    assert public.key == "public"
    assert public.message == (
        "GET /a enters without a token, to which 'two' above says token_missing (X-V: 2): "
        "demand as much, or name under fields which requests this route takes"
    )
    assert weaker.key == "fields"
    assert weaker.message.startswith("GET /a with a token of https://one.example")
    assert weaker.message.endswith(
        "scope a: 'rest' below says allow, this route says scope_insufficient (X-V: 2): demand as much, or name under "
        "fields which requests that one takes"
    )


def test_an_overlap_that_no_token_shows_for_sure_is_unproven() -> None:
    by_path = ClaimCondition("aud", (PathVariable("a", 0),))
    one = replace(route("one", "/{a}/x", "a"), rule=Rule(issuers=BOTH, conditions=(by_path,)))
    found = prove(policy(one, replace(route("two", "/y/{b}", "b"), rule=Rule(issuers=frozenset({"three"})))))
    assert found.doubts == ()
    assert found.unproven[0].startswith("route one and two: ")


def test_what_does_not_decide_about_requests_is_nothing_that_an_overlap_leaves_unproven() -> None:
    found = prove(policy(route("one", "/{a}/x", "a", max_body=5), route("two", "/y/{b}", "a", forward_token=True)))
    assert (found.doubts, found.unproven) == ((), ())
    twice = replace(route("two", "/y/{b}"), rule=Rule(issuers=BOTH, all_of=("a", "a")), max_body=7)
    assert prove(policy(route("one", "/{a}/x", "a", max_body=5), twice)).unproven == ()


def test_a_table_of_too_many_kinds_calls_no_route_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.prove.paths.MOST_PATHS", 3)
    found = prove(policy(*(route(f"r{at}", f"/{at}", "a") for at in range(9))))
    assert found.doubts == ()
    assert found.unproven == ("there are more kinds of path than can be tried: the rest was not looked at",)


GRANTS = {"one": Grants(frozenset({"jobs.read", "jobs.run"}), frozenset({"jobs.read", "jobs.run", "jobs.admin"}))}
ONLY = frozenset({"one"})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule(issuers=ONLY, all_of=("jobs.read",)), None),
        (Rule(issuers=ONLY, all_of=("jobs.raed",)), "gives 'jobs.raed': did you mean 'jobs.read'?"),
        (Rule(issuers=ONLY, any_of=("jobs.read", "jobs.admin")), "gives 'jobs.admin': give it to a role"),
        (Rule(issuers=ONLY, all_of=("x",)), "gives 'x': roles give jobs.read, jobs.run"),
        (Rule(issuers=ONLY, all_of=("jobs.read.all",), scope_match="hierarchic"), None),
        (Rule(issuers=BOTH, all_of=("x",)), None),
        (Rule(public=True), None),
    ],
)
def test_a_scope_that_no_role_gives_is_told_with_what_is_near(rule: Rule, message: str | None) -> None:
    asked = policy(replace(route("r", "/a", "a"), rule=rule))
    told = [doubt.message.removeprefix("no role of one ") for doubt in never_granted(asked, GRANTS)]
    assert told == ([] if message is None else [message])


TESTED = {"two": Grants(frozenset({"jobs.read", "reports"}), by_tests=True)}


@pytest.mark.parametrize(
    ("issuers", "scope", "message"),
    [
        ({"two"}, "reports", None),
        ({"two"}, "report", "no test with a token of two gives 'report': did you mean 'reports'?"),
        (
            {"two"},
            "x",
            (
                "no test with a token of two gives 'x': "
                "add a test of somebody who has it; so far there are jobs.read, reports"
            ),
        ),
        ({"one", "two"}, "reports", None),
        ({"one", "two"}, "jobs.run", None),
        (
            {"one", "two"},
            "jobs.admin",
            "no role of one and no test with a token of two gives 'jobs.admin': give it to a role",
        ),
        ({"one", "three"}, "x", None),
    ],
)
def test_tests_tell_what_tokens_carry_whose_roles_are_not_known(
    issuers: set[str], scope: str, message: str | None
) -> None:
    asked = policy(replace(route("r", "/a", "a"), rule=Rule(issuers=frozenset(issuers), all_of=(scope,))))
    assert [doubt.message for doubt in never_granted(asked, GRANTS | TESTED)] == ([] if message is None else [message])


def test_a_prefix_that_scopes_bear_in_tokens_is_left_out() -> None:
    issuer = replace(ISSUERS[0], scope_prefix="api/")
    asked = Policy(RouteTable([replace(route("r", "/a", "a"), rule=Rule(issuers=ONLY, all_of=("read",)))]), (issuer,))
    grants = {"one": Grants(frozenset({"api/read"}), frozenset())}
    assert list(never_granted(asked, grants)) == []
