"""The authorization server over real sockets."""

import asyncio
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from gateway.issuer.scopes import MY_SCOPES
from gateway.issuer.secrets import hash_secret

from .issuer_case import (
    BATCH,
    BATCH_SCOPES,
    CHEAP,
    EVERYTHING,
    FORM,
    ISSUER,
    MAINTENANCE,
    REPORTS,
    SECRET,
    TEXT,
    Clock,
    basic,
    server,
)

TOKEN = "/oauth2/v1/token"
GRANT = {"grant_type": "client_credentials"}

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer(aiohttp_client: AiohttpClient, clock: Clock) -> Client:
    return await aiohttp_client(server(clock).application())


async def ask(
    issuer: Client, headers: Mapping[str, str] = BATCH, **parameters: str
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    async with issuer.post(TOKEN, data=GRANT | parameters, headers=headers) as answer:
        return answer.status, await answer.json(), answer.headers


async def test_a_token_verifies_with_the_published_keys_and_has_the_profile_of_rfc_9068(
    issuer: Client, clock: Clock
) -> None:
    status, answer, fields = await ask(issuer)
    assert (status, answer["token_type"], answer["expires_in"]) == (200, "Bearer", 3600)
    assert answer["scope"] == BATCH_SCOPES
    assert "refresh_token" not in answer
    assert (fields["Cache-Control"], fields["Pragma"]) == ("no-store", "no-cache")
    header = jwt.get_unverified_header(answer["access_token"])
    async with issuer.get("/oauth2/v1/jwks") as published:
        key = jwt.PyJWKSet.from_dict(await published.json())[header["kid"]]
    claims = jwt.decode(
        answer["access_token"], key, [header["alg"]], audience=MAINTENANCE, options={"verify_iat": False}
    )
    assert (header["typ"], header["alg"]) == ("at+jwt", "RS256")
    assert claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "sub": "nightly-batch",
        "client_id": "nightly-batch",
        "aud": MAINTENANCE,
        "iat": clock.now,
        "exp": clock.now + 3600,
        "scope": BATCH_SCOPES,
    }


async def test_the_algorithm_and_lifetime_are_those_of_the_settings(aiohttp_client: AiohttpClient) -> None:
    text = TEXT + "signing_algorithm: ES256\ntoken_lifetime: 90s\n"
    issuer = await aiohttp_client(server(text=text).application())
    _, answer, _ = await ask(issuer)
    assert jwt.get_unverified_header(answer["access_token"])["alg"] == "ES256"
    assert answer["expires_in"] == 90


async def test_published_keys_are_public_and_may_be_cached(issuer: Client) -> None:
    async with issuer.get("/oauth2/v1/jwks") as answer:
        keys = (await answer.json())["keys"]
        assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert [(key["alg"], key["use"]) for key in keys] == [("RS256", "sig"), ("ES256", "sig")]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & {member for key in keys for member in key}


@pytest.mark.parametrize(
    ("client", "parameters", "scope", "audience"),
    [
        (BATCH, {"scope": "jobs.run"}, "jobs.run", MAINTENANCE),
        (BATCH, {"scope": ""}, BATCH_SCOPES, MAINTENANCE),
        (BATCH, {"scope": MY_SCOPES}, BATCH_SCOPES, MAINTENANCE),
        (BATCH, {"unknown": "x", "client_id": "nightly-batch"}, BATCH_SCOPES, MAINTENANCE),
        (BATCH, {"resource": MAINTENANCE}, BATCH_SCOPES, MAINTENANCE),
        (EVERYTHING, {"resource": REPORTS}, "reports.read shared", REPORTS),
        (EVERYTHING, {"scope": REPORTS + "shared"}, "shared", REPORTS),
        (basic("nightly-batch", "batch s3cret+%41:ü", encoded=False), {}, BATCH_SCOPES, MAINTENANCE),
    ],
)
async def test_a_token_has_what_was_asked_for(
    issuer: Client, client: Mapping[str, str], parameters: dict[str, str], scope: str, audience: str
) -> None:
    status, answer, _ = await ask(issuer, client, **parameters)
    assert (status, answer["scope"]) == (200, scope)
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["aud"] == audience


