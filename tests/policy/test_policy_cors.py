"""What pages of other origins are told (Fetch standard, the CORS protocol), and how origins are written."""

import pytest
from hypothesis import given, strategies as st

from gateway.policy.cors import ANY, Cors, Field, asked_headers, asked_method, read_origin, told, without_cors

APP = "https://app.example"
CORS = Cors((APP, "http://localhost:3000"), ("Authorization",), ("X-Total", "ETag"))
VARY = b"Vary: Origin\r\n"
ALLOWED = b"Access-Control-Allow-Origin: https://app.example\r\n"
EXPOSED = b"Access-Control-Expose-Headers: X-Total, ETag\r\n"


def fields(*lines: str) -> list[Field]:
    return [(name.encode(), value.encode("latin-1")) for name, _, value in (line.partition(": ") for line in lines)]


@pytest.mark.parametrize(
    ("cors", "lines", "expected"),
    [
        (CORS, ["Origin: https://app.example"], ALLOWED + EXPOSED + VARY),
        (CORS, ["origin:  https://app.example "], ALLOWED + EXPOSED + VARY),
        (
            Cors((APP,), credentials=True),
            [f"Origin: {APP}"],
            ALLOWED + b"Access-Control-Allow-Credentials: true\r\n" + VARY,
        ),
        (CORS, [], VARY),
        (CORS, ["Origin: "], VARY),
        (CORS, ["Origin: null"], VARY),
        (CORS, ["Origin: https://evil.example"], VARY),
        (CORS, ["Origin: http://app.example"], VARY),
        (CORS, ["Origin: https://app.example:443"], VARY),
        (CORS, ["Origin: https://APP.example"], VARY),
        (CORS, ["Origin: https://app.example/"], VARY),
        (CORS, ["Origin: https://app.example.evil.example"], VARY),
        (CORS, ["Origin: https://app.example, https://evil.example"], VARY),
        (CORS, [f"Origin: {APP}", f"Origin: {APP}"], VARY),
        (CORS, ["X-Origin: https://app.example", "Orig_in: https://app.example"], VARY),
        (CORS, ["Origin: https://app.example\xff"], VARY),
        (Cors((ANY,)), ["Origin: https://evil.example"], b"Access-Control-Allow-Origin: *\r\n"),
        (Cors((ANY,)), ["Origin: null"], b"Access-Control-Allow-Origin: *\r\n"),
        (Cors((ANY,)), [], b"Access-Control-Allow-Origin: *\r\n"),
        (
            Cors((ANY,), expose=("ETag",)),
            [],
            b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ETag\r\n",
        ),
    ],
)
def test_an_answer_tells_pages_of_the_listed_origins_that_they_may_read_it(
    cors: Cors, lines: list[str], expected: bytes
) -> None:
    assert told(cors, "GET", fields(*lines)) == expected


def test_no_answer_but_a_grant_tells_a_preflight_anything() -> None:
    asking = fields(f"Origin: {APP}", "Access-Control-Request-Method: POST")
    vary = b"Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
    assert told(CORS, "OPTIONS", asking) == told(Cors((ANY,)), "OPTIONS", asking) == vary
    assert told(CORS, "POST", asking) == ALLOWED + EXPOSED + VARY
    assert told(CORS, "OPTIONS", asking[:1]) == ALLOWED + EXPOSED + VARY


@pytest.mark.parametrize(
    ("method", "lines", "expected"),
    [
        ("OPTIONS", [f"Origin: {APP}", "Access-Control-Request-Method: POST"], "POST"),
        ("OPTIONS", ["origin: null", "access-control-request-method: x y"], "x y"),
        ("options", [f"Origin: {APP}", "Access-Control-Request-Method: POST"], None),
        ("GET", [f"Origin: {APP}", "Access-Control-Request-Method: POST"], None),
        ("OPTIONS", ["Access-Control-Request-Method: POST"], None),
        ("OPTIONS", [f"Origin: {APP}"], None),
        ("OPTIONS", [f"Origin: {APP}", f"Origin: {APP}", "Access-Control-Request-Method: POST"], None),
        ("OPTIONS", [f"Origin: {APP}", *["Access-Control-Request-Method: POST"] * 2], None),
        ("OPTIONS", [f"Origin: {APP}", "Access_Control_Request_Method: POST"], None),
    ],
)
def test_a_preflight_has_one_origin_and_asks_about_one_method(
    method: str, lines: list[str], expected: str | None
) -> None:
    assert asked_method(method, fields(*lines)) == expected


