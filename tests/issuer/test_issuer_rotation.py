"""Signing keys in the state, on SQLite and PostgreSQL: made, rotated, encrypted, removed."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings as budget, strategies as st
from sqlalchemy import select

from gateway.issuer.errors import StateError
from gateway.issuer.key_ring import KeyRing
from gateway.issuer.key_times import LONGEST_LEEWAY, MOST_KEYS, SEEN_WITHIN, Plan
from gateway.issuer.keys import ALGORITHMS, Algorithm
from gateway.issuer.rotation import Rotation, TooManyKeysError
from gateway.issuer.state import IssuerState
from gateway.issuer.tables import SIGNING_KEYS

from .issuer_case import Clock

HOUR = 3600.0
AHEAD = 600.0
PLAN = Plan("ES256", every=None, publish_ahead=AHEAD, longest_lifetime=HOUR)

Open = Callable[..., Rotation]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(where: str, clock: Clock) -> Iterator[Open]:
    """Open the state as another process would, and its keys."""
    states: list[IssuerState] = []

    def opened(plan: Plan = PLAN, passphrase: bytes | None = None) -> Rotation:
        states.append(IssuerState.open(where, clock, passphrase))
        return Rotation(states[-1], plan, clock)

    yield opened
    for state in states:
        state.close()


def published(rotation: Rotation) -> list[str]:
    return [each.key.kid for each in rotation.step()]


def signs(rotation: Rotation, clock: Clock) -> str:
    return KeyRing(rotation.plan, rotation.step(), clock).signing_key().kid


def pems(rotation: Rotation) -> list[str]:
    with rotation._state.read() as connection:
        return list(connection.execute(select(SIGNING_KEYS.c.private_pem)).scalars())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_first_start_makes_a_key_that_signs_at_once(algorithm: Algorithm, tmp_path: Path, clock: Clock) -> None:
    with closing(IssuerState.open(str(tmp_path / "issuer.db"), clock)) as state:
        (first,) = Rotation(state, replace(PLAN, algorithm=algorithm), clock).step()
    assert (first.key.algorithm, first.times.signs_from) == (algorithm, clock.now)
    assert first.key.public_jwk["alg"] == algorithm
    assert "d" not in first.key.public_jwk


def test_keys_survive_a_restart(opened: Open) -> None:
    assert published(opened()) == published(opened())


def test_servers_that_start_at_once_make_one_key(opened: Open) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(published, [opened() for _ in range(4)]))
    assert len(found[0]) == 1
    assert all(each == found[0] for each in found)


def test_by_schedule_the_next_key_is_published_ahead_and_the_old_one_stays_until_its_last_token_has_expired(
    opened: Open, clock: Clock
) -> None:
    rotation = opened(replace(PLAN, every=10 * HOUR))
    began = clock.now
    (first,) = published(rotation)

    clock.now = began + 10 * HOUR - AHEAD - SEEN_WITHIN - 1
    assert published(rotation) == [first]
    clock.now += 1
    (same, second) = published(rotation)
    assert (same, signs(rotation, clock)) == (first, first)
    clock.now = began + 10 * HOUR - 1
    assert signs(rotation, clock) == first
    clock.now = began + 10 * HOUR
    assert (signs(rotation, clock), published(rotation)) == (second, [first, second])
    clock.now += HOUR + LONGEST_LEEWAY - 1
    assert published(rotation) == [first, second]
    clock.now += 1
    assert published(rotation) == [second]
    assert len(pems(rotation)) == 1


def test_servers_that_find_the_rotation_due_at_once_make_one_key(opened: Open, clock: Clock) -> None:
    plan = replace(PLAN, every=10 * HOUR)
    servers = [opened(plan) for _ in range(4)]
    assert {tuple(published(server)) for server in servers} == {tuple(published(servers[0]))}
    clock.now += 10 * HOUR
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(published, servers))
    assert len(published(servers[0])) == 2


def test_a_command_makes_the_next_key_and_the_running_server_takes_it(opened: Open, clock: Clock) -> None:
    server, command = opened(), opened()
    (first,) = published(server)
    following, is_new = command.rotate()
    assert (is_new, following.signs_from) == (True, clock.now + AHEAD + SEEN_WITHIN)
    assert published(server) == [first, following.kid]
    assert signs(server, clock) == first
    clock.now = following.signs_from
    assert signs(server, clock) == following.kid


def test_a_second_command_finds_the_key_that_waits(opened: Open) -> None:
    server = opened()
    published(server)
    first, _ = opened().rotate()
    assert opened().rotate() == (first, False)
    assert len(published(server)) == 2


def test_commands_at_once_make_one_key(opened: Open) -> None:
    server = opened()
    published(server)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda rotation: rotation.rotate(), [opened() for _ in range(4)]))
    assert len({key.kid for key, _ in found}) == 1
    assert sorted(is_new for _, is_new in found) == [False, False, False, True]


@pytest.mark.parametrize("waits", [False, True])
def test_a_key_signs_at_once_when_the_command_says_so(opened: Open, clock: Clock, waits: bool) -> None:  # noqa: FBT001 - a column
    server = opened()
    (first,) = published(server)
    waiting = opened().rotate()[0].kid if waits else None
    clock.now += 1
    following, is_new = opened().rotate(at_once=True)
    assert is_new is not waits
    assert waiting in {None, following.kid}
    assert signs(server, clock) == following.kid
    assert server.times()[0].expires_at == clock.now + HOUR + LONGEST_LEEWAY
    assert published(server) == [first, following.kid]


def test_another_algorithm_signs_when_its_key_has_been_published_ahead(opened: Open, clock: Clock) -> None:
    server = opened()
    (old,) = published(server)
    server.plan = replace(PLAN, algorithm="EdDSA")
    _, new = published(server)
    assert signs(server, clock) == old
    clock.now += AHEAD + SEEN_WITHIN
    assert signs(server, clock) == new
    clock.now += HOUR + LONGEST_LEEWAY
    assert published(server) == [new]


def test_tokens_that_live_longer_by_a_new_setting_keep_their_key_longer(opened: Open, clock: Clock) -> None:
    server = opened()
    published(server)
    server.plan = replace(PLAN, longest_lifetime=5 * HOUR)
    published(server)
    server.plan = PLAN
    following, _ = opened().rotate()
    assert server.times()[0].expires_at == following.signs_from + 5 * HOUR + LONGEST_LEEWAY


def test_a_command_before_the_server_noted_its_lifetimes_does_not_end_a_key_early(opened: Open, clock: Clock) -> None:
    published(opened(replace(PLAN, longest_lifetime=60.0)))
    clock.now += 1
    opened(replace(PLAN, longest_lifetime=60.0)).rotate(at_once=True)
    server = opened()
    published(server)
    assert server.times()[0].expires_at == clock.now + HOUR + LONGEST_LEEWAY


def test_no_more_keys_are_made_than_gateways_take(opened: Open) -> None:
    rotation = opened()
    for _ in range(MOST_KEYS):
        rotation.rotate(at_once=True)
    with pytest.raises(TooManyKeysError, match="50 keys are published"):
        rotation.rotate(at_once=True)
    rotation.plan = replace(PLAN, algorithm="EdDSA")
    assert len(published(rotation)) == MOST_KEYS


class TestWithdrawal:
    """A key that is revoked."""

    def withdraw(self, rotation: Rotation, kid: str) -> str | None:
        with rotation._state.alone() as connection:
            signing = rotation.withdraw(connection, kid)
        return None if signing is None else signing.kid

    def test_another_key_takes_over_at_once_from_the_one_that_signs(self, opened: Open, clock: Clock) -> None:
        server = opened()
        (bad,) = published(server)
        new = self.withdraw(opened(), bad)
        assert new != bad
        assert (signs(server, clock), published(server)) == (new, [new])

    def test_the_one_that_waits_takes_over_if_there_is_one(self, opened: Open, clock: Clock) -> None:
        server = opened()
        (bad,) = published(server)
        waiting = opened().rotate()[0].kid
        assert self.withdraw(opened(), bad) == waiting
        assert (signs(server, clock), published(server)) == (waiting, [waiting])

    def test_without_the_one_that_waits_all_is_as_before(self, opened: Open, clock: Clock) -> None:
        server = opened()
        (good,) = published(server)
        before = server.times()
        waiting = opened().rotate()[0].kid
        assert self.withdraw(opened(), waiting) == good
        assert server.times() == before
        assert signs(server, clock) == good

    def test_one_that_signed_is_gone(self, opened: Open, clock: Clock) -> None:
        server = opened()
        (bad,) = published(server)
        good = opened().rotate(at_once=True)[0].kid
        assert self.withdraw(opened(), bad) == good
        assert (signs(server, clock), published(server)) == (good, [good])

    def test_one_that_is_not_there_changes_nothing(self, opened: Open) -> None:
        server = opened()
        kept = published(server)
        assert self.withdraw(opened(), "nobody") is None
        assert published(server) == kept


class TestPassphrase:
    """Private keys at rest."""

    def test_a_new_key_is_encrypted_and_only_its_passphrase_opens_it(self, opened: Open) -> None:
        kept = published(opened(passphrase=b"correct horse"))
        (pem,) = pems(opened())
        assert pem.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert published(opened(passphrase=b"correct horse")) == kept

    @pytest.mark.parametrize(
        ("passphrase", "words"), [(None, "there is no passphrase"), (b"wrong", "encrypted with another passphrase")]
    )
    def test_without_the_passphrase_neither_start_nor_command_goes_on(
        self, opened: Open, passphrase: bytes | None, words: str
    ) -> None:
        (kid,) = published(opened(passphrase=b"correct horse"))
        for act in (Rotation.step, Rotation.rotate):
            with pytest.raises(StateError, match=f"the signing key {kid} is .*{words}.*`passphrase_file`"):
                act(opened(passphrase=passphrase))
        assert published(opened(passphrase=b"correct horse")) == [kid]

    def test_keys_from_before_the_passphrase_are_encrypted_at_the_next_start(self, opened: Open) -> None:
        kept = published(opened())
        assert published(opened(passphrase=b"correct horse")) == kept
        assert all("ENCRYPTED" in pem for pem in pems(opened()))

    def test_a_file_keeps_nothing_of_a_key_that_was_in_the_clear(self, tmp_path: Path, clock: Clock) -> None:
        path = tmp_path / "issuer.db"
        for passphrase in (None, b"correct horse"):
            with closing(IssuerState.open(str(path), clock, passphrase)) as state:
                rotation = Rotation(state, PLAN, clock)
                secret = rotation.step()[0].key.private_pem().splitlines()[1].encode()
                assert (secret in path.read_bytes()) is (passphrase is None)


def test_a_key_that_is_damaged_is_named(opened: Open) -> None:
    rotation = opened()
    (kid,) = published(rotation)
    with rotation._state.begin() as connection:
        connection.execute(SIGNING_KEYS.update().values(private_pem="-----BEGIN PRIVATE KEY-----"))
    with pytest.raises(StateError, match=f"the signing key {kid} .*restore the state"):
        published(opened())


@dataclass
class Server:
    """One of two servers on one state; it looks at least each second, and notes when it published which key."""

    rotation: Rotation
    clock: Clock
    published_since: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        self.ring = KeyRing(self.rotation.plan, self.rotation.step(), self.clock)
        held = self.ring.keys()
        for key in held:
            self.published_since.setdefault(key.kid, self.clock.now)


PASSING = st.sampled_from([1.0, 30.0, 598.0, 599.0, 2000.0, 4000.0])
PLANS = st.builds(
    Plan,
    st.sampled_from(["ES256", "EdDSA"]),
    st.sampled_from([None, 700.0, 5000.0]),
    st.just(AHEAD),
    st.sampled_from([60.0, HOUR, 3 * HOUR]),
)


@given(actions=st.lists(st.one_of(PASSING, PLANS, st.just("rotate")), min_size=4, max_size=16))
@budget(max_examples=20)
def test_no_key_signs_before_it_was_published_ahead_and_none_leaves_before_its_tokens_have_expired(
    actions: list[float | Plan | str],
) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        states = [IssuerState.open(f"{folder}/issuer.db", clock) for _ in range(3)]
        *servers, command = (Server(Rotation(state, PLAN, clock), clock) for state in states)
        for server in servers:
            server.look()
        first = servers[0].ring.signing_key().kid
        tokens: dict[str, float] = {}  # kid -> the latest exp of what it signed
        for action in actions:
            if isinstance(action, float):
                clock.now += action
            elif isinstance(action, Plan):
                for server in (*servers, command):
                    server.rotation.plan = action
            else:
                command.rotation.rotate()
            for looks in servers:  # the second one a second later than the first, and both issue all the time
                for server in servers:
                    check_mint(server, tokens, first)
                looks.look()
                for server in servers:
                    check_mint(server, tokens, first)
                clock.now += 1.0
        for state in states:
            state.close()


def check_mint(server: Server, tokens: dict[str, float], first: str) -> None:
    """Mint as the server would, and look whether every token so far can still be verified there."""
    now, kid = server.clock.now, server.ring.signing_key().kid
    assert kid == first or now - server.published_since[kid] >= AHEAD
    tokens[kid] = max(tokens.get(kid, 0.0), now + server.ring._plan.longest_lifetime)
    held = server.ring.keys()
    kids = {key.kid for key in held}
    assert all(signer in kids for signer, expires_at in tokens.items() if now < expires_at)
