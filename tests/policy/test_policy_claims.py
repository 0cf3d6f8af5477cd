"""Claims of a token whose signature is good."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.policy.claims import ABSENT as ABSENT_CLAIM, LATEST_TIME, check_claims, check_times, claim_at, fits
from gateway.policy.denial import Denial, Reason
from gateway.policy.headers import identity_lines
from gateway.policy.model import Claims, Confirmation, TrustedIssuer

from .policy_case import CLAIMS, LOCAL, NOW, PAYLOAD, reason


class _Absent:
    """Stands for a claim that is left out; its name is the same in every process that names tests by it."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def payload(**changes: object) -> dict[str, object]:
    return {name: value for name, value in (PAYLOAD | changes).items() if value is not ABSENT}


def checked(**changes: object) -> Claims:
    outcome = check_claims(payload(**changes), LOCAL, NOW)
    assert isinstance(outcome, Claims), outcome
    return outcome


def refused(**changes: object) -> Reason:
    return reason(check_claims(payload(**changes), LOCAL, NOW))


def test_good_claims_become_evidence() -> None:
    assert checked() == CLAIMS
    assert checked().scope_set == {"jobs.read", "jobs.run"}


NO_TIMES = ["9", "1800000060", True, False, [], {}, None, [NOW + 60], {"value": NOW + 60}]
OUT_OF_RANGE = [
    math.nan,
    math.inf,
    -math.inf,
    json.loads("1e400"),
    1e30,
    10**400,
    -(10**400),
    -1,
    -0.5,
    LATEST_TIME + 1,
]


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [*NO_TIMES, *OUT_OF_RANGE], ids=lambda value: repr(value)[:20])
def test_a_time_that_is_no_numeric_date_is_refused(claim: str, value: object) -> None:
    assert refused(**{claim: value}) is Reason.CLAIM_INVALID


def test_a_token_without_exp_is_refused() -> None:
    assert refused(exp=ABSENT) is Reason.CLAIM_INVALID


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_without_a_start_is_taken(claim: str) -> None:
    assert checked(**{claim: ABSENT}).expires_at == NOW + 60
    assert checked(nbf=ABSENT, iat=ABSENT).not_before is None


@pytest.mark.parametrize(
    ("changes", "leeway", "expected"),
    [
        ({"exp": NOW}, 0, Reason.TOKEN_EXPIRED),
        ({"exp": NOW - 1}, 0, Reason.TOKEN_EXPIRED),
        ({"exp": 0}, 0, Reason.TOKEN_EXPIRED),
        ({"exp": NOW + 0.001}, 0, None),
        ({"exp": LATEST_TIME}, 0, None),
        ({"exp": NOW - 29.5}, 30, None),
        ({"exp": NOW - 30}, 30, Reason.TOKEN_EXPIRED),
        ({"nbf": NOW}, 0, None),
        ({"nbf": NOW + 1}, 0, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": NOW + 1}, 0, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": NOW + 1, "nbf": NOW - 1}, 0, Reason.TOKEN_NOT_YET_VALID),
        ({"nbf": NOW + 30}, 30, None),
        ({"nbf": NOW + 31}, 30, Reason.TOKEN_NOT_YET_VALID),
        ({"exp": NOW - 31, "nbf": NOW + 31}, 30, Reason.TOKEN_EXPIRED),
    ],
)
def test_times_are_judged_to_the_second_with_the_issuer_s_leeway(
    changes: dict[str, object], leeway: float, expected: Reason | None
) -> None:
    outcome = check_claims(payload(**changes), replace(LOCAL, leeway=leeway), NOW)
    assert (outcome.reason if isinstance(outcome, Denial) else None) is expected


def test_remembered_claims_are_judged_by_the_same_clock() -> None:
    assert check_times(CLAIMS, 0, NOW) is None
    assert reason(check_times(CLAIMS, 0, NOW + 60)) is Reason.TOKEN_EXPIRED
    assert reason(check_times(CLAIMS, 0, NOW - 61)) is Reason.TOKEN_NOT_YET_VALID


