"""DPoP proofs, and token requests that bear them."""

import base64
import hashlib
import json
from typing import Any

import aiohttp
import pytest
from joserfc import jwt as jose_jwt
from joserfc.jwk import ECKey

from gateway.client import (
    ClientSecretBasic,
    MalformedAnswer,
    Refused,
    TokenEndpoint,
    TokenFailure,
    TokenRequest,
    TokenResponse,
    fetch_token,
)
from gateway.client.client_keys import make_key, read_key
from gateway.client.dpop_proof import DpopKey

from .peer import NOW, Peer

KEY = DpopKey(read_key(make_key()))
BOUND = {"access_token": "x.y.z", "token_type": "DPoP", "expires_in": 60}
NONCE = {"error": "use_dpop_nonce"}


def read(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, verified with the key that the proof itself names, by a library of others."""
    header = json.loads(base64.urlsafe_b64decode(proof.split(".", maxsplit=1)[0] + "=="))
    token = jose_jwt.decode(proof, ECKey.import_key(header["jwk"]), algorithms=["ES256"])
    return dict(token.header), dict(token.claims)


async def ask(http: aiohttp.ClientSession, peer: Peer) -> TokenResponse | TokenFailure:
    request = TokenRequest(ClientSecretBasic("a", "b"), dpop=KEY)
    return await fetch_token(http, TokenEndpoint(f"{peer.url}/t"), request, lambda: NOW)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example/a?b=c#d", "https://api.example/a"),
        ("https://api.example:8443", "https://api.example:8443"),
        ("https://api.example/a%2Fb;c", "https://api.example/a%2Fb;c"),
    ],
)
def test_a_proof_names_the_request_without_query_and_fragment(url: str, expected: str) -> None:
    header, claims = read(KEY.proof("GET", url, NOW + 0.9))
    assert header.keys() == {"alg", "typ", "jwk"}
    assert header["typ"] == "dpop+jwt"
    assert header["jwk"].keys() == {"kty", "crv", "x", "y"}
    assert len(claims.pop("jti")) >= 22
    assert claims == {"htm": "GET", "htu": expected, "iat": NOW}


def test_a_proof_holds_nonce_and_hash_of_the_token_where_they_are_due() -> None:
    _, claims = read(KEY.proof("GET", "https://api.example/", NOW, nonce="n", access_token="x.y.z"))
    assert claims["nonce"] == "n"
    assert base64.urlsafe_b64decode(claims["ath"] + "==") == hashlib.sha256(b"x.y.z").digest()


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    assert KEY.thumbprint == ECKey.import_key(dict(KEY.key.public_jwk)).thumbprint()


async def test_a_token_request_bears_a_proof(peer: Peer, http: aiohttp.ClientSession) -> None:
    peer.tells("/t", BOUND)
    assert await ask(http, peer) == TokenResponse("x.y.z", "DPoP", 60, None)
    _, claims = read(peer.seen[0][1]["DPoP"])
    assert (claims["htm"], claims["htu"]) == ("POST", f"{peer.url}/t")
    assert "ath" not in claims


@pytest.mark.parametrize("status", [400, 401])
async def test_a_nonce_that_is_wanted_is_sent_with_a_new_proof(
    peer: Peer, http: aiohttp.ClientSession, status: int
) -> None:
    peer.tells("/t", NONCE, status, {"DPoP-Nonce": "n-1"})
    peer.tells("/t", BOUND)
    assert isinstance(await ask(http, peer), TokenResponse)
    first, second = (read(headers["DPoP"])[1] for _, headers, _ in peer.seen)
    assert "nonce" not in first
    assert second["nonce"] == "n-1"
    assert first["jti"] != second["jti"]


async def test_a_nonce_is_sent_once_only(peer: Peer, http: aiohttp.ClientSession) -> None:
    peer.tells("/t", NONCE, 400, {"DPoP-Nonce": "n-1"})
    assert await ask(http, peer) == Refused(400, "use_dpop_nonce", None)
    assert len(peer.seen) == 2


@pytest.mark.parametrize(
    ("document", "status", "headers"),
    [
        (NONCE, 400, {}),
        (NONCE, 400, {"DPoP-Nonce": "n" * 1025}),
        ({"error": "invalid_client"}, 401, {"DPoP-Nonce": "n-1"}),
    ],
)
async def test_what_is_no_demand_for_a_nonce_is_not_repeated(
    peer: Peer, http: aiohttp.ClientSession, document: dict[str, str], status: int, headers: dict[str, str]
) -> None:
    peer.tells("/t", document, status, headers)
    assert isinstance(await ask(http, peer), Refused)
    assert len(peer.seen) == 1


async def test_a_server_that_ignores_the_proof_gives_no_token(peer: Peer, http: aiohttp.ClientSession) -> None:
    peer.tells("/t", BOUND | {"token_type": "Bearer"})
    outcome = await ask(http, peer)
    assert isinstance(outcome, MalformedAnswer)
    assert "binds no token" in outcome.detail
