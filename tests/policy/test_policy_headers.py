"""Which fields go on, in either direction, and which heads are no heads."""

import pytest
from hypothesis import given, strategies as st

from gateway.policy.denial import Denial, Reason
from gateway.policy.headers import (
    IDENTITY_FIELDS,
    Field,
    Kind,
    ReceivedHead,
    ResponseHead,
    field_lines,
    identity_lines,
    is_field_value,
    kind_of,
    read_head,
    read_reason,
    read_response,
)

from .policy_case import CLAIMS, reason

HOST = (b"Host", b"gateway.example")


def received(*fields: Field, target: str = "/jobs/7", version: tuple[int, int] = (1, 1)) -> ReceivedHead:
    head = read_head("GET", target, version, [HOST, *fields])
    assert isinstance(head, ReceivedHead), head
    return head


def refused(*fields: Field, version: tuple[int, int] = (1, 1)) -> Reason:
    return reason(read_head("GET", "/", version, fields))


def test_a_head_is_sorted_into_what_is_judged_and_what_goes_on() -> None:
    fields = [
        (b"Accept", b"*/*"),
        (b"Authorization", b"Bearer abc"),
        (b"User-Agent", b"curl"),
        (b"X-Forwarded-For", b"203.0.113.9"),
        (b"Cookie", b"a=1"),
        (b"Content-Length", b"12"),
        (b"accept", b"text/html"),
    ]
    head = received(*fields, target="/a%3Ab?x=1")
    assert head.head[:6] == ("GET", "/a%3Ab?x=1", "/a:b", "x=1", frozenset(), "gateway.example")
    assert head.head.authorization == (b"Bearer abc",)
    assert head.end_to_end == field_lines([fields[0], fields[2], fields[4], fields[6]])
    assert head.head.forwarding == [fields[3]]
    assert (head.content_length, head.chunked) == (12, False)
    assert head.user_agent == b"curl"
    assert head.first(Kind.TRACEPARENT) is None
    assert head.first(Kind.CONTENT_LENGTH) == b"12"


HOP_BY_HOP = ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"]
SECOND_WORDS = [
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Rewrite-URL",
]
UNCHECKED = ["X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Port"]
CERTIFICATES = [
    *["Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-Client-Certificate", "X-SSL-Client-Verify", "X-SSL-Cert"],
    *["X-SSL-Client-S-DN", "SSL-Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info"],
    *["X-ARR-ClientCert", "X-Amzn-Mtls-Clientcert-Leaf", "X_SSL_Client_Cert", "X-TLS-Client-Cert"],
]
OURS = ["X-Request-Id", *(name.decode() for name in IDENTITY_FIELDS)]


@pytest.mark.parametrize("name", [*HOP_BY_HOP, "Proxy-Authorization", *SECOND_WORDS, *UNCHECKED, *CERTIFICATES, *OURS])
@pytest.mark.parametrize("spell", [str, str.upper, str.lower], ids=["as is", "upper", "lower"])
def test_a_field_that_misleads_the_upstream_does_not_go_on(name: str, spell: type[str]) -> None:
    value = b"chunked" if name == "Transfer-Encoding" else b"x"
    head = received((spell(name).encode(), value))
    assert head.end_to_end == b""
    assert head.head.forwarding == []


@pytest.mark.parametrize(
    "name",
    [
        *["X_Client_Id", "X.Client.Id", "x_client-id", "X-Token_Subject", "X.TOKEN.SCOPES", "X_Token_Issuer"],
        *["X_Forwarded_For", "X.Forwarded.Proto", "X_HTTP_Method_Override", "X_Request_Id", "X_Real_Ip"],
        *["Content_Length", "Transfer_Encoding", "Transfer.Encoding", "User_Agent", "Proxy_Connection"],
        *["X~Client~Id", "X!Real'IP", "x|forwarded*for", "Content+Length", "X^SSL`Client#Verify", "X$Token&Scopes"],
    ],
)
def test_a_name_that_servers_take_for_another_one_is_removed(name: str) -> None:
    assert kind_of(name.encode()) is Kind.DROPPED
    head = received((name.encode(), b"7"))
    assert (head.end_to_end, head.head.forwarding, head.content_length, head.chunked) == (b"", [], None, False)
    assert (head.special, head.head.host) == ({}, "gateway.example")


