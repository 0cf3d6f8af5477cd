"""The gateway's own credentials in its file."""

from pathlib import Path
from typing import get_args

import pytest
import trustme

from gateway import build
from gateway.cli.check import examine
from gateway.client.assertions import SHARED_ALGORITHMS
from gateway.client.authentication import METHODS
from gateway.client.client_keys import ALGORITHMS, make_key
from gateway.config.credentials import AssertionAlgorithm, Authentication
from gateway.config.gateway_file import GatewayConfig
from gateway.own_credentials import CredentialsError, token_request

from .gateway_samples import LEAST, config, faults

USED = LEAST.replace('9000"}', '9000", credentials: own}')
ISSUER = "issuer: https://login.example"
FAULTS = [
    ("{client_id: a, client_secret: s}", "own: says neither issuer nor token_endpoint: name the issuer, or where "),
    ("{ISSUER, client_secret: s}", "own.client_id: is required and missing: add it"),
    ("{ISSUER, client_id: a}", "own: client_secret_basic needs client_secret: add it, or choose another authentic"),
    ("{ISSUER, client_id: a, authentication: private_key_jwt}", "own: private_key_jwt needs assertion_key: add it"),
    ("{ISSUER, client_id: a, authentication: basic}", "own.authentication: must be 'client_secret_basic', "),
    (
        "{ISSUER, client_id: a, authentication: tls_client_auth}",
        "own.authentication: tls_client_auth needs tls: {certificate: ..., key: ...}: name both files",
    ),
    (
        "{ISSUER, client_id: a, client_secret: s, assertion_key: k.pem}",
        "own.assertion_key: has no effect with client_secret_basic: remove it, or write authentication: private_key_",
    ),
    (
        "{ISSUER, client_id: a, client_secret: s, assertion_audience: x}",
        "own.assertion_audience: has no effect with client_secret_basic",
    ),
    (
        "{ISSUER, client_id: a, client_secret: s, authentication: private_key_jwt, assertion_key: k}",
        "own.client_secret: has no effect with private_key_jwt: remove it, or write authentication: ",
    ),
    (
        "{ISSUER, client_id: a, client_secret: s, tls: {key: k}}",
        "own.tls.key: needs certificate: name both files, or none",
    ),
    (
        "{token_endpoint: 'http://login.example/t', client_id: a, client_secret: s}",
        "own.token_endpoint: 'http://login.example/t' must begin with https://: secrets must not travel in the clear",
    ),
    ("{ISSUER, client_id: a, client_secret: s, scopes: [a b]}", "own.scopes[0]: 'a b' holds a blank"),
    ("{ISSUER, client_id: a, client_secret: s, scopes: [a, a]}", "own.scopes: 'a' is listed twice: keep one"),
    ("{ISSUER, client_id: a, client_secret: s, timeout: 2m}", "own.timeout: must be at most 1m"),
    ("{ISSUER, client_id: a, client_secret: s, scope: a}", "own.scope: unknown key: did you mean 'scopes'?"),
]


def own(section: str) -> str:
    return f"{USED}credentials:\n  own: {section.replace('ISSUER', ISSUER)}\n"


@pytest.mark.parametrize(("section", "fault"), FAULTS)
def test_a_fault_names_its_place_and_the_remedy(section: str, fault: str) -> None:
    found = faults(own(section))
    assert len(found) == 1
    assert found[0].partition(" ")[2].startswith(f"credentials.{fault}")


def test_credentials_that_are_not_there_cannot_be_named() -> None:
    text = own("{ISSUER, client_id: a, client_secret: s}").replace("credentials: own}", "credentials: won}")
    text = text.replace("audience: api}", "audience: api, keys_credentials: own2}")
    assert [found.partition(" ")[2] for found in faults(text)] == [
        "issuers.main.keys_credentials: 'own2' is not there: did you mean 'own'?",
        "upstreams.api.credentials: 'won' is not there: did you mean 'own'?",
    ]


def test_keys_out_of_a_file_need_no_credentials() -> None:
    text = own("{ISSUER, client_id: a, client_secret: s}")
    text = text.replace("audience: api}", "audience: api, keys_credentials: own, jwks_file: k.json}")
    assert "has no effect with jwks_file" in faults(text)[0]


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("jwks_file: k.json", "tls: has no effect with jwks_file: nothing is asked of the issuer"),
        ("jwks_uri: 'http://127.0.0.1/k'", "tls: has no effect on http://: write https:// instead, or remove tls"),
        ("jwks_uri: 'https://a.example/k', tls: {key: k}", "tls.key: needs certificate: name both files, or none"),
    ],
)
def test_tls_towards_an_issuer_has_an_effect(section: str, fault: str) -> None:
    told = section if "tls:" in section else f"{section}, tls: {{ca: c.pem}}"
    (found,) = faults(USED.replace("audience: api}", f"audience: api, {told}}}").replace(", credentials: own", ""))
    assert found.partition(" ")[2] == f"issuers.main.{fault}"


