"""A token that its issuer revokes is refused from then on: by a feed, over real sockets."""

import json

import pytest

from .conftest import Start
from .feed import Feed, hashed
from .gate import Gate
from .minting import ISSUER, NOW, claims
from .raw_client import RawClient, request


@pytest.fixture
async def followed(start: Start, feed: Feed) -> Gate:
    return await start(issuer={"revocations": feed.url})


async def why(client: RawClient, *fields: str) -> str:
    """The reason of a refusal, "" for entry."""
    answer = await client.ask(request("GET /admin/x", *fields))
    return "" if answer.status == 200 else str(json.loads(answer.body)["reason"])


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("jti", {"hash": hashed("c0ffee")}),
        ("client", {"hash": hashed("nightly-batch"), "before": NOW}),
        ("key", {"kid": "rsa"}),
    ],
)
async def test_a_revoked_token_is_refused_on_a_kept_connection_and_on_a_new_one(
    followed: Gate, feed: Feed, kind: str, members: dict[str, object]
) -> None:
    token = followed.bearer()
    async with followed.connect() as kept:
        assert await why(kept, token) == ""
        assert await why(kept, token) == ""
        feed.revoke(kind, **members)
        await feed.asked_again()
        assert await why(kept, token) == "token_revoked"
        async with followed.connect() as fresh:
            assert await why(fresh, token) == "token_revoked"
            assert await why(fresh, followed.bearer(payload=claims(jti="1", sub="x", iss=ISSUER))) == (
                "" if kind == "jti" else "token_revoked"
            )
    refused = [record for record in await followed.records(5) if record["decision"] == "deny"]
    assert {(record["reason"], record["status"], record["client_id"]) for record in refused} == {
        ("token_revoked", 401, None)
    }


async def test_a_token_that_was_revoked_before_the_start_is_refused_at_once(start: Start, feed: Feed) -> None:
    feed.revoke("jti", hash=hashed("c0ffee"))
    gate = await start(issuer={"revocations": feed.url})
    async with gate.connect() as client:
        assert await why(client, gate.bearer()) == "token_revoked"


async def test_a_refusal_has_the_challenge_of_an_invalid_token(start: Start, feed: Feed) -> None:
    feed.revoke("key", kid="rsa")
    gate = await start(issuer={"revocations": feed.url})
    answer = await gate.ask(request("GET /admin/x", gate.bearer()))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.all("WWW-Authenticate")[0]


async def test_a_token_that_came_after_its_client_was_revoked_is_let_in(followed: Gate, feed: Feed) -> None:
    feed.revoke("client", hash=hashed("nightly-batch"), before=NOW - 5)
    await feed.asked_again()
    async with followed.connect() as client:
        assert await why(client, followed.bearer(payload=claims(iat=NOW - 5))) == ""
        assert await why(client, followed.bearer(payload=claims(iat=NOW - 6))) == "token_revoked"


async def test_what_was_revoked_stays_so_when_the_feed_fails_and_the_operator_sees_it(
    followed: Gate, feed: Feed
) -> None:
    feed.revoke("jti", hash=hashed("c0ffee"))
    await feed.asked_again()
    feed.status = 500
    await feed.asked_again()
    async with followed.connect() as client:
        assert await why(client, followed.bearer()) == "token_revoked"
    status = await followed.status()
    told = {issuer["name"]: issuer["revocations"] for issuer in status["issuers"]}
    assert told == {
        "main": {"count": 1, "answered_at": "2027-01-15T08:00:00.000Z", "error": f"{feed.url} answered 500"},
        "other": None,
    }
    metrics = (await followed.operator("/metrics")).body.decode()
    assert 'scopegate_issuer_revocations{issuer="main"} 1.0' in metrics
    assert 'scopegate_issuer_revocations_healthy{issuer="main"} 0.0' in metrics
    assert 'issuer_revocations{issuer="other"}' not in metrics


async def test_a_feed_that_does_not_change_is_read_once(followed: Gate, feed: Feed) -> None:
    del followed
    await feed.asked_again()
    assert set(feed.answered[1:]) == {304}


async def test_who_wants_to_know_of_no_revocation_asks_for_none(start: Start, feed: Feed) -> None:
    gate = await start(issuer={"revocations": "off"})
    feed.revoke("jti", hash=hashed("c0ffee"))
    async with gate.connect() as client:
        assert await why(client, gate.bearer()) == ""
    assert feed.answered == []
