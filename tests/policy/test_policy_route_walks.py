"""How much of the route table a request is compared with."""

import itertools
import sys
from types import FrameType

import pytest
from hypothesis import given, strategies as st

from gateway.policy.model import RequestHead
from gateway.policy.routes import RouteTable

from .policy_case import head, route


def visited(table: RouteTable, request: RequestHead) -> list[int]:
    """The nodes of the tree that a match looks at, in turn."""
    nodes = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_qualname.endswith("_Node.first_fitting"):
            nodes.append(id(frame.f_locals["self"]))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        table.match(request)
    finally:
        sys.setprofile(before)
    return nodes


def table_of(*paths: str) -> RouteTable:
    return RouteTable(route(str(number), path) for number, path in enumerate(paths))


_SEGMENTS = ["a", "{v}", "{v:[ab]+}", "{v:a+}", "{v:[a-c]}"]
_paths = st.lists(st.sampled_from(_SEGMENTS), min_size=1, max_size=5).map(
    lambda parts: "".join(f"/{part.replace('v', f'v{place}')}" for place, part in enumerate(parts))
)


@given(st.lists(_paths, max_size=12), st.lists(st.sampled_from(["a", "b", "aa", ""]), min_size=1, max_size=5))
def test_no_request_looks_at_a_place_twice(paths: list[str], parts: list[str]) -> None:
    nodes = visited(table_of(*paths), head("/" + "/".join(parts)))
    assert len(nodes) == len(set(nodes)) >= 1


def test_where_all_branches_lead_on_the_table_s_places_are_the_bound() -> None:
    """Each place is reached in one way, so what backtracking costs grows with the file and not with the path."""
    choices = itertools.product(*([f"/{place}", f"/{{v{place}}}", f"/{{v{place}:int}}"] for place in range(6)))
    table = table_of(*(f"{''.join(parts)}/end" for parts in choices))
    request = head("/0/1/2/3/4/5/other")
    assert len(visited(table, request)) == sum(3**depth for depth in range(7))
    assert len(visited(table, head("/0/1/2/3/4/5/end"))) == 8


@pytest.mark.parametrize("number", [0, 499, 999])
def test_a_thousand_expressions_take_no_more_steps_than_one(number: int) -> None:
    paths = [f"/{{name:[a-z]+-{each}}}/jobs" for each in range(1000)]
    request = head(f"/service-{number}/jobs")
    assert 0 < len(visited(table_of(*paths), request)) <= len(visited(table_of(paths[number]), request))
