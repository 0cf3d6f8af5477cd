"""Which audience and scopes a token gets."""

import pytest
from hypothesis import given, strategies as st

from gateway.issuer.errors import TokenError, TokenErrorCode
from gateway.issuer.scopes import (
    MY_SCOPES,
    Grant,
    UnknownScopes,
    applicable_scopes,
    choose,
    is_resource,
    is_scope_token,
)

ONE = {"https://a.example": ("read", "run")}
TWO = {"https://a.example": ("read", "run", "shared"), "http://host:8011/": ("Read", "shared")}


@pytest.mark.parametrize(
    ("applicable", "asked", "resources", "expected"),
    [
        (ONE, None, (), Grant("https://a.example", ("read", "run"))),
        (ONE, "run", (), Grant("https://a.example", ("run",))),
        (ONE, "run read run", (), Grant("https://a.example", ("read", "run"))),
        (ONE, MY_SCOPES, (), Grant("https://a.example", ("read", "run"))),
        (ONE, None, ("https://a.example", "https://a.example"), Grant("https://a.example", ("read", "run"))),
        (TWO, "read", (), Grant("https://a.example", ("read",))),
        (TWO, "shared Read", (), Grant("http://host:8011/", ("Read", "shared"))),
        (TWO, None, ("http://host:8011/",), Grant("http://host:8011/", ("Read", "shared"))),
        (TWO, "shared", ("https://a.example",), Grant("https://a.example", ("shared",))),
        (TWO, "http://host:8011/Read", (), Grant("http://host:8011/", ("Read",))),
        (TWO, "http://host:8011/shared", (), Grant("http://host:8011/", ("shared",))),
    ],
)
def test_a_token_is_for_one_audience_with_scopes_in_the_order_of_their_definition(
    applicable: dict[str, tuple[str, ...]], asked: str | None, resources: tuple[str, ...], expected: Grant
) -> None:
    assert choose(applicable, asked, resources) == expected


@pytest.mark.parametrize(
    ("applicable", "asked", "resources", "code", "words"),
    [
        ({}, None, (), "invalid_scope", "No role"),
        ({}, "read", (), "invalid_scope", "No role"),
        (ONE, "admin read", (), "invalid_scope", "admin"),
        (ONE, "READ", (), "invalid_scope", "READ"),
        (ONE, "rea", (), "invalid_scope", "rea"),
        (ONE, "read  run", (), "invalid_scope", "printable ASCII"),
        (ONE, " read", (), "invalid_scope", "printable ASCII"),
        (ONE, "read\trun", (), "invalid_scope", "printable ASCII"),
        (ONE, 'read"', (), "invalid_scope", "printable ASCII"),
        (ONE, "read\u00a0run", (), "invalid_scope", "printable ASCII"),
        (TWO, "read Read", (), "invalid_scope", "different resources"),
        (TWO, None, (), "invalid_target", "parameter resource"),
        (TWO, "shared", (), "invalid_target", "parameter resource"),
        (TWO, "Read", ("https://a.example",), "invalid_scope", "Read"),
        (ONE, None, ("https://b.example",), "invalid_target", "unknown"),
        (ONE, None, ("a.example",), "invalid_target", "absolute URI"),
        (ONE, None, ("https://a.example#x",), "invalid_target", "fragment"),
        (ONE, None, ("https://[",), "invalid_target", "absolute URI"),
        (TWO, None, tuple(TWO), "invalid_target", "one resource"),
    ],
)
def test_what_cannot_be_granted_is_refused_with_its_reason(
    applicable: dict[str, tuple[str, ...]], asked: str | None, resources: tuple[str, ...], code: str, words: str
) -> None:
    refused = choose(applicable, asked, resources)
    assert isinstance(refused, TokenError)
    assert refused.code is TokenErrorCode(code)
    assert words in refused.description


@pytest.mark.parametrize(
    ("applicable", "asked", "resources", "expected"),
    [
        (ONE, "read admin", (), Grant("https://a.example", ("read",))),
        (ONE, f"admin {MY_SCOPES}", (), Grant("https://a.example", ("read", "run"))),
        (TWO, "https://a.example/admin https://a.exampleread", (), Grant("https://a.example", ("read",))),
        (TWO, "read Read", ("https://a.example",), Grant("https://a.example", ("read",))),
        (TWO, "admin Read", (), Grant("http://host:8011/", ("Read",))),
    ],
)
def test_a_scope_that_is_not_given_may_be_left_out(
    applicable: dict[str, tuple[str, ...]], asked: str, resources: tuple[str, ...], expected: Grant
) -> None:
    assert choose(applicable, asked, resources, "leave_out") == expected
    assert isinstance(choose(applicable, asked, resources, "refuse"), TokenError)


@pytest.mark.parametrize(
    ("applicable", "asked", "resources", "code", "words"),
    [
        (ONE, "admin purge", (), "invalid_scope", "admin purge"),
        (ONE, "read  run", (), "invalid_scope", "printable ASCII"),
        ({}, "read", (), "invalid_scope", "No role"),
        (TWO, "read Read admin", (), "invalid_scope", "different resources"),
        (TWO, "shared admin", (), "invalid_target", "parameter resource"),
        (TWO, "Read", ("https://a.example",), "invalid_scope", "Read"),
        (ONE, "read", ("https://b.example",), "invalid_target", "unknown"),
    ],
)
def test_leaving_out_ends_where_nothing_is_left_or_the_rest_is_doubtful(
    applicable: dict[str, tuple[str, ...]], asked: str, resources: tuple[str, ...], code: str, words: str
) -> None:
    refused = choose(applicable, asked, resources, "leave_out")
    assert isinstance(refused, TokenError)
    assert refused.code is TokenErrorCode(code)
    assert words in refused.description


scope_names = st.sampled_from(["read", "run", "shared", "Read", "admin", "x", "http://host:8011/Read", MY_SCOPES])


@given(st.lists(scope_names, min_size=1, max_size=6), st.sampled_from(["refuse", "leave_out"]))
def test_nobody_gets_a_scope_that_no_role_gives_or_that_was_not_asked_for(
    asked: list[str], unknown: UnknownScopes
) -> None:
    grant = choose(TWO, " ".join(asked), (), unknown)
    if isinstance(grant, Grant):
        assert grant.scopes
        assert set(grant.scopes) <= set(TWO[grant.audience])
        spelt = {each.removeprefix(grant.audience) for each in asked}
        assert MY_SCOPES in asked or set(grant.scopes) <= spelt


def test_a_scope_that_is_unknown_and_one_that_is_not_granted_are_refused_in_the_same_words() -> None:
    resources = {"https://a.example": ["read", "admin"]}
    applicable = applicable_scopes(resources, {"read"})
    refusals = [choose(applicable, name, ()) for name in ("admin", "amdin")]
    descriptions = [refusal.description for refusal in refusals if isinstance(refusal, TokenError)]
    assert descriptions[0].replace("admin", "") == descriptions[1].replace("amdin", "")


@pytest.mark.parametrize(
    ("text", "expected"), [("jobs.read", True), ("!#[]~", True), ("", False), ("a b", False), ("a\\", False)]
)
def test_a_scope_is_printable_ascii_without_blank_quote_and_backslash(text: str, *, expected: bool) -> None:
    assert is_scope_token(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("https://a.example", True), ("urn:example:a", True), ("//a", False), ("urn:", False), ("https://a b", False)],
)
def test_a_resource_is_an_absolute_uri(text: str, *, expected: bool) -> None:
    assert is_resource(text) is expected
