"""Vectors that others wrote: Wycheproof's signatures and the forms of RFC 7520."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.denial import Denial, Reason
from gateway.tokens.compact import FormError, decode_base64url, read_compact
from gateway.tokens.keys import KeySetError, read_key_set

from .tokens_case import reason

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
WYCHEPROOF = VECTORS / "wycheproof_json_web_signature_test.json"
COOKBOOK = VECTORS / "jose-cookbook"

pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir() and not os.environ.get("CI"),
    reason="the test vectors are not beside this checkout, in ../shared/vectors",
)
"""In CI the vectors have to be there: without them these tests fail."""

CALLED_INVALID_BUT_SAME_BYTES = {367, 370}
CALLED_VALID_WITH_QUESTION_MARK = {372, 373}
ALGORITHM_OTHER_THAN_THE_KEYS = {346, 347, 350, 351}


def verifies(jwk: dict[str, Any], token: str) -> bool:
    """Form, header, key and signature; the payloads of these vectors are no claims, so `{}` stands in for them."""
    try:
        keys = read_key_set({"keys": [jwk]})
    except KeySetError:
        return False
    header, _, rest = token.encode().partition(b".")
    payload, _, signature = rest.partition(b".")
    form = read_compact(b".".join([header, b"e30", signature]))
    if isinstance(form, Denial) or re.fullmatch(rb"[A-Za-z0-9_-]*", payload) is None:
        return False
    try:
        decode_base64url(payload)
    except FormError:
        return False
    candidates = keys.candidates(form.header.kid, form.header.alg)
    return any(key.verifies(form.header.alg, header + b"." + payload, form.signature) for key in candidates)


def wycheproof() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    groups = json.loads(WYCHEPROOF.read_bytes())["testGroups"]
    return [(group.get("public", group["private"]), case) for group in groups for case in group["tests"]]


def test_a_strict_asymmetric_verifier_accepts_exactly_32_of_wycheproofs_signatures() -> None:
    cases = wycheproof()
    accepted = {case["tcId"] for jwk, case in cases if verifies(jwk, case["jws"])}
    assert len(cases) == 401
    assert len(accepted) == 32
    called_valid = {case["tcId"] for jwk, case in cases if case["result"] == "valid" and jwk["kty"] != "oct"}
    assert accepted == called_valid - ALGORITHM_OTHER_THAN_THE_KEYS


def test_no_symmetric_key_of_wycheproof_is_taken() -> None:
    symmetric = [(jwk, case) for jwk, case in wycheproof() if jwk["kty"] == "oct"]
    assert symmetric
    assert not any(verifies(jwk, case["jws"]) for jwk, case in symmetric)


def test_a_question_mark_within_base64url_is_refused_whatever_wycheproof_calls_it() -> None:
    marked = [case["jws"] for _, case in wycheproof() if case["tcId"] in CALLED_VALID_WITH_QUESTION_MARK]
    assert len(marked) == 2
    for token in marked:
        assert reason(read_compact(token.encode())) is Reason.TOKEN_MALFORMED


def test_a_padded_token_of_wycheproof_is_the_same_bytes_as_a_valid_one() -> None:
    tokens = {case["tcId"]: case["jws"] for _, case in wycheproof()}
    assert {tokens[number] for number in CALLED_INVALID_BUT_SAME_BYTES} == {tokens[357]}


def cookbook(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((COOKBOOK / name).read_bytes())
    return document


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("4_1.rsa_v15_signature.json", "3_3.rsa_public_key.json"),
        ("4_2.rsa-pss_signature.json", "3_3.rsa_public_key.json"),
        ("4_3.ecdsa_signature.json", "3_1.ec_public_key.json"),
    ],
)
def test_the_compact_signatures_of_rfc_7520_are_good(name: str, key: str) -> None:
    token = cookbook(name)["output"]["compact"]
    assert verifies(cookbook(key), token)
    assert not verifies(cookbook(key), token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB"))
    assert reason(read_compact(token.encode())) is Reason.TOKEN_MALFORMED, "its payload is no claims set"


FORMS = [
    ("4_1.rsa_v15_signature.json", "json"),
    ("4_1.rsa_v15_signature.json", "json_flat"),
    ("4_5.signature_with_detached_content.json", "compact"),
    ("4_5.signature_with_detached_content.json", "json"),
    ("4_5.signature_with_detached_content.json", "json_flat"),
    ("4_6.protecting_specific_header_fields.json", "json"),
    ("4_6.protecting_specific_header_fields.json", "json_flat"),
    ("4_7.protecting_content_only.json", "json"),
    ("4_7.protecting_content_only.json", "json_flat"),
    ("4_8.multiple_signatures.json", "json"),
]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_any_other_form_of_rfc_7520_is_malformed(name: str, form: str) -> None:
    output = cookbook(name)["output"][form]
    text = output if isinstance(output, str) else json.dumps(output)
    assert reason(read_compact(text.encode())) is Reason.TOKEN_MALFORMED
    assert reason(read_compact(text.replace(" ", "").encode())) is Reason.TOKEN_MALFORMED
