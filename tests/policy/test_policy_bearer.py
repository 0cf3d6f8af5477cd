"""Taking the bearer token out of the Authorization field."""

import pytest
from hypothesis import given, strategies as st

from gateway.policy.bearer import take_token
from gateway.policy.denial import Reason
from gateway.policy.model import BearerToken

from .policy_case import head, reason


@pytest.mark.parametrize(
    ("field", "token"),
    [
        (b"Bearer abc.def.ghi", b"abc.def.ghi"),
        (b"bearer abc", b"abc"),
        (b"BEARER abc", b"abc"),
        (b"Bearer   abc", b"abc"),
        (b"Bearer caf\xe9", b"caf\xe9"),
    ],
)
def test_the_token_of_the_bearer_scheme_is_taken_as_it_stands(field: bytes, token: bytes) -> None:
    assert take_token(head("/", "GET", field)) == BearerToken(token)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="no field"),
        pytest.param([b"Basic dXNlcjpwYXNz"], id="Basic"),
        pytest.param([b"Negotiate"], id="a scheme alone"),
        pytest.param([b'Digest username="a", realm="b"'], id="parameters"),
        pytest.param([b"Bearerx abc"], id="a longer scheme"),
    ],
)
def test_no_token_or_another_scheme_is_a_missing_token(fields: list[bytes]) -> None:
    assert reason(take_token(head("/", "GET", *fields))) is Reason.TOKEN_MISSING


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([b"Bearer a", b"Bearer a"], id="two fields"),
        pytest.param([b"Bearer a", b"DPoP b"], id="two schemes in two fields"),
        pytest.param([b"Bearer a, Bearer b"], id="comma-joined"),
        pytest.param([b"Bearer a,b"], id="comma in the token"),
        pytest.param([b"Basic dQ==, Bearer a"], id="Basic before Bearer"),
        pytest.param([b"Basic dQ==,BEARER a"], id="Basic before BEARER"),
        pytest.param([b"Bearer a, DPoP b"], id="Bearer and DPoP"),
        pytest.param([b"DPoP b, Bearer a"], id="DPoP and Bearer"),
        pytest.param([b"Bearer a b"], id="two tokens"),
        pytest.param([b"Bearer"], id="no token"),
        pytest.param([b"DPoP"], id="DPoP without a token"),
        pytest.param([b"Basic dQ==, DPoP a"], id="Basic before DPoP"),
        pytest.param([b"Bearer "], id="an empty token"),
        pytest.param([b""], id="an empty field"),
        pytest.param([b"Bearer\tabc"], id="a tab for the space"),
        pytest.param([b"Bearer abc\x0b"], id="a control character behind the token"),
        pytest.param([b"Bearer abc "], id="a blank behind the token"),
        pytest.param([b" Bearer abc"], id="a blank before the scheme"),
        pytest.param([b"B\xe9arer abc"], id="non-ASCII scheme"),
        pytest.param([b"Bearer: abc"], id="a colon"),
        pytest.param([b"Bearer=abc"], id="an equals sign"),
    ],
)
def test_several_or_broken_credentials_are_malformed(fields: list[bytes]) -> None:
    assert reason(take_token(head("/", "GET", *fields))) is Reason.REQUEST_MALFORMED


def test_a_token_in_the_query_is_not_looked_at() -> None:
    assert reason(take_token(head("/?access_token=abc"))) is Reason.TOKEN_MISSING


@given(st.binary(max_size=30) | st.binary(max_size=20).map(b"Bearer ".__add__))
def test_a_token_that_is_taken_is_the_field_s_one_and_only_word_behind_the_scheme(field: bytes) -> None:
    taken = take_token(head("/", "GET", field))
    if isinstance(taken, BearerToken):
        assert field[:7].lower() == b"bearer "
        assert field[7:].lstrip(b" ") == taken.value
        assert taken.value.split() == [taken.value]
        assert b"," not in taken.value


def test_a_token_shows_itself_nowhere() -> None:
    token = BearerToken(b"secret")
    assert [repr(token), str(token), f"{token}", f"{[token]}"] == ["BearerToken(***)"] * 3 + ["[BearerToken(***)]"]


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_a_token_may_come_under_the_scheme_of_its_proof(scheme: str) -> None:
    token = take_token(head("/", "GET", f"{scheme} abc".encode()))
    assert token == BearerToken(b"abc", "DPoP")