@given(
    st.sampled_from(IDENTITY_FIELDS),
    st.lists(st.sampled_from(b"-_.!#$%&'*+^`|~").map(lambda sign: bytes([sign])), min_size=2, max_size=2),
    st.booleans(),
)
def test_no_spelling_of_an_identity_field_comes_through(name: bytes, signs: list[bytes], upper: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    first, second, third = name.split(b"-")
    spelling = first + signs[0] + second + signs[1] + third
    assert kind_of(spelling.upper() if upper else spelling) is Kind.DROPPED


@pytest.mark.parametrize("name", ["X-Client-Identifier", "X_Custom", "Accept", "X-Clientid", "Cookie", "Via-Foo"])
def test_any_other_field_goes_on(name: str) -> None:
    field = (name.encode(), b"\xe9")
    assert received(field).end_to_end == field_lines([field])


def test_what_connection_names_goes_no_further() -> None:
    """RFC 9110 §7.6.1."""
    head = received(
        (b"Connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"connection", b"user-agent,"), (b"User-Agent", b"x")
    )
    assert head.end_to_end == b""


def test_connection_takes_away_neither_the_credentials_nor_the_way_nor_the_length() -> None:
    """CVE-2024-45410: a client must not decide which of the gateway's fields arrive."""
    head = received(
        (b"Connection", b"close, X-Client-Id, Authorization, X-Forwarded-For, Content-Length, Host, keep-alive"),
        (b"Authorization", b"Bearer abc"),
        (b"X-Forwarded-For", b"203.0.113.9"),
        (b"Content-Length", b"3"),
        (b"Accept", b"*/*"),
    )
    assert head.head.authorization == (b"Bearer abc",)
    assert head.head.forwarding == [(b"X-Forwarded-For", b"203.0.113.9")]
    assert head.content_length == 3
    assert head.end_to_end == field_lines([(b"Accept", b"*/*")])


def test_close_and_keep_alive_name_no_field() -> None:
    head = received((b"Connection", b"keep-alive, close, "), (b"Close", b"1"), (b"Accept", b"*/*"))
    assert head.end_to_end == field_lines([(b"Close", b"1"), (b"Accept", b"*/*")])


CL = b"Content-Length"
TE = b"Transfer-Encoding"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(CL, b"3"), (TE, b"chunked")], id="both"),
        pytest.param([(CL, b"3"), (CL, b"3")], id="two equal lengths"),
        pytest.param([(CL, b"3"), (CL, b"4")], id="two lengths"),
        pytest.param([(CL, b"3, 3")], id="a list of lengths"),
        pytest.param([(CL, b"+3")], id="a sign"),
        pytest.param([(CL, b"-3")], id="negative"),
        pytest.param([(CL, b"0x3")], id="hexadecimal"),
        pytest.param([(CL, b"1_0")], id="an underscore"),
        pytest.param([(CL, b"")], id="empty"),
        pytest.param([(CL, b"3\n")], id="a line feed"),
        pytest.param([(CL, "\u0663".encode())], id="another script's digit"),
        pytest.param([(CL, b"9" * 19)], id="too long"),
        pytest.param([(TE, b"gzip, chunked")], id="two codings"),
        pytest.param([(TE, b"chunked"), (TE, b"chunked")], id="chunked twice"),
        pytest.param([(TE, b"identity")], id="identity"),
        pytest.param([(TE, b"xchunked")], id="another coding"),
        pytest.param([(TE, b"")], id="an empty coding"),
        pytest.param([(TE, b"chunked\x0b")], id="a control character"),
    ],
)
def test_framing_that_has_two_readings_is_refused(fields: list[Field]) -> None:
    assert refused(HOST, *fields) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize(
    ("version", "fields"), [((1, 0), [(TE, b"chunked")]), ((2, 0), []), ((0, 9), []), ((1, 2), [])]
)
def test_a_version_that_does_not_frame_so_is_refused(version: tuple[int, int], fields: list[Field]) -> None:
    assert refused(HOST, *fields, version=version) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize(
    ("fields", "length", "chunked"),
    [([], None, False), ([(CL, b"0")], 0, False), ([(CL, b"12")], 12, False), ([(TE, b"Chunked")], None, True)],
)
def test_a_body_has_one_length(fields: list[Field], length: int | None, chunked: bool) -> None:  # noqa: FBT001 - a table
    head = received(*fields)
    assert (head.content_length, head.chunked) == (length, chunked)