@pytest.mark.parametrize(
    "aud",
    ["api", ["api"], ["other", "api"], "https://maintenance.example", ["https://maintenance.example", "x"]],
    ids=str,
)
def test_one_matching_audience_suffices(aud: object) -> None:
    assert "api" in checked(aud=aud).audience or "https://maintenance.example" in checked(aud=aud).audience


@pytest.mark.parametrize(
    ("aud", "expected"),
    [
        ("api-evil", Reason.AUDIENCE_MISMATCH),
        ("ap", Reason.AUDIENCE_MISMATCH),
        ("API", Reason.AUDIENCE_MISMATCH),
        ("api ", Reason.AUDIENCE_MISMATCH),
        ("api other", Reason.AUDIENCE_MISMATCH),
        ("https://maintenance.example/", Reason.AUDIENCE_MISMATCH),
        ("", Reason.AUDIENCE_MISMATCH),
        ([], Reason.AUDIENCE_MISMATCH),
        (["other"], Reason.AUDIENCE_MISMATCH),
        ({"api": True}, Reason.CLAIM_INVALID),
        (["api", 1], Reason.CLAIM_INVALID),
        ([["api"]], Reason.CLAIM_INVALID),
        (7, Reason.CLAIM_INVALID),
        (None, Reason.CLAIM_INVALID),
        (ABSENT, Reason.CLAIM_INVALID),
    ],
    ids=lambda value: "absent" if value is ABSENT else str(value),
)
def test_another_audience_is_refused(aud: object, expected: Reason) -> None:
    assert refused(aud=aud) is expected


@pytest.mark.parametrize(
    "iss",
    [
        "https://issuer.exampl",
        "https://issuer.example/",
        "https://issuer.example.evil",
        "HTTPS://issuer.example",
        [LOCAL.issuer],
        {LOCAL.issuer: 1},
        None,
        1,
        ABSENT,
    ],
    ids=lambda value: "absent" if value is ABSENT else str(value),
)
def test_iss_is_compared_exactly(iss: object) -> None:
    assert refused(iss=iss) is Reason.ISSUER_UNTRUSTED


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        ({"scope": "jobs.read jobs.run"}, ("jobs.read", "jobs.run")),
        ({"scope": " jobs.read  jobs.run "}, ("jobs.read", "jobs.run")),
        ({"scope": ["jobs.read", "jobs.run"]}, ("jobs.read", "jobs.run")),
        ({"scope": ABSENT, "scp": "jobs.read"}, ("jobs.read",)),
        ({"scope": ABSENT, "scp": ["jobs.read"]}, ("jobs.read",)),
        ({"scope": "", "scp": "admin"}, ()),
        ({"scope": ABSENT}, ()),
        ({"scope": "admin\u00a0"}, ()),
        ({"scope": "jobs.read\u00a0admin"}, ()),
        ({"scope": "jobs.read\tadmin"}, ()),
        ({"scope": "jobs.read\nadmin"}, ()),
        ({"scope": "admin\n"}, ()),
        ({"scope": 'ad"min back\\slash'}, ()),
        ({"scope": {}}, ()),
        ({"scope": {"admin": True}}, ()),
        ({"scope": None}, ()),
        ({"scope": True}, ()),
        ({"scope": 7}, ()),
        ({"scope": ["admin jobs.read", 7, None, ["admin"], "jobs.run"]}, ("jobs.run",)),
    ],
    ids=str,
)
def test_only_what_is_written_as_a_scope_grants_anything(changes: dict[str, object], scopes: tuple[str, ...]) -> None:
    assert checked(**changes).scopes == scopes


