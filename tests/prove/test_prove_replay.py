"""`replay`: what a record of the access log says under other rules, and what it can't say."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.policy.fields import FieldCondition
from gateway.policy.model import ClaimCondition, Mode, Route, Rule, TokenFrom
from gateway.policy.routes import RouteTable
from gateway.prove.replay import Replayed, replay
from gateway.prove.verdicts import NOW, Policy

from .tables import HOURS, ISSUERS, NETWORKS

CALLED = {
    "method": "GET",
    "path": "/jobs/7",
    "host": "api.example",
    "client_ip": "10.1.2.3",
    "issuer": "https://one.example",
    "client_id": "me",
    "sub": "me",
    "aud": ["api"],
    "scopes_granted": ["a"],
    "decision": "allow",
    "reason": None,
}
SHADOW = Mode("shadow")
REFUSED = CALLED | {"decision": "deny", "reason": "scope_insufficient"}
UNPROVEN = CALLED | {"would_deny": "proof_invalid", "detail": "require_proof: expected dpop, found none"}
OTHER_TENANT = CALLED | {
    "would_deny": "claim_condition_failed",
    "detail": "conditions: expected tenant x, found tenant y",
}
NOBODY: dict[str, Any] = {"issuer": None, "client_id": None, "scopes_granted": []}


def judged(record: dict[str, Any], **demands: Any) -> Replayed:
    rule = Rule(**({"issuers": frozenset({"one", "two"})} | demands))
    routes = [Route("read", "/jobs/{job}", frozenset({"GET"}), rule, "up")]
    return replay(Policy(RouteTable(routes), ISSUERS), record, NOW).replayed


@pytest.mark.parametrize(
    ("record", "demands", "found"),
    [
        (CALLED, {"all_of": ("a",)}, Replayed.SAME),
        (CALLED, {"all_of": ("b",)}, Replayed.REFUSED),
        (REFUSED, {"all_of": ("a",)}, Replayed.ALLOWED),
        (REFUSED, {"all_of": ("b",)}, Replayed.SAME),
        (CALLED, {"public": True}, Replayed.SAME),
        (CALLED, {"deny": True}, Replayed.REFUSED),
        (CALLED, {"issuers": frozenset({"two"})}, Replayed.REFUSED),
        (CALLED | {"issuer": "https://three.example"}, {}, Replayed.REFUSED),
        (CALLED, {"clients": frozenset({("one", "me")})}, Replayed.SAME),
        (CALLED, {"clients": frozenset({("one", "other")})}, Replayed.REFUSED),
        (CALLED, {"networks": NETWORKS[0]}, Replayed.SAME),
        (CALLED | {"client_ip": "192.0.2.1"}, {"networks": NETWORKS[0]}, Replayed.REFUSED),
        (CALLED | {"client_ip": None}, {"networks": NETWORKS[0]}, Replayed.REFUSED),
        (CALLED | {"client_ip": None}, {"all_of": ("a",)}, Replayed.SAME),
        (CALLED, {"hours": HOURS[1]}, Replayed.REFUSED),
        (CALLED, {"audiences": frozenset({("one", "api")})}, Replayed.SAME),
        (CALLED, {"audiences": frozenset({("one", "other"), ("two", "api")})}, Replayed.REFUSED),
        (REFUSED | {"reason": "audience_mismatch"}, {"all_of": ("a",)}, Replayed.ALLOWED),
        (REFUSED | {"reason": "audience_mismatch", "issuer": None}, {"all_of": ("a",)}, Replayed.SAME),
        (CALLED, {"acr": ("gold",)}, Replayed.UNCLEAR),
        (CALLED, {"acr": ("gold",), "all_of": ("b",)}, Replayed.REFUSED),
        (CALLED, {"require_proof": "dpop"}, Replayed.UNCLEAR),
        (CALLED, {"conditions": (ClaimCondition("tenant", ("x",)),)}, Replayed.UNCLEAR),
        (CALLED, {"token_from": TokenFrom("cookie", "t")}, Replayed.UNCLEAR),
        (CALLED | {"path": "/other"}, {}, Replayed.REFUSED),
        (CALLED | {"path": "/a/../b"}, {}, Replayed.REFUSED),
        (CALLED | {"method": "POST"}, {}, Replayed.REFUSED),
        (CALLED | NOBODY, {"public": True}, Replayed.SAME),
        (CALLED | NOBODY, {}, Replayed.UNCLEAR),
        (REFUSED | NOBODY | {"reason": "token_missing"}, {}, Replayed.SAME),
        (REFUSED | NOBODY | {"reason": "token_missing"}, {"public": True}, Replayed.ALLOWED),
        (REFUSED | NOBODY | {"reason": "no_route"}, {}, Replayed.UNCLEAR),
        (REFUSED | {"reason": "token_revoked"}, {}, Replayed.SAME),
        (REFUSED | {"reason": "token_revoked"}, {"public": True}, Replayed.ALLOWED),
        (REFUSED | {"reason": "proof_invalid"}, {}, Replayed.UNCLEAR),
        (REFUSED | {"reason": "overloaded"}, {}, Replayed.LEFT_OUT),
        (CALLED | {"reason": "upstream_timeout"}, {"all_of": ("b",)}, Replayed.REFUSED),
        (CALLED | {"would_deny": "scope_insufficient"}, {"all_of": ("b",)}, Replayed.REFUSED),
        (CALLED | {"would_deny": "scope_insufficient"}, {"all_of": ("a",)}, Replayed.SAME),
        (CALLED | {"would_deny": "scope_insufficient"}, {"all_of": ("b",), "mode": SHADOW}, Replayed.SAME),
        (CALLED | NOBODY | {"would_deny": "token_missing"}, {}, Replayed.REFUSED),
        (CALLED | NOBODY | {"would_deny": "token_missing"}, {"mode": SHADOW}, Replayed.SAME),
        (CALLED | NOBODY | {"would_deny": "token_expired"}, {}, Replayed.REFUSED),
        (CALLED | NOBODY | {"would_deny": "token_expired"}, {"mode": SHADOW}, Replayed.SAME),
        (CALLED | {"would_deny": "proof_invalid"}, {}, Replayed.UNCLEAR),
        (CALLED | {"would_deny": "proof_invalid"}, {"mode": SHADOW}, Replayed.SAME),
        (CALLED | {"would_deny": "rate_limited"}, {}, Replayed.LEFT_OUT),
        (UNPROVEN, {"require_proof": "dpop"}, Replayed.REFUSED),
        (UNPROVEN, {"require_proof": "mtls"}, Replayed.UNCLEAR),
        (UNPROVEN, {"require_proof": "dpop", "mode": SHADOW}, Replayed.SAME),
        (UNPROVEN | {"would_deny": None}, {"require_proof": "dpop"}, Replayed.UNCLEAR),
        (OTHER_TENANT, {"conditions": (ClaimCondition("tenant", ("x",)),)}, Replayed.REFUSED),
        (OTHER_TENANT, {"conditions": (ClaimCondition("tenant", ("x", "y")),)}, Replayed.UNCLEAR),
        (OTHER_TENANT | {"decision": "deny", "reason": "claim_condition_failed"}, {"acr": ("gold",)}, Replayed.UNCLEAR),
        (CALLED | {"would_deny": True}, {"all_of": ("a",)}, Replayed.SAME),
        (REFUSED, {"all_of": ("b",), "mode": SHADOW}, Replayed.ALLOWED),
        (REFUSED | NOBODY | {"reason": "no_route"}, {"mode": SHADOW}, Replayed.ALLOWED),
        (REFUSED, {"all_of": ("b",), "mode": Mode("grace", NOW + 1, frozenset({("one", "me")}))}, Replayed.ALLOWED),
        (REFUSED, {"all_of": ("b",), "mode": Mode("grace", NOW, frozenset({("one", "me")}))}, Replayed.SAME),
        (CALLED | {"method": None}, {}, Replayed.LEFT_OUT),
        (CALLED | {"decision": "perhaps"}, {}, Replayed.LEFT_OUT),
        (CALLED | {"reason": ["x"], "scopes_granted": "a"}, {"all_of": ("a",)}, Replayed.REFUSED),
    ],
)
def test_a_record_is_judged_by_what_it_has(record: dict[str, Any], demands: dict[str, Any], found: Replayed) -> None:
    assert judged(record, **demands) is found


@pytest.mark.parametrize(
    ("last", "found"),
    [({"all_of": ("a",)}, Replayed.SAME), ({"all_of": ("b",)}, Replayed.UNCLEAR), ({"deny": True}, Replayed.UNCLEAR)],
)
def test_fields_that_no_record_has_leave_open_what_they_decide(last: dict[str, Any], found: Replayed) -> None:
    rules = (Rule(issuers=frozenset({"one"}), all_of=("a",)), Rule(issuers=frozenset({"one"}), **last))
    two, others = (Route("r", "/jobs/{job}", frozenset({"GET"}), rule, "up") for rule in rules)
    table = RouteTable([replace(two, fields=(FieldCondition("X-V", ("2",)),)), others])
    assert replay(Policy(table, ISSUERS), CALLED, NOW).replayed is found


def test_fields_of_too_many_kinds_leave_all_open() -> None:
    many = tuple(FieldCondition(f"X-{at}", ("1", "2")) for at in range(5))
    route = Route("r", "/jobs/{job}", frozenset({"GET"}), Rule(public=True), "up", fields=many)
    assert replay(Policy(RouteTable([route]), ISSUERS), CALLED, NOW).replayed is Replayed.UNCLEAR


def test_a_token_of_one_of_several_entries_that_share_an_issuer_is_unclear_where_only_some_are_taken() -> None:
    shared = tuple(
        issuer.__class__(issuer.name, "https://one.example", issuer.audiences, issuer.algorithms) for issuer in ISSUERS
    )
    route = Route("read", "/jobs/{job}", frozenset({"GET"}), Rule(issuers=frozenset({"one"})), "up")
    assert replay(Policy(RouteTable([route]), shared), CALLED, NOW).replayed is Replayed.UNCLEAR
