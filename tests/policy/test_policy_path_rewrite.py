"""The beginning of a path is replaced, and nothing else of the target."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from gateway.policy.path_rewrite import PathRewrite

from .policy_case import route

MOVED, REMOVED, ADDED = PathRewrite("/m/api", "/v2"), PathRewrite("/m/api", ""), PathRewrite("", "/v2")


@pytest.mark.parametrize(
    ("rewrite", "target", "expected"),
    [
        (MOVED, "/m/api/jobs/7", "/v2/jobs/7"),
        (MOVED, "/m/api/jobs/7?x=/m/api/&y", "/v2/jobs/7?x=/m/api/&y"),
        (MOVED, "/m/api", "/v2"),
        (MOVED, "/m/api?x=1", "/v2?x=1"),
        (MOVED, "/m/api?", "/v2?"),
        (MOVED, "/m/api/", "/v2/"),
        (MOVED, "/m/api/%2Fa;b//c", "/v2/%2Fa;b//c"),
        (MOVED, "/m/api/m/api", "/v2/m/api"),
        (REMOVED, "/m/api/jobs/7?x", "/jobs/7?x"),
        (REMOVED, "/m/api", "/"),
        (REMOVED, "/m/api/", "/"),
        (REMOVED, "/m/api?x=/a/b", "/?x=/a/b"),
        (ADDED, "/jobs/7", "/v2/jobs/7"),
        (ADDED, "/", "/v2/"),
        (ADDED, "/?x", "/v2/?x"),
        (PathRewrite("/a", "/b/c/d"), "/a/x", "/b/c/d/x"),
        (PathRewrite("/a(b", "/v"), "/a%28b/x%28", "/v/x%28"),
    ],
)
def test_the_first_segments_are_replaced_and_the_rest_stays(rewrite: PathRewrite, target: str, expected: str) -> None:
    assert rewrite.apply(target) == expected


def test_the_upstream_is_told_what_was_taken_away() -> None:
    assert MOVED.field_line == b"X-Forwarded-Prefix: /m/api\r\n"
    assert ADDED.field_line == b""


def test_a_route_says_where_a_request_goes_and_with_which_target() -> None:
    plain = route("jobs", "/m/api/{rest...}")
    assert plain.destination("/m/api/x?y") == ("maintenance", "/m/api/x?y")
    assert not plain.alters_head
    moved = replace(plain, rewrite=MOVED)
    assert moved.destination("/m/api/x?y") == ("maintenance", "/v2/x?y")
    assert moved.alters_head


SEGMENT = st.text(st.sampled_from("ab%2.~-"), min_size=1, max_size=4)
BEGINNING = st.lists(SEGMENT, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
BEHIND = st.one_of(st.just(""), st.lists(SEGMENT | st.just(""), min_size=1).map(lambda parts: "/" + "/".join(parts)))
QUERY = st.sampled_from(["", "?", "?x=1", "?/a/b?c"])


@given(prefix=BEGINNING, to=BEGINNING, behind=BEHIND, query=QUERY)
def test_what_goes_out_is_a_path_that_ends_as_it_came(prefix: str, to: str, behind: str, query: str) -> None:
    came = (prefix + behind) or "/"
    expected = (to + (behind if prefix else came)) or "/"
    assert PathRewrite(prefix, to).apply(came + query) == expected + query
