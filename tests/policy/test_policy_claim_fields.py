"""Claims as fields: whatever a claim holds, it is one value, and can be read back."""

from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st

from gateway.policy.claim_fields import ClaimField, claim_lines, field_text, spellings, without_spelled
from gateway.policy.claims import check_claims
from gateway.policy.headers import is_field_value
from gateway.policy.model import Claims

from .policy_case import LOCAL, NOW, PAYLOAD


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("acme", "acme"),
        ("", ""),
        ("a b", "a b"),
        (" a  b ", "%20a  b%20"),
        ("  ", "%20%20"),
        ("CN=a,O=b", "CN=a,O=b"),
        ("100%", "100%25"),
        ("%2C", "%252C"),
        ("Zoë", "Zo%C3%AB"),
        ("\U0001f600", "%F0%9F%98%80"),
        ("a\r\nX-Admin: 1", "a%0D%0AX-Admin: 1"),
        ("a\tb\0\x7f\u2028", "a%09b%00%7F%E2%80%A8"),
        ("\ud800", "%ED%A0%80"),
        (7, "7"),
        (-7, "-7"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (float("inf"), ""),
        (float("nan"), ""),
        (None, ""),
        ({"a": 1}, ""),
        ([], ""),
        (["a"], "a"),
        (["a", "b c", 1, True, 0.5], "a,b c,1,true,0.5"),
        (["a,b", "c%", "é"], "a%2Cb,c%25,%C3%A9"),
        (["", "a", ""], ",a,"),
        ([" a", "b "], "%20a,b%20"),
        ([None, {"a": 1}, ["x"], "a"], "a"),
    ],
)
def test_a_claim_becomes_one_printable_value(claim: object, text: str) -> None:
    assert field_text(claim) == text


TEXT = st.text(max_size=12) | st.text("a %,\r\n\t\x00\xff", max_size=12)
SCALAR = TEXT | st.integers() | st.booleans() | st.none() | st.floats()


@given(SCALAR | st.lists(SCALAR) | st.dictionaries(TEXT, SCALAR))
def test_no_claim_breaks_out_of_its_field(claim: Any) -> None:
    text = field_text(claim)
    assert text.isascii()
    assert text.isprintable()
    assert text == text.strip()
    assert is_field_value(text.encode())


@given(TEXT)
def test_a_text_can_be_read_back(claim: str) -> None:
    assert unquote(field_text(claim), errors="strict") == claim


@given(st.lists(TEXT, min_size=1))
def test_a_list_of_texts_can_be_read_back(claim: list[str]) -> None:
    assert [unquote(part, errors="strict") for part in field_text(claim).split(",")] == claim


def telling(*paths: str, **claims: object) -> tuple[tuple[str, str], ...]:
    """What a verification keeps of a token with these claims for the fields of routes."""
    found = check_claims(PAYLOAD | claims, replace(LOCAL, told_claims=paths), NOW)
    assert isinstance(found, Claims)
    return found.told


def test_only_claims_that_a_route_tells_are_kept_and_each_as_it_stands_in_a_field() -> None:
    assert telling(tenant="acme") == ()
    assert telling("tenant", "r.roles", "none", tenant="é", r={"roles": ["a", "b"]}, other="x") == (
        ("tenant", "%C3%A9"),
        ("r.roles", "a,b"),
        ("none", ""),
    )
    assert telling("r.roles", **{"r.roles": "own", "r": {"roles": "inner"}}) == (("r.roles", "own"),)


FIELDS = (ClaimField("X-Tenant", "tenant"), ClaimField("X-Roles", "r.roles"))


def test_every_field_stands_whatever_is_known_of_its_claim() -> None:
    assert claim_lines(FIELDS, (("r.roles", "a,b"), ("tenant", "t"))) == b"X-Tenant: t\r\nX-Roles: a,b\r\n"
    assert claim_lines(FIELDS, ()) == b"X-Tenant: \r\nX-Roles: \r\n"


def test_a_clients_fields_of_these_names_stay_here_in_every_spelling() -> None:
    sent = [(name, b"x") for name in (b"X-Tenant", b"x_tenant", b"X.TENANT", b"X-Tenants", b"XTenant", b"X\xe4Tenant")]
    kept = [(b"X-Tenants", b"x"), (b"XTenant", b"x"), (b"X\xe4Tenant", b"x")]
    assert without_spelled(sent, spellings(FIELDS)) == kept


def test_each_run_of_blanks_is_looked_at_once() -> None:
    blanks = " " * 200_000
    assert field_text(f"a{blanks}a") == f"a{blanks}a"
    assert field_text([f"{blanks}a {blanks}", "b"]) == f"{'%20' * 200_000}a{'%20' * 200_001},b"
