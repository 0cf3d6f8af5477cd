"""The way of a request: who the client is, and what the upstream is told."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, strategies as st

from gateway.policy.forwarding import Trace, TrustedProxies, forwarding_lines, read_traceparent
from gateway.policy.headers import Field

PROXIES = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
XFF = b"X-Forwarded-For"


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("203.0.113.9", [b"198.51.100.1"], "203.0.113.9"),
        ("203.0.113.9", [b"10.0.0.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", [b"1.1.1.1", b"198.51.100.1", b"10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", [b"10.1.1.1,10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", [b"198.51.100.1, , 10.2.2.2,"], "198.51.100.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("2001:db8::1", [b"2001:db9::7, 2001:db8::2"], "2001:db9::7"),
        ("2001:db9::1", [b"198.51.100.1"], "2001:db9::1"),
        ("not an address", [b"198.51.100.1"], "not an address"),
        ("::ffff:10.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"198.51.100.1, ::ffff:10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [b"::ffff:198.51.100.1, ::ffff:10.0.0.2"], "::ffff:198.51.100.1"),
    ],
)
def test_the_client_is_found_from_the_right_as_far_as_proxies_are_trusted(
    peer: str, said: list[bytes], client: str
) -> None:
    assert PROXIES.client_address(peer, [(XFF, value) for value in said]) == client


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (b"198.51.100.1:4711", "198.51.100.1"),
        (b"1.1.1.1, 198.51.100.1:4711, 10.2.2.2:80", "198.51.100.1"),
        (b"[2001:db9::7]:443", "2001:db9::7"),
        (b"[2001:db9::7]", "2001:db9::7"),
        (b"198.51.100.1, [2001:db8::2]:65535", "198.51.100.1"),
        (b"[::ffff:198.51.100.1]:1, [::ffff:10.0.0.2]:2", "::ffff:198.51.100.1"),
        (b"2001:db9::7:443", "2001:db9::7:443"),
    ],
)
def test_an_address_with_a_port_counts_as_that_address(said: bytes, client: str) -> None:
    assert PROXIES.client_address("10.0.0.1", [(XFF, said)]) == client


@pytest.mark.parametrize(
    "said",
    [
        b"unknown",
        b"_hidden",
        b"_hidden:4711",
        b"198.51.100.1, unknown",
        b"198.51.100.1, 10.2.2.2, <script>, 10.3.3.3",
        b"198.51.100.1, unknown, 10.3.3.3:80",
        b"api.example:443",
        b'fe80::1%"forged"',
        b"[fe80::1%eth0]:443",
        b'"[2001:db9::7]:443"',
        b"caf\xe9",
        b"198.51.100.1:",
        b"198.51.100.1:https",
        b"198.51.100.1:123456",
        b"198.51.100.1:443:443",
        b"198.51.100:443",
        b"198.51.100.1\x00",
        b"[198.51.100.1]:443",
        b"[2001:db9::7",
        b"[2001:db9::7]443",
        b"[]:443",
        b":443",
        b"0x0a.1.1.1",
        b"127.1",
    ],
)
def test_where_a_trusted_proxy_tells_no_address_the_client_s_is_not_known(said: bytes) -> None:
    assert PROXIES.client_address("10.0.0.1", [(XFF, said)]) == ""


@given(st.binary())
def test_whatever_a_trusted_proxy_tells_the_client_s_is_an_address_or_not_known(said: bytes) -> None:
    found = PROXIES.client_address("10.0.0.1", [(XFF, said)])
    assert not found or ip_address(found).version in {4, 6}


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert TrustedProxies([]).client_address("127.0.0.1", [(XFF, b"198.51.100.1")]) == "127.0.0.1"


def test_other_fields_do_not_speak_of_the_client() -> None:
    fields = [(b"X-Forwarded-Host", b"198.51.100.1"), (b"Forwarded", b"for=198.51.100.1")]
    assert PROXIES.client_address("10.0.0.1", fields) == "10.0.0.1"


def told(peer: str, host: str, kept: list[Field] | None = None) -> list[str]:
    text = forwarding_lines(peer, host, "http", "1.1", kept).decode()
    assert text.endswith("\r\n")
    return text.split("\r\n")[:-1]


def test_a_client_s_own_words_are_replaced() -> None:
    assert told("203.0.113.9", "api.example") == [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: api.example",
        'Forwarded: for=203.0.113.9;host="api.example";proto=http',
        "Via: 1.1 scopegate",
    ]


def test_an_ipv6_client_is_quoted_as_rfc_7239_demands() -> None:
    lines = told("2001:db8::1", "")
    assert lines[0] == "X-Forwarded-For: 2001:db8::1"
    assert lines[2] == 'Forwarded: for="[2001:db8::1]";proto=http'
    assert not any(line.startswith("X-Forwarded-Host") for line in lines)


def test_a_trusted_proxy_s_words_are_kept_and_continued() -> None:
    kept = [
        (b"x-forwarded-for", b"198.51.100.1, 10.2.2.2"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"public.example"),
        (b"Forwarded", b"for=198.51.100.1"),
        (b"Via", b"1.1 edge"),
        (XFF, b""),
    ]
    assert told("10.0.0.1", "api.example", kept) == [
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: public.example",
        "Forwarded: for=198.51.100.1",
        "Via: 1.1 edge",
        "X-Forwarded-For: 198.51.100.1, 10.2.2.2, 10.0.0.1",
        'Forwarded: for=10.0.0.1;host="api.example";proto=http',
        "Via: 1.1 scopegate",
    ]


TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


def test_a_valid_traceparent_is_continued() -> None:
    assert read_traceparent(f"00-{TRACE_ID}-{SPAN_ID}-01".encode()) == Trace(TRACE_ID, "01")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01-extra",
        f"00-{TRACE_ID}-{SPAN_ID}-01\n",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID[1:]}-{SPAN_ID}-01",
    ],
)
def test_an_invalid_traceparent_begins_a_new_trace(value: str | None) -> None:
    assert read_traceparent(None if value is None else value.encode()) is None
