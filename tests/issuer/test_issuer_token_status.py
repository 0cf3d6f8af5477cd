"""Introspection, revocation and the feed over real sockets."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from gateway.issuer.key_ring import KeyRing
from gateway.issuer.keys import SigningKey, create_key
from gateway.issuer.opaque_tokens import OpaqueTokens
from gateway.issuer.revocations import Revocation, Revocations, revoke_client, revoke_key, revoke_unseen_token
from gateway.issuer.scopes import Grant
from gateway.issuer.secrets import hash_secret
from gateway.issuer.server import AuthorizationServer
from gateway.issuer.state import IssuerState
from gateway.issuer.tokens import IssuedToken, TokenMint

from .issuer_case import (
    BATCH,
    CHEAP,
    EVERYTHING,
    FORM,
    ISSUER,
    MAINTENANCE,
    TEXT,
    Clock,
    a_state,
    basic,
    keys,
    server,
    settings,
)

INTROSPECT, REVOKE, FEED = "/oauth2/v1/introspect", "/oauth2/v1/revoke", "/oauth2/v1/revocations"
WITH_READER = f"""{TEXT}
  resource-server: {{type: trusted, grants: [], introspect: true, secret: "{hash_secret("look", CHEAP)}"}}
"""
READER = basic("resource-server", "look")
GRANT = Grant(MAINTENANCE, ("jobs.read", "jobs.run"))

Client = TestClient[web.Request, web.Application]
Answer = tuple[int, Any, Mapping[str, str]]


@dataclass
class Stage:
    """A running server and what a test changes about it."""

    clock: Clock
    state: IssuerState
    server: AuthorizationServer
    http: Client

    def mint(
        self,
        client_id: str = "nightly-batch",
        confirmation: Mapping[str, str] | None = None,
        *,
        text: str = WITH_READER,
        signing: tuple[SigningKey, ...] | None = None,
    ) -> IssuedToken:
        """A token, as this server issues it."""
        said = settings(text)
        ring = KeyRing.of(said.key_plan, signing or keys(), self.clock)
        mint = TokenMint(said, ring.signing_key, self.clock, OpaqueTokens(self.state, self.clock).keep)
        return mint.mint(client_id, said.clients[client_id], GRANT, confirmation)

    def opaque(self) -> IssuedToken:
        return self.mint(text=WITH_READER + "token_format: opaque\n")

    async def post(self, path: str, client: Mapping[str, str] = READER, **parameters: str) -> Answer:
        async with self.http.post(path, data=parameters, headers=client) as answer:
            body = await answer.read()
            return answer.status, json.loads(body) if body else None, answer.headers

    async def introspect(self, token: str, client: Mapping[str, str] = READER) -> dict[str, Any]:
        status, document, fields = await self.post(INTROSPECT, client, token=token)
        assert status == 200
        assert fields["Cache-Control"] == "no-store"
        found: dict[str, Any] = document
        return found

    async def feed(self, **headers: str) -> tuple[int, Any, str]:
        async with self.http.get(FEED, headers=headers) as answer:
            body = await answer.read()
            assert answer.headers["Cache-Control"] == "no-cache"
            return answer.status, json.loads(body)["revocations"] if body else None, answer.headers["ETag"]


@pytest.fixture
async def stage(aiohttp_client: AiohttpClient) -> Stage:
    clock = Clock()
    state = a_state(clock)
    running = server(clock, WITH_READER, state=state)
    return Stage(clock, state, running, await aiohttp_client(running.application()))


def hashed(identifier: str) -> str:
    return sha256(f"{ISSUER}\0{identifier}".encode()).hexdigest()


# Introspection


@pytest.mark.parametrize("client", [READER, BATCH], ids=["a client that may introspect", "its own client"])
async def test_an_active_token_is_told_with_all_its_claims(stage: Stage, client: Mapping[str, str]) -> None:
    token = stage.mint()
    assert await stage.introspect(token.access_token, client) == {
        "active": True,
        "iss": ISSUER,
        "sub": "nightly-batch",
        "client_id": "nightly-batch",
        "aud": MAINTENANCE,
        "iat": stage.clock.now,
        "exp": stage.clock.now + 3600,
        "jti": token.jti,
        "scope": "jobs.read jobs.run",
        "token_type": "Bearer",
    }


async def test_an_opaque_token_is_told_like_a_jwt(stage: Stage) -> None:
    opaque = stage.opaque()
    assert "." not in opaque.access_token
    assert await stage.introspect(opaque.access_token) == {"active": True, **opaque.claims, "token_type": "Bearer"}


@pytest.mark.parametrize(("confirmation", "kind"), [({"jkt": "x"}, "DPoP"), ({"x5t#S256": "x"}, "Bearer")])
async def test_what_a_token_is_bound_to_is_told(stage: Stage, confirmation: dict[str, str], kind: str) -> None:
    found = await stage.introspect(stage.mint(confirmation=confirmation).access_token)
    assert (found["cnf"], found["token_type"]) == (confirmation, kind)


async def test_a_token_of_the_oracle_profile_is_told_with_its_claims(stage: Stage) -> None:
    text = WITH_READER + "token_profile: oracle\ntenant: acme\n"
    found = await stage.introspect(stage.mint(text=text).access_token)
    assert (found["active"], found["tenant"], found["tok_type"]) == (True, "acme", "AT")


async def test_a_token_is_nobody_elses_business(stage: Stage) -> None:
    assert await stage.introspect(stage.mint().access_token, EVERYTHING) == {"active": False}


@pytest.mark.parametrize("make", [Stage.mint, Stage.opaque], ids=["jwt", "opaque"])
async def test_an_expired_token_is_inactive(stage: Stage, make: Any) -> None:
    token = make(stage).access_token
    stage.clock.now += 3599
    assert (await stage.introspect(token))["active"] is True
    stage.clock.now += 1
    assert await stage.introspect(token) == {"active": False}


def revoked(token: IssuedToken, now: float) -> dict[str, Revocation]:
    return {
        "jti": revoke_unseen_token(token.jti, now),
        "client": revoke_client("nightly-batch", now),
        "key": revoke_key(token.kid or "", now),
    }


@pytest.mark.parametrize("kind", ["jti", "client", "key"])
async def test_a_revoked_token_is_inactive(stage: Stage, kind: str) -> None:
    token = stage.mint()
    Revocations(stage.state, stage.clock).add([revoked(token, stage.clock.now)[kind]])
    assert await stage.introspect(token.access_token) == {"active": False}


@pytest.mark.parametrize("kind", ["jti", "client"])
async def test_a_revoked_opaque_token_is_inactive(stage: Stage, kind: str) -> None:
    token = stage.opaque()
    Revocations(stage.state, stage.clock).add([revoked(token, stage.clock.now)[kind]])
    assert await stage.introspect(token.access_token) == {"active": False}


async def test_a_client_that_was_revoked_can_have_a_new_token(stage: Stage) -> None:
    Revocations(stage.state, stage.clock).add([revoke_client("nightly-batch", stage.clock.now)])
    stage.clock.now += 1
    assert (await stage.introspect(stage.mint().access_token))["active"] is True


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nightly-batch: {", "daily-batch: {"),
        ("nightly-batch: {type: trusted, roles: [operator]", "nightly-batch: {type: trusted, roles: []"),
        ("operator: [jobs.run, jobs.read]", "operator: [jobs.read]"),
        ("nightly-batch: {type: trusted,", "nightly-batch: {type: trusted, grants: [],"),
    ],
    ids=["its client is gone", "its role is taken", "its role gives less", "its grant is taken"],
)
@pytest.mark.parametrize("make", [Stage.mint, Stage.opaque], ids=["jwt", "opaque"])
async def test_a_token_that_the_settings_would_not_give_any_more_is_inactive(
    stage: Stage, before: str, after: str, make: Any
) -> None:
    token = make(stage).access_token
    changed = WITH_READER.replace(before, after)
    assert changed != WITH_READER
    stage.server.adopt(settings(changed))
    assert await stage.introspect(token) == {"active": False}


async def test_a_token_of_another_issuer_is_inactive(stage: Stage) -> None:
    foreign = stage.mint(signing=(create_key("RS256"),))
    assert await stage.introspect(foreign.access_token) == {"active": False}


def _cut(token: str) -> str:
    return token.rsplit(".", 1)[0] + "."


def _with_another_subject(token: str) -> str:
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "x"}).encode()).rstrip(b"=").decode()
    return f"{header}.{forged}.{signature}"


def _unsigned(token: str) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


@pytest.mark.parametrize(
    "spoil",
    [
        _cut,
        _with_another_subject,
        _unsigned,
        lambda token: token + "A",
        lambda token: token + "=",
        lambda token: " " + token,
        lambda token: token[:-4],
        lambda _: "x",
        lambda _: ".",
        lambda _: "a.b.c",
        lambda _: "\0",
        lambda _: "\U0001f600.\U0001f600.\U0001f600",
        lambda _: "A" * 60_000,
        lambda _: "A." * 20_000,
    ],
)
async def test_what_is_no_token_of_this_issuer_is_inactive(stage: Stage, spoil: Any) -> None:
    assert await stage.introspect(spoil(stage.mint().access_token)) == {"active": False}


# Revocation


@pytest.mark.parametrize("make", [Stage.mint, Stage.opaque], ids=["jwt", "opaque"])
async def test_a_client_revokes_its_own_token(stage: Stage, make: Any) -> None:
    token = make(stage)
    status, document, fields = await stage.post(REVOKE, BATCH, token=token.access_token, token_type_hint="access_token")
    assert (status, document, fields["Cache-Control"]) == (200, None, "no-store")
    assert await stage.introspect(token.access_token) == {"active": False}
    _, revocations, _ = await stage.feed()
    until = stage.clock.now + 3600 + 300
    assert revocations == [{"kind": "jti", "hash": hashed(token.jti), "until": until}]


async def test_another_clients_token_is_not_revoked_though_it_may_be_looked_at(stage: Stage) -> None:
    token = stage.mint()
    for client in (EVERYTHING, READER):
        status, document, _ = await stage.post(REVOKE, client, token=token.access_token)
        assert (status, document["error"]) == (400, "invalid_grant")
    assert (await stage.introspect(token.access_token))["active"] is True
    assert (await stage.feed())[1] == []


@pytest.mark.parametrize("token", ["x", "a.b.c", "\0"])
async def test_an_unknown_token_is_as_good_as_revoked(stage: Stage, token: str) -> None:
    assert (await stage.post(REVOKE, BATCH, token=token))[0] == 200
    assert (await stage.feed())[1] == []


async def test_an_expired_token_leaves_no_revocation(stage: Stage) -> None:
    token = stage.mint().access_token
    stage.clock.now += 3600
    assert (await stage.post(REVOKE, BATCH, token=token))[0] == 200
    assert (await stage.feed())[1] == []


# What both demand of a request

BOTH = pytest.mark.parametrize("path", [INTROSPECT, REVOKE])


@BOTH
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_is_taken(stage: Stage, path: str, method: str) -> None:
    async with stage.http.request(method, path, headers=READER) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await answer.json())["error"] == "invalid_request"
        assert "Access-Control-Allow-Origin" not in answer.headers


@BOTH
@pytest.mark.parametrize(
    ("client", "body", "refused"),
    [
        ({}, "token=x", (400, "invalid_client")),
        (basic("resource-server", "wrong"), "token=x", (401, "invalid_client")),
        (basic("nobody", "x"), "token=x", (401, "invalid_client")),
        (basic("field-app", "x"), "token=x", (400, "unauthorized_client")),
        (READER, "", (400, "invalid_request")),
        (READER, "token=", (400, "invalid_request")),
        (READER, "tocken=x", (400, "invalid_request")),
        (READER, "token=x&token=x", (400, "invalid_request")),
        (READER, "token=x&token=y", (400, "invalid_request")),
        (READER, "token=%ff", (400, "invalid_request")),
        (READER, "token=" + "x" * (64 << 10), (400, "invalid_request")),
    ],
)
async def test_a_refusal_has_the_form_of_rfc_6749(
    stage: Stage, path: str, client: Mapping[str, str], body: str, refused: tuple[int, str]
) -> None:
    async with stage.http.post(path, data=body, headers={**FORM, **client}) as answer:
        document = await answer.json()
        assert (answer.status, document["error"]) == refused
        assert document["error_description"]
        assert answer.headers["Cache-Control"] == "no-store"


@BOTH
async def test_a_token_in_the_address_is_refused(stage: Stage, path: str) -> None:
    status, document, _ = await stage.post(f"{path}?token=x", READER, token="x")
    assert (status, document["error"]) == (400, "invalid_request")


@BOTH
async def test_a_body_of_another_type_is_refused(stage: Stage, path: str) -> None:
    async with stage.http.post(path, json={"token": "x"}, headers=READER) as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


@BOTH
async def test_guesses_at_a_secret_are_counted_together_with_those_at_the_token_endpoint(
    stage: Stage, path: str
) -> None:
    wrong = basic("resource-server", "wrong")
    for _ in range(10):
        await stage.post("/oauth2/v1/token", wrong, grant_type="client_credentials")
    status, _, fields = await stage.post(path, READER, token="x")
    assert status == 429
    assert int(fields["Retry-After"]) > 0


@BOTH
async def test_a_state_that_cannot_be_read_is_said_to_be_temporary_and_no_answer(stage: Stage, path: str) -> None:
    stage.state.close()
    with stage.state.begin() as connection:
        for name in ("revocations", "opaque_tokens"):
            connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {name}_elsewhere")
    for token in ("opaque", stage.mint().access_token):
        client = READER if path == INTROSPECT else BATCH
        status, document, fields = await stage.post(path, client, token=token)
        assert (status, document, fields["Retry-After"]) == (503, {"error": "temporarily_unavailable"}, "5")
    async with stage.http.get(FEED) as answer:
        assert answer.status == 503


# The feed


async def test_the_feed_is_sent_again_only_after_a_change(stage: Stage) -> None:
    status, revocations, tag = await stage.feed()
    assert (status, revocations) == (200, [])
    for matching in (tag, "*", f'"x", W/{tag}'):
        assert await stage.feed(**{"If-None-Match": matching}) == (304, None, tag)
    token = stage.mint()
    await stage.post(REVOKE, BATCH, token=token.access_token)
    status, revocations, changed = await stage.feed(**{"If-None-Match": tag})
    assert (status, len(revocations)) == (200, 1)
    assert changed != tag
    assert (await stage.feed(**{"If-None-Match": changed}))[0] == 304


@pytest.mark.parametrize("tag", ["x", '"', "W/", '"\x80"', ""])
async def test_a_tag_of_no_form_is_no_match(stage: Stage, tag: str) -> None:
    assert (await stage.feed(**{"If-None-Match": tag}))[0] == 200


async def test_the_feed_takes_no_other_method_than_get_and_head(stage: Stage) -> None:
    async with stage.http.post(FEED) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    async with stage.http.head(FEED) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize(
    ("member", "path"),
    [("introspection_endpoint", INTROSPECT), ("revocation_endpoint", REVOKE), ("revocations_uri", FEED)],
)
async def test_the_metadata_names_the_endpoints(stage: Stage, member: str, path: str) -> None:
    async with stage.http.get("/.well-known/oauth-authorization-server") as answer:
        assert (await answer.json())[member] == ISSUER + path


async def test_an_opaque_token_from_the_token_endpoint_is_active(aiohttp_client: AiohttpClient) -> None:
    http = await aiohttp_client(server(text=WITH_READER + "token_format: opaque\n").application())
    async with http.post("/oauth2/v1/token", data={"grant_type": "client_credentials"}, headers=BATCH) as answer:
        issued = await answer.json()
    assert (answer.status, issued["token_type"], issued["expires_in"]) == (200, "Bearer", 3600)
    assert "." not in issued["access_token"]
    async with http.post(INTROSPECT, data={"token": issued["access_token"]}, headers=READER) as answer:
        assert (await answer.json())["active"] is True
