"""Inputs that fuzzing has kept: each one reached code that no other did, or failed once."""

from pathlib import Path

import pytest

from gateway.policy.model import BearerToken
from gateway.tokens.verify import Verification, verify

from .targets import KEYS, NOW, TARGETS, TRUSTED, signed

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_is_refused_or_rightly_accepted(name: str) -> None:
    kept = sorted((CORPUS / name).iterdir())
    assert kept
    for file in kept:
        TARGETS[name](file.read_bytes())


def test_a_good_token_is_accepted_so_that_what_follows_is_reached() -> None:
    header, payload = (CORPUS / "token" / "good").read_bytes()[1:].split(b"\0")
    accepted = verify(BearerToken(signed(header, payload)), TRUSTED, lambda _: KEYS, NOW)
    assert isinstance(accepted, Verification)
