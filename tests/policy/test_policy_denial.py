"""From a reason to the response."""

import json
import re

import pytest

from gateway.policy.denial import MEANINGS, Denial, Reason, challenge, refuse

INVALID_TOKEN = [
    *["token_malformed", "algorithm_not_allowed", "key_unknown", "signature_invalid", "issuer_untrusted"],
    *["audience_mismatch", "token_expired", "token_not_yet_valid", "claim_invalid", "token_revoked", "proof_invalid"],
]
TABLE: dict[str, tuple[int, str | None]] = {
    "target_invalid": (400, None),
    "no_route": (404, None),
    "method_not_allowed": (405, None),
    "request_malformed": (400, 'Bearer realm="here", error="invalid_request"'),
    "token_missing": (401, 'Bearer realm="here"'),
    **dict.fromkeys(INVALID_TOKEN, (401, 'Bearer realm="here", error="invalid_token"')),
    "authentication_insufficient": (401, 'Bearer realm="here", error="insufficient_user_authentication"'),
    "origin_untrusted": (403, None),
    "scope_insufficient": (403, 'Bearer realm="here", error="insufficient_scope"'),
    "claim_condition_failed": (403, 'Bearer realm="here", error="insufficient_scope"'),
    "route_denied": (403, None),
    "network_not_allowed": (403, None),
    "outside_hours": (403, None),
    "body_too_large": (413, None),
    "rate_limited": (429, None),
    "overloaded": (503, None),
    "keys_unavailable": (503, None),
    "introspection_unavailable": (503, None),
    "credentials_unavailable": (503, None),
    "upstream_unreachable": (502, None),
    "upstream_invalid": (502, None),
    "upstream_timeout": (504, None),
    "upstream_busy": (503, None),
    "internal_error": (500, None),
}
RETRIED = {
    *("rate_limited", "overloaded", "keys_unavailable", "introspection_unavailable", "credentials_unavailable"),
    "upstream_busy",
}


def fields_of(denial: Denial) -> dict[str, str]:
    fields = refuse(denial, "here", "r1").fields
    assert len({name for name, _ in fields}) == len(fields)
    return {name.decode(): value.decode() for name, value in fields}


def test_the_set_of_reasons_is_closed() -> None:
    assert {reason.value for reason in Reason} == set(TABLE)
    assert set(MEANINGS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_its_status_and_its_form_of_challenge(reason: Reason) -> None:
    status, expected = TABLE[reason]
    denial = Denial(reason, "inner detail")
    assert refuse(denial, "here", "r1").status == status
    sent = fields_of(denial).get("WWW-Authenticate")
    if expected is None:
        assert sent is None
    else:
        assert sent is not None
        assert re.sub(r', error_description="[^"]*"', "", sent) == expected


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_s_body_is_a_problem_that_gives_nothing_away(reason: Reason) -> None:
    denial = Denial(reason, "inner detail", allow=("GET",))
    body = refuse(denial, "here", "r1").body
    problem = json.loads(body)
    assert {"type", "title", "status", "reason", "hint", "request_id"} == set(problem)
    assert problem["type"] == "about:blank"
    assert (problem["status"], problem["reason"], problem["request_id"]) == (TABLE[reason][0], reason.value, "r1")
    assert problem["title"]
    assert problem["hint"]
    assert b"inner detail" not in body
    assert fields_of(denial)["Content-Type"] == "application/problem+json"
    assert fields_of(denial)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("reason", Reason)
def test_a_challenge_is_well_formed(reason: Reason) -> None:
    """RFC 6750 §3: printable ASCII without quotation marks and backslashes, each parameter once."""
    text = challenge(Denial(reason, scopes_required=("a", "b")), "here")
    assert text.startswith("Bearer ")
    parameters = re.findall(r'(\w+)="([\x20\x21\x23-\x5b\x5d-\x7e]*)"', text)
    assert "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters) == text
    names = [name for name, _ in parameters]
    assert len(set(names)) == len(names)
    assert ("error" in names) == ("error_description" in names)


def test_no_error_code_goes_to_a_request_without_credentials_but_the_scopes_do() -> None:
    """RFC 6750 §3.1."""
    denial = Denial(Reason.TOKEN_MISSING, scopes_required=("jobs.read", "jobs.run"))
    assert challenge(denial, "the APIs") == 'Bearer realm="the APIs", scope="jobs.read jobs.run"'


def test_a_refusal_for_scopes_names_those_that_are_required_and_those_that_are_missing() -> None:
    denial = Denial(Reason.SCOPE_INSUFFICIENT, "", ("jobs.read", "jobs.run"), ("jobs.run",))
    assert fields_of(denial)["WWW-Authenticate"].endswith('scope="jobs.read jobs.run"')
    assert json.loads(refuse(denial, "here", "r1").body)["scopes_missing"] == ["jobs.run"]


@pytest.mark.parametrize("reason", Reason)
def test_only_405_names_methods_and_only_a_passing_trouble_says_when_to_retry(reason: Reason) -> None:
    fields = fields_of(Denial(reason, allow=("GET", "POST")))
    assert fields.get("Allow") == ("GET, POST" if reason is Reason.METHOD_NOT_ALLOWED else None)
    assert ("Retry-After" in fields) == (reason.value in RETRIED)
    if "Retry-After" in fields:
        assert int(fields["Retry-After"]) > 0


@pytest.mark.parametrize("reason", Reason)
def test_only_an_upstream_s_failure_concerns_a_request_that_was_let_in(reason: Reason) -> None:
    let_in = reason.value.startswith("upstream_") or reason is Reason.CREDENTIALS_UNAVAILABLE
    assert Denial(reason).keeps_out == (not let_in)


def test_a_challenge_names_its_scheme_its_parameters_and_the_resources_metadata() -> None:
    denial = Denial(
        Reason.PROOF_INVALID,
        scheme="DPoP",
        error="use_dpop_nonce",
        parameters=(("algs", "ES256 EdDSA"),),
        scopes_required=("a",),
        nonce="n-1",
    )
    fields = dict(refuse(denial, "here", "r1", "https://api.example/.well-known/oauth-protected-resource").fields)
    assert fields[b"DPoP-Nonce"] == b"n-1"
    told = fields[b"WWW-Authenticate"].decode()
    assert told.startswith('DPoP realm="here", error="use_dpop_nonce", ')
    assert told.endswith(
        ', scope="a", algs="ES256 EdDSA", resource_metadata="https://api.example/.well-known/oauth-protected-resource"'
    )