@pytest.mark.parametrize(
    ("changes", "client_id"),
    [
        ({"azp": "other"}, "nightly-batch"),
        ({"client_id": ABSENT, "azp": "keycloak"}, "keycloak"),
        ({"client_id": ABSENT, "appid": "entra"}, "entra"),
        ({"client_id": ABSENT, "cid": "okta"}, "okta"),
        ({"client_id": ABSENT}, ""),
        ({"client_id": "two words"}, "two words"),
    ],
    ids=str,
)
def test_the_client_is_found_where_issuers_put_it(changes: dict[str, object], client_id: str) -> None:
    assert checked(**changes).client_id == client_id


UNSAFE = ["a\r\nX-Token-Scopes: admin", "a\n", "\x00", "café", " a", "a ", "\t", "a\x7f", "\u2028", 7, None, ["a"], {}]


@pytest.mark.parametrize("claim", ["client_id", "sub"])
@pytest.mark.parametrize("value", UNSAFE, ids=repr)
def test_an_identity_that_cannot_stand_in_a_field_is_refused(claim: str, value: object) -> None:
    assert refused(**{claim: value}) is Reason.CLAIM_INVALID


def test_an_issuer_that_cannot_stand_in_a_field_is_refused() -> None:
    issuer = TrustedIssuer("odd", "https://issuer.example/é", frozenset({"api"}), frozenset({"RS256"}))
    assert reason(check_claims(payload(iss=issuer.issuer), issuer, NOW)) is Reason.CLAIM_INVALID


@pytest.mark.parametrize("jti", [7, None, ["1"], {}], ids=repr)
def test_a_jti_that_is_no_string_is_refused(jti: object) -> None:
    assert refused(jti=jti) is Reason.CLAIM_INVALID


def test_a_token_may_lack_jti_and_subject() -> None:
    claims = checked(jti=ABSENT, sub=ABSENT)
    assert (claims.jti, claims.subject) == ("", "")


PRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@pytest.mark.parametrize(
    ("cnf", "confirmation"),
    [
        ({"jkt": PRINT}, Confirmation(PRINT, None)),
        ({"x5t#S256": PRINT}, Confirmation(None, PRINT)),
        ({"jkt": PRINT, "x5t#S256": PRINT}, Confirmation(PRINT, PRINT)),
    ],
)
def test_the_keys_that_a_token_is_bound_to_are_read(cnf: object, confirmation: Confirmation) -> None:
    assert checked(cnf=cnf).confirmation == confirmation


@pytest.mark.parametrize(
    "cnf",
    [
        *({"jkt": "x"}, {"jkt": PRINT + "="}, {"jkt": PRINT[:-1]}, {"jkt": 1}, {"jkt": None}, {"x5t#S256": "x"}),
        *({"kid": PRINT}, {"jkt": PRINT, "jwk": {}}, {}, None, [PRINT], PRINT, True),
    ],
    ids=str,
)
def test_a_token_that_is_bound_in_an_unknown_way_is_worth_nothing(cnf: object) -> None:
    assert refused(cnf=cnf) is Reason.PROOF_INVALID


def test_how_and_when_the_subject_was_authenticated_is_read() -> None:
    claims = checked(acr="gold", auth_time=NOW - 5)
    assert (claims.acr, claims.auth_time) == ("gold", NOW - 5)
    assert refused(acr=1) is Reason.CLAIM_INVALID
    assert refused(auth_time="now") is Reason.CLAIM_INVALID


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(PAYLOAD)), _json)
def test_any_json_in_a_claim_is_refused_or_fits_into_the_identity_fields(claim: str, value: object) -> None:
    outcome = check_claims(PAYLOAD | {claim: value}, LOCAL, NOW)
    if isinstance(outcome, Claims):
        assert identity_lines(outcome).count(b"\r\n") == 4
        assert NOW < outcome.expires_at <= LATEST_TIME


# What an issuer's entry demands beyond the profile


