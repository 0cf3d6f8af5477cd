"""Answers about opaque tokens that their issuer signs (RFC 9701)."""

import json
from collections.abc import AsyncIterator

import pytest

from .asked import SIGNED, asking, http, says, signed, tried
from .conftest import Start
from .key_server import KeyServer
from .minting import NOW, jwk, mint, rsa_key
from .raw_upstream import Play, RawUpstream, replies


@pytest.fixture
async def keys() -> AsyncIterator[KeyServer]:
    """Where the issuer publishes its keys."""
    async with RawUpstream() as server:
        yield KeyServer(server)


async def test_signed_answers_are_taken(start: Start, issuer: RawUpstream) -> None:
    issuer.play = signed()
    gate = await start(**asking(issuer, jwt=True))
    assert (await tried(gate)).status == 200
    assert issuer.last.fields("Accept") == [SIGNED]


@pytest.mark.parametrize(
    "play",
    [
        says(),
        signed({"iss": "https://other.example"}),
        signed({"aud": "somebody"}),
        signed({"iat": NOW - 301}),
        signed({"iat": None}),
        signed({"token_introspection": None}),
        signed(typ="at+jwt"),
        signed(kid="unknown"),
        replies(http(b"no.jwt", "200 OK", SIGNED)),
        replies(http(mint(typ="token-introspection+jwt").encode()[:-8] + b"AAAAAAAA", "200 OK", SIGNED)),
    ],
)
async def test_an_answer_that_is_not_signed_as_it_should_be_is_503(
    start: Start, issuer: RawUpstream, play: Play
) -> None:
    issuer.play = play
    gate = await start(**asking(issuer, jwt=True))
    answer = await tried(gate)
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "introspection_unavailable")


@pytest.mark.parametrize("kid", ["rsa", "new"])
async def test_a_new_key_is_found_by_its_first_answer_be_its_name_old_or_new(
    start: Start, issuer: RawUpstream, keys: KeyServer, kid: str
) -> None:
    changes = asking(issuer, jwt=True)
    gate = await start(**changes | {"issuer": changes["issuer"] | keys.section})
    issuer.play = signed()
    assert (await tried(gate, "first")).status == 200
    keys.publish(jwk(rsa_key("new"), kid=kid))
    issuer.play = signed(kid=kid, key=rsa_key("new"))
    gate.clock.now += 30
    assert (await tried(gate, "second")).status == 200
    assert (keys.asked, len(issuer.visits)) == (2, 2)


async def test_answers_with_bad_signatures_are_one_fetch_in_a_cooldown(
    start: Start, issuer: RawUpstream, keys: KeyServer
) -> None:
    changes = asking(issuer, jwt=True)
    gate = await start(**changes | {"issuer": changes["issuer"] | keys.section})
    issuer.play = signed(key=rsa_key("evil"))
    gate.clock.now += 30
    for number in range(10):
        assert (await tried(gate, f"token-{number}")).status == 503
    assert keys.asked == 2
    gate.clock.now += 30
    assert (await tried(gate)).status == 503
    assert keys.asked == 3
    assert (await gate.status())["issuers"][0]["unknown_keys"] == 0