def test_the_fields_that_are_asked_about_may_stand_in_several_lines() -> None:
    lines = ["Access-Control-Request-Headers: authorization,X-A", "access-control-request-headers:  , b ,"]
    assert asked_headers(fields(*lines)) == ("authorization", "x-a", "b")
    assert asked_headers([]) == ()


_BYTES = st.binary(max_size=20)
_NAMES = (
    st.sampled_from([b"Origin", b"origin", b"Access-Control-Request-Method", b"Access-Control-Request-Headers"])
    | _BYTES
)


@given(st.lists(st.tuples(_NAMES, st.sampled_from([APP.encode(), b"null", b"*"]) | _BYTES), max_size=4))
def test_whatever_a_client_sends_no_origin_is_told_but_a_listed_one(sent: list[Field]) -> None:
    lines = told(CORS, "GET", sent)
    assert lines in {VARY, ALLOWED + EXPOSED + VARY}
    origins = [value.strip(b" \t") for name, value in sent if name.lower() == b"origin"]
    assert (lines != VARY) is (origins == [APP.encode()])


def test_what_an_upstream_says_of_pages_goes_and_nothing_else() -> None:
    lines = (
        b"Content-Type: text/plain\r\nACCESS-control-allow-origin: *\r\nX-Access-Control-Allow-Origin: 1\r\n"
        b"Vary: Accept\r\nAccess-Control-Expose-Headers:\r\nAccess-Control-Allow-Private-Network: true\r\n"
    )
    assert without_cors(lines) == b"Content-Type: text/plain\r\nX-Access-Control-Allow-Origin: 1\r\nVary: Accept\r\n"
    assert without_cors(b"") == b""
    assert (
        without_cors(b"Access-Control-Max-Age: 1\r\nA: Access-Control-Max-Age: 1\r\n")
        == b"A: Access-Control-Max-Age: 1\r\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("*", APP, "http://localhost:3000", "https://a.b-c.example:8443", "http://127.0.0.1", "https://[::1]:8443"),
        *("chrome-extension://abcdefghijklmnop", "capacitor://localhost", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_taken_as_browsers_write_it(text: str) -> None:
    assert read_origin(text) == text


@pytest.mark.parametrize(
    ("text", "told_why"),
    [
        ("null", "'null' is what anybody's sandboxed pages"),
        ("", "no origin: write scheme and host"),
        ("app.example", "no origin: write scheme and host"),
        ("//app.example", "no origin: write scheme and host"),
        ("https://", "no origin: write scheme and host"),
        ("https:///x", "no origin: write scheme and host"),
        ("https://user@app.example", "more than an origin: write 'https://user'"),
        ("https://app.example/", "more than an origin: write 'https://app.example'"),
        ("https://app.example/x", "write 'https://app.example'"),
        ("https://app.example:8443/x?y", "write 'https://app.example:8443'"),
        ("https://app.example:", "write 'https://app.example'"),
        ("https://app.example\n", "is no host"),
        ("https://*.app.example", "a '*' stands alone"),
        ("https://app.example:*", "a '*' stands alone"),
        ("https://app.example:443", "write 'https://app.example'"),
        ("http://app.example:080", "write 'http://app.example'"),
        ("HTTPS://App.example", "write 'https://app.example'"),
        ("https://[0::1]", "write 'https://[::1]'"),
        ("https://[::1", "no origin: write scheme and host"),
        ("https://[x]", "no IPv6 address"),
        ("https://app.example:65536", "port 65536 does not exist"),
        ("https://app.example:0", "port 0 does not exist"),
        ("https://b\xfccher.example", "is no host"),
        ("https://app.example.", "is no host"),
    ],
)
def test_what_no_browser_would_send_is_no_origin(text: str, told_why: str) -> None:
    with pytest.raises(ValueError, match=r"write|remove") as error:
        read_origin(text)
    assert told_why in str(error.value)
