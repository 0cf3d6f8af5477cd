"""Client secrets and the bound on guessing them."""

import pytest
from hypothesis import given, settings, strategies as st

from gateway.issuer.secrets import (
    RememberedSecrets,
    ScryptCost,
    decoy_hash,
    hash_secret,
    read_hash,
    verify_secret,
)
from gateway.issuer.throttle import Throttle

from .issuer_case import CHEAP, Clock

SALT, KEY = "A" * 22, "A" * 43


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_secret_verifies_against_its_hash(secret: str) -> None:
    assert verify_secret(secret, hash_secret(secret, CHEAP))


def test_another_secret_does_not_verify() -> None:
    assert not verify_secret("Right", hash_secret("right", CHEAP))


def test_two_hashes_of_one_secret_differ() -> None:
    assert hash_secret("same", CHEAP) != hash_secret("same", CHEAP)


def test_a_hash_takes_the_parameters_of_rfc_7914_for_interactive_use_by_default() -> None:
    assert hash_secret("x").startswith("scrypt:16384:8:1:")


@pytest.mark.parametrize(
    "written",
    [
        "",
        "plain",
        f"scrypt:15:8:1:{SALT}:{KEY}",
        f"scrypt:1:8:1:{SALT}:{KEY}",
        f"scrypt:0:8:1:{SALT}:{KEY}",
        f"scrypt:16:0:1:{SALT}:{KEY}",
        f"scrypt:16:8:0:{SALT}:{KEY}",
        f"scrypt:1048576:8:1:{SALT}:{KEY}",
        f"scrypt:16384:99:1:{SALT}:{KEY}",
        f"scrypt:16384:8:16:{SALT}:{KEY}",
        f"scrypt:16384:8:1:{SALT}:",
        f"scrypt:16384:8:1:{SALT}:{KEY}\n",
        f"scrypt:16384:8:1:{SALT}:{'A' * 25}",
        f"bcrypt:16384:8:1:{SALT}:{KEY}",
    ],
)
def test_what_is_no_hash_or_asks_for_absurd_work_verifies_nothing(written: str) -> None:
    assert read_hash(written) is None
    assert not verify_secret("x", written)


def test_the_decoy_for_unknown_clients_costs_as_much_as_the_costliest_known_hash() -> None:
    costlier = ScryptCost(n=64, r=1)
    decoy = read_hash(decoy_hash([hash_secret("a", CHEAP), hash_secret("b", costlier)]))
    assert decoy is not None
    assert decoy.cost == costlier


def test_a_hash_does_not_show_itself() -> None:
    assert repr(read_hash(hash_secret("x", CHEAP))) == "SecretHash(***)"


def test_a_verified_secret_is_remembered_until_its_time_is_up() -> None:
    clock, written = Clock(), hash_secret("x", CHEAP)
    remembered = RememberedSecrets(clock, seconds=60)
    remembered.remember("x", written)
    assert remembered.knows("x", written)
    assert not remembered.knows("y", written)
    assert not remembered.knows("x", hash_secret("x", CHEAP))
    clock.now += 61
    assert not remembered.knows("x", written)


def test_remembered_secrets_are_bounded_and_not_readable() -> None:
    remembered = RememberedSecrets(Clock(), most=3)
    for number in range(10):
        remembered.remember(f"secret-{number}", "hash")
    assert len(remembered._digests) == 3
    assert b"secret" not in b"".join(remembered._digests)


def test_the_eleventh_attempt_within_a_minute_waits_for_the_first_to_age() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(10):
        assert throttle.retry_after(["batch"], "192.0.2.1") is None
        throttle.failed(["batch"], "192.0.2.1")
        clock.now += 1
    assert throttle.retry_after(["batch"], "192.0.2.1") == 50
    assert throttle.retry_after(["batch"], "192.0.2.2") is None
    assert throttle.retry_after(["other"], "192.0.2.1") is None
    clock.now += 50
    assert throttle.retry_after(["batch"], "192.0.2.1") is None


def test_the_throttle_forgets_who_failed_longest_ago_when_it_is_full() -> None:
    throttle = Throttle(Clock(), limit=1, most=2)
    for client_id in ("a", "b", "a", "c"):
        throttle.failed([client_id], "192.0.2.1")
    waiting = [client_id for client_id in "abc" if throttle.retry_after([client_id], "192.0.2.1")]
    assert waiting == ["a", "c"]
