"""Reading a token request: the form and the Authorization field."""

import base64

import pytest
from hypothesis import given, strategies as st

from gateway.issuer.basic import Credentials, read_basic
from gateway.issuer.errors import TokenError, allowed_text
from gateway.issuer.form import FORM_TYPE, Form, read_form


def coded(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (coded("a:b"), [("a", "b")]),
        (coded("a:b:c"), [("a", "b:c")]),
        (coded("a:"), [("a", "")]),
        (coded("a:b+c"), [("a", "b c"), ("a", "b+c")]),
        (coded("a%3Ab:%C3%BC"), [("a:b", "ü"), ("a%3Ab", "%C3%BC")]),
        (coded("a:%FF"), [("a", "%FF")]),
        (coded("a:100%"), [("a", "100%")]),
        (coded("a:b").replace("Basic ", "bAsIc   "), [("a", "b")]),
    ],
)
def test_basic_credentials_are_read_encoded_and_plain(authorization: str, expected: list[tuple[str, str]]) -> None:
    assert read_basic(authorization) == tuple(Credentials(*pair) for pair in expected)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !",
        "Basic YQ",
        coded("ab"),
        coded(":b"),
        "Bearer YTpi",
        "Basic \udcff",
        "Basic /w==",
    ],
)
def test_credentials_that_cannot_be_read_are_explained(authorization: str) -> None:
    assert isinstance(read_basic(authorization), str)


def test_a_secret_does_not_show_in_a_repr() -> None:
    assert "hunter2" not in repr(Credentials("a", "hunter2"))


@pytest.mark.parametrize(
    "content_type", [FORM_TYPE, FORM_TYPE.upper(), f"{FORM_TYPE};charset=UTF-8", f'{FORM_TYPE} ; charset="utf-8"']
)
def test_a_form_may_say_that_it_is_utf_8(content_type: str) -> None:
    assert read_form(content_type, b"a=1") == Form({"a": "1"})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", Form({})),
        (b"scope=&scope=a+b", Form({"scope": "a b"})),
        (b"resource=x&resource=y", Form({"resource": "y"}, ("x", "y"))),
        (b"x=%C3%BC", Form({"x": "ü"})),
        (b"a", Form({})),
    ],
)
def test_parameters_without_value_count_as_left_out(body: bytes, expected: Form) -> None:
    assert read_form(FORM_TYPE, body) == expected


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("", b"a=1", "Content-Type"),
        ("application/json", b"{}", "Content-Type"),
        (f"{FORM_TYPE};charset=utf-16", b"a=1", "Content-Type"),
        (FORM_TYPE, b"a=\xff", "UTF-8"),
        (FORM_TYPE, b"a=%ff", "UTF-8"),
        (FORM_TYPE, b"a=1&a=1", "repeated"),
        (FORM_TYPE, b"a=1&" * 101, "at most 100"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused_with_its_reason(content_type: str, body: bytes, words: str) -> None:
    refused = read_form(content_type, body)
    assert isinstance(refused, TokenError)
    assert words in refused.description


@given(st.text())
def test_a_description_has_only_the_characters_of_rfc_6749(text: str) -> None:
    allowed = {0x20, 0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)}
    assert set(map(ord, allowed_text(text))) <= allowed
