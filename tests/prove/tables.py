"""Random tables, and every request that could tell two of them apart, tried one by one."""

from collections.abc import Iterator
from datetime import UTC
from ipaddress import ip_network
from itertools import combinations, product

from hypothesis import strategies as st

from gateway.policy.circumstances import Hours
from gateway.policy.fields import FieldCondition
from gateway.policy.model import (
    ENFORCE,
    ClaimCondition,
    ClaimValue,
    Mode,
    PathVariable,
    Route,
    Rule,
    TokenFrom,
    TrustedIssuer,
)
from gateway.policy.paths import Oddity
from gateway.policy.routes import RouteTable
from gateway.policy.scopes import ScopeGroup
from gateway.prove.verdicts import NOW, Caller, Policy

ISSUERS = tuple(
    TrustedIssuer(name, f"https://{name}.example", audiences, frozenset({"RS256"}), kept_claims=("tenant",))
    for name, audiences in (("one", frozenset({"api", "batch"})), ("two", frozenset({"api"})))
)
SCOPES = ("a", "b", "a.x", "a.*")
METHODS = ("GET", "POST")
NETWORKS = tuple(
    tuple(map(ip_network, each)) for each in (["10.0.0.0/8"], ["10.1.0.0/16", "2001:db8::/32"], ["0.0.0.0/0"])
)
HOURS = (Hours(((0, 600), (6000, 10100)), UTC, "early"), Hours(((300, 900),), UTC, "late"))
ADDRESSES = ("", "10.1.0.1", "10.2.0.1", "192.0.2.7", "2001:db8::7", "::2")
AUDIENCES = (frozenset({("one", "api"), ("two", "api")}), frozenset({("one", "batch")}))
FIELDS = (
    (FieldCondition("X-V", ("1",)),),
    (FieldCondition("X-V", ("1", "2")),),
    (FieldCondition("X-V", present=False), FieldCondition("X-D")),
    (FieldCondition("X-D"),),
)
MODES = (
    Mode("shadow"),
    Mode("grace", NOW + 200_000, frozenset({("one", "me")})),
    Mode("grace", NOW + 300_000.5, frozenset({("one", "me"), ("two", "you")})),
)
MOMENTS = tuple(NOW + minutes * 60 for minutes in range(0, 7 * 24 * 60, 100))

_SEGMENTS = st.sampled_from(["a", "b", "{}", "{}", "{:int}", "{:[a-z]+}", "{:[a-c0]}"])
_SCOPES = st.lists(st.sampled_from(SCOPES), unique=True, max_size=2).map(tuple)


def _tenant(one_of: tuple[ClaimValue | PathVariable, ...]) -> tuple[ClaimCondition, ...]:
    return (ClaimCondition("tenant", one_of),)