@pytest.mark.parametrize("host", ["a.example", "a.example:8080", "127.0.0.1:1", "[::1]", "[2001:db8::1]:443", "a_b~c"])
def test_a_host_is_a_name_or_an_address_with_an_optional_port(host: str) -> None:
    head = read_head("GET", "/", (1, 1), [(b"Host", host.encode())])
    assert isinstance(head, ReceivedHead)
    assert head.head.host == host


BAD_HOSTS = [
    *["", "user@a.example", "a.example/admin", "a.example, b.example", "a.example:port", "a.example:", "a b", "a#b"],
    *["a?b", "::1", "[::1", "a.example:123456", "a.example\\", "caf\xe9", "a\n", "[a.example]", "a%2eb", "a;b"],
]


@pytest.mark.parametrize("host", BAD_HOSTS, ids=ascii)
def test_a_host_in_which_a_url_could_hide_is_refused(host: str) -> None:
    assert refused((b"Host", host.encode("latin-1"))) is Reason.REQUEST_MALFORMED


def test_http_1_1_demands_one_host_and_http_1_0_none() -> None:
    """RFC 9112 §3.2."""
    assert refused() is Reason.REQUEST_MALFORMED
    assert refused(HOST, HOST) is Reason.REQUEST_MALFORMED
    head = read_head("GET", "/", (1, 0), [])
    assert isinstance(head, ReceivedHead)
    assert head.head.host == ""


def test_the_target_is_judged_with_the_head() -> None:
    assert reason(read_head("GET", "http://evil/admin", (1, 1), [HOST])) is Reason.TARGET_INVALID
    assert reason(read_head("CONNECT", "evil:443", (1, 1), [HOST])) is Reason.TARGET_INVALID


def test_a_caller_is_told_to_the_upstream_in_four_fields() -> None:
    assert identity_lines(CLAIMS) == (
        b"X-Client-Id: nightly-batch\r\nX-Token-Subject: batch\r\n"
        b"X-Token-Scopes: jobs.read jobs.run\r\nX-Token-Issuer: https://issuer.example\r\n"
    )


def test_all_four_identity_fields_are_sent_even_where_nobody_is_known() -> None:
    nobody = b"X-Client-Id: \r\nX-Token-Subject: \r\nX-Token-Scopes: \r\nX-Token-Issuer: \r\n"
    assert identity_lines(None) == nobody
    assert identity_lines(CLAIMS._replace(client_id="", subject="", scopes=(), issuer="")) == nobody


@pytest.mark.parametrize(
    ("value", "fine"),
    [(b"", True), (b"a\tb \xff", True), (b"a\x00", False), (b"a\rb", False), (b"\n", False), (b"\x7f", False)],
)
def test_a_field_value_holds_no_control_character_but_the_tab(value: bytes, fine: bool) -> None:  # noqa: FBT001 - a table
    assert is_field_value(value) is fine


