"""Tokens in another field or in a cookie: one token, in one place, sent by a page of this origin."""

import pytest
from hypothesis import given, strategies as st

from gateway.policy.bearer import take_token
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import BearerToken, RequestHead, TokenFrom
from gateway.policy.token_from import as_authorization, only_token, without_token

from .policy_case import head, reason

FIELD, COOKIE = TokenFrom("header", "X-Api-Token"), TokenFrom("cookie", "tok")
ORIGIN = "https://api.example"
SAME = (b"Origin", b"https://api.example")
SITE = (b"Sec-Fetch-Site", b"same-origin")


def bearing(*fields: tuple[bytes, bytes], method: str = "GET", authorization: tuple[bytes, ...] = ()) -> RequestHead:
    return head("/x", method, *authorization)._replace(fields=fields)


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        (FIELD, [(b"X-Api-Token", b"abc")]),
        (FIELD, [(b"x-api-token", b" abc\t"), (b"Cookie", b"tok=other")]),
        (FIELD, [(b"X-Api-Token", b"Bearer abc")]),
        (FIELD, [(b"X-Api-Token", b"bearer  abc"), (b"X_Api_Token", b"other")]),
        (COOKIE, [(b"Cookie", b"tok=abc")]),
        (COOKIE, [(b"cookie", b"a=1; tok = abc ;TOK=other; b")]),
    ],
)
def test_the_one_token_is_found_in_its_place(place: TokenFrom, fields: list[tuple[bytes, bytes]]) -> None:
    found = as_authorization(bearing(*fields), place, ORIGIN)
    assert isinstance(found, RequestHead)
    assert take_token(found) == BearerToken(b"abc")


@pytest.mark.parametrize(
    ("place", "fields", "authorization", "expected"),
    [
        (FIELD, [], (), Reason.TOKEN_MISSING),
        (FIELD, [(b"X-Api-Token", b" ")], (), Reason.TOKEN_MISSING),
        (FIELD, [(b"X_Api_Token", b"abc")], (), Reason.TOKEN_MISSING),
        (FIELD, [(b"Cookie", b"X-Api-Token=abc")], (), Reason.TOKEN_MISSING),
        (FIELD, [], (b"Bearer abc",), Reason.TOKEN_MISSING),
        (FIELD, [(b"X-Api-Token", b"abc")], (b"Bearer abc",), Reason.REQUEST_MALFORMED),
        (FIELD, [(b"X-Api-Token", b"abc")], (b"Basic abc",), Reason.REQUEST_MALFORMED),
        (FIELD, [(b"X-Api-Token", b"abc"), (b"x-api-token", b"abc")], (), Reason.REQUEST_MALFORMED),
        (FIELD, [(b"X-Api-Token", b"abc"), (b"x-api-token", b"")], (), Reason.REQUEST_MALFORMED),
        (FIELD, [(b"X-Api-Token", b"abc,def")], (), Reason.REQUEST_MALFORMED),
        (FIELD, [(b"X-Api-Token", b"abc def")], (), Reason.REQUEST_MALFORMED),
        (FIELD, [(b"X-Api-Token", b"DPoP abc")], (), Reason.REQUEST_MALFORMED),
        (FIELD, [(b"X-Api-Token", b"Bearer Bearer abc")], (), Reason.REQUEST_MALFORMED),
        (FIELD, [(b"X-Api-Token", b"abcBearer  def")], (), Reason.REQUEST_MALFORMED),
        (COOKIE, [], (), Reason.TOKEN_MISSING),
        (COOKIE, [(b"Cookie", b"tok=; a=b")], (), Reason.TOKEN_MISSING),
        (COOKIE, [(b"Cookie", b"TOK=abc; tok; xtok=abc")], (), Reason.TOKEN_MISSING),
        (COOKIE, [(b"Cookie", b"tok=abc; tok=abc")], (), Reason.REQUEST_MALFORMED),
        (COOKIE, [(b"Cookie", b"tok=abc; tok=")], (), Reason.REQUEST_MALFORMED),
        (COOKIE, [(b"Cookie", b"tok=abc"), (b"Cookie", b"a=b")], (), Reason.REQUEST_MALFORMED),
        (COOKIE, [(b"Cookie", b"tok=Bearer abc")], (), Reason.REQUEST_MALFORMED),
        (COOKIE, [(b"Cookie", b"tok=abc")], (b"Bearer abc",), Reason.REQUEST_MALFORMED),
    ],
)
def test_none_or_several_are_refused(
    place: TokenFrom, fields: list[tuple[bytes, bytes]], authorization: tuple[bytes, ...], expected: Reason
) -> None:
    outcome = as_authorization(bearing(*fields, authorization=authorization), place, ORIGIN)
    assert reason(outcome) is expected
    assert isinstance(outcome, Denial)
    assert "abc" not in outcome.detail + outcome.hint