@pytest.mark.parametrize(
    "told", ["jwks_uri: 'https://a.example/k'", "jwks_file: k, revocations: 'https://a.example/r'"]
)
def test_tls_towards_an_issuer_that_is_asked_is_sound(told: str) -> None:
    text = USED.replace("audience: api}", f"audience: api, {told}, tls: {{ca: c.pem}}}}")
    assert faults(text.replace(", credentials: own", "")) == []


@pytest.mark.parametrize("forwards", ["true", "'${YES:-true}'"])
def test_the_caller_s_token_and_the_gateway_s_own_exclude_each_other(forwards: str) -> None:
    text = own("{ISSUER, client_id: a, client_secret: s}")
    (found,) = faults(text.replace("upstream: api}", f"upstream: api, forward_token: {forwards}}}"))
    assert "routes[0].forward_token: 'api' gets a token of the gateway's own in its place" in found


def test_a_secret_shows_nowhere() -> None:
    text = own("{ISSUER, client_id: a, client_secret: '${SECRET}'}")
    found = config(text, SECRET="hunter2")
    shown = repr(found) + repr(build.plan(found, Path(), "r"))
    assert "hunter2" not in shown
    assert build.own_credentials(found, Path())["own"].secret == "hunter2"


def test_only_what_is_named_is_asked_for() -> None:
    text = own("{ISSUER, client_id: a, client_secret: s}").replace(", credentials: own}", "}")
    assert build.own_credentials(config(text), Path()) == {}


def test_the_words_are_those_of_the_client() -> None:
    assert get_args(Authentication) == METHODS
    assert get_args(AssertionAlgorithm) == (*ALGORITHMS, *SHARED_ALGORITHMS)


BROKEN = [
    ("client_secret: short, authentication: client_secret_jwt", "client_secret", "32 bytes or more"),
    (
        "client_secret: short, authentication: client_secret_jwt, assertion_algorithm: RS256",
        "assertion_algorithm",
        "a secret signs with HS256, HS384 or HS512, not RS256",
    ),
    ("authentication: private_key_jwt, assertion_key: none.pem", "assertion_key", "none.pem cannot be read: No such"),
    ("authentication: private_key_jwt, assertion_key: own.crt", "assertion_key", "own.crt holds no private key"),
    (
        "authentication: private_key_jwt, assertion_key: own.pem, assertion_algorithm: RS256",
        "assertion_key",
        "own.pem signs with ES256, not with RS256",
    ),
    (
        "authentication: private_key_jwt, assertion_key: own.pem, assertion_certificate: own.pem",
        "assertion_certificate",
        "own.pem holds no certificate",
    ),
    ("client_secret: s, tls: {ca: own.pem}", "tls.ca", "own.pem holds no certificate"),
    ("authentication: tls_client_auth, tls: {certificate: own.crt, key: own.pem}", "tls.key", "does not belong to"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.pem").write_bytes(make_key())
    leaf = trustme.CA().issue_cert("gateway.example")
    (tmp_path / "own.crt").write_bytes(leaf.cert_chain_pems[0].bytes())
    (tmp_path / "own.key").write_bytes(leaf.private_key_pem.bytes())
    return tmp_path


@pytest.mark.parametrize(("section", "key", "words"), BROKEN)
def test_a_file_or_secret_that_is_of_no_use_is_told_by_check_and_at_the_start(
    folder: Path, section: str, key: str, words: str
) -> None:
    text = own(f"{{ISSUER, client_id: a, {section}}}")
    (folder / "gateway.yaml").write_text(text)
    found = examine(folder / "gateway.yaml", {})
    assert isinstance(found, list)
    assert [(error.key, words in error.message) for error in found] == [(f"credentials.own.{key}", True)]
    with pytest.raises(CredentialsError, match=words) as error:
        token_request(build.own_credentials(config(text), folder)["own"])
    assert error.value.key == key


@pytest.mark.parametrize(
    "section",
    [
        "client_secret: s",
        "client_secret: s, authentication: client_secret_post",
        f"client_secret: {'s' * 32}, authentication: client_secret_jwt, assertion_kid: k",
        "authentication: private_key_jwt, assertion_key: own.pem, assertion_kid: k, assertion_audience: token_endpoint",
        "authentication: private_key_jwt, assertion_key: own.key, assertion_certificate: own.crt",
        "authentication: tls_client_auth, tls: {certificate: own.crt, key: own.key}",
        "authentication: self_signed_tls_client_auth, tls: {certificate: own.crt, key: own.key, ca: own.crt}",
    ],
)
def test_every_way_to_authenticate_is_taken(folder: Path, section: str) -> None:
    (folder / "gateway.yaml").write_text(own(f"{{ISSUER, client_id: a, {section}}}"))
    assert isinstance(examine(folder / "gateway.yaml", {}), GatewayConfig)
