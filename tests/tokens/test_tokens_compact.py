"""The one spelling of a token."""

import json

import pytest
from hypothesis import given, strategies as st

from gateway.policy.denial import Reason
from gateway.strict_json import JsonError, read_object
from gateway.tokens.compact import MAX_HEADER, CompactToken, FormError, decode_base64url, read_compact

from .tokens_case import CLAIMS, b64, compact, reason

HEADER = {"alg": "RS256", "kid": "k"}
GOOD = compact(HEADER, CLAIMS)


def with_header(**members: object) -> bytes:
    return compact(HEADER | members, CLAIMS)


def read(token: bytes) -> CompactToken:
    outcome = read_compact(token)
    assert isinstance(outcome, CompactToken), outcome
    return outcome


def test_a_token_is_taken_apart() -> None:
    token = read(compact({"alg": "RS256", "kid": "k", "typ": "Application/AT+JWT"}, CLAIMS, b"s"))
    assert token.header == ("RS256", "k", "at+jwt")
    assert token.payload == CLAIMS
    assert token.signature == b"s"
    assert token.signing_input + b"." + b64(b"s") == compact(
        {"alg": "RS256", "kid": "k", "typ": "Application/AT+JWT"}, CLAIMS, b"s"
    )


@pytest.mark.parametrize(
    ("members", "kid", "typ"),
    [
        ({}, "k", ""),
        ({"typ": "JWT"}, "k", "jwt"),
        ({"typ": "at+jwt"}, "k", "at+jwt"),
        ({"kid": ""}, "", ""),
        ({"kid": "../../dev/null"}, "../../dev/null", ""),
        ({"kid": "' OR 1=1 --"}, "' OR 1=1 --", ""),
        ({"x5t": "abc", "x5c": ["MII"], "private": [1]}, "k", ""),
    ],
    ids=str,
)
def test_a_header_says_which_key_and_which_type(members: dict[str, object], kid: str, typ: str) -> None:
    assert read(with_header(**members)).header == ("RS256", kid, typ)


def test_a_header_may_lack_a_kid() -> None:
    assert read(compact({"alg": "ES256"}, CLAIMS)).header.kid is None


_h, _p, _s = GOOD.split(b".")
SPELLINGS = {
    "padding": GOOD + b"=",
    "padded header": _h + b"=." + _p + b"." + _s,
    "padded payload": _h + b"." + _p + b"==." + _s,
    "question mark": GOOD + b"?",
    "question mark within": _h[:4] + b"?" + _h[4:] + b"." + _p + b"." + _s,
    "blank": GOOD + b" ",
    "blank before": b" " + GOOD,
    "newline": GOOD + b"\n",
    "newline within": GOOD[:9] + b"\n" + GOOD[9:],
    "NUL": GOOD + b"\x00",
    "standard alphabet": _h + b"." + _p + b"." + b"+/" + _s,
    "non-ASCII": GOOD + b"\xe9",
    "surrogate": GOOD + "\udc80".encode("utf-8", "surrogateescape"),
    "a fourth part": GOOD + b"." + _s,
    "a trailing dot": GOOD + b".",
    "two parts": _h + b"." + _p,
    "one part": _h,
    "nothing": b"",
    "dots": b"..",
    "detached": _h + b".." + _s,
    "no signature": _h + b"." + _p + b".",
    "no header": b"." + _p + b"." + _s,
    "JSON, flattened": json.dumps({"protected": _h.decode(), "payload": _p.decode(), "signature": "x"}).encode(),
    "JSON, general": b'{"payload":"e30","signatures":[]}',
    "JWE": b".".join([_h, _p, _s, _s, _s]),
    "trailing bits of two": _h + b"." + _p + b"." + b"QR",
    "trailing bits of three": _h + b"." + _p + b"." + b"QQJ",
    "a length that no encoding has": _h + b"." + _p + b"." + b"QUFBQ",
    "trailing bits in the header": _h[:-1] + bytes([_h[-1] + 1]) + b"." + _p + b"." + _s,
}


