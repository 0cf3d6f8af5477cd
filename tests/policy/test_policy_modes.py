"""Modes: which refusals are let pass, for whom and until when, and what a client in grace is told."""

from dataclasses import replace

import pytest

from gateway.policy.denial import DEMANDED_PROOF, Denial, Reason, unmet
from gateway.policy.model import ENFORCE, Claims, Mode
from gateway.policy.modes import lets_pass, warning

from .policy_case import CLAIMS

UNTIL = 1_798_675_200.0
SHADOW = Mode("shadow")
GRACE = Mode("grace", UNTIL, frozenset({("local", "nightly-batch")}))
IN_SHADOW_REFUSED = {
    *(Reason.TARGET_INVALID, Reason.NO_ROUTE, Reason.METHOD_NOT_ALLOWED, Reason.REQUEST_MALFORMED),
    *(Reason.ROUTE_DENIED, Reason.OVERLOADED, Reason.INTERNAL_ERROR, Reason.CREDENTIALS_UNAVAILABLE),
    *(Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_INVALID, Reason.UPSTREAM_TIMEOUT, Reason.UPSTREAM_BUSY),
}
IN_GRACE_PASSED = {
    *(Reason.ISSUER_UNTRUSTED, Reason.AUDIENCE_MISMATCH, Reason.AUTHENTICATION_INSUFFICIENT),
    *(Reason.NETWORK_NOT_ALLOWED, Reason.OUTSIDE_HOURS, Reason.CLAIM_CONDITION_FAILED, Reason.SCOPE_INSUFFICIENT),
}
LACKS = Denial(Reason.SCOPE_INSUFFICIENT, scopes_missing=("jobs.run", "jobs.admin"))


@pytest.mark.parametrize("reason", Reason)
def test_shadow_lets_pass_what_a_route_refuses_and_nothing_that_could_harm_without_one(reason: Reason) -> None:
    assert lets_pass(SHADOW, Denial(reason), None, 0.0) is (reason not in IN_SHADOW_REFUSED)
    assert lets_pass(SHADOW, Denial(reason), CLAIMS, 0.0) is (reason not in IN_SHADOW_REFUSED)


@pytest.mark.parametrize("reason", Reason)
def test_grace_lets_pass_only_what_is_decided_of_a_verified_token(reason: Reason) -> None:
    assert lets_pass(GRACE, Denial(reason), CLAIMS, 0.0) is (reason in IN_GRACE_PASSED)
    assert not lets_pass(GRACE, Denial(reason), None, 0.0)


@pytest.mark.parametrize("reason", Reason)
def test_nothing_is_let_pass_where_rules_are_enforced(reason: Reason) -> None:
    assert not lets_pass(ENFORCE, Denial(reason), CLAIMS, 0.0)


@pytest.mark.parametrize(
    ("claims", "now", "passes"),
    [
        (CLAIMS, UNTIL - 1, True),
        (CLAIMS, UNTIL, False),
        (CLAIMS._replace(client_id="other"), 0.0, False),
        (CLAIMS._replace(issuer_name="corporate"), 0.0, False),
        (CLAIMS._replace(client_id=""), 0.0, False),
    ],
)
def test_grace_is_for_the_clients_that_are_named_and_ends(claims: Claims, now: float, *, passes: bool) -> None:
    assert lets_pass(GRACE, LACKS, claims, now) is passes


def test_a_token_without_a_client_is_nobodys_though_grace_names_the_empty_one() -> None:
    nameless = replace(GRACE, clients=frozenset({("local", "")}))
    assert not lets_pass(nameless, LACKS, CLAIMS._replace(client_id=""), 0.0)


def test_a_failed_proof_of_a_bound_token_has_no_grace_and_a_proof_that_the_rule_demands_has() -> None:
    demanded = unmet(Reason.PROOF_INVALID, DEMANDED_PROOF, "dpop", "none")
    failed = unmet(Reason.PROOF_INVALID, "proof htu", "this address", "another")
    assert lets_pass(GRACE, demanded, CLAIMS, 0.0)
    assert not lets_pass(GRACE, failed, CLAIMS, 0.0)
    assert (demanded.knows_sender, failed.knows_sender, LACKS.knows_sender) == (True, False, True)


def test_a_client_in_grace_is_warned_of_the_date_and_of_what_it_lacks() -> None:
    said = b'Warning: 299 - "refused from 2026-12-31T00:00:00Z on: scope_insufficient, missing jobs.run jobs.admin"\r\n'
    assert warning(GRACE, LACKS) == said
    assert warning(GRACE, Denial(Reason.OUTSIDE_HOURS)).endswith(b' on: outside_hours"\r\n')
    assert warning(SHADOW, LACKS) == warning(ENFORCE, LACKS) == b""