@pytest.mark.parametrize(
    ("client", "parameters", "status", "error"),
    [
        (BATCH, {"grant_type": ""}, 400, "invalid_request"),
        (BATCH, {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (BATCH, {"grant_type": "refresh_token"}, 400, "unsupported_grant_type"),
        (BATCH, {"scope": "admin"}, 400, "invalid_scope"),
        (BATCH, {"resource": REPORTS}, 400, "invalid_target"),
        (EVERYTHING, {}, 400, "invalid_target"),
        (EVERYTHING, {"scope": "jobs.read reports.read"}, 400, "invalid_scope"),
        (BATCH, {"client_id": "everything"}, 400, "invalid_request"),
        (BATCH, {"client_secret": SECRET}, 400, "invalid_request"),
        (BATCH, {"client_assertion": "x"}, 400, "invalid_request"),
        ({}, {"client_secret": "x", "client_assertion": "x"}, 400, "invalid_request"),
        ({}, {}, 400, "invalid_client"),
        ({}, {"client_id": "nightly-batch", "client_secret": "wrong"}, 400, "invalid_client"),
        ({}, {"client_secret": SECRET}, 400, "invalid_request"),
        ({}, {"client_id": "nightly-batch"}, 400, "invalid_client"),
        ({}, {"client_id": "field-app"}, 400, "unauthorized_client"),
        (basic("field-app", "x"), {}, 400, "unauthorized_client"),
        (basic("grantless", "none"), {}, 400, "unauthorized_client"),
        (basic("grantless", "wrong"), {}, 401, "invalid_client"),
        (basic("roleless", "none"), {}, 400, "invalid_scope"),
        (basic("nightly-batch", "wrong"), {}, 401, "invalid_client"),
        (basic("nightly-batch", ""), {}, 401, "invalid_client"),
        (basic("signer", ""), {}, 401, "invalid_client"),
        (basic("nobody", SECRET), {}, 401, "invalid_client"),
        ({"Authorization": "Bearer x"}, {}, 401, "invalid_client"),
        ({"Authorization": "Basic x"}, {}, 401, "invalid_client"),
    ],
)
async def test_a_refusal_has_the_code_and_status_of_rfc_6749(
    issuer: Client, client: Mapping[str, str], parameters: dict[str, str], status: int, error: str
) -> None:
    answered, answer, fields = await ask(issuer, client, **parameters)
    assert (answered, answer["error"]) == (status, error)
    assert answer["error_description"]
    assert fields["Cache-Control"] == "no-store"
    assert fields.get("WWW-Authenticate", "").startswith("Basic realm=") is (status == 401)


async def test_an_unknown_client_and_a_wrong_secret_get_the_same_answer(issuer: Client) -> None:
    _, unknown, _ = await ask(issuer, basic("nobody", "x"))
    _, wrong, _ = await ask(issuer, basic("nightly-batch", "x"))
    assert unknown == wrong


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (FORM, b"grant_type=client_credentials&grant_type=client_credentials"),
        (FORM, b"\xff"),
        (FORM, b"grant_type=client_credentials&x=" + b"x" * (64 << 10)),
        ({"Content-Type": "application/json"}, b'{"grant_type": "client_credentials"}'),
        ({"Content-Type": "text/plain"}, b"grant_type=client_credentials"),
        ({"Content-Type": ""}, b"grant_type=client_credentials"),
        (FORM | {"Content-Encoding": "gzip"}, b"grant_type=client_credentials"),
    ],
)
async def test_a_body_that_is_no_form_is_an_invalid_request(
    issuer: Client, headers: dict[str, str], body: bytes
) -> None:
    async with issuer.post(TOKEN, data=body, headers=BATCH | headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] == "invalid_request"


async def test_two_authorization_fields_are_an_invalid_request(issuer: Client) -> None:
    headers = [*BATCH.items(), *BATCH.items()]
    async with issuer.post(TOKEN, data=GRANT, headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


async def test_credentials_in_the_address_are_refused(issuer: Client) -> None:
    async with issuer.post(f"{TOKEN}?client_secret=x", data=GRANT, headers=BATCH) as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_the_token_endpoint_takes_post_only(issuer: Client, method: str) -> None:
    async with issuer.request(method, TOKEN) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_a_body_that_does_not_arrive_is_given_up(aiohttp_client: AiohttpClient) -> None:
    issuer = await aiohttp_client(server(body_seconds=0.01).application())
    reader, writer = await asyncio.open_connection(issuer.host, issuer.port)
    head = f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\nContent-Length: 9\r\n\r\n"
    writer.write(head.encode())
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("body", [b"zz\r\ngrant", b"5\r\ngrant", b"5\r\ngrantXX0\r\n\r\n", b"ffffffffffffffffffff\r\n"])
async def test_a_broken_chunked_body_does_not_make_the_server_fail(issuer: Client, body: bytes) -> None:
    reader, writer = await asyncio.open_connection(issuer.host, issuer.port)
    head = f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + body)
    writer.write_eof()
    answer = await reader.read()
    assert not answer or b" 400 " in answer.partition(b"\r\n")[0], answer
    writer.close()
    await writer.wait_closed()


