"""Discovery and token requests over real sockets."""

import base64
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.client import (
    ClientSecretBasic,
    ClientSecretPost,
    InsecureAddress,
    IssuerMetadata,
    IssuerMismatch,
    MalformedAnswer,
    Refused,
    TokenEndpoint,
    TokenFailure,
    TokenRequest,
    TokenResponse,
    Unreachable,
    discover,
    fetch_token,
    is_safe_url,
)
from gateway.client.discovery import metadata_urls
from gateway.client.fetch import fetch_json
from gateway.client.secret_file import parse_secret

from .peer import NOW, Peer

OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
CREDENTIALS = ClientSecretBasic("a:b", "s c+ü")


async def ask(http: aiohttp.ClientSession, url: str, **terms: Any) -> TokenResponse | TokenFailure:
    request = TokenRequest(terms.pop("credentials", CREDENTIALS), **terms)
    return await fetch_token(http, TokenEndpoint(url), request, lambda: NOW)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://issuer.example", True),
        ("http://127.0.0.1:8081", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:1", True),
        ("http://localhost:1", True),
        ("http://issuer.example", False),
        ("http://localhost.issuer.example", False),
        ("http://127.0.0.1@issuer.example", False),
        ("https://user@issuer.example", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_secrets_travel_over_https_or_the_loopback(url: str, *, expected: bool) -> None:
    assert is_safe_url(url) is expected


def test_metadata_is_looked_for_before_and_behind_the_issuers_path() -> None:
    assert metadata_urls("https://a.example/") == (f"https://a.example{OAUTH}", f"https://a.example{OPENID}")
    assert metadata_urls("https://a.example/tenant") == (
        f"https://a.example{OAUTH}/tenant",
        f"https://a.example/tenant{OPENID}",
        f"https://a.example{OPENID}/tenant",
    )


@pytest.mark.parametrize("place", [OAUTH, OPENID])
async def test_an_issuer_is_discovered_at_either_place(peer: Peer, http: aiohttp.ClientSession, place: str) -> None:
    document = {"issuer": peer.url, "token_endpoint": f"{peer.url}/t", "jwks_uri": f"{peer.url}/j"}
    peer.tells(place, document)
    assert await discover(http, peer.url) == IssuerMetadata(peer.url, f"{peer.url}/t", f"{peer.url}/j")


async def test_metadata_of_another_issuer_is_refused(peer: Peer, http: aiohttp.ClientSession) -> None:
    peer.tells(OAUTH, {"issuer": peer.url + "/"})
    assert await discover(http, peer.url) == IssuerMismatch(peer.url, peer.url + "/")


@pytest.mark.parametrize(
    ("document", "status", "failure"),
    [
        ({}, 200, MalformedAnswer),
        ([], 200, MalformedAnswer),
        ({"issuer": 1}, 200, MalformedAnswer),
        ({"issuer": "ISSUER", "token_endpoint": 1}, 200, MalformedAnswer),
        ({"issuer": "ISSUER", "token_endpoint": "http://evil.example/t"}, 200, InsecureAddress),
        ({"issuer": "ISSUER"}, 503, Unreachable),
        ({"issuer": "ISSUER"}, 404, MalformedAnswer),
    ],
)
async def test_metadata_that_cannot_be_used_says_why(
    peer: Peer, http: aiohttp.ClientSession, document: Any, status: int, failure: type
) -> None:
    if isinstance(document, dict) and document.get("issuer") == "ISSUER":
        document = document | {"issuer": peer.url}
    peer.tells(OAUTH, document, status)
    assert isinstance(await discover(http, peer.url), failure)


async def test_an_issuer_in_the_clear_is_not_asked(http: aiohttp.ClientSession) -> None:
    assert await discover(http, "http://issuer.example") == InsecureAddress("http://issuer.example")


async def test_basic_credentials_are_form_urlencoded_and_parameters_go_into_the_body(
    peer: Peer, http: aiohttp.ClientSession
) -> None:
    peer.tells("/t", {"access_token": "x.y.z", "token_type": "Bearer", "expires_in": 60, "scope": "a b"})
    outcome = await ask(http, f"{peer.url}/t", scope="a b", resource="https://r.example")
    assert outcome == TokenResponse("x.y.z", "Bearer", 60, "a b")
    (_, headers, form), *_ = peer.seen
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"a%3Ab:s+c%2B%C3%BC"
    assert dict(form) == {"grant_type": "client_credentials", "scope": "a b", "resource": "https://r.example"}


async def test_credentials_can_go_into_the_body(peer: Peer, http: aiohttp.ClientSession) -> None:
    peer.tells("/t", {"access_token": "x", "token_type": "bearer"})
    in_body = ClientSecretPost("a:b", "s c+ü")
    assert await ask(http, f"{peer.url}/t", credentials=in_body) == TokenResponse("x", "bearer", None, None)
    (_, headers, form), *_ = peer.seen
    assert "Authorization" not in headers
    assert dict(form) == {"grant_type": "client_credentials", "client_id": "a:b", "client_secret": "s c+ü"}


@pytest.mark.parametrize(
    ("document", "status", "expected"),
    [
        ({"error": "invalid_client"}, 401, Refused(401, "invalid_client", None)),
        ({"error": "x", "error_description": "a\x1b[0m\n"}, 400, Refused(400, "x", "a?[0m?")),
        ({"error": "x"}, 500, Unreachable),
        ({"error": 1}, 400, MalformedAnswer),
        ({}, 404, MalformedAnswer),
        ([], 200, MalformedAnswer),
        ({"token_type": "Bearer"}, 200, MalformedAnswer),
        ({"access_token": "x"}, 200, MalformedAnswer),
        ({"access_token": "x\ny", "token_type": "Bearer"}, 200, MalformedAnswer),
        ({"access_token": "x", "token_type": "Bearer", "expires_in": "60"}, 200, MalformedAnswer),
        ({"access_token": "x", "token_type": "Bearer", "expires_in": True}, 200, MalformedAnswer),
        ({"access_token": "x", "token_type": "Bearer", "scope": ["a"]}, 200, MalformedAnswer),
    ],
)
async def test_an_answer_without_token_is_a_failure_of_its_kind(
    peer: Peer, http: aiohttp.ClientSession, document: object, status: int, expected: Refused | type
) -> None:
    peer.tells("/t", document, status)
    outcome = await ask(http, f"{peer.url}/t")
    assert isinstance(outcome, expected) if isinstance(expected, type) else outcome == expected


async def test_a_redirect_is_not_followed(peer: Peer, http: aiohttp.ClientSession) -> None:
    peer.answers["/t"] = [web.Response(status=307, headers={"Location": "/stolen"})]
    assert isinstance(await ask(http, f"{peer.url}/t"), MalformedAnswer)
    assert [path for path, _, _ in peer.seen] == ["/t"]


async def test_an_answer_is_read_up_to_one_mebibyte(peer: Peer, http: aiohttp.ClientSession) -> None:
    peer.answers["/t"] = [web.Response(body=b" " * ((1 << 20) + 1))]
    outcome = await fetch_json(http, f"{peer.url}/t")
    assert outcome == MalformedAnswer(f"{peer.url}/t answered with more than 1 MiB")


async def test_a_server_that_is_not_there_or_does_not_answer_is_unreachable(http: aiohttp.ClientSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        outcome = await fetch_json(http, url, seconds=0.01)
        assert outcome == Unreachable(f"{url} did not answer within 0.01 s")
    assert await fetch_json(http, url) == Unreachable(f"{url} cannot be reached: Connection refused")


async def test_no_secret_is_sent_in_the_clear(http: aiohttp.ClientSession) -> None:
    with pytest.raises(ValueError, match="in the clear"):
        await ask(http, "http://issuer.example/t")


def test_tokens_and_secrets_do_not_show_in_a_repr() -> None:
    shown = repr(
        (TokenResponse("tok3n", "Bearer", 1, None), ClientSecretBasic("a", "hunter2"), ClientSecretPost("a", "hunter2"))
    )
    assert "tok3n" not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("raw", [b"hunter2", b"hunter2\n", b"hunter2\r\n"])
def test_a_secret_is_read_without_the_newline_at_its_end(raw: bytes) -> None:
    assert parse_secret(raw) == "hunter2"


@pytest.mark.parametrize(
    ("raw", "words"), [(b"", "empty"), (b" \n", "empty"), (b"a\nb\n", "more than one line"), (b"\xff", "UTF-8")]
)
def test_a_file_without_one_secret_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_secret(raw)
