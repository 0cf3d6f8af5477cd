"""The route table."""

import re
import sys
from dataclasses import replace
from types import FrameType

import pytest
from hypothesis import given, strategies as st

from gateway.policy.denial import Denial, Reason
from gateway.policy.fields import FieldCondition
from gateway.policy.model import RequestHead, Route
from gateway.policy.paths import Oddity
from gateway.policy.patterns import compiled
from gateway.policy.routes import MOST_SELECTORS, Literal, Rest, RouteTable, Segment, Variable, parse_template

from .policy_case import head, reason, route


def matched(table: RouteTable, text: str, method: str = "GET") -> str:
    found = table.match(head(text, method))
    return found.id if isinstance(found, Route) else found.reason.value


TEMPLATES: list[tuple[str, tuple[Segment, ...]]] = [
    ("/", (Literal(""),)),
    ("/jobs", (Literal("jobs"),)),
    ("/jobs/", (Literal("jobs"), Literal(""))),
    ("/jobs/{job}/files/{path...}", (Literal("jobs"), Variable("job"), Literal("files"), Rest("path"))),
    ("/{id:int}/{day:[0-9]{2}}", (Variable("id", compiled("int")), Variable("day", compiled("[0-9]{2}")))),
    ("/a:b", (Literal("a:b"),)),
    ("/a%3Ab", (Literal("a:b"),)),
    ("/caf%C3%A9", (Literal("caf%C3%A9"),)),
    ("/a%20b", (Literal("a%20b"),)),
    ("/a%2Fb", (Literal("a%2Fb"),)),
]


@pytest.mark.parametrize(("text", "segments"), TEMPLATES, ids=[text for text, _ in TEMPLATES])
def test_a_template_is_read_in_the_form_that_requests_are_matched_in(text: str, segments: tuple[Segment, ...]) -> None:
    assert parse_template(text) == segments


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("jobs", "write '/jobs'"),
        ("", "write '/'"),
        ("//jobs", "remove one slash"),
        ("/a//b", "remove one slash"),
        ("/{rest...}/x", "only stand last"),
        ("/{x}/{x}", "stands twice"),
        ("/{x}/{x...}", "stands twice"),
        ("/job-{x}", "a variable is a whole segment"),
        ("/{X}", "a variable is a whole segment"),
        ("/{}", "a variable is a whole segment"),
        ("/}", "a variable is a whole segment"),
        ("/{x:integer}", "write one of int, uuid, or an expression"),
        ("/{x:}", "write one of int, uuid, or an expression"),
        ("/{x:.*}", "'.' would take any character"),
        ("/{x:int...}", "'.' would take any character"),
        ("/{x:[a/b]}", "a variable is a whole segment"),
        ("/a-{x:int}", "a variable is a whole segment"),
        ("/{x:int}/{x:uuid}", "stands twice"),
        ("/a/../b", "dot segment"),
        ("/.", "dot segment"),
        ("/a b", "escape such as %20"),
        ("/café", "escape such as %20"),
        ("/a;b", "escape such as %20"),
        ("/a%2fb", "escape such as %20"),
        ("/%", "escape such as %20"),
        ("/%61dmin", "a needless escape"),
        ("/a%00", "an escaped control character"),
        ("/%2E%2E", "a dot segment"),
        ("/a%5Cb", "a backslash"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=re.escape(remedy)):
        parse_template(text)


def test_the_first_route_in_file_order_wins() -> None:
    table = RouteTable(
        [
            route("one", "/jobs/{job}"),
            route("literal", "/jobs/7"),
            route("rest", "/{path...}"),
            route("late", "/reports/7"),
        ]
    )
    assert matched(table, "/jobs/7") == "one"
    assert matched(table, "/reports/7") == "rest"
    assert [found.id for found in table.candidates("/jobs/7")] == ["one", "literal", "rest"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/files/", "files"),
        ("/files/a/b/", "files"),
        ("/files", "no_route"),
        ("/jobs/7", "job"),
        ("/jobs/", "no_route"),
        ("/jobs/7/", "no_route"),
        ("/jobs/7/8", "no_route"),
        ("/", "no_route"),
        ("/a%3Ab", "colon"),
        ("/a:b", "colon"),
    ],
)
def test_a_variable_takes_one_segment_and_the_rest_takes_any(text: str, expected: str) -> None:
    table = RouteTable([route("files", "/files/{path...}"), route("job", "/jobs/{job}"), route("colon", "/a%3Ab")])
    assert matched(table, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/jobs/7", "number"),
        ("/jobs/latest", "literal"),
        ("/jobs/abc", "word"),
        ("/jobs/ABC", "any"),
        ("/jobs/7a", "any"),
        ("/jobs/%C3%A9", "any"),
        ("/jobs/", "no_route"),
        ("/jobs", "no_route"),
        ("/jobs/7/runs", "no_route"),
        ("/jobs/7/runs/12", "run"),
        ("/jobs/7/runs/x", "no_route"),
        ("/jobs/a%2Fb", "target_invalid"),
    ],
)
def test_a_typed_variable_takes_what_its_pattern_takes(text: str, expected: str) -> None:
    table = RouteTable(
        [
            route("number", "/jobs/{id:int}"),
            route("literal", "/jobs/latest"),
            route("word", "/jobs/{name:[a-z]+}"),
            route("run", "/jobs/{id:int}/runs/{run:int}"),
            route("any", "/jobs/{x}"),
        ]
    )
    assert matched(table, text) == expected


