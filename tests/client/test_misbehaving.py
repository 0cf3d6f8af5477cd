"""Token endpoints and issuers that do what they should not, over raw sockets."""

import asyncio
import gzip
import ssl
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from gateway.client import (
    CertificateShown,
    ClientSecretBasic,
    InsecureAddress,
    MalformedAnswer,
    Refused,
    TokenClient,
    TokenEndpoint,
    TokenFailure,
    TokenRequest,
    TokenResponse,
    Unreachable,
    fetch_token,
)

from .peer import NOW, Peer, raw_server

CREDENTIALS = ClientSecretBasic("a", "b")
TOKEN = {"access_token": "x", "token_type": "Bearer", "expires_in": 60}
OAUTH = "/.well-known/oauth-authorization-server"


async def ask(http: aiohttp.ClientSession, url: str, seconds: float = 10.0) -> TokenResponse | TokenFailure:
    return await fetch_token(http, TokenEndpoint(url), TokenRequest(CREDENTIALS, seconds=seconds), lambda: NOW)


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


RAW: dict[str, tuple[bytes, type, str]] = {
    "nothing": (b"", Unreachable, "cannot be reached"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9, Unreachable, "cannot be reached"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", Unreachable, "cannot be reached"),
    "a body cut short": (head("HTTP/1.1 200 OK", "Content-Length: 100") + b"{", Unreachable, "broke off"),
    "two lengths": (
        head("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3") + b"{}",
        Unreachable,
        "cannot be reached",
    ),
    "a broken chunk": (
        head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n",
        Unreachable,
        "",
    ),
    "an endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, Unreachable, "cannot be reached"),
    "no gzip": (
        head("HTTP/1.1 200 OK", "Content-Encoding: gzip", "Content-Length: 2") + b"{}",
        Unreachable,
        "broke off",
    ),
    "a gzip bomb": (
        head("HTTP/1.1 200 OK", "Content-Encoding: gzip") + gzip.compress(b" " * (64 << 20)),
        MalformedAnswer,
        "more than 1 MiB",
    ),
    "no UTF-8": (head("HTTP/1.1 200 OK", "Content-Length: 6") + b'{"\xff":1', MalformedAnswer, "no token endpoint"),
    "deep JSON": (
        head("HTTP/1.1 200 OK", "Content-Length: 100000") + b"[" * 100_000,
        MalformedAnswer,
        "no token endpoint",
    ),
    "a page": (
        head("HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 6") + b"<html>",
        MalformedAnswer,
        "no token endpoint",
    ),
    "101": (head("HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: Upgrade"), MalformedAnswer, ""),
}


@pytest.mark.parametrize("name", RAW)
async def test_no_answer_is_an_exception(http: aiohttp.ClientSession, name: str) -> None:
    answer, kind, words = RAW[name]
    async with raw_server(answer) as url:
        outcome = await ask(http, f"{url}/t", seconds=5)
    assert type(outcome) is kind
    assert not isinstance(outcome, TokenResponse)
    assert words in outcome.detail
    assert outcome.detail.isprintable()


@pytest.mark.parametrize("begun", [b"", head("HTTP/1.1 200 OK", "Content-Length: 100"), b"HTTP/1.1 200 OK\r\n"])
async def test_a_server_that_is_too_slow_is_unreachable(http: aiohttp.ClientSession, begun: bytes) -> None:
    async with raw_server(begun, then=asyncio.Event()) as url:
        outcome = await ask(http, f"{url}/t", seconds=0.05)
    assert outcome == Unreachable(f"{url}/t did not answer within 0.05 s")


async def test_a_server_that_speaks_no_tls_is_said_to(http: aiohttp.ClientSession, peer: Peer) -> None:
    url = peer.url.replace("http://", "https://")
    outcome = await ask(http, f"{url}/t")
    assert isinstance(outcome, Unreachable)
    assert outcome.detail.startswith(f"{url}/t cannot be reached: TLS: ")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_credentials_follow_no_redirect(http: aiohttp.ClientSession, peer: Peer, status: int) -> None:
    peer.answers["/t"] = [web.Response(status=status, headers={"Location": f"{peer.url}/elsewhere"})]
    outcome = await ask(http, f"{peer.url}/t")
    assert outcome == MalformedAnswer(f"{peer.url}/t redirects, and redirects are not followed")
    assert len(peer.seen) == 1


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (503, "120", 120.0),
        (503, "Fri, 15 Jan 2027 08:02:00 GMT", 120.0),
        (503, "Fri, 15 Jan 2027 08:02:00", 120.0),
        (503, "Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        (503, "soon", None),
        (503, "-1", None),
        (503, "1e3", None),
        (503, "9" * 50, None),
        (503, "Fri, 99 Foo 2027 08:02:00 GMT", None),
        (429, "7", 7.0),
    ],
)
async def test_retry_after_is_read_as_number_or_date(
    http: aiohttp.ClientSession, peer: Peer, status: int, value: str, seconds: float | None
) -> None:
    peer.tells("/t", {}, status, {"Retry-After": value})
    assert await ask(http, f"{peer.url}/t") == Unreachable(f"{peer.url}/t answered {status}", seconds)