def at(**terms: Any) -> TrustedIssuer:
    return replace(LOCAL, **terms)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("scope", "jobs.read jobs.run"),
        ("realm_access.roles", ["a"]),
        ("user.tenant.name", "idcs-abc"),
        ("https://api.example/roles", ["b"]),
        ("a.b.c", 1),
        ("a.nothing", ABSENT_CLAIM),
        ("sub.more", ABSENT_CLAIM),
        ("nothing", ABSENT_CLAIM),
        ("null", None),
    ],
)
def test_a_claim_is_found_by_its_path_or_by_its_very_name(path: str, found: object) -> None:
    nested = {
        "realm_access": {"roles": ["a"]},
        "user.tenant.name": "idcs-abc",
        "user": {"tenant": {"name": "never asked"}},
        "https://api.example/roles": ["b"],
        "a": {"x": 1},
        "a.b": {"c": 1},
        "null": None,
    }
    assert claim_at(PAYLOAD | nested, path) == found


@pytest.mark.parametrize(
    ("claim", "taken"),
    [
        ("idcs-abc", True),
        (["x", "idcs-abc"], True),
        ("idcs-abcd", False),
        ("IDCS-ABC", False),
        (["x"], False),
        ({"idcs-abc": 1}, False),
        (None, False),
        (ABSENT, False),
        (1, True),
        (True, False),
        (1.0, False),
    ],
)
def test_a_condition_demands_a_value_of_its_very_kind(claim: object, *, taken: bool) -> None:
    issuer = at(conditions=(("tenant", ("idcs-abc", 1)),))
    found = payload(tenant=claim)
    assert fits(found, issuer) is taken
    outcome = check_claims(found, issuer, NOW)
    assert isinstance(outcome, Claims) if taken else reason(outcome) is Reason.CLAIM_INVALID


def test_a_required_claim_has_to_be_there_whatever_it_is() -> None:
    issuer = at(required_claims=("jti", "realm.id"))
    assert isinstance(check_claims(payload(realm={"id": None}), issuer, NOW), Claims)
    assert reason(check_claims(payload(realm={}), issuer, NOW)) is Reason.CLAIM_INVALID
    assert reason(check_claims(payload(realm={"id": 1}, jti=ABSENT), issuer, NOW)) is Reason.CLAIM_INVALID


def test_the_client_and_the_scopes_are_where_the_entry_says() -> None:
    issuer = at(client_claims=("app.id", "client_id"), scope_claims=("realm_access.roles", "scope"))
    found = check_claims(payload(app={"id": "x"}, realm_access={"roles": ["admin", "jobs.read"]}), issuer, NOW)
    assert isinstance(found, Claims)
    assert (found.client_id, found.scopes) == ("x", ("admin", "jobs.read"))
    otherwise = check_claims(payload(), issuer, NOW)
    assert isinstance(otherwise, Claims)
    assert (otherwise.client_id, otherwise.scopes) == ("nightly-batch", ("jobs.read", "jobs.run"))


def test_with_a_prefix_only_scopes_that_bear_it_grant_something() -> None:
    issuer = at(scope_prefix="https://api.example/")
    found = check_claims(payload(scope="https://api.example/read admin https://api.example/"), issuer, NOW)
    assert isinstance(found, Claims)
    assert found.scopes == ("read",)


@pytest.mark.parametrize(
    ("terms", "changes", "expected"),
    [
        ({"max_lifetime": 120}, {}, NOW + 60),
        ({"max_lifetime": 119}, {}, Reason.CLAIM_INVALID),
        ({"max_lifetime": 120}, {"iat": ABSENT}, Reason.CLAIM_INVALID),
        ({"max_age": 90}, {}, NOW + 30),
        ({"max_age": 600}, {}, NOW + 60),
        ({"max_age": 60}, {}, Reason.TOKEN_EXPIRED),
        ({"max_age": 60}, {"iat": ABSENT}, Reason.CLAIM_INVALID),
    ],
)
def test_lifetime_and_age_are_bounded_by_iat(
    terms: dict[str, float], changes: dict[str, object], expected: float | Reason
) -> None:
    outcome = check_claims(payload(**changes), at(**terms), NOW)
    assert (outcome.expires_at if isinstance(outcome, Claims) else outcome.reason) == expected
