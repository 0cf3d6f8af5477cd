"""`scopegate explain` of claims without a signature."""

import json
from pathlib import Path
from typing import Any

import pytest

from .explain_case import AUDIENCE, ISSUER, NOW, OTHER, advice, run, with_claims


def test_claims_are_judged_without_a_signature(config: Path) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 1, "scope": "jobs.read"}
    found = with_claims(config, "GET", "/jobs", claims)
    assert found["allowed"]
    assert found["assumed"] == []
    assert not {"signature", "key", "form"} & {fact["name"] for fact in found["steps"][2]["facts"]}


def test_what_claims_do_not_say_is_assumed_where_one_issuer_fits_and_the_output_says_so(config: Path) -> None:
    found = with_claims(config, "POST", "/jobs/a/runs", {"scope": "jobs.run"})
    assert found["allowed"]
    assert found["assumed"] == [f"iss is {ISSUER}", f"aud is {AUDIENCE}", "exp is in one hour"]
    named = with_claims(config, "GET", "/jobs", {"iss": OTHER, "scope": "jobs.read"})
    assert named["allowed"]
    assert named["assumed"] == [f"aud is {AUDIENCE}", "exp is in one hour"]
    assert (
        "assumed, because the claims do not say it"
        in run(config, "GET", "/jobs", "--claims", "-", stdin=json.dumps({"iss": OTHER})).stdout
    )


def test_nothing_is_assumed_where_several_issuers_fit(config: Path) -> None:
    found = with_claims(config, "GET", "/jobs", {"scope": "jobs.read"})
    assert found["verdict"]["reason"] == "issuer_untrusted"
    assert found["assumed"] == []
    assert "iss" in advice(found)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW}, "token_expired"),
        ({"exp": True}, "claim_invalid"),
        ({"aud": "x"}, "audience_mismatch"),
        ({"nbf": NOW + 1}, "token_not_yet_valid"),
        ({"scope": "jobs.READ"}, "scope_insufficient"),
        ({"scope": {}}, "scope_insufficient"),
    ],
)
def test_claims_are_refused_as_a_tokens_would_be(config: Path, claims: dict[str, Any], reason: str) -> None:
    good = {"iss": ISSUER, "scope": "jobs.read"}
    assert with_claims(config, "GET", "/jobs", good | claims)["verdict"]["reason"] == reason