def test_file_order_decides_between_typed_and_other_variables() -> None:
    table = RouteTable([route("any", "/{x}"), route("number", "/{id:int}"), route("late", "/{id:[0-9]+}/x")])
    assert matched(table, "/7") == "any"
    assert [found.id for found in table.candidates("/7")] == ["any", "number"]
    assert matched(table, "/7/x") == "late"
    assert matched(table, "/7", "POST") == "method_not_allowed"


def test_a_path_without_the_method_is_405_with_the_methods_it_takes() -> None:
    table = RouteTable([route("read", "/jobs/{job}", "GET", "HEAD"), route("run", "/jobs/7", "POST")])
    denial = table.match(head("/jobs/7", "DELETE"))
    assert isinstance(denial, Denial)
    assert (denial.reason, denial.allow) == (Reason.METHOD_NOT_ALLOWED, ("GET", "HEAD", "POST"))
    assert matched(table, "/jobs/7", "POST") == "run"
    assert matched(table, "/jobs/8", "get") == "method_not_allowed"


def test_a_later_route_for_the_method_is_found_behind_an_earlier_one_for_another() -> None:
    table = RouteTable([route("read", "/jobs/{job}"), route("run", "/{any...}", "POST")])
    assert matched(table, "/jobs/7", "POST") == "run"


def test_the_first_fitting_route_decides_on_oddities_and_no_later_one() -> None:
    lenient = route("later", "/{x...}", allow_in_path=frozenset(Oddity))
    table = RouteTable([route("first", "/jobs/{job}"), lenient])
    assert matched(table, "/jobs/a%2Fb") == "target_invalid"
    assert matched(table, "/other/a%2Fb") == "later"


def test_an_oddity_on_no_route_is_an_invalid_target() -> None:
    assert reason(RouteTable([]).match(head("/a%2Fb"))) is Reason.TARGET_INVALID
    assert reason(RouteTable([]).match(head("/a"))) is Reason.NO_ROUTE


VERSIONS = [
    replace(route("two", "/jobs/{job}"), fields=(FieldCondition("X-Version", ("2",)),)),
    replace(route("debug", "/jobs/7"), fields=(FieldCondition("X-Debug"), FieldCondition("X-Version", ("3",)))),
    replace(route("none", "/{any...}"), fields=(FieldCondition("X-Version", present=False),)),
    replace(route("run", "/jobs/7", "POST"), fields=(FieldCondition("X-Run"),)),
]


@pytest.mark.parametrize(
    ("text", "method", "fields", "expected"),
    [
        ("/jobs/7", "GET", {"X-Version": "2"}, "two"),
        ("/jobs/7", "GET", {"X-Version": "2", "X-Debug": ""}, "two"),
        ("/jobs/7", "GET", {"x-version": "3", "x-debug": ""}, "debug"),
        ("/jobs/7", "GET", {"X-Version": "3"}, "no_route"),
        ("/jobs/8", "GET", {"X-Version": "3", "X-Debug": ""}, "no_route"),
        ("/jobs/7", "GET", {}, "none"),
        ("/other", "GET", {"X_Version": "2"}, "request_malformed"),
        ("/other", "GET", {"X_Run": "2"}, "none"),
        ("/jobs/7", "GET", {"X-Version": "2", "X_Debug": "2"}, "request_malformed"),
        ("/jobs/8", "GET", {"X-Version": "2", "X_Debug": "2"}, "two"),
        ("/jobs/7", "POST", {}, "no_route"),
        ("/jobs/7", "POST", {"X-Run": "", "X_Version": ""}, "run"),
        ("/jobs/7", "PUT", {"X-Version": "2"}, "method_not_allowed"),
        ("/jobs/a%2Fb", "GET", {"X-Version": "2"}, "target_invalid"),
        ("/jobs/a%2Fb", "GET", {"X-Version": "3"}, "no_route"),
    ],
)
def test_fields_tell_routes_apart_that_take_the_same_path(
    text: str, method: str, fields: dict[str, str], expected: str
) -> None:
    request = head(text, method)._replace(fields=[(name.encode(), value.encode()) for name, value in fields.items()])
    found = RouteTable(VERSIONS).match(request)
    assert (found.id if isinstance(found, Route) else found.reason.value) == expected


