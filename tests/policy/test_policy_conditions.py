"""Conditions on a token's client and claims."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.policy.claims import check_claims
from gateway.policy.conditions import compare, segment
from gateway.policy.decision import ALLOW, Evidence, decide
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import ClaimCondition, Claims, ClaimValue, PathVariable, Rule

from .policy_case import CLAIMS, LOCAL, NOW, PAYLOAD

TENANT = PathVariable("tenant", 1)


def keeping(*paths: str, **claims: object) -> Claims:
    """What a verification keeps of a token with these claims."""
    found = check_claims(PAYLOAD | claims, replace(LOCAL, kept_claims=paths), NOW)
    assert isinstance(found, Claims)
    return found


@pytest.mark.parametrize(
    ("paths", "claims", "kept"),
    [
        ((), {"a": "x"}, ()),
        (("a",), {}, ()),
        (("a",), {"a": "x", "b": "y"}, (("a", ("x",)),)),
        (("a",), {"a": ["x", 1, True]}, (("a", ("x", 1, True)),)),
        (("a",), {"a": ["x", None, 1.5, {"b": 1}, ["y"]]}, (("a", ("x",)),)),
        (("a",), {"a": None}, (("a", ()),)),
        (("a", "b"), {"b": 2, "a": False}, (("a", (False,)), ("b", (2,)))),
        (("r.roles",), {"r": {"roles": ["x"]}}, (("r.roles", ("x",)),)),
        (("r.roles",), {"r.roles": "y", "r": {"roles": ["x"]}}, (("r.roles", ("y",)),)),
    ],
)
def test_only_claims_that_a_route_names_are_kept_and_of_them_what_can_be_compared(
    paths: tuple[str, ...], claims: dict[str, object], kept: object
) -> None:
    assert keeping(*paths, **claims).kept == kept


@pytest.mark.parametrize(
    ("wanted", "claim", "holds"),
    [
        (("acme",), "acme", True),
        (("acme",), "Acme", False),
        (("acme",), "acme ", False),
        (("acme",), ["globex", "acme"], True),
        (("acme",), ["globex"], False),
        (("acme",), [], False),
        (("acme",), None, False),
        (("acme",), {"acme": 1}, False),
        (("acme", "globex"), "globex", True),
        ((1,), 1, True),
        ((1,), True, False),
        ((True,), 1, False),
        ((True,), True, True),
        ((1,), "1", False),
        ((1,), 1.0, False),
        ((TENANT,), "7", True),
        ((TENANT,), 7, True),
        ((TENANT,), ["x", 7], True),
        ((TENANT,), "07", False),
        ((TENANT,), True, False),
        ((TENANT, "all"), "all", True),
        ((TENANT,), "8", False),
    ],
)
def test_a_claim_is_one_of_the_values_or_lists_one(wanted: tuple[Any, ...], claim: object, *, holds: bool) -> None:
    rule = Rule(issuers=frozenset({"local"}), conditions=(ClaimCondition("a", wanted),))
    outcome = decide(rule, Evidence(keeping("a", a=claim), path="/tenants/7/jobs"))
    assert (outcome is ALLOW) is holds
    assert holds or (isinstance(outcome, Denial) and outcome.reason is Reason.CLAIM_CONDITION_FAILED)


@pytest.mark.parametrize(
    ("path", "at", "text"),
    [
        ("/a/b", 0, "a"),
        ("/a/b", 1, "b"),
        ("/a/b", 2, None),
        ("", 0, None),
        ("/a%20b", 0, "a b"),
        ("/a%2Fb", 0, "a/b"),
        ("/%C3%A9", 0, "é"),
        ("/%FF", 0, None),
    ],
)
def test_a_variable_is_a_segment_with_its_escapes_undone(path: str, at: int, text: str | None) -> None:
    assert segment(path, at) == text


def test_a_segment_that_is_no_text_equals_no_claim() -> None:
    rule = Rule(issuers=frozenset({"local"}), conditions=(ClaimCondition("a", (PathVariable("x", 0),)),))
    assert decide(rule, Evidence(keeping("a", a="null"), path="/%FF")) is not ALLOW
    assert decide(rule, Evidence(keeping("a", a=[]), path="/%FF")) is not ALLOW


@pytest.mark.parametrize(
    ("clients", "client", "enters"),
    [
        ({("local", "nightly-batch")}, "nightly-batch", True),
        ({("local", "other"), ("local", "nightly-batch")}, "nightly-batch", True),
        ({("local", "other")}, "nightly-batch", False),
        ({("corporate", "nightly-batch")}, "nightly-batch", False),
        ({("local", "")}, "", False),
        (set(), "nightly-batch", False),
    ],
)
def test_a_client_enters_if_its_own_issuer_calls_it_so(
    clients: set[tuple[str, str]], client: str, *, enters: bool
) -> None:
    rule = Rule(issuers=frozenset({"local"}), clients=frozenset(clients))
    outcome = decide(rule, Evidence(CLAIMS._replace(client_id=client)))
    assert (outcome is ALLOW) is enters
    assert enters or (isinstance(outcome, Denial) and outcome.reason is Reason.CLAIM_CONDITION_FAILED)


def test_the_denial_names_every_condition_that_does_not_hold_and_no_other() -> None:
    conditions = (
        ClaimCondition("tenant", (TENANT, "all")),
        ClaimCondition("level", (1, 2)),
        ClaimCondition("admin", (True,)),
        ClaimCondition("roles", ("a",)),
    )
    clients = frozenset({("local", "x")})
    rule = Rule(issuers=frozenset({"local"}), all_of=("a",), clients=clients, conditions=conditions)
    claims = keeping("tenant", "level", "admin", "roles", tenant="globex", level=1, roles=["b", "c"])
    outcome = decide(rule, Evidence(claims, path="/t/acme"))
    assert isinstance(outcome, Denial)
    assert (outcome.scopes_required, outcome.scopes_missing) == (("a",), ())
    assert outcome.detail == (
        "conditions: expected client x and tenant acme (the path's {tenant}) or all and admin true and roles a, "
        'found client nightly-batch and tenant globex and admin none and roles ["b", "c"]'
    )


def test_a_client_list_of_another_issuer_is_told_as_such() -> None:
    rule = Rule(issuers=frozenset({"local"}), clients=frozenset({("corporate", "x")}))
    (compared,) = compare(rule, CLAIMS._replace(client_id=""), "/")
    assert (compared.called, compared.expected, compared.found) == ("client", "none of local", "none")


_values = st.one_of(st.text(max_size=3), st.integers(-2, 2), st.booleans())


@given(st.lists(_values, max_size=4), st.lists(_values, min_size=1, max_size=4))
def test_a_list_holds_a_wanted_value_exactly_if_one_of_its_items_does(
    items: list[ClaimValue], wanted: list[ClaimValue]
) -> None:
    rule = Rule(issuers=frozenset({"local"}), conditions=(ClaimCondition("a", tuple(wanted)),))
    alone = [decide(rule, Evidence(keeping("a", a=item))) is ALLOW for item in items]
    assert (decide(rule, Evidence(keeping("a", a=items))) is ALLOW) is any(alone)
