"""Trailers: which ones go on, and where a chunked body ends however its bytes are split."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from gateway.policy.headers import IDENTITY_FIELDS, Kind
from gateway.policy.trailers import ChunkedWalk, HeadEnd, announced, announcement, may_trail, takes_trailers

GOOD = ["X-Checksum", "Content-Digest", "Digest", "ETag", "Server-Timing", "Grpc-Status", "Signature", "x"]
BAD = [
    *("Content-Length", "Transfer-Encoding", "Host", "Trailer", "TE", "Connection", "Upgrade", "Keep-Alive"),
    *("Content-Type", "Content-Encoding", "Content-Range", "Cache-Control", "Expect", "Range", "If-Match", "Date"),
    *("Authorization", "Proxy-Authorization", "Proxy-Authenticate", "WWW-Authenticate", "Cookie", "Set-Cookie", "DPoP"),
    *("X-Forwarded-For", "X-Forwarded-Anything", "Forwarded", "Via", "X-Real-IP", "X-Request-Id", "User-Agent"),
    *("traceparent", "tracestate", "X-Original-URL", "X-HTTP-Method-Override", "X-Client-Cert", "Client-Cert"),
    *("Access-Control-Allow-Origin", "Sec-WebSocket-Key", "Accept", "Accept-Language", "X-Token-Anything", "Location"),
    *(name.decode() for name in IDENTITY_FIELDS),
]
NO_NAMES = ["", " ", "X A", "X:A", "X\tA", "X\x00A", "X\r\nA", "\xe9"]


@pytest.mark.parametrize("name", GOOD)
def test_what_speaks_of_the_content_may_trail(name: str) -> None:
    assert may_trail(name.encode())
    assert may_trail(name.lower().encode())


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("spell", [str, str.upper, str.lower], ids=["as is", "upper", "lower"])
@pytest.mark.parametrize("mark", ["-", "_", ".", "~"])
def test_what_frames_routes_or_identifies_never_trails_in_any_spelling(name: str, spell: type[str], mark: str) -> None:
    assert not may_trail(spell(name).replace("-", mark).encode())


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_never_trails(name: str) -> None:
    assert not may_trail(name.encode("latin-1"))


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ([], ()),
        ([("Trailer", "")], ()),
        ([("Trailer", "X-A")], (b"x-a",)),
        ([("trailer", "X-A, ,\tX-B ,x-a"), ("TRAILER", "X-C")], (b"x-a", b"x-b", b"x-c")),
        ([("Trailer", "X-A, X-Client-Id, X_Client_Id, Content-Length, Host, Set-Cookie")], (b"x-a",)),
        ([("Trailer", "X-A, X-Hop"), ("Connection", "close, x-hop")], (b"x-a",)),
        ([("Connection", "x-hop"), ("X-A", "1")], ()),
    ],
)
def test_a_head_announces_what_may_go_on(fields: list[tuple[str, str]], names: tuple[bytes, ...]) -> None:
    assert announced([(name.encode(), value.encode()) for name, value in fields]) == names


def test_an_announcement_is_one_line_or_none() -> None:
    assert announcement(()) == b""
    assert announcement((b"x-a", b"x-b")) == b"Trailer: x-a, x-b\r\n"


@pytest.mark.parametrize(
    ("te", "connection", "takes"),
    [
        ([b"trailers"], [b"TE"], True),
        ([b"gzip;q=0.5, Trailers"], [b"close, te"], True),
        ([b"gzip"], [b"TE"], False),
        ([b"trailers"], [b"close"], False),
        ([b"trailers"], [], False),
        ([], [b"TE"], False),
    ],
)
def test_trailers_are_taken_by_who_says_so_for_this_connection(
    te: list[bytes], connection: list[bytes], *, takes: bool
) -> None:
    assert takes_trailers({Kind.TE: te, Kind.CONNECTION: connection}) is takes


# Where a body ends


@dataclass(frozen=True)
class Case:
    """A body, what follows it, and what it amounts to."""

    raw: bytes
    content: int = 0
    trailers: tuple[tuple[bytes, bytes], ...] = ()


WHOLE: dict[str, Case] = {
    "empty": Case(b"0\r\n\r\n"),
    "one chunk": Case(b"5\r\nhello\r\n0\r\n\r\n", 5),
    "capitals, zeros": Case(b"00A\r\n0123456789\r\n000\r\n\r\n", 10),
    "an end within a chunk": Case(b"9\r\n\r\n0\r\n\r\nab\r\n0\r\n\r\n", 9),
    "extensions": Case(b'2;a=1;b="c;d"\r\nhi\r\n0 ;x\r\n\r\n', 2),
    "blanks behind a size": Case(b"2 \t\r\nhi\r\n0\r\n\r\n", 2),
    "a trailer": Case(b"0\r\nX-A: 1\r\n\r\n", 0, ((b"X-A", b"1"),)),
    "trailers": Case(
        b"1\r\n.\r\n0\r\nX-A:\t1 \r\nX-B:\r\nX-A: a:b\r\n\r\n", 1, ((b"X-A", b"1"), (b"X-B", b""), (b"X-A", b"a:b"))
    ),
}
BROKEN: dict[str, bytes] = {
    "no size": b"\r\nhello",
    "no number": b"x\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "signed": b"-5\r\nhello\r\n",
    "too many digits": b"0" * 17 + b"\r\n\r\n",
    "bare LF behind a size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF behind a chunk": b"5\r\nhello\n0\r\n\r\n",
    "longer than it says": b"4\r\nhello\r\n0\r\n\r\n",
    "bare LF at the end": b"0\r\n\n",
    "a trailer without a colon": b"0\r\nX-A\r\n\r\n",
    "a trailer without a name": b"0\r\n: a\r\n\r\n",
    "a blank before the colon": b"0\r\nX-A : a\r\n\r\n",
    "a folded trailer": b"0\r\nX-A: a\r\n b\r\n\r\n",
    "NUL": b"0\r\nX-A: a\x00b\r\n\r\n",
    "CR": b"0\r\nX-A: a\rb\r\n\r\n",
    "escape": b"0\r\nX-A: \x1b[2J\r\n\r\n",
    "too much in one line": b"0\r\nX-A: " + b"a" * 200,
    "too much in all lines": b"0\r\n" + b"X-A: 1\r\n" * 20,
    "an endless extension": b"5;" + b"a" * 200,
}
BEHIND = b"GET / HTTP/1.1\r\n\r\n"


def walked(pieces: list[bytes]) -> tuple[ChunkedWalk, bytes]:
    """A walk, and the bytes that it left behind the body."""
    walk, behind = ChunkedWalk(100), b""
    for piece in pieces:
        behind += piece[walk.feed(piece) :]
    return walk, behind


def split(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    return [raw[start:end] for start, end in itertools.pairwise(places)]


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_body_ends_where_its_framing_says_so(case: Case, size: int) -> None:
    raw = case.raw + BEHIND
    walk, behind = walked([raw[at : at + size] for at in range(0, len(raw), size)])
    assert (walk.complete, walk.fault, walk.content) == (True, None, case.content)
    assert tuple(walk.trailers) == case.trailers
    assert behind == BEHIND


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_a_body_is_not_complete_before_its_last_byte(case: Case) -> None:
    for end in range(len(case.raw)):
        walk, behind = walked([case.raw[:end]])
        assert (walk.complete, walk.fault, behind) == (False, None, b"")


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_what_is_no_chunked_body_is_a_fault(raw: bytes, size: int) -> None:
    walk, _ = walked([raw[at : at + size] for at in range(0, len(raw), size)])
    assert walk.fault is not None
    assert not walk.complete


PARTS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"0", b"5", b"a", b";x", b"X-A: 1", b":", b" ", b"hello", b"\r\n0\r\n\r\n"]
)


@given(st.lists(PARTS, max_size=20).map(b"".join), st.lists(st.integers(0, 200), max_size=6))
def test_a_walk_finds_the_same_for_any_split(raw: bytes, cuts: list[int]) -> None:
    one, behind = walked([raw])
    other, behind_other = walked(split(raw, cuts))
    assert (one.complete, one.fault is None, one.content) == (other.complete, other.fault is None, other.content)
    assert one.trailers == other.trailers
    assert not one.complete or behind == behind_other


def test_only_the_named_trailers_are_given_on() -> None:
    walk, _ = walked([b"0\r\nX-A: 1\r\nX-Client-Id: evil\r\nx-a: 2\r\n\r\n"])
    assert walk.lines((b"x-a", b"x-b")) == b"X-A: 1\r\nx-a: 2\r\n"
    assert walk.lines(()) == b""


# Where a head ends

HEADS = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\nX\r\n\r\n"]


@pytest.mark.parametrize("head", HEADS, ids=["plain", "behind empty lines", "short"])
@pytest.mark.parametrize("behind", [b"", b"\r\n\r\n", b"0\r\n\r\n"], ids=["nothing", "empty lines", "a body"])
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_a_heads_end_is_found_for_any_split(head: bytes, behind: bytes, cuts: list[int]) -> None:
    end = HeadEnd()
    *before, last = split(head, [cut % len(head) for cut in cuts])
    for piece in before:
        assert end.find(piece) == -1
        end.pass_by(piece)
    assert end.find(b"." * 7 + last + behind, 7) == 7 + len(last)