async def test_a_refusal_may_say_when_to_come_again(http: aiohttp.ClientSession, peer: Peer) -> None:
    peer.tells("/t", {"error": "slow_down"}, 429, {"Retry-After": "30"})
    assert await ask(http, f"{peer.url}/t") == Refused(429, "slow_down", None, 30.0)


def client(http: aiohttp.ClientSession, issuer: str, **terms: Any) -> TokenClient:
    return TokenClient(http, TokenRequest(terms.pop("credentials", CREDENTIALS), **terms), lambda: NOW, issuer=issuer)


async def test_an_endpoint_is_found_once_and_looked_for_again_when_it_fails(
    http: aiohttp.ClientSession, peer: Peer
) -> None:
    peer.tells(OAUTH, {"issuer": peer.url, "token_endpoint": f"{peer.url}/old"})
    peer.tells(OAUTH, {"issuer": peer.url, "token_endpoint": f"{peer.url}/new"})
    peer.tells("/old", TOKEN)
    peer.tells("/old", TOKEN)
    peer.tells("/old", {}, 503)
    peer.tells("/new", TOKEN)
    asking = client(http, peer.url)
    kinds = [type(await asking.obtain()) for _ in range(4)]
    assert kinds == [TokenResponse, TokenResponse, Unreachable, TokenResponse]
    assert [path for path, _, _ in peer.seen] == [OAUTH, "/old", "/old", "/old", OAUTH, "/new"]


async def test_an_issuer_without_token_endpoint_says_so(http: aiohttp.ClientSession, peer: Peer) -> None:
    peer.tells(OAUTH, {"issuer": peer.url})
    outcome = await client(http, peer.url).obtain()
    assert outcome == MalformedAnswer(f"the metadata of {peer.url} does not tell its token endpoint: give it")


async def test_metadata_cannot_lead_a_secret_into_the_clear(http: aiohttp.ClientSession, peer: Peer) -> None:
    peer.tells(OAUTH, {"issuer": peer.url, "token_endpoint": "http://login.example/t"})
    assert await client(http, peer.url).obtain() == InsecureAddress("http://login.example/t")
    peer.answers.clear()
    aliases = {"token_endpoint": "http://login.example/t"}
    peer.tells(OAUTH, {"issuer": peer.url, "token_endpoint": f"{peer.url}/t", "mtls_endpoint_aliases": aliases})
    assert await client(http, peer.url).obtain() == InsecureAddress("http://login.example/t")


async def test_a_client_without_issuer_and_endpoint_is_a_bug(http: aiohttp.ClientSession) -> None:
    with pytest.raises(ValueError, match="neither an issuer nor a token endpoint"):
        await TokenClient(http, TokenRequest(CREDENTIALS), lambda: NOW).obtain()


async def test_a_certificate_is_shown_where_the_metadata_says_that_it_is_looked_at(
    http: aiohttp.ClientSession, peer: Peer
) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    mine = ssl.create_default_context()
    authority.configure_trust(mine)
    authority.issue_cert("machine.example").configure_cert(mine)
    shown: list[Any] = []

    async def token(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        shown.append((request.transport.get_extra_info("peercert"), await request.text()))
        return web.json_response(TOKEN)

    runner = web.ServerRunner(web.Server(token))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server).start()
    alias = f"https://127.0.0.1:{runner.addresses[0][1]}/t"
    document = {
        "issuer": peer.url,
        "token_endpoint": f"{peer.url}/t",
        "mtls_endpoint_aliases": {"token_endpoint": alias},
    }
    peer.tells(OAUTH, document)
    terms: dict[str, Any] = {"credentials": CertificateShown("machine"), "tls": mine, "shows_certificate": True}
    assert isinstance(await client(http, peer.url, **terms).obtain(), TokenResponse)
    ((certificate, body),) = shown
    assert ("DNS", "machine.example") in certificate["subjectAltName"]
    assert body == "grant_type=client_credentials&client_id=machine"
    stranger = await client(http, peer.url, credentials=CertificateShown("machine"), shows_certificate=True).obtain()
    assert isinstance(stranger, Unreachable)
    assert "certificate verify failed" in stranger.detail
    await runner.cleanup()