async def test_guessing_is_throttled_for_this_client_only_and_for_a_minute(issuer: Client, clock: Clock) -> None:
    for _ in range(10):
        assert (await ask(issuer, basic("nightly-batch", "guess")))[0] == 401
    status, answer, fields = await ask(issuer)
    assert (status, answer["error"], fields["Retry-After"]) == (429, "invalid_client", "60")
    assert (await ask(issuer, EVERYTHING, resource=REPORTS))[0] == 200
    clock.now += 60
    assert (await ask(issuer))[0] == 200


async def test_a_secret_in_the_body_is_taken_and_guessed_no_faster(issuer: Client) -> None:
    posted = {"client_id": "nightly-batch", "client_secret": SECRET}
    assert (await ask(issuer, {}, **posted))[0] == 200
    for _ in range(10):
        status, answer, fields = await ask(issuer, {}, client_id="nightly-batch", client_secret="guess")
        assert (status, answer["error"], "WWW-Authenticate" in fields) == (400, "invalid_client", False)
    assert (await ask(issuer, {}, **posted))[0] == 429
    assert (await ask(issuer))[0] == 429


async def test_while_a_secret_is_replaced_both_are_taken_and_no_other(aiohttp_client: AiohttpClient) -> None:
    more = ", ".join(f'"{hash_secret(secret, CHEAP)}"' for secret in ("second", "third"))
    text = TEXT.replace("  roleless: {", f"  roleless: {{roles: [operator], secrets: [{more}], ")
    issuer = await aiohttp_client(server(text=text).application())
    for secret, status in (("none", 200), ("second", 200), ("third", 200), ("fourth", 401), ("second", 200)):
        assert (await ask(issuer, basic("roleless", secret)))[0] == status


async def test_a_remembered_secret_does_not_escape_the_throttle(issuer: Client) -> None:
    assert (await ask(issuer))[0] == 200
    for _ in range(10):
        await ask(issuer, basic("nightly-batch", "guess"))
    assert (await ask(issuer))[0] == 429


async def test_guesses_at_the_same_time_are_throttled_like_guesses_in_a_row(issuer: Client) -> None:
    answers = await asyncio.gather(*(ask(issuer, basic("nightly-batch", f"guess-{n}")) for n in range(40)))
    assert sum(status == 401 for status, _, _ in answers) <= 11


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
async def test_metadata_names_the_endpoints_below_the_issuer(issuer: Client, name: str) -> None:
    async with issuer.get(f"/.well-known/{name}") as answer:
        document = await answer.json()
    assert document["issuer"] == ISSUER
    assert document["token_endpoint"] == f"{ISSUER}/oauth2/v1/token"
    assert document["jwks_uri"] == f"{ISSUER}/oauth2/v1/jwks"
    assert document["grant_types_supported"] == ["client_credentials"]
    assert document["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
    ]
    assert {"RS256", "PS256", "ES256", "EdDSA", "HS256"} <= {
        *document["token_endpoint_auth_signing_alg_values_supported"]
    }
    assert document["tls_client_certificate_bound_access_tokens"] is False
    assert document["scopes_supported"] == ["jobs.read", "jobs.run", "shared", "reports.read"]


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/tenant/a",
        "/.well-known/openid-configuration/tenant/a",
        "/tenant/a/.well-known/openid-configuration",
        "/tenant/a/oauth2/v1/jwks",
        "/oauth2/v1/jwks",
    ],
)
async def test_an_issuer_with_a_path_is_found_where_clients_look(aiohttp_client: AiohttpClient, path: str) -> None:
    text = TEXT.replace(f"issuer: {ISSUER}", f"issuer: {ISSUER}/tenant/a/")
    issuer = await aiohttp_client(server(text=text).application())
    async with issuer.get(path) as answer:
        assert answer.status == 200


async def test_health_and_faults_do_not_name_the_software(issuer: Client) -> None:
    for method, path, status in (("GET", "/healthz", 200), ("GET", "/nothing", 404), ("POST", "/healthz", 405)):
        async with issuer.request(method, path) as answer:
            assert answer.status == status
            assert "Server" not in answer.headers
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert await answer.json()
