"""An issuer's clock by its tokens, and what happened within the last minute."""

import pytest
from hypothesis import given, strategies as st

from gateway.policy.model import TrustedIssuer
from gateway.tokens.issuer_clock import FARTHEST, WINDOW, IssuerClock, LastMinute
from gateway.tokens.verifier import TokenVerifier

from .tokens_case import CLAIMS, ISSUER, NOW, bearer, keys_of, private_key, signed


class AtHand:
    """Keys that do not change."""

    current = keys_of("a")


def verifier(issuer: TrustedIssuer = ISSUER) -> TokenVerifier:
    return TokenVerifier([issuer], {"a": AtHand()}, capacity=9, log_key=b"k")


@pytest.mark.parametrize("ahead", [-400, -1, 0, 3, 400])
def test_the_freshest_token_tells_how_far_the_issuers_clock_is_ahead(ahead: int) -> None:
    verify = verifier()
    assert verify.clock_ahead("a", NOW) is None
    for age in (30, 0, 300):
        verify.verify(bearer(signed("ES256", CLAIMS | {"iat": NOW + ahead - age})), NOW)
    assert verify.clock_ahead("a", NOW) == ahead


def test_a_token_whose_signature_is_bad_tells_nothing() -> None:
    verify = verifier()
    verify.verify(bearer(signed("ES256", CLAIMS | {"iat": NOW + 9}, key=private_key("P-256", "evil"))), NOW)
    assert verify.clock_ahead("a", NOW) is None


@pytest.mark.parametrize("issued_at", [None, True, "1", [], float("nan"), float("inf"), 10**400, NOW * 1000, 0])
def test_an_iat_that_can_be_no_clocks_tells_nothing(issued_at: object) -> None:
    clock = IssuerClock()
    clock.saw(issued_at, NOW)
    assert clock.ahead(NOW) is None


def test_the_freshest_token_counts_for_a_while_and_then_no_more() -> None:
    clock = IssuerClock()
    clock.saw(NOW + 5, NOW)
    clock.saw(NOW + WINDOW - 7, NOW + WINDOW)
    assert clock.ahead(NOW + WINDOW) == 5
    assert clock.ahead(NOW + 2 * WINDOW) == -7
    assert clock.ahead(NOW + 4 * WINDOW) is None


def test_after_our_own_clock_was_set_back_the_estimate_begins_anew() -> None:
    clock = IssuerClock()
    clock.saw(NOW + 5, NOW)
    assert clock.ahead(NOW - 3600) is None


@given(st.lists(st.tuples(st.floats(0, 3000), st.floats(0, 2 * FARTHEST)), max_size=20), st.floats(-60, 60))
def test_the_estimate_is_never_too_high(tokens: list[tuple[float, float]], ahead: float) -> None:
    clock = IssuerClock()
    for later, age in sorted(tokens):
        clock.saw(NOW + later + ahead - age, NOW + later)
        found = clock.ahead(NOW + later)
        assert found is None or found <= ahead + 1e-5


def test_the_last_minute_is_counted_to_ten_seconds() -> None:
    lately, counts = LastMinute(), []
    for second in range(0, 200, 5):
        if second < 100:
            lately.add(NOW + second)
        counts.append(lately.count(NOW + second))
    assert max(counts) == 12
    assert counts[12:20] == [11, 12] * 4
    assert counts[-8:] == [0] * 8


def test_a_clock_that_is_set_back_leaves_no_count_behind() -> None:
    lately = LastMinute()
    lately.add(NOW)
    assert lately.count(NOW - 3600) == 0
    lately.add(NOW - 3600)
    assert lately.count(NOW - 3600) == 1
