"""The client-credentials grant as it is described: each row of the table of functions, and each step of the flow.

The two requests are those of the description, sent by curl.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from requests.auth import HTTPBasicAuth

from gateway.issuer.secrets import ScryptCost, hash_secret

from .stage import AUDIENCE, Stage, with_embedded_issuer

SECRET = "a secret"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWT_BEARER = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
FORM = "Content-Type: application/x-www-form-urlencoded;charset=UTF-8"
BASIC = HTTPBasicAuth("batch", SECRET)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    public = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    secret = hash_secret(SECRET, ScryptCost(n=16, r=1, p=1))
    clients = {
        "batch": {"type": "trusted", "roles": ["reader", "writer"], "secret": secret},
        "signer": {"type": "trusted", "roles": ["reader"], "jwks": {"keys": [public | {"kid": "k"}]}},
        "app": {"type": "mobile", "roles": ["reader"]},
        "grantless": {"type": "trusted", "grants": [], "roles": ["reader"], "secret": secret},
    }
    roles = {"reader": ["read"], "writer": ["write"]}
    with with_embedded_issuer(tmp_path_factory.mktemp("flow"), clients, roles=roles) as running:
        yield running


def curl(*arguments: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Run curl -i; status, fields (names in lower case) and the JSON body."""
    done = subprocess.run(["curl", "-s", "-i", *arguments], capture_output=True, timeout=30, check=True)
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    line, *lines = head.split("\r\n")
    fields = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    return int(line.split()[1]), fields, json.loads(body)


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def asked(stage: Stage, auth: HTTPBasicAuth | None = BASIC, **form: str) -> tuple[int, dict[str, Any]]:
    answer = requests.post(
        f"{stage.issuer}/oauth2/v1/token", data={"grant_type": "client_credentials"} | form, auth=auth, timeout=30
    )
    return answer.status_code, answer.json()


def metadata(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{stage.issuer}/.well-known/oauth-authorization-server", timeout=30).json()
    return found


def assertion(stage: Stage, **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": "signer", "sub": "signer", "aud": stage.issuer, "jti": f"{time.time_ns()}", "exp": now + 60}
    return jwt.encode(claims | changes, KEY, "RS256", headers={"kid": "k"})


def test_step_1_and_2_a_client_asks_with_the_authorization_header(stage: Stage) -> None:
    status, fields, token = curl(
        *("-H", "Authorization: Basic YmF0Y2g6YSBzZWNyZXQ="),
        *("-H", FORM),
        *("--request", "POST", f"{stage.issuer}/oauth2/v1/token"),
        *("-d", "grant_type=client_credentials&scope=read"),
    )
    assert status == 200
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 3600, "read")
    assert (fields["cache-control"], fields["pragma"]) == ("no-store", "no-cache")
    assert fields["content-type"].startswith("application/json")


def test_step_1_and_2_a_client_asks_with_a_jwt_client_assertion(stage: Stage) -> None:
    status, _, token = curl(
        *("-H", FORM),
        *("--request", "POST", f"{stage.issuer}/oauth2/v1/token"),
        "-d",
        f"grant_type=client_credentials&client_id=signer&client_assertion_type={JWT_BEARER}"
        f"&client_assertion={assertion(stage)}&scope=read",
    )
    assert status == 200
    assert (token["token_type"], claims_of(token["access_token"])["sub"]) == ("Bearer", "signer")


def test_step_3_the_token_contains_all_scopes_that_the_application_roles_give(stage: Stage) -> None:
    status, token = asked(stage)
    assert (status, claims_of(token["access_token"])["scope"]) == (200, "read write")
    status, refused = asked(stage, scope="read admin")
    assert (status, refused["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("scope", [f"{AUDIENCE}read", "urn:opc:idm:__myscopes__", f"{AUDIENCE}read {AUDIENCE}write"])
def test_step_3_scopes_may_be_asked_for_as_in_an_identity_domain(stage: Stage, scope: str) -> None:
    status, token = asked(stage, scope=scope)
    claims = claims_of(token["access_token"])
    assert (status, claims["aud"]) == (200, AUDIENCE)
    assert claims["scope"] == ("read" if scope == f"{AUDIENCE}read" else "read write")


def test_step_4_the_client_uses_the_token_to_perform_a_request(stage: Stage) -> None:
    _, token = asked(stage)
    status, _, answer = curl("-H", f"Authorization: Bearer {token['access_token']}", stage.url)
    assert (status, answer) == (200, {"X-Client-Id": "batch", "X-Token-Scopes": "read write"})
    refused = requests.get(stage.url, timeout=30)
    assert refused.status_code == 401


def test_requires_client_authentication_yes(stage: Stage) -> None:
    assert asked(stage, auth=None)[1]["error"] == "invalid_client"
    assert asked(stage, auth=None, client_id="batch")[1]["error"] == "invalid_client"
    status, refused = asked(stage, HTTPBasicAuth("batch", "wrong"))
    assert (status, refused["error"]) == (401, "invalid_client")


def test_requires_client_to_know_user_credentials_no(stage: Stage) -> None:
    status, token = asked(stage)
    assert status == 200
    assert claims_of(token["access_token"]).keys() == {"iss", "sub", "client_id", "aud", "iat", "exp", "jti", "scope"}
    status, refused = asked(stage, grant_type="password", username="ann", password="x")
    assert (status, refused["error"]) == (400, "unsupported_grant_type")


def test_browser_based_end_user_interaction_no(stage: Stage) -> None:
    said = metadata(stage)
    assert not {"authorization_endpoint", "device_authorization_endpoint", "end_session_endpoint"} & said.keys()
    assert requests.get(f"{stage.issuer}/oauth2/v1/authorize", timeout=30).status_code == 404
    for grant in ("authorization_code", "urn:ietf:params:oauth:grant-type:device_code"):
        assert asked(stage, grant_type=grant, code="x")[1]["error"] == "unsupported_grant_type"


def test_can_use_an_external_identity_provider_for_authentication_no(stage: Stage) -> None:
    for grant in ("jwt-bearer", "saml2-bearer", "token-exchange"):
        form = {"grant_type": f"urn:ietf:params:oauth:grant-type:{grant}", "assertion": assertion(stage)}
        assert asked(stage, BASIC, **form)[1]["error"] == "unsupported_grant_type"
    form = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(stage, iss="https://login.example"),
    }
    assert asked(stage, None, **form)[1]["error"] == "invalid_client"


def test_refresh_token_is_allowed_no(stage: Stage) -> None:
    assert "refresh_token" not in asked(stage)[1]
    assert "refresh_token" not in asked(stage, scope="read")[1]
    status, refused = asked(stage, grant_type="refresh_token", refresh_token="x")
    assert (status, refused["error"]) == (400, "unsupported_grant_type")
    assert metadata(stage)["grant_types_supported"] == ["client_credentials"]


def test_access_token_is_in_the_context_of_the_client_application_yes(stage: Stage) -> None:
    claims = claims_of(asked(stage)[1]["access_token"])
    assert claims["sub"] == claims["client_id"] == "batch"


@pytest.mark.parametrize("client_id", ["app", "grantless"])
def test_only_a_trusted_application_with_the_grant_selected_may_use_it(stage: Stage, client_id: str) -> None:
    status, refused = asked(stage, HTTPBasicAuth(client_id, SECRET))
    assert (status, refused["error"]) == (400, "unauthorized_client")


def test_both_requests_stand_in_the_readme() -> None:
    text = re.sub(r"\s+", " ", (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"))
    for part in (FORM, "--request POST", "grant_type=client_credentials&scope=", f"client_assertion_type={JWT_BEARER}"):
        assert part in text
