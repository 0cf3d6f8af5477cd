"""The one decision."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.policy.decision import ALLOW, NO_EVIDENCE, Evidence, decide, describe_scopes
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, Proof, Rule
from gateway.policy.scopes import ScopeGroup

from .policy_case import CLAIMS, reason

LOCAL = frozenset({"local"})


def holding(*scopes: str) -> Claims:
    return CLAIMS._replace(scopes=scopes)


@pytest.mark.parametrize(
    ("all_of", "any_of", "granted", "missing"),
    [
        ("", "", "", None),
        ("a", "", "a", None),
        ("a", "", "b a c", None),
        ("a b", "", "b a", None),
        ("a b", "", "a", "b"),
        ("a b c", "", "b", "a c"),
        ("a", "", "", "a"),
        ("", "a b", "b", None),
        ("", "a b", "c", "a b"),
        ("", "a b", "", "a b"),
        ("a", "b c", "a c", None),
        ("a", "b c", "c", "a"),
        ("a", "b c", "a", "b c"),
        ("a", "b c", "", "a b c"),
        ("a b", "b c", "", "a b c"),
        ("admin", "", "administrator", "admin"),
        ("admin", "", "xadmin", "admin"),
        ("admin", "", "ADMIN", "admin"),
        ("admin", "", "admin.read", "admin"),
    ],
)
def test_all_of_one_list_and_one_of_the_other_are_demanded(
    all_of: str, any_of: str, granted: str, missing: str | None
) -> None:
    rule = Rule(issuers=LOCAL, all_of=tuple(all_of.split()), any_of=tuple(any_of.split()))
    outcome = decide(rule, Evidence(holding(*granted.split())))
    if missing is None:
        assert outcome == ALLOW
        return
    assert isinstance(outcome, Denial)
    assert outcome.reason is Reason.SCOPE_INSUFFICIENT
    assert outcome.scopes_missing == tuple(missing.split())
    assert outcome.scopes_required == tuple(dict.fromkeys(f"{all_of} {any_of}".split()))


def test_the_detail_says_what_is_demanded_and_what_is_granted() -> None:
    rule = Rule(issuers=LOCAL, all_of=("a", "b"), any_of=("c", "d"))
    some, none = decide(rule, Evidence(holding("x", "y"))), decide(rule, Evidence(holding()))
    assert isinstance(some, Denial)
    assert isinstance(none, Denial)
    assert some.detail == "scopes: expected all of a b and one of c d, found x y"
    assert none.detail.endswith("found none")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(), ""),
        (Rule(all_of=("a",)), "a"),
        (Rule(all_of=("a", "b")), "all of a b"),
        (Rule(any_of=("c",)), "one of c"),
        (Rule(all_of=("a",), any_of=("c", "d")), "a and one of c d"),
    ],
)
def test_a_rule_s_scopes_are_told_in_words(rule: Rule, words: str) -> None:
    assert describe_scopes(rule) == words


BOTH = ScopeGroup("all", ("b", "c"))
NESTED = (ScopeGroup("any", ("a", BOTH)),)


@pytest.mark.parametrize(
    ("rule", "granted", "missing"),
    [
        (Rule(nested=NESTED), "a", ""),
        (Rule(nested=NESTED), "b c", ""),
        (Rule(nested=NESTED), "b", "a c"),
        (Rule(nested=NESTED), "", "a b c"),
        (Rule(all_of=("x",), nested=NESTED), "a", "x"),
        (Rule(all_of=("x",), nested=NESTED), "x c", "a b"),
        (Rule(all_of=("x",), any_of=("y", "z"), nested=NESTED), "x z b c", ""),
        (Rule(all_of=("x",), any_of=("y", "z"), nested=NESTED), "x a", "y z"),
        (Rule(nested=(BOTH, ScopeGroup("any", ("d", "b")))), "b", "c"),
        (Rule(all_of=("jobs.read",), scope_match="hierarchic"), "jobs", ""),
        (Rule(all_of=("jobs.read",), scope_match="hierarchic"), "jobs.read", ""),
        (Rule(all_of=("jobs.read",), scope_match="hierarchic"), "jobs.read.all", "jobs.read"),
        (Rule(all_of=("jobs.read",), scope_match="hierarchic"), "job jobs.* Jobs", "jobs.read"),
        (Rule(all_of=("jobs:a/b",), scope_match="hierarchic"), "jobs:a", ""),
        (Rule(all_of=(".jobs",), scope_match="hierarchic"), "jobs", ".jobs"),
        (Rule(any_of=("jobs.read", "x"), scope_match="wildcard"), "jobs.*", ""),
        (Rule(any_of=("jobs.read.all", "x"), scope_match="wildcard"), "jobs.*", ""),
        (Rule(all_of=("jobs.read",), scope_match="wildcard"), "jobs * jobs.r* *.read jobs.read.*", "jobs.read"),
        (Rule(all_of=("jobs.read",)), "jobs jobs.*", "jobs.read"),
        (Rule(nested=NESTED, scope_match="wildcard"), "c b", ""),
    ],
)
def test_scopes_may_be_nested_and_grant_others_where_the_rule_says_so(rule: Rule, granted: str, missing: str) -> None:
    outcome = decide(replace(rule, issuers=LOCAL), Evidence(holding(*granted.split())))
    found = outcome.scopes_missing if isinstance(outcome, Denial) else ()
    assert found == tuple(missing.split())


def test_a_rule_names_its_nested_scopes_once_and_in_words() -> None:
    rule = Rule(all_of=("x",), any_of=("y", "a"), nested=NESTED, scope_match="hierarchic")
    assert rule.scopes_named == ("x", "y", "a", "b", "c")
    assert describe_scopes(rule) == "x and one of y a and one of a (all of b c), or a scope above"
    assert describe_scopes(Rule(all_of=("x",), scope_match="wildcard")) == "x, or a wildcard for it"


def satisfied(term: str | ScopeGroup, granted: frozenset[str]) -> bool:
    """What nested scopes mean, by the book."""
    if isinstance(term, str):
        return term in granted
    inner = [satisfied(each, granted) for each in term.terms]
    return all(inner) if term.kind == "all" else any(inner)


_terms = st.recursive(
    st.sampled_from("abcd"),
    lambda inner: st.builds(
        ScopeGroup, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=8,
)
_groups = _terms.filter(lambda term: isinstance(term, ScopeGroup))


@given(_groups, st.frozensets(st.sampled_from("abcd")))
def test_nested_scopes_are_decided_by_the_book_and_what_is_missing_would_do(
    group: ScopeGroup, granted: frozenset[str]
) -> None:
    outcome = decide(Rule(issuers=LOCAL, nested=(group,)), Evidence(holding(*granted)))
    assert (outcome is ALLOW) is satisfied(group, granted)
    if isinstance(outcome, Denial):
        assert satisfied(group, granted.union(outcome.scopes_missing))


@given(
    st.lists(st.sampled_from("abc"), unique=True).map(tuple),
    st.lists(st.sampled_from("abc"), unique=True).map(tuple),
    st.frozensets(st.sampled_from("abc")),
)
def test_plain_lists_mean_the_same_as_groups_of_them(
    all_of: tuple[str, ...], any_of: tuple[str, ...], granted: frozenset[str]
) -> None:
    groups = [ScopeGroup("all", all_of)] if all_of else []
    groups += [ScopeGroup("any", any_of)] if any_of else []
    evidence = Evidence(holding(*granted))
    plain = decide(Rule(issuers=LOCAL, all_of=all_of, any_of=any_of), evidence)
    nested = decide(Rule(issuers=LOCAL, nested=tuple(groups)), evidence)
    assert getattr(plain, "scopes_missing", ()) == getattr(nested, "scopes_missing", ())


def test_a_public_route_asks_for_nothing() -> None:
    assert decide(Rule(public=True), NO_EVIDENCE) == ALLOW
    assert decide(Rule(public=True, all_of=("a",)), Evidence(holding())) == ALLOW


def test_a_route_that_denies_lets_nobody_in_whatever_is_known_of_him() -> None:
    rule = Rule(deny=True, issuers=LOCAL)
    assert not rule.takes_token
    assert not rule.is_plain
    for evidence in (NO_EVIDENCE, Evidence(holding("a"))):
        assert reason(decide(rule, evidence)) is Reason.ROUTE_DENIED


def test_without_a_token_nothing_but_a_public_route_opens() -> None:
    assert reason(decide(Rule(issuers=LOCAL), NO_EVIDENCE)) is Reason.TOKEN_MISSING


@pytest.mark.parametrize("issuers", [frozenset({"corporate"}), frozenset[str](), frozenset({"loca", "locals"})])
def test_a_token_of_an_issuer_that_the_route_does_not_take_is_refused(issuers: frozenset[str]) -> None:
    outcome = decide(Rule(issuers=issuers, all_of=("jobs.read",)), Evidence(CLAIMS))
    assert reason(outcome) is Reason.ISSUER_UNTRUSTED


_scopes = st.lists(st.sampled_from("abcd"), unique=True, max_size=4).map(tuple)


@given(_scopes, _scopes, _scopes, st.sampled_from("abcd"))
def test_more_scopes_never_close_what_fewer_opened(
    all_of: tuple[str, ...], any_of: tuple[str, ...], granted: tuple[str, ...], more: str
) -> None:
    rule = Rule(issuers=LOCAL, all_of=all_of, any_of=any_of)
    if decide(rule, Evidence(holding(*granted))) == ALLOW:
        assert decide(rule, Evidence(holding(*granted, more))) == ALLOW


@given(_scopes, _scopes, _scopes)
def test_a_token_that_gets_the_scopes_it_lacked_gets_in(
    all_of: tuple[str, ...], any_of: tuple[str, ...], granted: tuple[str, ...]
) -> None:
    rule = Rule(issuers=LOCAL, all_of=all_of, any_of=any_of)
    outcome = decide(rule, Evidence(holding(*granted)))
    if isinstance(outcome, Denial):
        assert outcome.scopes_missing
        assert decide(rule, Evidence(holding(*granted, *outcome.scopes_missing))) == ALLOW


# What a rule demands of the token's audience


@pytest.mark.parametrize(
    ("taken", "audience", "expected"),
    [
        (None, ("api",), None),
        ({("local", "api")}, ("api",), None),
        ({("local", "api"), ("local", "batch")}, ("other", "batch"), None),
        ({("local", "api"), ("local", "batch")}, ("other",), "api or batch"),
        ({("local", "api")}, ("API",), "api"),
        ({("other", "api"), ("local", "batch")}, ("api",), "batch"),
        ({("other", "api")}, ("api",), "none of local"),
    ],
)
def test_a_token_is_for_an_audience_that_the_rule_takes_of_its_issuer(
    taken: set[tuple[str, str]] | None, audience: tuple[str, ...], expected: str | None
) -> None:
    rule = Rule(issuers=LOCAL, audiences=None if taken is None else frozenset(taken), networks=(ip_network("::/0"),))
    outcome = decide(rule, Evidence(CLAIMS._replace(audience=audience), address="::1"))
    if expected is None:
        assert outcome is ALLOW
        return
    assert isinstance(outcome, Denial)
    found = " ".join(audience)
    assert (outcome.reason, outcome.expected, outcome.found) == (Reason.AUDIENCE_MISMATCH, expected, found)
    assert reason(decide(rule, Evidence(CLAIMS._replace(audience=audience)))) is Reason.AUDIENCE_MISMATCH


# What a rule demands of the sender


@pytest.mark.parametrize(
    ("demanded", "given", "enters"),
    [
        ("dpop", {"dpop"}, True),
        ("dpop", {"dpop", "mtls"}, True),
        ("dpop", {"mtls"}, False),
        ("dpop", set(), False),
        ("mtls", {"mtls"}, True),
        ("mtls", {"dpop"}, False),
    ],
)
def test_a_demanded_proof_has_to_be_given(demanded: Proof, given: set[Proof], *, enters: bool) -> None:
    rule = Rule(issuers=LOCAL, require_proof=demanded)
    outcome = decide(rule, Evidence(CLAIMS, frozenset(given)))
    assert outcome is ALLOW if enters else reason(outcome) is Reason.PROOF_INVALID


@pytest.mark.parametrize(
    ("terms", "claims", "parameters"),
    [
        ({"acr": ("gold", "silver")}, {"acr": "silver"}, None),
        ({"acr": ("gold", "silver")}, {"acr": "bronze"}, (("acr_values", "gold silver"),)),
        ({"acr": ("gold",)}, {}, (("acr_values", "gold"),)),
        ({"max_age": 60.0}, {"auth_time": 940.0}, None),
        ({"max_age": 60.0}, {"auth_time": 939.0}, (("max_age", "60"),)),
        ({"max_age": 60.0}, {}, (("max_age", "60"),)),
        ({"acr": ("gold",), "max_age": 60.0}, {"acr": "gold"}, (("acr_values", "gold"), ("max_age", "60"))),
    ],
)
def test_a_demanded_authentication_has_to_be_strong_and_recent_enough(
    terms: dict[str, Any], claims: dict[str, Any], parameters: tuple[tuple[str, str], ...] | None
) -> None:
    outcome = decide(Rule(issuers=LOCAL, **terms), Evidence(CLAIMS._replace(**claims), now=1000.0))
    if parameters is None:
        assert outcome is ALLOW
    else:
        assert isinstance(outcome, Denial)
        assert (outcome.reason, outcome.parameters) == (Reason.AUTHENTICATION_INSUFFICIENT, parameters)
