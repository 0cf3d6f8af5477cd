"""Which preflights the gateway answers, and how (Fetch standard, CORS-preflight fetch)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.policy.cors import ANY, Cors
from gateway.policy.denial import Denial, Reason
from gateway.policy.fields import FieldCondition
from gateway.policy.model import RequestHead, Route, Rule
from gateway.policy.paths import Oddity
from gateway.policy.preflight import Granted, Preflight, preflight
from gateway.policy.routes import METHODS, RouteTable

from .policy_case import head, route

APP = "https://app.example"
CORS = Cors((APP,), ("Authorization", "X-Job"), max_age=60)
OTHER = replace(CORS, max_age=61)


def asking(method: str = "GET", path: str = "/jobs", *headers: str, origin: str = APP, **changes: Any) -> RequestHead:
    """A browser's preflight."""
    fields = [(b"Origin", origin.encode()), (b"Access-Control-Request-Method", method.encode())]
    fields += [(b"Access-Control-Request-Headers", name.encode()) for name in headers]
    return head(path, "OPTIONS")._replace(fields=fields, **changes)


def saying(cors: Cors | None, *methods: str, path: str = "/jobs", **changes: Any) -> Route:
    return replace(route(f"{path} {' '.join(methods)}", path, *methods), cors=cors, **changes)


def answer(asked: RequestHead, *routes: Route) -> Preflight | None:
    return preflight(asked, RouteTable(routes))


def granted(asked: RequestHead, *routes: Route) -> dict[str, str]:
    found = answer(asked, *routes)
    assert found is not None
    assert isinstance(found.outcome, Granted), found
    fields = {name.decode(): value.decode() for name, value in found.outcome.fields}
    assert len(fields) == len(found.outcome.fields)
    return fields


def refused(asked: RequestHead, *routes: Route) -> Denial:
    found = answer(asked, *routes)
    assert found is not None
    assert isinstance(found.outcome, Denial), found
    assert found.outcome.reason is Reason.ORIGIN_UNTRUSTED
    return found.outcome


def test_a_preflight_is_told_what_the_page_may_send() -> None:
    assert granted(asking("GET"), saying(CORS, "POST", "GET")) == {
        "Access-Control-Allow-Origin": APP,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, X-Job",
        "Access-Control-Max-Age": "60",
    }


def test_it_is_told_of_credentials_and_of_any_origin_where_the_route_says_so() -> None:
    with_cookies = granted(asking(), saying(replace(CORS, credentials=True), "GET"))
    assert with_cookies["Access-Control-Allow-Credentials"] == "true"
    assert granted(asking(origin="https://any.example"), saying(Cors((ANY,)), "GET")) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Max-Age": "600",
    }


@pytest.mark.parametrize(
    "headers",
    [(), ("",), ("authorization",), ("AUTHORIZATION,x-job",), ("authorization", " x-job ,")],
)
def test_it_may_ask_about_fields_that_are_listed_whatever_their_case(headers: tuple[str, ...]) -> None:
    assert granted(asking("GET", "/jobs", *headers), saying(CORS, "GET"))


@pytest.mark.parametrize(
    "headers", [("x-other",), ("authorization,x-other",), ("x-job", "x-other"), ("*",), ("x job",)]
)
def test_a_field_that_is_not_listed_is_refused_by_name(headers: tuple[str, ...]) -> None:
    denial = refused(asking("GET", "/jobs", *headers), saying(CORS, "GET"))
    assert (denial.check, denial.expected) == ("preflight headers", "Authorization, X-Job")
    assert denial.found == headers[-1].rpartition(",")[2]
    assert denial.found in denial.hint


def test_where_no_field_is_listed_none_may_be_sent() -> None:
    assert refused(asking("GET", "/jobs", "authorization"), saying(Cors((APP,)), "GET")).expected == "none"
    assert "Access-Control-Allow-Headers" not in granted(asking(), saying(Cors((APP,)), "GET"))


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "https://app.example:8443", "http://app.example"]
)
def test_an_origin_that_is_not_listed_is_refused(origin: str) -> None:
    denial = refused(asking(origin=origin), saying(Cors((APP, "http://localhost:3000")), "GET"))
    assert (denial.check, denial.expected) == ("preflight origin", "https://app.example or http://localhost:3000")
    assert denial.found == origin
    assert "origin" in denial.hint


