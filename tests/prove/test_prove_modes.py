"""What `check` reminds of: routes in shadow, and a grace that is over. Other doubts are told whatever the mode."""

from dataclasses import replace

from gateway.policy.model import Mode, Route, Rule
from gateway.policy.routes import RouteTable
from gateway.prove.modes import mode_doubts
from gateway.prove.proofs import Kind, prove
from gateway.prove.verdicts import NOW, Policy

from .tables import ISSUERS

GRACE = Mode("grace", NOW, frozenset({("one", "old"), ("two", "older")}))


def policy(*routes: Route) -> Policy:
    return Policy(RouteTable(routes), ISSUERS)


def route(name: str, path: str, mode: Mode, *scopes: str) -> Route:
    return Route(name, path, frozenset({"GET"}), Rule(issuers=frozenset({"one"}), all_of=scopes, mode=mode), "up")


TABLE = policy(
    *(route("plain", "/a", Mode(), "a"), route("shadow", "/b", Mode("shadow"), "a"), route("grace", "/c", GRACE, "a"))
)


def test_a_route_in_shadow_is_told_and_a_grace_from_its_end_on() -> None:
    before, after = (list(mode_doubts(TABLE, now)) for now in (NOW - 1, NOW))
    assert [(doubt.kind, doubt.route.id, doubt.key) for doubt in before] == [(Kind.SHADOW, "shadow", "mode")]
    assert [doubt.kind for doubt in after] == [Kind.SHADOW, Kind.GRACE_OVER]
    assert after[1].message == (
        "is over since 2023-11-14T22:13:20Z, so old, older may be refused: remove mode and grace_clients"
    )


def test_doubts_of_a_table_are_those_that_it_has_once_it_is_enforced() -> None:
    overlapping = [route("one", "/{a}/x", Mode("shadow"), "a"), route("two", "/y/{b}", GRACE, "b")]
    plain = [replace(each, rule=replace(each.rule, mode=Mode())) for each in overlapping]
    found, known = prove(policy(*overlapping)), prove(policy(*plain))
    assert [(doubt.kind, doubt.message, doubt.witness) for doubt in found.doubts] == [
        (doubt.kind, doubt.message, doubt.witness) for doubt in known.doubts
    ]
    assert found.doubts
    assert found.unproven == ()
