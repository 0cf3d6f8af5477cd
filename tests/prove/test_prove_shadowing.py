"""The configuration's own proof that a route never matches, held against the table that decides."""

from hypothesis import given, settings, strategies as st

from gateway.config.shadowing import Reach, Reaches, witness
from gateway.policy.model import Route
from gateway.policy.routes import RouteTable, parse_template
from gateway.prove.verdicts import Policy, Request, verdict

from .tables import ISSUERS, routes

UNNAMED = "other.test"
"""A host that no route of these tables names."""


def reach(route: Route) -> Reach:
    return Reach(route.id, parse_template(route.path), route.methods, route.hosts, route.fields)


_tables = st.integers(2, 6).flatmap(lambda count: st.tuples(*(routes(f"r{number}") for number in range(count))))


@settings(max_examples=60)
@given(_tables)
def test_a_request_of_a_covered_route_goes_where_it_is_said_to_go(table: tuple[Route, ...]) -> None:
    *above, last = table
    earlier = Reaches()
    for route in above:
        earlier.add(reach(route))
    covering, asked = earlier.covering(reach(last)), witness(reach(last))
    assert asked is not None
    request = Request(asked.method, asked.path, host=asked.host or UNNAMED, fields=asked.fields)
    assert verdict(Policy(RouteTable([last]), ISSUERS), request).route == last
    if covering:
        found = verdict(Policy(RouteTable(table), ISSUERS), request).route
        assert found is None or found.id == earlier.first_taking(asked)
