"""Clients that others wrote get tokens from the embedded authorization server, and are let in with them."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import JWKRegistry
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session as OauthlibSession

from gateway.issuer.secrets import ScryptCost, hash_secret

from .stage import AUDIENCE, Stage, needs_node, node, with_embedded_issuer

CHEAP = ScryptCost(n=16, r=1, p=1)
SECRET = "a s3cret+with %41 and : and ü"
OLDER_SECRET = "an older s3cret+with %41 and :"
"""In the characters that Authlib and requests-oauthlib can send: they write Latin-1, where RFC 7617 has UTF-8."""

SHARED = "a shared secret of sixty-four bytes and more, which keys HMAC with SHA-512"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def jwk(algorithm: str, *, private: bool) -> dict[str, Any]:
    key = KEYS[algorithm]
    turn: Any = {"RS256": RSAAlgorithm, "PS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[algorithm]
    found: dict[str, Any] = turn.to_jwk(key if private else key.public_key(), as_dict=True)
    found.pop("key_ops", None)
    return found | {"kid": algorithm, "alg": algorithm}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    common = {"type": "trusted", "roles": ["reader"]}
    clients = {
        "batch": common | {"secrets": [hash_secret(each, CHEAP) for each in (SECRET, OLDER_SECRET)]},
        "shared": common | {"shared_secret": SHARED},
        "signer": common | {"jwks": {"keys": [jwk(each, private=False) for each in KEYS]}},
    }
    with with_embedded_issuer(tmp_path_factory.mktemp("clients"), clients) as running:
        yield running


NODE_CLIENTS = ("oauth4webapi.mjs", "openid_client.mjs")
WAYS: list[tuple[str, str, dict[str, Any]]] = [
    ("client_secret_basic", "batch", {"secret": SECRET}),
    ("client_secret_post", "batch", {"secret": SECRET}),
    ("client_secret_jwt", "shared", {"secret": SHARED}),
    *(("private_key_jwt", "signer", {"key": jwk(each, private=True)}) for each in KEYS),
]
WAY_IDS = [f"{method}-{proof.get('key', {}).get('alg', '')}".rstrip("-") for method, _, proof in WAYS]


@pytest.mark.parametrize("script", NODE_CLIENTS)
@pytest.mark.parametrize(("method", "client_id", "proof"), WAYS, ids=WAY_IDS)
def test_a_node_client_gets_a_token_and_is_let_in(
    stage: Stage, script: str, method: str, client_id: str, proof: dict[str, Any]
) -> None:
    needs_node()
    result = node(
        script,
        issuer=stage.issuer,
        discovery="oauth2",
        client_id=client_id,
        method=method,
        parameters={"scope": "read"},
        api=stage.url,
        **proof,
    )
    assert result["called"] == 200
    assert result["token"]["scope"] == "read"
    assert result["token"]["token_type"].lower() == "bearer"


@pytest.mark.parametrize("script", NODE_CLIENTS)
def test_a_node_client_finds_the_issuer_by_openid_discovery_and_gets_all_applicable_scopes(
    stage: Stage, script: str
) -> None:
    needs_node()
    result = node(
        script,
        issuer=stage.issuer,
        discovery="oidc",
        client_id="batch",
        method="client_secret_basic",
        secret=SECRET,
        parameters={"resource": AUDIENCE},
        api=stage.url,
    )
    assert (result["called"], result["token"]["scope"]) == (200, "read")


@pytest.mark.parametrize("script", NODE_CLIENTS)
def test_a_node_client_with_dpop_gets_a_bound_token_and_is_let_in_with_its_proof(stage: Stage, script: str) -> None:
    needs_node()
    result = node(
        script,
        issuer=stage.issuer,
        discovery="oauth2",
        client_id="batch",
        method="client_secret_basic",
        secret=SECRET,
        parameters={},
        api=stage.url,
        dpop=True,
    )
    assert result["token"]["token_type"].lower() == "dpop"
    claims = jwt.decode(result["token"]["access_token"], options={"verify_signature": False})
    assert set(claims["cnf"]) == {"jkt"}
    assert result["called"] == 200


@pytest.fixture
def _http_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Authlib and oauthlib refuse http unless told so, even on the loopback."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.mark.usefixtures("_http_on_loopback")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_gets_a_token_by_secret_and_is_let_in(stage: Stage, method: str) -> None:
    with OAuth2Session("batch", OLDER_SECRET, scope="read", token_endpoint_auth_method=method) as http:
        http.fetch_token(f"{stage.issuer}/oauth2/v1/token", grant_type="client_credentials")
        assert http.get(stage.url).json() == {"X-Client-Id": "batch", "X-Token-Scopes": "read"}


def soon() -> dict[str, int]:
    """Authlib's assertions are valid for an hour unless told otherwise; the server takes five minutes."""
    return {"exp": int(time.time()) + 60}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")  # joserfc prefers Ed25519
