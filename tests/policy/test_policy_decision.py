"""The one decision."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.policy.decision import ALLOW, NO_EVIDENCE, Evidence, decide, describe_scopes
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, Proof, Rule

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
