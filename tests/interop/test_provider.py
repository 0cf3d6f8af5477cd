"""The gateway takes the tokens of an authorization server that others wrote: npm oidc-provider."""

import base64
import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from .stage import AUDIENCE, gateway, needs_node, provider

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
OPAQUE = f"{AUDIENCE}/opaque"
SECRET = "a-secret-that-only-tests-know"


def resource(algorithm: str) -> str:
    return f"{AUDIENCE}/{algorithm}"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    needs_node()
    formats: dict[str, dict[str, str]] = {OPAQUE: {"format": "opaque"}}
    formats |= {resource(each): {"format": "jwt", "alg": each} for each in ALGORITHMS}
    clients = [{"client_id": name, "client_secret": SECRET} for name in ("batch", "gateway")]
    with provider(clients, formats, list(ALGORITHMS)) as running:
        yield running


def token(issuer: str, audience: str, scope: str) -> str:
    form = {"grant_type": "client_credentials", "resource": audience, "scope": scope}
    credentials = base64.b64encode(f"batch:{SECRET}".encode()).decode()
    request = Request(f"{issuer}/token", urlencode(form).encode(), {"Authorization": f"Basic {credentials}"})
    with urlopen(request, timeout=20) as answer:
        return str(json.load(answer)["access_token"])


def test_the_jwts_of_oidc_provider_are_taken_for_every_algorithm(
    issuer: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    audiences = [resource(each) for each in ALGORITHMS]
    with gateway(
        tmp_path_factory.mktemp("provider"), {"issuer": issuer, "audience": audiences, "typ": "at+jwt"}
    ) as stage:
        answered = {}
        for algorithm in ALGORITHMS:
            bearer = token(issuer, resource(algorithm), "read")
            with urlopen(Request(stage.url, headers={"Authorization": f"Bearer {bearer}"}), timeout=20) as answer:
                answered[algorithm] = json.load(answer)
    assert answered == {each: {"X-Client-Id": "batch", "X-Token-Scopes": "read"} for each in ALGORITHMS}


def test_its_opaque_tokens_are_taken_by_its_introspection_endpoint(
    issuer: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trusted = {"issuer": issuer, "audience": OPAQUE, "introspection": {"credentials": "own", "jwt_tokens": "refuse"}}
    own = {"issuer": issuer, "client_id": "gateway", "client_secret": SECRET}
    with gateway(tmp_path_factory.mktemp("opaque"), trusted, credentials={"own": own}) as stage:
        opaque = token(issuer, OPAQUE, "read")
        assert opaque.count(".") == 0
        for _ in range(2):
            with urlopen(Request(stage.url, headers={"Authorization": f"Bearer {opaque}"}), timeout=20) as answer:
                assert json.load(answer) == {"X-Client-Id": "batch", "X-Token-Scopes": "read"}
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(stage.url, headers={"Authorization": f"Bearer {opaque[:-1]}"}), timeout=20)
        assert refused.value.code == 401
        assert json.load(refused.value)["reason"] == "token_revoked"