@pytest.mark.parametrize(
    ("fields", "origin"),
    [
        ([SAME], ORIGIN),
        ([SITE], ORIGIN),
        ([SAME, SITE], ORIGIN),
        ([(b"origin", b"https://api.example")], "https://API.example:443/"),
        ([(b"Origin", b"http://api.example")], "http://api.example:80"),
        ([(b"Origin", b"http://[::1]:8080")], "http://[::1]:8080"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
def test_a_cookie_counts_where_a_page_of_this_origin_sent_it(
    fields: list[tuple[bytes, bytes]], origin: str, method: str
) -> None:
    found = as_authorization(bearing((b"Cookie", b"tok=abc"), *fields, method=method), COOKIE, origin)
    assert isinstance(found, RequestHead)


FOREIGN = [
    [],
    [(b"Origin", b"null")],
    [(b"Origin", b"")],
    [(b"Origin", b"https://evil.example")],
    [(b"Origin", b"http://api.example")],
    [(b"Origin", b"https://api.example:444")],
    [(b"Origin", b"https://api.example.evil.example")],
    [SAME, SAME],
    [SAME, (b"Origin", b"https://evil.example")],
    [SAME, (b"Sec-Fetch-Site", b"cross-site")],
    [(b"Origin", b"https://evil.example"), SITE],
    [(b"Sec-Fetch-Site", b"same-site")],
    [(b"Sec-Fetch-Site", b"none")],
    [SITE, SITE],
    [(b"Referer", b"https://api.example/")],
]


@pytest.mark.parametrize("fields", FOREIGN)
def test_a_cookie_does_not_count_for_what_another_site_may_have_sent(fields: list[tuple[bytes, bytes]]) -> None:
    cookie = (b"Cookie", b"tok=abc")
    assert reason(as_authorization(bearing(cookie, *fields, method="POST"), COOKIE, ORIGIN)) is Reason.ORIGIN_UNTRUSTED
    socket = bearing(cookie, *fields)._replace(upgrades=True)
    assert reason(as_authorization(socket, COOKIE, ORIGIN)) is Reason.ORIGIN_UNTRUSTED
    for method in ("GET", "HEAD", "OPTIONS"):
        assert isinstance(as_authorization(bearing(cookie, *fields, method=method), COOKIE, ORIGIN), RequestHead)
    field = bearing((b"X-Api-Token", b"abc"), *fields, method="POST")
    assert isinstance(as_authorization(field, FIELD, ORIGIN), RequestHead), "no browser adds that by itself"


@pytest.mark.parametrize(
    ("place", "fields", "left"),
    [
        (FIELD, [(b"A", b"1"), (b"x-api-token", b"t"), (b"X_Api.Token", b"t"), (b"X~Api|Token", b"t")], [(b"A", b"1")]),
        (COOKIE, [(b"Cookie", b"tok=t")], []),
        (COOKIE, [(b"Cookie", b"a=1; tok=t; b=2")], [(b"Cookie", b"a=1; b=2")]),
        (COOKIE, [(b"Cookie", b"tok=t;a=1")], [(b"Cookie", b"a=1")]),
        (COOKIE, [(b"Cookie", b"TOK=1; xtok=2"), (b"A", b"")], [(b"Cookie", b"TOK=1; xtok=2"), (b"A", b"")]),
    ],
)
def test_only_the_token_is_taken_out(
    place: TokenFrom, fields: list[tuple[bytes, bytes]], left: list[tuple[bytes, bytes]]
) -> None:
    assert without_token(fields, place) == left


@pytest.mark.parametrize(
    ("place", "fields", "left"),
    [
        (FIELD, [(b"x-api-token", b"t"), (b"X_Api_Token", b"u"), (b"X.Api-Token", b"v"), (b"A", b"1")], [0, 3]),
        (COOKIE, [(b"Cookie", b"a=1; tok=t"), (b"X_Api_Token", b"u")], [0, 1]),
    ],
)
def test_the_token_goes_on_in_the_one_spelling_that_was_judged(
    place: TokenFrom, fields: list[tuple[bytes, bytes]], left: list[int]
) -> None:
    assert only_token(fields, place) == [fields[at] for at in left]


@pytest.mark.parametrize("name", [b"\xa0tok", b"tok\x85", b'"tok"', b"\xc2\xa0tok "])
def test_a_cookie_that_servers_take_for_the_token_s_is_one(name: bytes) -> None:
    cookies = [(b"Cookie", b"tok=abc; " + name + b"=other")]
    assert reason(as_authorization(bearing(*cookies), COOKIE, ORIGIN)) is Reason.REQUEST_MALFORMED
    assert without_token(cookies, COOKIE) == []


@given(st.lists(st.sampled_from([b"tok=secret", b" tok = secret", b"tok", b"a=1", b"", b"\ttok=secret"])))
def test_no_spelling_of_the_cookie_goes_on(pairs: list[bytes]) -> None:
    assert b"secret" not in b"".join(value for _, value in without_token([(b"cookie", b";".join(pairs))], COOKIE))
