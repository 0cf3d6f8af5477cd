"""`scopegate explain` where the gateway has credentials of its own."""

import json
import time
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from gateway.cli.explain import explain

from .peer import Peer

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def file(peer: Peer, **credentials: str) -> str:
    own = {"token_endpoint": f"{peer.url}/t", "client_id": "gateway", "client_secret": "s"} | credentials
    return json.dumps(
        {
            "issuers": {
                "main": {
                    "issuer": "https://login.example",
                    "audience": "api",
                    "jwks_uri": f"{peer.url}/keys",
                    "keys_credentials": "own",
                }
            },
            "credentials": {"own": own},
            "upstreams": {"api": {"url": "http://127.0.0.1:9000", "credentials": "own"}},
            "routes": [{"id": "one", "path": "/one", "scopes": ["read"], "upstream": "api"}],
        }
    )


def explained(text: str) -> Result:
    claims = {"iss": "https://login.example", "aud": "api", "scope": "read", "exp": time.time() + 600}
    Path("token").write_text(jwt.encode(claims, KEY, "RS256", {"kid": "k"}))
    Path("gateway.yaml").write_text(text)
    return CliRunner().invoke(explain, ["GET", "/one", "-c", "gateway.yaml", "--token-file", "token"])


def test_keys_are_fetched_with_the_token_and_the_upstream_is_said_to_get_it(
    threaded_peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    threaded_peer.tells("/t", {"access_token": "own-token", "token_type": "Bearer", "expires_in": 60})
    threaded_peer.tells(
        "/keys", {"keys": [RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "k", "key_ops": ["verify"]}]}
    )
    result = explained(file(threaded_peer))
    assert result.exit_code == 0, result.output
    told = " ".join(result.stdout.split())
    assert "api (http://127.0.0.1:9000), with the gateway's own token (credentials own)" in told
    assert "own-token" not in result.output
    assert [(path, headers.get("Authorization", "")[:7]) for path, headers, _ in threaded_peer.seen] == [
        ("/t", "Basic Z"),
        ("/keys", "Bearer "),
    ]


def test_without_a_token_of_its_own_it_says_why_it_cannot_tell(
    threaded_peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    threaded_peer.tells("/t", {"error": "invalid_client"}, 401)
    result = explained(file(threaded_peer))
    assert result.exit_code == 4
    assert "credentials own: invalid_client" in " ".join(result.output.split())


def test_credentials_that_cannot_be_used_are_told_as_at_the_start(
    threaded_peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = explained(file(threaded_peer, authentication="client_secret_jwt"))
    assert result.exit_code == 3
    assert "credentials.own.client_secret: the secret is too short" in " ".join(result.output.split())
