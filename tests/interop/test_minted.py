"""Tokens that libraries of others mint, with each algorithm that the gateway knows, are taken by a running gateway."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import joserfc.jwt
import pytest
from authlib.jose import JsonWebToken
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import ECKey, OKPKey, RSAKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.tokens.keys import ALGORITHMS

from .stage import AUDIENCE, Stage, gateway, needs_node, node

ISSUER = "https://minted.example"
KINDS: dict[str, tuple[Any, Any]] = {
    "RSA": (RSAAlgorithm, rsa.generate_private_key(65537, 2048)),
    "P-256": (ECAlgorithm, ec.generate_private_key(ec.SECP256R1())),
    "P-384": (ECAlgorithm, ec.generate_private_key(ec.SECP384R1())),
    "P-521": (ECAlgorithm, ec.generate_private_key(ec.SECP521R1())),
    "Ed25519": (OKPAlgorithm, ed25519.Ed25519PrivateKey.generate()),
}
KIND_OF = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
HARMLESS = {"typ": "at+jwt", "x5c": ["MIIB"], "x5t#S256": "q", "vendor": {"trace": [1]}}
"""Members of a header that others write, and that change nothing."""


def jwk(kind: str, *, private: bool) -> dict[str, Any]:
    algorithm, key = KINDS[kind]
    found: dict[str, Any] = algorithm.to_jwk(key if private else key.public_key(), as_dict=True)
    found.pop("key_ops", None)
    return found | {"kid": kind}


def task(algorithm: str) -> dict[str, Any]:
    kind = KIND_OF.get(algorithm, "RSA")
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": [AUDIENCE], "sub": "batch", "client_id": "batch", "iat": now, "exp": now + 600}
    header = {"alg": algorithm, "kid": kind} | HARMLESS
    return {"key": jwk(kind, private=True), "header": header, "claims": claims | {"scope": "read"}}


def by_jose(tasks: list[dict[str, Any]]) -> list[str]:
    needs_node()
    minted: list[str] = node("mint.mjs", tasks=tasks)["tokens"]
    return minted


def by_joserfc(tasks: list[dict[str, Any]]) -> list[str]:
    types: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    registry = joserfc.jws.JWSRegistry(algorithms=sorted(ALGORITHMS), strict_check_header=False)
    return [
        joserfc.jwt.encode(
            each["header"], each["claims"], types[each["key"]["kty"]].import_key(each["key"]), registry=registry
        )
        for each in tasks
    ]


def by_authlib(tasks: list[dict[str, Any]]) -> list[str]:
    return [
        JsonWebToken([each["header"]["alg"]]).encode(each["header"], each["claims"], each["key"]).decode()
        for each in tasks
    ]


MINTS: dict[str, tuple[Callable[[list[dict[str, Any]]], list[str]], set[str]]] = {
    "jose": (by_jose, set(ALGORITHMS)),
    "joserfc": (by_joserfc, set(ALGORITHMS)),
    "Authlib": (by_authlib, set(ALGORITHMS) - {"Ed25519"}),
}
"""Who mints, and with which algorithms: Authlib does not know the newest name of EdDSA."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("minted")
    (folder / "keys.json").write_text(json.dumps({"keys": [jwk(kind, private=False) for kind in KINDS]}))
    with gateway(folder, {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": "keys.json"}) as running:
        yield running


def answered(stage: Stage, token: str) -> int | dict[str, str]:
    try:
        with urlopen(Request(stage.url, headers={"Authorization": f"Bearer {token}"}), timeout=20) as answer:
            seen: dict[str, str] = json.load(answer)
            return seen
    except HTTPError as error:
        error.close()
        return error.code


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")
@pytest.mark.parametrize("software", MINTS)
def test_a_token_of_each_algorithm_is_taken(stage: Stage, software: str) -> None:
    mint, algorithms = MINTS[software]
    tokens = dict(zip(sorted(algorithms), mint([task(each) for each in sorted(algorithms)]), strict=True))
    expected = {"X-Client-Id": "batch", "X-Token-Scopes": "read"}
    assert {each: answered(stage, token) for each, token in tokens.items()} == dict.fromkeys(tokens, expected)
    signature = {each: token.rpartition(".")[2] for each, token in tokens.items()}
    broken = {each: token[: -len(signature[each])] + signature[each][::-1] for each, token in tokens.items()}
    assert {each: answered(stage, token) for each, token in broken.items()} == dict.fromkeys(broken, 401)
