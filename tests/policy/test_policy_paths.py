"""The canonical form of a request target."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import example, given, strategies as st

from gateway.policy.denial import Denial, Reason
from gateway.policy.paths import CanonicalTarget, Oddity, canonical_target, query_keys
from gateway.policy.routes import RouteTable

from .policy_case import head, reason, route, target

NEVER = {
    "dot segment": ["/public/../admin/x", "/public/./x", "/..", "/.", "/public/..", "/admin/.", "/public/../"],
    "encoded dot segment": ["/public/%2e%2e/admin/x", "/public/%2E./admin", "/public/.%2e/x", "/%2e", "/a/%2e%2E"],
    "empty segment before a dot segment": ["/public//../admin"],
    "encoded slash around dots": ["/public/..%2fadmin", "/public%2f../admin", "/public%2F..%2Fadmin", "/..%2f"],
    "backslash": [r"/public\..\admin", "/public/..%5cadmin", "/public%5C..%5Cadmin", "\\admin"],
    "dot segment with parameters": ["/public/..;a=b/admin", "/public/..;/admin", "/public/..%3Ba=b/x", "/.;/admin"],
    "fragment": ["/admin#/public/", "/#", "/public#?x=1", "/public?x=1#/admin"],
    "double escape": ["/public/%252e%252e/admin", "/%252fadmin", "/%2525", "/%25%32%65"],
    "escaped control": ["/admin%00", "/%0d%0aX:%20y", "/admin%0a", "/%1f", "/%7f", "/%09"],
    "raw control, blank, non-ASCII": ["/admin x", "/admin\t", "/admin\x00", "/adm\udc80in", "/caf\xe9", "/a\x7f"],
    "overlong encoding": ["/%c0%ae%C0%AE/admin", "/public%c0%af..", "/%e0%80%af", "/%F0%80%80%AF", "/%C1%9C"],
    "needless escape": ["/%61dmin", "/adm%69n", "/%41", "/a%2Db", "/%7Ex", "/%5f", "/a%2eb", "/%30"],
    "broken escape": ["/%", "/%4", "/%zz", "/%u0041", "/a%2"],
    "not a path character": ['/a"b', "/a<b", "/a>b", "/a^b", "/a`b", "/a{b}", "/a|b", "/a[b]"],
    "not the origin form": ["http://evil/admin", "evil.example:443", "*", "", "admin", "?x=1", "https:/admin"],
    "query with more than visible ASCII": ["/a?b c", "/a?\x00", "/a?caf\xe9", "/a?\udc80", "/a?x\ry"],
}


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{name}: {text!a}") for name, texts in NEVER.items() for text in texts]
)
def test_a_target_that_servers_read_differently_is_refused(text: str) -> None:
    assert reason(canonical_target(text)) is Reason.TARGET_INVALID


BY_CHOICE = [
    ("/a%2fb", Oddity.ENCODED_SLASH),
    ("/a%2Fb", Oddity.ENCODED_SLASH),
    ("/admin;x", Oddity.PATH_PARAMETERS),
    ("/admin%3bx", Oddity.PATH_PARAMETERS),
    ("//admin/x", Oddity.EMPTY_SEGMENTS),
    ("/public//x", Oddity.EMPTY_SEGMENTS),
    ("/public//", Oddity.EMPTY_SEGMENTS),
]


@pytest.mark.parametrize(("text", "oddity"), BY_CHOICE)
def test_an_oddity_needs_a_route_that_names_it(text: str, oddity: Oddity) -> None:
    assert target(text).oddities == {oddity}
    others = frozenset(Oddity) - {oddity}
    assert reason(RouteTable([route("r", "/{x...}")]).match(head(text))) is Reason.TARGET_INVALID
    assert reason(RouteTable([route("r", "/{x...}", allow_in_path=others)]).match(head(text))) is Reason.TARGET_INVALID
    allowing = route("r", "/{x...}", allow_in_path=frozenset({oddity}))
    assert RouteTable([allowing]).match(head(text)) is allowing


def test_every_oddity_of_a_path_has_to_be_allowed() -> None:
    assert target("//a;b%2Fc").oddities == set(Oddity)
    table = RouteTable([route("r", "/{x...}", allow_in_path=frozenset({Oddity.EMPTY_SEGMENTS}))])
    denial = table.match(head("//a;b%2Fc"))
    assert isinstance(denial, Denial)
    assert "encoded_slash, path_parameters" in denial.detail
    assert "empty_segments" not in denial.detail


ACCEPTED = [
    ("/", "/"),
    ("/maintenance/jobs/7", "/maintenance/jobs/7"),
    ("/jobs/", "/jobs/"),
    ("/.well-known/x", "/.well-known/x"),
    ("/a..b/...", "/a..b/..."),
    ("/a%20b", "/a%20b"),
    ("/caf%c3%a9", "/caf%C3%A9"),
    ("/caf%C3%A9", "/caf%C3%A9"),
    ("/a%3Ab", "/a:b"),
    ("/a%3ab", "/a:b"),
    ("/a:b", "/a:b"),
    ("/%40me%2C%24%21", "/@me,$!"),
    ("/100%25", "/100%25"),
    ("/ADMIN/x", "/ADMIN/x"),
    ("/~user/(1)/a=b&c+d*'", "/~user/(1)/a=b&c+d*'"),
]


@pytest.mark.parametrize(("text", "path"), ACCEPTED)
def test_a_path_that_every_server_reads_alike_is_taken(text: str, path: str) -> None:
    assert canonical_target(text) == CanonicalTarget(path, "", frozenset())


@pytest.mark.parametrize("text", ["/admin%20", "/ADMIN/x", "/admin/", "/Admin", "/admin."], ids=str)
def test_a_near_miss_of_a_route_is_no_entry(text: str) -> None:
    table = RouteTable([route("admin", "/admin"), route("below", "/admin/{x}")])
    assert reason(table.match(head(text))) is Reason.NO_ROUTE


def test_a_query_is_kept_as_received_and_never_matched() -> None:
    table = RouteTable([route("public", "/public/{x...}")])
    assert target("/admin?/public/x?y=%2e%2e;").query == "/public/x?y=%2e%2e;"
    assert reason(table.match(head("/admin?/public/x"))) is Reason.NO_ROUTE


_DOUBTFUL = ["//", ".", "..", "%2e", "%2E", "%2f", "%5c", "%25", "%252e", "%3b", ";", "%00", "%", "%c0%ae", "#", "\\"]
_HARMLESS = ["/", "a", "b%20", "%c3%a9", "%61", "2", "e", "f", "%3A", "?", "é", " "]
_paths = st.lists(st.sampled_from(_DOUBTFUL + _HARMLESS), max_size=8).map(lambda pieces: "/" + "".join(pieces))


@given(_paths | st.text(st.characters(max_codepoint=0x100), max_size=20).map("/{}".format))
@example("/public/%252e%252e/admin")
@example("/a%25/b")
@example("/%25%32%65")
def test_decoding_never_gives_a_taken_path_another_structure(text: str) -> None:
    canonical = canonical_target(text)
    if isinstance(canonical, Denial) or canonical.oddities:
        return
    expected = canonical.path.split("/")
    for decoded in (unquote(text.partition("?")[0]), unquote(unquote(text.partition("?")[0]))):
        assert len(decoded.split("/")) == len(expected)
        assert posixpath.normpath(decoded) == (decoded.rstrip("/") or "/")
        assert "\\" not in decoded
    assert unquote(canonical.path) == unquote(text.partition("?")[0])


@given(_paths)
def test_the_canonical_form_is_its_own_canonical_form(text: str) -> None:
    canonical = canonical_target(text)
    if isinstance(canonical, CanonicalTarget):
        assert target(canonical.path) == (canonical.path, "", canonical.oddities)


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("", []),
        ("a=1&b=2&a=3", ["a", "b", "a"]),
        ("filter[name]=x&page.size=2", ["filter[name]", "page.size"]),
        ("=x", ["*"]),
        ("&", ["*", "*"]),
        ("wsdl", ["wsdl"]),
        ("eyJhbGciOiJSUzI1NiJ9.e30.c2ln", ["*"]),
        ("0123456789abcdef0123456789abcdef", ["*"]),
        ("a=1;token=secret", ["a"]),
        ("%0aFORGED=1", ["*"]),
        (f"{'k' * 65}=1", ["*"]),
    ],
)
def test_a_query_shows_its_keys_only(query: str, keys: list[str]) -> None:
    assert list(query_keys(query)) == keys


_pairs = st.tuples(st.text("abc", min_size=1, max_size=5), st.text("AZ09=+/._-", min_size=3, max_size=20))


@given(st.lists(_pairs))
def test_a_query_never_shows_a_value(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{key}={value}" for key, value in pairs)
    assert list(query_keys(query)) == [key for key, _ in pairs]