@pytest.mark.parametrize(
    "asked",
    [
        asking()._replace(method="GET"),
        asking()._replace(fields=[(b"Origin", APP.encode())]),
        asking()._replace(fields=[(b"Access-Control-Request-Method", b"GET")]),
        asking("POST"),
        asking("get"),
        asking("GET", "/other"),
        asking(host="other.example"),
    ],
)
def test_it_leaves_what_is_no_preflight_and_what_no_route_with_cors_takes(asked: RequestHead) -> None:
    assert answer(asked, saying(CORS, "GET", hosts=("gateway.example",)), saying(None, "POST")) is None


def test_the_route_that_takes_the_request_answers_for_it() -> None:
    first, second = saying(None, "GET"), saying(CORS, path="/{rest...}")
    assert answer(asking("GET"), first, second) is None
    found = answer(asking("GET", "/x"), first, second)
    assert found is not None
    assert (found.route, found.method) == (second, "GET")


def test_methods_are_those_of_all_routes_there_that_say_the_same() -> None:
    routes = [
        saying(CORS, "GET"),
        saying(None, "PUT"),
        saying(OTHER, "DELETE"),
        saying(CORS, "POST", "PUT", "DELETE", "PATCH"),
        saying(CORS, "HEAD", path="/other"),
    ]
    assert granted(asking("GET"), *routes)["Access-Control-Allow-Methods"] == "GET, POST, PATCH"
    assert granted(asking("DELETE"), *routes)["Access-Control-Allow-Methods"] == "DELETE"


def test_an_odd_path_is_answered_only_where_the_route_allows_it() -> None:
    odd = asking("GET", "/jobs%2Fx")
    wide = saying(CORS, "GET", path="/{job}")
    assert answer(odd, wide) is None
    assert granted(odd, replace(wide, allow_in_path=frozenset({Oddity.ENCODED_SLASH})))


VERSIONED = (FieldCondition("X-Version", ("2",)),)


def test_where_fields_tell_routes_apart_all_that_could_take_the_request_have_to_say_the_same() -> None:
    second, first = saying(CORS, "GET", fields=VERSIONED), saying(CORS, "GET")
    assert granted(asking(), second, first)
    assert granted(asking(), second)
    assert granted(asking(), second, first, saying(None, "GET"))
    assert answer(asking(), second, saying(None, "GET")) is None
    assert answer(asking(), second, saying(OTHER, "GET")) is None
    assert answer(asking(), saying(None, "GET", fields=VERSIONED), first) is None


def test_a_route_that_denies_some_requests_by_a_field_need_say_nothing() -> None:
    closed = saying(None, "GET", rule=Rule(deny=True))
    assert granted(asking(), replace(closed, fields=VERSIONED), saying(CORS, "GET"))
    assert answer(asking(), closed, saying(CORS, "GET")) is None
    assert answer(asking(), replace(closed, fields=VERSIONED)) is None


some_routes = st.lists(
    st.builds(
        lambda path, methods, cors: saying(cors, *methods, path=path),
        st.sampled_from(["/jobs", "/{x}", "/jobs/{x}", "/{x...}"]),
        st.sets(st.sampled_from(METHODS), min_size=1),
        st.sampled_from([None, CORS, OTHER]),
    ),
    min_size=1,
    max_size=6,
)


@given(some_routes, st.sampled_from(METHODS), st.sampled_from(["/jobs", "/x", "/jobs/x", "/a/b/c"]))
def test_what_is_granted_is_what_the_route_of_each_method_says(routes: list[Route], method: str, path: str) -> None:
    table, asked = RouteTable(routes), asking(method, path)
    matched = {each: table.match(asked._replace(method=each)) for each in METHODS}
    says = {each: found.cors if isinstance(found, Route) else None for each, found in matched.items()}
    found = preflight(asked, table)
    if found is None:
        assert says[method] is None
        return
    assert (found.route, found.route.cors) == (matched[method], says[method])
    methods = granted(asked, *routes)["Access-Control-Allow-Methods"]
    assert methods.split(", ") == [each for each in METHODS if says[each] == says[method]]