@st.composite
def templates(draw: st.DrawFn) -> str:
    """Such as /a/{v1}/b, /{rest...} or /a/."""
    parts = [each.replace("{", f"{{v{at}") for at, each in enumerate(draw(st.lists(_SEGMENTS, max_size=3)))]
    last = draw(st.sampled_from([[], [], [""], ["{rest...}"]]))
    return "/" + "/".join([*parts, *last])


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Public or with demands of every kind."""
    networks, hours = draw(st.sampled_from([(), (), (), *NETWORKS])), draw(st.sampled_from([None, None, None, *HOURS]))
    if draw(st.integers(0, 5)) == 0:
        mode = draw(st.sampled_from([ENFORCE, ENFORCE, MODES[0]]))
        return Rule(public=True, networks=networks, hours=hours, mode=mode)
    return Rule(
        networks=networks,
        hours=hours,
        issuers=draw(st.sampled_from([frozenset({"one"}), frozenset({"one", "two"})])),
        all_of=draw(_SCOPES),
        any_of=draw(_SCOPES),
        nested=draw(st.sampled_from([(), (), (), (ScopeGroup("any", ("b", ScopeGroup("all", ("a", "a.x")))),)])),
        scope_match=draw(st.sampled_from(["exact", "exact", "hierarchic", "wildcard"])),
        require_proof=draw(st.sampled_from([None, None, None, "dpop"])),
        acr=draw(st.sampled_from([(), (), (), ("high",), ("high", "low")])),
        max_age=draw(st.sampled_from([None, None, None, 100.0, 200.0])),
        token_from=draw(st.sampled_from([None, None, None, TokenFrom("cookie", "token")])),
        audiences=draw(st.sampled_from([None, None, None, *AUDIENCES])),
        clients=draw(st.sampled_from([None, None, None, frozenset({("one", "me")}), frozenset({("two", "me")})])),
        mode=draw(st.sampled_from([ENFORCE] * 6 + list(MODES))),
        conditions=draw(st.sampled_from([(), (), (), *map(_tenant, (("x",), ("x", "y"), (PathVariable("v0", 0),)))])),
    )


@st.composite
def routes(draw: st.DrawFn, name: str) -> Route:
    return Route(
        id=name,
        path=draw(templates()),
        methods=draw(st.sampled_from([frozenset({"GET"}), frozenset({"POST"}), frozenset(METHODS)])),
        rule=draw(rules()),
        upstream=draw(st.sampled_from(["up", "up", "down"])),
        hosts=draw(st.sampled_from([(), (), (), ("a.example",), ("*.a.example", "b.example"), ("*.example",)])),
        fields=draw(st.sampled_from([(), (), (), *FIELDS])),
        allow_in_path=frozenset(draw(st.sampled_from([[], [], [], list(Oddity), [Oddity.PATH_PARAMETERS]]))),
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Policy, Policy]:
    """Two policies that have most routes in common."""
    names = [f"r{number}" for number in range(draw(st.integers(1, 5)))]
    old = [draw(routes(name)) for name in names]
    new = [draw(routes(route.id)) if draw(st.integers(0, 2)) == 0 else route for route in old]
    new = draw(st.permutations(new)) if draw(st.booleans()) else new
    return Policy(RouteTable(old), ISSUERS), Policy(RouteTable(new), ISSUERS)


def every_request() -> Iterator[tuple[str, str]]:
    """Method and target of all short paths over the alphabet, doubtful ones included."""
    segments = ["a", "b", "c", "z", "0", "7", "Z", "", "z;x", "z%2Fx"]
    for depth in range(1, 5):
        for parts in product(segments, repeat=depth):
            if sum(part in {"", "z;x", "z%2Fx"} for part in parts) <= 2:
                for method in METHODS:
                    yield method, "/" + "/".join(parts)


def every_caller() -> tuple[Caller, ...]:
    """Without a token, and with tokens of every issuer, set of scopes, proof, acr, age and place."""
    found = [Caller()]
    sets = [each for size in range(len(SCOPES) + 1) for each in combinations(SCOPES, size)]
    kinds = product(
        ISSUERS,
        sets,
        ("", "dpop"),
        (None, "high", "low"),
        (None, 50, 150),
        (None, TokenFrom("cookie", "token")),
        (None, "x", "a"),
        (None, "me"),
        ("api", ["batch"], ["api", "batch"]),
    )
    for issuer, scopes, proof, acr, age, place, tenant, client, aud in kinds:
        payload: dict[str, object] = {"iss": issuer.issuer, "aud": aud, "exp": NOW + 10**6, "scope": " ".join(scopes)}
        told = {"acr": acr, "auth_time": None if age is None else NOW - age, "tenant": tenant, "client_id": client}
        payload |= {name: value for name, value in told.items() if value is not None}
        found.append(Caller(payload, frozenset({"dpop"}) if proof else frozenset(), place))
    return tuple(found)


EVERY_FIELDS = tuple(
    tuple(named)
    for named in product(
        (("X-V", "1"), ("X-V", "2"), ("X-V", "3"), ("X-V", "2\xa0"), ("x_v", "1"), ("X-O", "")),
        (("X-D", ""), ("X.D", "1"), ("X-V", "1")),
    )
)
EVERY_HOST = ("a.example", "x.a.example", "b.example", "y.example", "other.test")
EVERY_REQUEST = tuple(every_request())
EVERY_CALLER = every_caller()
