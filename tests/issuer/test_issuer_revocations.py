"""Revocations and opaque tokens in the state, and what the running server makes of them."""

import asyncio
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.issuer.errors import StateError
from gateway.issuer.opaque_tokens import OpaqueTokens
from gateway.issuer.revocation_feed import RevocationFeed
from gateway.issuer.revocations import (
    LONGEST_LEEWAY,
    LONGEST_LIFETIME,
    Revocation,
    Revocations,
    render_feed,
    revoke_client,
    revoke_key,
    revoke_token,
    revoke_unseen_token,
)
from gateway.issuer.state import IssuerState
from gateway.issuer.tables import OPAQUE_TOKENS, REVOCATIONS

from .issuer_case import ISSUER, Clock

CLAIMS = {"iss": ISSUER, "client_id": "nightly-batch", "jti": "1", "exp": 1_800_000_060}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(where: str, clock: Clock) -> Iterator[IssuerState]:
    state = IssuerState.open(where, clock)
    yield state
    state.close()


@pytest.fixture
def revocations(state: IssuerState, clock: Clock) -> Revocations:
    return Revocations(state, clock)


class Ticks:
    """A clock that never goes back, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Keys:
    """Counts how often revoked keys were taken out of use."""

    def __init__(self) -> None:
        self.refilled = 0

    async def __call__(self) -> None:
        self.refilled += 1


def hashed(identifier: str) -> str:
    return sha256(f"{ISSUER}\0{identifier}".encode()).hexdigest()


def rows(state: IssuerState, table: str) -> int:
    with state.read() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


# The state


def test_revocations_are_read_in_the_order_in_which_they_came(revocations: Revocations, clock: Clock) -> None:
    added = [revoke_token("1", clock.now), revoke_client("nightly-batch", clock.now), revoke_key("k", clock.now)]
    revocations.add(added[:1])
    revocations.add(added[1:])
    assert list(revocations.current()) == added


def test_a_revocation_is_forgotten_when_the_last_token_has_expired_everywhere(
    state: IssuerState, revocations: Revocations, clock: Clock
) -> None:
    revocations.add([revoke_token("1", clock.now + 60)])
    clock.now += 60 + LONGEST_LEEWAY - 1
    assert len(revocations.current()) == 1
    clock.now += 1
    assert revocations.current() == ()
    revocations.add([revoke_token("2", clock.now + 60)])
    assert rows(state, REVOCATIONS.name) == 1


@pytest.mark.parametrize("revoke", [revoke_unseen_token, revoke_client, revoke_key])
def test_what_is_revoked_by_name_stays_so_for_as_long_as_a_token_can_live(
    revoke: object, revocations: Revocations, clock: Clock
) -> None:
    assert callable(revoke)
    revocations.add([revoke("x", clock.now)])
    clock.now += LONGEST_LIFETIME + LONGEST_LEEWAY - 1
    assert len(revocations.current()) == 1


def test_all_of_several_are_added_or_none(revocations: Revocations) -> None:
    broken = Revocation("jti", None, 1.9e9)  # type: ignore[arg-type]  # what the table does not take
    with pytest.raises(StateError):
        revocations.add([revoke_token("1", 1.9e9), broken])
    assert revocations.current() == ()


def test_the_mark_changes_with_each_revocation_and_only_then(revocations: Revocations, clock: Clock) -> None:
    marks = [revocations.mark(), revocations.mark()]
    revocations.add([revoke_token("1", clock.now)])
    marks.append(revocations.mark())
    clock.now += LONGEST_LEEWAY
    revocations.add([revoke_token("2", clock.now)])  # takes the place of the one that is purged
    marks += [revocations.mark(), revocations.mark()]
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3
    assert marks[-1] == marks[-2]


# The feed


def test_the_feed_tells_digests_and_public_names_only(clock: Clock) -> None:
    all_kinds = [
        revoke_token("1", clock.now),
        revoke_client("nightly-batch", clock.now + 0.5),
        revoke_key("k", clock.now),
    ]
    feed = render_feed(ISSUER, all_kinds)
    document = json.loads(feed.body)
    end = clock.now + LONGEST_LIFETIME + LONGEST_LEEWAY
    assert document == {
        "cursor": feed.cursor,
        "revocations": [
            {"kind": "jti", "hash": hashed("1"), "until": clock.now + LONGEST_LEEWAY},
            {"kind": "client", "hash": hashed("nightly-batch"), "before": clock.now + 1, "until": end + 0.5},
            {"kind": "key", "kid": "k", "until": end},
        ],
    }
    assert b"nightly" not in feed.body
    assert len(feed.revoked) == 3


def test_the_cursor_names_the_content(clock: Clock) -> None:
    one, other = revoke_token("1", clock.now), revoke_token("2", clock.now)
    cursors = [render_feed(ISSUER, some).cursor for some in ([], [one], [other], [one, other], [one])]
    assert cursors[1] == cursors[4]
    assert len(set(cursors)) == 4


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def feed(revocations: Revocations, ticks: Ticks, keys: Keys) -> RevocationFeed:
    return RevocationFeed(revocations, ISSUER, keys_revoked=keys, interval=0.25, tick=ticks)


async def test_what_another_process_revoked_is_told_after_a_moment(
    feed: RevocationFeed, revocations: Revocations, ticks: Ticks, clock: Clock
) -> None:
    assert not (await feed.current()).revoked
    await asyncio.to_thread(revocations.add, [revoke_token("1", clock.now)])
    assert not (await feed.current()).revoked
    ticks.now += 0.25
    assert (await feed.current()).revoked.jtis == {hashed("1")}


async def test_what_this_process_revoked_is_told_at_once(feed: RevocationFeed, clock: Clock) -> None:
    await feed.current()
    await feed.revoke(revoke_token("1", clock.now))
    assert (await feed.current()).revoked.jtis == {hashed("1")}


async def test_however_many_ask_the_state_is_looked_at_once_and_read_only_if_it_changed(
    state: IssuerState, clock: Clock, ticks: Ticks, keys: Keys
) -> None:
    class Counting(Revocations):
        marks = reads = 0

        def mark(self) -> tuple[object, ...]:
            self.marks += 1
            return super().mark()

        def current(self) -> tuple[Revocation, ...]:
            self.reads += 1
            return super().current()

    counting = Counting(state, clock)
    feed = RevocationFeed(counting, ISSUER, keys_revoked=keys, interval=0.25, tick=ticks)
    for _ in range(3):
        await asyncio.gather(*(feed.current() for _ in range(20)))
        ticks.now += 0.25
    assert (counting.marks, counting.reads) == (3, 1)


async def test_a_revoked_key_is_out_of_use_before_anyone_is_told(
    feed: RevocationFeed, keys: Keys, ticks: Ticks, clock: Clock
) -> None:
    await feed.revoke(revoke_token("1", clock.now))
    await feed.current()
    assert keys.refilled == 0
    await feed.revoke(revoke_key("k", clock.now))
    assert (await feed.current()).revoked.kids == {"k"}
    ticks.now += 1
    await feed.current()
    assert keys.refilled == 1


async def test_a_state_that_cannot_be_read_is_no_empty_feed(
    feed: RevocationFeed, state: IssuerState, ticks: Ticks, clock: Clock
) -> None:
    await feed.revoke(revoke_token("1", clock.now))
    await feed.current()
    with state.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {REVOCATIONS.name} RENAME TO elsewhere")
    ticks.now += 1
    with pytest.raises(StateError):
        await feed.current()


# Opaque tokens


def test_an_opaque_token_stands_for_its_claims_until_it_expires(state: IssuerState, clock: Clock) -> None:
    opaque = OpaqueTokens(state, clock)
    token = opaque.keep(CLAIMS)
    assert opaque.find(token) == CLAIMS
    clock.now += 59
    assert opaque.find(token) == CLAIMS
    clock.now += 1
    assert opaque.find(token) is None


@pytest.mark.parametrize("change", [lambda token: token[:-1], lambda token: token + "A", str.swapcase, lambda _: ""])
def test_another_text_stands_for_nothing(state: IssuerState, clock: Clock, change: object) -> None:
    opaque = OpaqueTokens(state, clock)
    assert callable(change)
    assert opaque.find(change(opaque.keep(CLAIMS))) is None


def test_two_opaque_tokens_are_never_alike_and_say_nothing(state: IssuerState, clock: Clock) -> None:
    opaque = OpaqueTokens(state, clock)
    tokens = {opaque.keep(CLAIMS) for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) == 43 and "." not in token for token in tokens)


def test_the_state_keeps_no_opaque_token(clock: Clock, tmp_path: Path) -> None:
    state = IssuerState.open(str(tmp_path / "issuer.db"), clock)
    token = OpaqueTokens(state, clock).keep(CLAIMS)
    state.close()
    assert not any(token.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_expired_opaque_tokens_are_removed(state: IssuerState, clock: Clock) -> None:
    opaque = OpaqueTokens(state, clock)
    for _ in range(3):
        opaque.keep(CLAIMS)
    clock.now += 60
    opaque.keep(CLAIMS | {"exp": int(clock.now) + 60})
    assert rows(state, OPAQUE_TOKENS.name) == 1