def test_more_paths_by_fields_than_a_table_remembers_are_told_apart_all_the_same() -> None:
    second = (FieldCondition("X-Version", ("2",)),)
    paths = [f"/{number}" for number in range(MOST_SELECTORS + 2)]
    table = RouteTable([*(replace(route(path[1:], path), fields=second) for path in paths), route("any", "/{any}")])
    for path in (*paths, *paths):
        with_field = table.match(head(path)._replace(fields=[(b"X-Version", b"2")]))
        assert isinstance(with_field, Route)
        assert (with_field.id, matched(table, path)) == (path[1:], "any")


def test_a_path_that_no_fields_open_names_them() -> None:
    denial = RouteTable(VERSIONS[:2]).match(head("/jobs/7"))
    assert isinstance(denial, Denial)
    assert denial.detail == "no route takes this path with these fields: X-Version, X-Debug"


def fits(segments: tuple[Segment, ...], parts: list[str]) -> bool:
    """Whether a path fits one template, in the most obvious way."""
    if not segments or not parts:
        return not segments and not parts
    match segments[0]:
        case Rest():
            return True
        case Variable(_, pattern):
            taken = ".+" if pattern is None else pattern.source.replace("int", "[0-9]+")
            return re.fullmatch(taken, parts[0]) is not None and fits(segments[1:], parts[1:])
        case Literal(text):
            return parts[0] == text and fits(segments[1:], parts[1:])


def naive(routes: list[Route], request: RequestHead) -> str:
    parts = request.path.split("/")[1:]
    fitting = [entry for entry in routes if fits(parse_template(entry.path), parts)]
    taking = [entry for entry in fitting if request.method in entry.methods]
    looked_at = {each.name for entry in taking for each in entry.fields} if taking and taking[0].fields else set()
    if any(is_doubtful(name, request) for name in looked_at):
        return "request_malformed"
    for entry in taking:
        if all(each.holds(dict(decoded(request)).get(each.name)) for each in entry.fields):
            return entry.id
    return "method_not_allowed" if fitting and not taking else "no_route"


def decoded(request: RequestHead) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in request.fields]


def is_doubtful(name: str, request: RequestHead) -> bool:
    """Whether a field is there more than once, or in another spelling."""
    alike = [each for each, _ in decoded(request) if re.fullmatch("[_.-]".join(name.split("-")), each)]
    return alike not in ([], [name])


_words = st.sampled_from(["a", "b", "1", "%20"])
_variables = st.sampled_from(["{v}", "{v:int}", "{v:[ab]+}", "{v:[a1]}"])
_middles = st.lists(_words | _variables, max_size=3).map(
    lambda parts: [part.replace("v", f"v{place}") for place, part in enumerate(parts)]
)
_ends = st.sampled_from(["", "a", "b", "{last}", "{last:[b-d]}", "{rest...}"])
_templates = st.builds(lambda middle, end: "/" + "/".join([*middle, end]), _middles, _ends)
_methods = st.sets(st.sampled_from(["GET", "POST"]), min_size=1)
_conditions = st.sampled_from(
    [
        FieldCondition("x-a", ("1",)),
        FieldCondition("x-a", ("1", "2")),
        FieldCondition("x-a", present=False),
        FieldCondition("x-b"),
    ]
)
_looked_at = st.just(()) | st.lists(_conditions, max_size=2, unique_by=lambda each: each.name).map(tuple)
_fields = st.lists(
    st.tuples(st.sampled_from([b"x-a", b"x-b", b"x_a", b"x-c"]), st.sampled_from([b"1", b"2", b"3"])), max_size=2
)
_tables = st.lists(st.tuples(_templates, _methods, _looked_at), max_size=8).map(
    lambda rows: [
        replace(route(str(place), path, *methods), fields=fields) for place, (path, methods, fields) in enumerate(rows)
    ]
)
_requests = st.builds(
    lambda parts, end, method, fields: head("/" + "/".join([*parts, end]), method)._replace(fields=fields),
    st.lists(_words, max_size=3),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["GET", "POST"]),
    _fields,
)


@given(_tables, _requests)
def test_the_compiled_table_decides_as_a_loop_over_the_routes_does(routes: list[Route], request: RequestHead) -> None:
    table = RouteTable(routes)
    found = table.match(request)
    assert (found.id if isinstance(found, Route) else found.reason.value) == naive(routes, request)
    parts = request.path.split("/")[1:]
    assert table.candidates(request.path) == tuple(r for r in routes if fits(parse_template(r.path), parts))


def steps(table: RouteTable, request: RequestHead) -> int:
    """How many nodes of the tree a match visits."""
    visits = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal visits
        visits += event == "call" and frame.f_code.co_name == "first_fitting"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        table.match(request)
    finally:
        sys.setprofile(before)
    return visits


@pytest.mark.parametrize("number", [0, 499, 999])
def test_a_thousand_routes_take_no_more_steps_than_one(number: int) -> None:
    def table(count: int) -> RouteTable:
        return RouteTable(route(str(n), f"/service-{n % 1000}/jobs/{{job}}") for n in range(number, number + count))

    request = head(f"/service-{number}/jobs/7")
    assert 0 < steps(table(1000), request) <= steps(table(1), request)
