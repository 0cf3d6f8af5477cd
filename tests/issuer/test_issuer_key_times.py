"""When which key is published and signs: pure."""

import pytest

from gateway.issuer.key_times import (
    LONGEST_LEEWAY,
    MOST_KEYS,
    SEEN_WITHIN,
    KeyTimes,
    Plan,
    followed,
    is_due,
    shortest_rotation,
    signing,
    upcoming,
)

PLAN = Plan("ES256", every=1000.0, publish_ahead=100.0, longest_lifetime=600.0)


def key(kid: str, signs_from: float, retired_at: float | None = None, algorithm: str = "ES256") -> KeyTimes:
    return KeyTimes(kid, algorithm, 0.0, signs_from, 600.0).retired(retired_at)


@pytest.mark.parametrize(
    ("keys", "now", "kid"),
    [
        ([], 10.0, None),
        ([key("a", 0)], 10.0, "a"),
        ([key("a", 0, 50), key("b", 50)], 49.9, "a"),
        ([key("a", 0, 50), key("b", 50)], 50.0, "b"),
        ([key("a", 0, 50), key("b", 50)], 1e9, "b"),
        ([key("a", 0), key("rsa", 5, None, "RS256")], 10.0, "a"),
        ([key("rsa", 0, 50, "RS256"), key("a", 50)], 49.0, "rsa"),
        ([key("a", 100)], 10.0, "a"),
        ([key("a", 100, 200), key("b", 200)], 10.0, "a"),
    ],
    ids=[
        "no key",
        "the only one",
        "the old one to the end",
        "the new one at its time",
        "the new one without end",
        "the one of the algorithm, though another is newer",
        "another algorithm's until this one's time has come",
        "the first one, though the clock was set back",
        "the first of two, though the clock was set back",
    ],
)
def test_the_key_that_signs(keys: list[KeyTimes], now: float, kid: str | None) -> None:
    found = signing(keys, "ES256", now)
    assert (None if found is None else found.kid) == kid


@pytest.mark.parametrize(
    ("keys", "now", "due"),
    [
        ([], 0.0, True),
        ([key("a", 0)], 1000 - 100 - SEEN_WITHIN - 0.1, False),
        ([key("a", 0)], 1000 - 100 - SEEN_WITHIN, True),
        ([key("a", 0, 1000), key("b", 1000)], 950.0, False),
        ([key("rsa", 0, None, "RS256")], 1.0, True),
        ([key("rsa", 0, 50, "RS256"), key("a", 50)], 1.0, False),
    ],
    ids=["no key", "before its time", "in time to be published ahead", "one waits", "another algorithm", "one waits 2"],
)
def test_when_the_next_key_is_due(keys: list[KeyTimes], now: float, due: bool) -> None:  # noqa: FBT001 - a column
    assert is_due(keys, PLAN, now) is due


def test_without_a_schedule_a_key_signs_until_a_command() -> None:
    assert not is_due([key("a", 0)], Plan("ES256", None, 100.0, 600.0), 1e9)


def test_a_key_is_published_until_the_last_token_that_it_signed_has_expired_for_every_gateway() -> None:
    (old,) = followed([key("a", 0)], 50.0)
    assert (old.retired_at, old.expires_at) == (50.0, 50.0 + 600.0 + LONGEST_LEEWAY)
    assert not old.is_expired(50.0 + 600.0 + LONGEST_LEEWAY - 0.1)
    assert old.is_expired(50.0 + 600.0 + LONGEST_LEEWAY)


def test_longer_lifetimes_are_remembered_and_shorter_ones_do_not_shorten_what_was_issued() -> None:
    old = key("a", 0, 50)
    assert old.signing_tokens_of(60.0) == old
    assert old.signing_tokens_of(900.0).expires_at == 50.0 + 900.0 + LONGEST_LEEWAY
    assert key("a", 0).signing_tokens_of(900.0).expires_at is None


def test_a_key_that_follows_does_not_move_the_end_of_those_before() -> None:
    assert followed([key("a", 0, 50), key("b", 50)], 70.0) == (key("a", 0, 50), key("b", 50, 70))


def test_only_a_key_that_waits_is_upcoming() -> None:
    keys = [key("a", 0, 50), key("b", 50)]
    assert upcoming(keys, 49.0) == keys[1]
    assert upcoming(keys, 50.0) is None


@pytest.mark.parametrize(("ahead", "max_age"), [(0.0, 0), (1.0, 0), (60.0, 30), (600.0, 300), (86_400.0, 300)])
def test_a_key_set_is_cached_for_half_of_the_time_that_a_new_key_waits(ahead: float, max_age: int) -> None:
    assert Plan("ES256", None, ahead, 600.0).max_age == max_age


@pytest.mark.parametrize("lifetime", [1.0, 3600.0, 86_400.0])
def test_the_shortest_rotation_keeps_within_the_keys_that_gateways_take(lifetime: float) -> None:
    every = shortest_rotation(lifetime)
    # One signs, one waits, and these are retired and still published.
    assert 2 + (lifetime + LONGEST_LEEWAY) / every <= MOST_KEYS