@pytest.mark.parametrize("token", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_any_other_spelling_is_malformed(token: bytes) -> None:
    assert reason(read_compact(token)) is Reason.TOKEN_MALFORMED


REFUSED_HEADERS: dict[str, dict[str, object]] = {
    "jku": {"jku": "https://evil.example/keys"},
    "jwk": {"jwk": {"kty": "oct", "k": "AA"}},
    "x5u": {"x5u": "https://evil.example/certificate"},
    "crit": {"crit": ["exp"]},
    "crit, empty": {"crit": []},
    "crit, null": {"crit": None},
    "b64": {"b64": False},
    "b64, true": {"b64": True},
    "zip": {"zip": "DEF"},
    "enc": {"enc": "A256GCM", "alg": "dir"},
    "cty": {"cty": "JWT"},
    "cty, another": {"cty": "json"},
    "kid, a number": {"kid": 7},
    "kid, null": {"kid": None},
    "kid, an array": {"kid": ["k"]},
    "kid, an object": {"kid": {"k": 1}},
    "kid, 1 MB": {"kid": "k" * 1_000_000},
    "alg, a number": {"alg": 256},
    "alg, null": {"alg": None},
    "alg, an array": {"alg": ["RS256"]},
    "typ, a number": {"typ": 1},
    "typ, an array": {"typ": ["at+jwt"]},
}


@pytest.mark.parametrize("members", REFUSED_HEADERS.values(), ids=REFUSED_HEADERS.keys())
def test_a_header_that_asks_for_more_than_a_signature_is_malformed(members: dict[str, object]) -> None:
    assert reason(read_compact(with_header(**members))) is Reason.TOKEN_MALFORMED


def test_a_header_without_alg_is_malformed() -> None:
    assert reason(read_compact(compact({"kid": "k"}, CLAIMS))) is Reason.TOKEN_MALFORMED


def test_a_header_is_bounded() -> None:
    long = read_compact(b64(b'{"alg":"RS256"' + b" " * MAX_HEADER + b"}") + b".e30.c2ln")
    assert reason(long) is Reason.TOKEN_MALFORMED
    spare = MAX_HEADER // 4 * 3 - len(b'{"alg":"RS256"}')
    assert read(b64(b'{"alg":"RS256"' + b" " * spare + b"}") + b".e30.c2ln").header.alg == "RS256"


BAD_JSON: dict[str, bytes] = {
    "duplicate member": b'{"alg":"RS256","exp":1,"exp":2}',
    "duplicate of another spelling": b'{"alg":"RS256","exp":1,"\\u0065xp":2}',
    "duplicate further in": b'{"alg":"RS256","a":{"b":1,"b":1}}',
    "NaN": b'{"alg":"RS256","exp":NaN}',
    "Infinity": b'{"alg":"RS256","exp":Infinity}',
    "-Infinity": b'{"alg":"RS256","exp":-Infinity}',
    "escaped lone surrogate": b'{"alg":"RS256","sub":"\\ud800"}',
    "escaped lone surrogate as a name": b'{"alg":"RS256","\\udfff":1}',
    "raw lone surrogate": b'{"alg":"RS256","sub":"\xed\xa0\x80"}',
    "Latin-1": b'{"alg":"RS256","sub":"\xe9"}',
    "UTF-16": '{"alg":"RS256"}'.encode("utf-16"),
    "UTF-16 without mark": '{"alg":"RS256"}'.encode("utf-16-le"),
    "UTF-32": '{"alg":"RS256"}'.encode("utf-32-be"),
    "byte order mark": b'\xef\xbb\xbf{"alg":"RS256"}',
    "raw control character": b'{"alg":"RS256","a":"\n"}',
    "deep arrays": b'{"alg":"RS256","a":' + b"[" * 2900,
    "array": b'["RS256"]',
    "string": b'"RS256"',
    "number": b"7",
    "null": b"null",
    "two values": b'{"alg":"RS256"}{}',
    "trailing comma": b'{"alg":"RS256",}',
    "single quotes": b"{'alg':'RS256'}",
    "no JSON": b"alg=RS256",
    "too many digits": b'{"alg":"RS256","exp":' + b"9" * 2900 + b"." + b"0" + b'"}',
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_a_part_that_is_not_strict_json_is_malformed(text: bytes) -> None:
    assert reason(read_compact(compact(text, CLAIMS))) is Reason.TOKEN_MALFORMED
    assert reason(read_compact(compact(HEADER, text))) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["arrays", "objects"])
def test_nesting_without_end_is_refused_and_does_not_crash(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    with pytest.raises(JsonError, match="nested"):
        read_object(b'{"a":' + opening * 100_000 + b"1" + closing * 100_000 + b"}")


def test_a_number_of_more_digits_than_python_reads_is_no_json() -> None:
    with pytest.raises(JsonError, match="not JSON"):
        read_object(b'{"exp":' + b"9" * 5000 + b"}")


def test_escapes_and_any_script_are_fine_in_json() -> None:
    assert read_object('{"a":"\\u00e9 \\ud83d\\ude00 é 😀"}'.encode()) == {"a": "é 😀 é 😀"}


def test_no_error_quotes_the_token() -> None:
    outcome = read_compact(compact(b'{"alg":"RS256","secret-member":1,"secret-member":2}', CLAIMS))
    assert reason(outcome) is Reason.TOKEN_MALFORMED
    assert "secret" not in repr(outcome)


@given(st.binary(min_size=1, max_size=40))
def test_base64url_round_trips(data: bytes) -> None:
    assert decode_base64url(b64(data)) == data


@given(st.text("AEQgwz09-_", min_size=1, max_size=12).map(str.encode))
def test_no_two_texts_decode_alike(text: bytes) -> None:
    try:
        decoded = decode_base64url(text)
    except FormError:
        return
    assert b64(decoded) == text


@given(st.integers(0, len(GOOD)), st.binary(max_size=3), st.integers(0, 3))
def test_a_changed_token_is_malformed_or_another_token(place: int, inserted: bytes, removed: int) -> None:
    changed = GOOD[:place] + inserted + GOOD[place + removed :]
    outcome = read_compact(changed)
    if isinstance(outcome, CompactToken) and changed != GOOD:
        assert (outcome.signing_input, outcome.signature) != (read(GOOD).signing_input, read(GOOD).signature)


@given(st.binary(max_size=60) | st.lists(st.binary(max_size=30).map(b64), min_size=3, max_size=3).map(b".".join))
def test_any_bytes_are_read_or_refused(token: bytes) -> None:
    read_compact(token)