def answered(*fields: Field) -> ResponseHead:
    head = read_response(fields)
    assert isinstance(head, ResponseHead), head
    return head


def test_an_answer_s_fields_go_on_without_those_of_its_connection() -> None:
    kept = [(b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]
    hop = [(name.encode(), b"chunked" if name == "Transfer-Encoding" else b"x-hop") for name in HOP_BY_HOP]
    assert answered(*kept, *hop, (b"X-Hop", b"1")) == (field_lines(kept), None, False)
    assert answered(*kept, (CL, b"7")) == (field_lines(kept), 7, False)
    assert answered() == (b"", None, False)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b"X", b"a\x00b")], id="NUL"),
        pytest.param([(b"X", b"a\rSet-Cookie: b")], id="CR"),
        pytest.param([(b"X", b"a\nb")], id="LF"),
        pytest.param([(CL, b"3"), (CL, b"3")], id="two lengths"),
        pytest.param([(CL, b"3"), (TE, b"chunked")], id="both"),
        pytest.param([(CL, b"three")], id="no number"),
        pytest.param([(CL, b"-1")], id="negative"),
        pytest.param([(TE, b"gzip")], id="another coding"),
        pytest.param([(TE, b"gzip, chunked")], id="two codings"),
        pytest.param([(TE, b"chunked"), (TE, b"chunked")], id="chunked twice"),
    ],
)
def test_an_answer_that_could_be_read_in_two_ways_is_refused(fields: list[Field]) -> None:
    outcome = read_response(fields)
    assert isinstance(outcome, Denial)
    assert outcome.reason is Reason.UPSTREAM_INVALID
    assert outcome.meaning.status == 502


def test_an_answer_without_a_date_is_known_to_lack_it() -> None:
    """RFC 9110 §6.6.1: who forwards such an answer adds one."""
    date = (b"date", b"Mon, 23 Nov 2026 17:40:02 GMT")
    assert answered(date, (b"X", b"1")) == (field_lines([date, (b"X", b"1")]), None, True)
    assert answered((b"X-Request-Id", b"theirs")).lines == b""


@pytest.mark.parametrize("target", ["/jobs/8", "/jobs/7?x=1", "/a%3Ab"])
def test_a_head_made_out_of_another_one_is_the_one_that_would_have_been_read(target: str) -> None:
    fields = [(b"Accept", b"*/*"), (b"Authorization", b"Bearer abc"), (b"Via", b"1.1 x"), (b"Cookie", b"a=1")]
    other = [(name, b"Bearer def") if name == b"Authorization" else (name, value) for name, value in fields]
    known = received(*fields)
    assert known.of("GET", target, (b"Bearer def",)) == received(*other, target=target)
    assert known.bearing((b"Bearer def",)) == received(*other)


def test_a_head_made_out_of_another_one_is_refused_for_its_target() -> None:
    assert reason(received().of("GET", "/a/../b", ())) is Reason.TARGET_INVALID


@pytest.mark.parametrize(
    ("phrase", "goes_on"), [("OK", b"OK"), ("", b""), ("\udce9t\udce9", b"\xe9t\xe9"), ("a\rb", None), ("\x00", None)]
)
def test_a_reason_phrase_goes_on_byte_for_byte_unless_it_holds_a_control_character(
    phrase: str, goes_on: bytes | None
) -> None:
    assert read_reason(phrase) == goes_on


def test_an_upstream_s_usual_connection_options_name_no_field() -> None:
    assert answered((b"Connection", b"Keep-Alive"), (b"keep-alive-not", b"1")).lines == b"keep-alive-not: 1\r\n"


def test_what_a_client_takes_in_return_is_no_proof() -> None:
    fields = [(b"TE", b"trailers"), (b"DPoP", b"abc")]
    assert received(*fields).head.dpop == (b"abc",)
    assert received(fields[0]).head.dpop == ()
