"""Hosts: how a route names them, and which one a request names."""

import re

import pytest
from hypothesis import given, strategies as st

from gateway.policy.denial import Reason
from gateway.policy.hosts import canonical_host, hosts_include, names_for, read_host
from gateway.policy.model import RequestHead, Route
from gateway.policy.routes import RouteTable

from .policy_case import head, reason, route


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.com", "api.example.com"),
        ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("10.0.0.7", "10.0.0.7"),
        ("a_b.internal", "a_b.internal"),
        ("[::1]", "[::1]"),
        ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
    ],
)
def test_a_host_is_read_in_the_form_that_requests_are_compared_with(text: str, expected: str) -> None:
    assert read_host(text) == expected


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "is no host"),
        ("a.example:8080", "without scheme, port and path"),
        ("https://a.example", "without scheme, port and path"),
        ("::1", "an IPv6 one in [ ]"),
        ("a.*.example", "write '*.example.com'"),
        ("*example.com", "write '*.example.com'"),
        ("*", "write '*.example.com'"),
        ("*.", "is no host"),
        ("*.*.example", "is no host"),
        ("a..example", "is no host"),
        ("a.example.", "without a dot at its end"),
        ("-a.example", "is no host"),
        ("m\N{LATIN SMALL LETTER U WITH DIAERESIS}ller.example", "in ASCII"),
        (".".join(["a" * 60] * 5), "is no host"),
        ("[::1", "write one such as [::1]"),
        ("[::g]", "write one such as [::1]"),
        ("[::1]:80", "write one such as [::1]"),
    ],
)
def test_what_is_no_host_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=re.escape(remedy)):
        read_host(text)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("", ""),
        ("a.example", "a.example"),
        ("A.Example.:8080", "a.example"),
        ("a.example:80", "a.example"),
        ("[::1]:8080", "[::1]"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[::FFFF:1:2:3:4:5:6:7:8]", "[::ffff:1:2:3:4:5:6:7:8]"),
    ],
)
def test_a_field_names_a_host_whatever_its_spelling(field: str, expected: str) -> None:
    assert canonical_host(field) == expected


def at(host: str, text: str = "/x", method: str = "GET") -> RequestHead:
    return head(text, method)._replace(host=host)


def hosted(route_id: str, path: str, *hosts: str, method: str = "GET") -> Route:
    plain = route(route_id, path, method)
    return Route(plain.id, plain.path, plain.methods, plain.rule, plain.upstream, hosts=hosts)


TABLE = RouteTable(
    [
        hosted("exact", "/x", "a.example"),
        hosted("two", "/x", "b.example", "[::1]"),
        hosted("below", "/x", "*.example"),
        hosted("number", "/{n:int}", "*.example"),
        hosted("post", "/x", "c.example", method="POST"),
        hosted("deep", "/deep", "*.c.example"),
        route("any", "/x"),
        hosted("late", "/x", "other"),
    ]
)


@pytest.mark.parametrize(
    ("host", "text", "expected"),
    [
        ("a.example", "/x", "exact"),
        ("A.EXAMPLE.:8080", "/x", "exact"),
        ("b.example", "/x", "two"),
        ("[0::1]:80", "/x", "two"),
        ("c.example", "/x", "below"),
        ("d.c.example", "/x", "below"),
        ("d.c.example", "/deep", "deep"),
        ("c.example", "/deep", Reason.NO_ROUTE),
        ("c.example", "/7", "number"),
        ("example", "/7", Reason.NO_ROUTE),
        ("example", "/x", "any"),
        ("xexample", "/x", "any"),
        ("", "/x", "any"),
        ("other", "/x", "any"),
        ("a.example.net", "/x", "any"),
        (".example", "/x", "any"),
        ("a.example", "/y", Reason.NO_ROUTE),
    ],
)
def test_a_route_with_hosts_takes_their_requests_only(host: str, text: str, expected: str | Reason) -> None:
    found = TABLE.match(at(host, text))
    assert (found.id if isinstance(found, Route) else found.reason) == expected


def test_methods_are_those_of_the_routes_of_the_host() -> None:
    table = RouteTable([hosted("a", "/x", "a.example"), hosted("b", "/x", "b.example", method="POST")])
    denial = table.match(at("a.example", method="PUT"))
    assert reason(denial) is Reason.METHOD_NOT_ALLOWED
    assert not isinstance(denial, Route)
    assert denial.allow == ("GET",)
    assert reason(table.match(at("c.example"))) is Reason.NO_ROUTE


def test_a_refusal_tells_the_operator_that_another_host_has_the_path() -> None:
    table = RouteTable([hosted("a", "/x", "a.example")])
    details = [found.detail for found in map(table.match, (at("b.example"), at("b.example", "/y"))) if found.detail]  # type: ignore[union-attr]  # neither is a route
    assert details == ["no route's path fits at this host", "no route's path fits"]


def test_candidates_are_those_of_one_host_or_of_all() -> None:
    assert [found.id for found in TABLE.candidates("/x", "b.example")] == ["two", "below", "any"]
    assert [found.id for found in TABLE.candidates("/x")] == ["exact", "two", "below", "post", "any", "late"]


def test_a_long_host_costs_no_more_than_the_longest_that_is_named() -> None:
    assert len(list(names_for("a." * 16_000 + "a", longest=20))) <= 11


@pytest.mark.parametrize(
    ("hosts", "others", "expected"),
    [
        ((), (), True),
        ((), ("a.example",), True),
        (("a.example",), (), False),
        (("a.example",), ("a.example",), True),
        (("a.example",), ("a.example", "b.example"), False),
        (("*.example",), ("a.example", "*.b.example", "*.example"), True),
        (("*.example",), ("example",), False),
        (("*.b.example",), ("*.example",), False),
        (("*.b.example",), ("xb.example",), False),
    ],
)
def test_some_hosts_include_others(hosts: tuple[str, ...], others: tuple[str, ...], *, expected: bool) -> None:
    assert hosts_include(hosts, others) is expected


_names = st.lists(st.sampled_from(["a", "b", "example"]), min_size=1, max_size=3).map(".".join)
_hosts = st.lists(_names | _names.map("*.{}".format), max_size=2, unique=True).map(tuple)


def fits(hosts: tuple[str, ...], host: str) -> bool:
    """Whether a host is one of some hosts, in the most obvious way."""
    return not hosts or any(host == each or (each[0] == "*" and host.endswith(each[1:])) for each in hosts)


@given(st.lists(_hosts, max_size=8), _names)
def test_the_compiled_table_finds_the_first_route_of_the_host(tables: list[tuple[str, ...]], host: str) -> None:
    routes = [hosted(str(number), "/x", *hosts) for number, hosts in enumerate(tables)]
    expected = next((entry for entry in routes if fits(entry.hosts, host)), None)
    found = RouteTable(routes).match(at(host))
    assert (found if isinstance(found, Route) else None) is expected
    for number, hosts in enumerate(tables):
        assert any(hosts_include(earlier, hosts) for earlier in tables[:number]) <= (expected is not routes[number])
