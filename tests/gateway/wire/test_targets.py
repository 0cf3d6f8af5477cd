"""Targets that two servers could read differently (security.md, "Target and routing")."""

import pytest

from .gate import Gate
from .raw_client import request

REFUSED = {
    "dot segments": "/public/../admin/x",
    "dot segments at the end": "/public/..",
    "one dot": "/public/./x",
    "escaped dot segments": "/public/%2e%2e/admin/x",
    "half-escaped dot segments": "/public/.%2E/admin/x",
    "two slashes in front": "//admin/x",
    "two slashes within": "/public//../admin",
    "empty segment": "/public//x",
    "encoded slash": "/public/..%2fadmin",
    "encoded slash alone": "/public/a%2Fb",
    "backslash": "/public\\..\\admin",
    "backslash behind a slash": "/public/..\\admin",
    "encoded backslash": "/public/..%5cadmin",
    "path parameters in dot segments": "/public/..;a=b/admin",
    "path parameters": "/admin;x",
    "path parameters on a route": "/public/a;b",
    "encoded semicolon": "/public/..%3b/admin",
    "fragment": "/admin#/public/",
    "fragment on a route": "/public/x#y",
    "fragment in a query": "/public/x?a#b",
    "double encoding": "/public/%252e%252e/admin",
    "NUL": "/public/%00",
    "CR": "/public/%0d",
    "LF": "/public/x%0aFORGED",
    "blank at the end": "/admin%20",
    "broken escape": "/public/%zz",
    "needless escape": "/%61dmin/x",
    "overlong encoding": "/public/%c0%ae%c0%ae/admin",
    "dot at the end": "/admin/.",
    "another case": "/ADMIN/x",
    "no trailing slash": "/admin",
    "non-ASCII byte": "/public/\xe9",
    "absolute form": "http://evil.example/admin/x",
    "absolute form of this host": "http://gate.example/public/x",
    "absolute form with userinfo": "http://user:pass@gate.example/public/x",
    "asterisk": "*",
    "relative": "public/x",
    "query alone": "?/public/x",
}


@pytest.mark.parametrize("target", REFUSED.values(), ids=REFUSED)
async def test_a_doubtful_target_is_refused_and_never_forwarded(gate: Gate, target: str) -> None:
    answer = await gate.ask(request(f"GET {target}", gate.bearer()))
    assert 400 <= answer.status < 500
    assert not gate.upstream.visits


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /public/x y HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /public/\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /public/\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /public/\ttab HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET\t/public/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /public/x\r\n\r\n",
        b"GET /public/x HTTP/0.9\r\nHost: a\r\n\r\n",
        b"GET /public/x HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /public/x HTTP/1.2\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"BREW /public/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get /public/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        b"CONNECT /public/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"TRACE /public/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_a_request_line_that_is_none_is_refused_and_never_forwarded(gate: Gate, raw: bytes) -> None:
    answer = await gate.ask(raw)
    assert 400 <= answer.status < 500
    assert not gate.upstream.visits


HOSTS = {
    "none": "",
    "empty": "Host: ",
    "two": "Host: a\r\nHost: b",
    "two alike": "Host: a\r\nHost: a",
    "userinfo": "Host: user@gate.example",
    "path": "Host: gate.example/admin",
    "comma": "Host: a, b",
    "blank": "Host: a b",
    "port of letters": "Host: a:http",
    "non-ASCII": "Host: g\xe4te.example",
    "query": "Host: a?b",
    "space before the colon": "Host : a",
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_a_host_that_is_not_one_host_is_refused_and_never_forwarded(gate: Gate, host: str) -> None:
    answer = await gate.ask(request("GET /public/x", host=host))
    assert answer.status == 400
    assert not gate.upstream.visits


@pytest.mark.parametrize(
    "target",
    [
        "/public/x",
        "/public/",
        "/public/a/b/c/",
        "/public/%20%C3%A9?q=%00&/admin/../#".rstrip("#"),
        "/public/a?//../%2e",
        "/public/~a,b",
    ],
)
async def test_a_good_target_arrives_byte_for_byte(gate: Gate, target: str) -> None:
    assert (await gate.ask(request(f"GET {target}"))).status == 200
    assert gate.upstream.last.line == f"GET {target} HTTP/1.1".encode()


async def test_a_query_is_never_matched(gate: Gate) -> None:
    answer = await gate.ask(request("GET /admin/x?/public/x"))
    assert answer.status == 401
    assert not gate.upstream.visits


@pytest.mark.parametrize(
    "field",
    [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X_Method_Override: DELETE",
        "x.http.method.override: DELETE",
    ],
)
async def test_a_method_override_is_removed(gate: Gate, field: str) -> None:
    assert (await gate.ask(request("POST /public/x", field, "Content-Length: 0"))).status == 200
    assert gate.upstream.last.line == b"POST /public/x HTTP/1.1"
    assert b"DELETE" not in gate.upstream.last.head


async def test_a_method_that_the_path_does_not_take_is_answered_with_those_it_takes(gate: Gate) -> None:
    answer = await gate.ask(request("DELETE /jobs/7", gate.bearer()))
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD, POST")
    assert not gate.upstream.visits