@pytest.mark.usefixtures("_http_on_loopback")
@pytest.mark.parametrize("algorithm", list(KEYS))
def test_authlib_gets_a_token_by_an_assertion_with_its_key(stage: Stage, algorithm: str) -> None:
    endpoint = f"{stage.issuer}/oauth2/v1/token"
    way = PrivateKeyJWT(endpoint, soon(), {"kid": algorithm}, algorithm)
    key = JWKRegistry.import_key(jwk(algorithm, private=True))
    with OAuth2Session("signer", key, token_endpoint_auth_method=way) as http:
        http.fetch_token(endpoint, grant_type="client_credentials")
        assert http.get(stage.url).status_code == 200


@pytest.mark.usefixtures("_http_on_loopback")
def test_authlib_gets_a_token_by_an_assertion_with_a_shared_secret(stage: Stage) -> None:
    endpoint = f"{stage.issuer}/oauth2/v1/token"
    with OAuth2Session("shared", SHARED, token_endpoint_auth_method=ClientSecretJWT(endpoint, soon())) as http:
        http.fetch_token(endpoint, grant_type="client_credentials")
        assert http.get(stage.url).status_code == 200


@pytest.mark.usefixtures("_http_on_loopback")
@pytest.mark.parametrize("in_body", [False, True], ids=["basic", "post"])
def test_requests_oauthlib_gets_a_token_and_is_let_in(stage: Stage, *, in_body: bool) -> None:
    with OauthlibSession(client=BackendApplicationClient("batch", scope=["read"])) as http:
        proof: dict[str, Any] = (
            {"client_id": "batch", "client_secret": OLDER_SECRET, "include_client_id": True}
            if in_body
            else {"auth": HTTPBasicAuth("batch", OLDER_SECRET)}
        )
        http.fetch_token(f"{stage.issuer}/oauth2/v1/token", **proof)
        assert http.get(stage.url).json()["X-Client-Id"] == "batch"


def curl(*arguments: str) -> dict[str, Any]:
    program = shutil.which("curl")
    if program is None and not os.environ.get("CI"):
        pytest.skip("needs curl")
    done = subprocess.run(
        [program or "curl", "-sS", *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


FORM = "Content-Type: application/x-www-form-urlencoded;charset=UTF-8"


def test_curl_gets_a_token_with_the_authorization_header_as_the_description_shows(stage: Stage, tmp_path: Path) -> None:
    config = tmp_path / "curlrc"
    config.write_text(f"user = {json.dumps(f'batch:{SECRET}', ensure_ascii=False)}\n")
    found = curl(
        *("-K", str(config), "-H", FORM, "--request", "POST", f"{stage.issuer}/oauth2/v1/token"),
        *("-d", "grant_type=client_credentials&scope=read"),
    )
    called = curl("-H", f"Authorization: Bearer {found['access_token']}", stage.url)
    assert (found["scope"], called["X-Client-Id"]) == ("read", "batch")


def test_curl_gets_a_token_with_a_client_assertion_as_the_description_shows(stage: Stage) -> None:
    now = int(time.time())
    claims = {"iss": "signer", "sub": "signer", "aud": stage.issuer, "iat": now, "exp": now + 60, "jti": "curl-1"}
    assertion = jwt.encode(claims, KEYS["RS256"], algorithm="RS256", headers={"kid": "RS256"})
    found = curl(
        *("-H", FORM, "--request", "POST", f"{stage.issuer}/oauth2/v1/token"),
        "-d",
        "grant_type=client_credentials&client_id=signer"
        "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
        f"&client_assertion={assertion}&scope=read",
    )
    called = curl("-H", f"Authorization: Bearer {found['access_token']}", stage.url)
    assert called == {"X-Client-Id": "signer", "X-Token-Scopes": "read"}
