"""`scopegate token`, in every way that a client can authenticate, against the embedded authorization server."""

import base64
import hashlib
import json
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from joserfc import jwt as jose_jwt
from joserfc.jwk import ECKey

from gateway.cli.token import token
from gateway.client.client_keys import certificate_members, make_key, read_key
from gateway.issuer.running import RunningIssuer
from gateway.issuer.secrets import ScryptCost, hash_secret
from gateway.issuer.settings import IssuerSettings, parse

from .peer import Peer
from .threads import Loop

SHARED = "a shared secret of more than 32 bytes"
METHODS = {
    "client_secret_basic": ["--client-id", "reader", "--client-secret-file", "reader.secret"],
    "client_secret_post": [
        *("--client-id", "reader", "--client-secret-file", "reader.secret", "--auth-method", "client_secret_post")
    ],
    "client_secret_jwt": [
        *("--client-id", "sharer", "--client-secret-file", "sharer.secret", "--auth-method", "client_secret_jwt")
    ],
    "private_key_jwt": ["--client-id", "signer", "--assertion-key", "signer.pem", "--assertion-kid", "signer-1"],
    "private_key_jwt by certificate": [
        *("--client-id", "certified", "--assertion-key", "certified.key", "--assertion-certificate", "certified.crt"),
        *("--assertion-algorithm", "ES256"),
    ],
    "private_key_jwt for the endpoint": [
        *("--client-id", "signer", "--assertion-key", "signer.pem", "--assertion-kid", "signer-1"),
        *("--assertion-audience", "token_endpoint"),
    ],
    "tls_client_auth": ["--client-id", "vouched", "--certificate", "vouched.crt", "--certificate-key", "vouched.key"],
    "self_signed_tls_client_auth": [
        *("--client-id", "certified", "--certificate", "certified.crt", "--certificate-key", "certified.key"),
        *("--auth-method", "self_signed_tls_client_auth"),
    ],
}


def public(name: str, **members: str) -> dict[str, str | list[str]]:
    key = load_pem_private_key(Path(name).read_bytes(), None).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {**{name: str(value) for name, value in ECKey.import_key(pem).as_dict().items()}, **members}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with all keys and secrets."""
    monkeypatch.chdir(tmp_path)
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path("ca.pem")
    leaves = {"server": authority, "vouched": authority, "certified": trustme.CA(key_type=trustme.KeyType.ECDSA)}
    for name, issuer in leaves.items():
        leaf = issuer.issue_cert("127.0.0.1", f"{name}.example", key_type=trustme.KeyType.ECDSA)
        Path(f"{name}.crt").write_bytes(leaf.cert_chain_pems[0].bytes())
        leaf.private_key_pem.write_to_path(f"{name}.key")
    Path("signer.pem").write_bytes(make_key())
    Path("reader.secret").write_text("hunter2\n")
    Path("wrong.secret").write_text("hunter3\n")
    Path("sharer.secret").write_text(SHARED)
    return tmp_path


def settings(url: str) -> IssuerSettings:
    clients: dict[str, dict[str, Any]] = {
        "reader": {"secret": hash_secret("hunter2", ScryptCost(n=16, r=1))},
        "bound": {"secret": hash_secret("hunter2", ScryptCost(n=16, r=1)), "dpop_bound_access_tokens": True},
        "tied": {
            "secret": hash_secret("hunter2", ScryptCost(n=16, r=1)),
            "tls_client_certificate_bound_access_tokens": True,
        },
        "sharer": {"shared_secret": SHARED},
        "signer": {"jwks": {"keys": [public("signer.pem", kid="signer-1")]}},
        "certified": {"certificate": "certified.crt"},
        "vouched": {"tls_client_auth": {"san_dns": "vouched.example"}},
    }
    tls = {"certificate": "server.crt", "key": "server.key", "client_ca": "ca.pem", "client_certificate": "optional"}
    document = {
        "listen": url.partition("://")[2],
        "issuer": url,
        "state": "issuer.db",
        "signing_algorithm": "ES256",
        "resources": {"https://maintenance.example": {"jobs.read": "Read", "jobs.run": "Run"}},
        "roles": {"operator": ["jobs.read", "jobs.run"]},
        "clients": {name: {"type": "trusted", "roles": ["operator"]} | client for name, client in clients.items()},
        "tls": tls,
    }
    parsed = parse(json.dumps(document), "issuer.yaml", {})
    assert isinstance(parsed, IssuerSettings), parsed
    return parsed


@pytest.fixture
def issuer(folder: Path, loop: Loop) -> Iterator[str]:
    """The embedded server over TLS; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
    running = RunningIssuer(settings(url), base=folder)
    loop.run(running.start())
    yield url
    loop.run(running.close())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(token, arguments)


def obtain(issuer: str, *arguments: str) -> Result:
    return run("--issuer", issuer, "--ca", "ca.pem", *arguments)


READER = METHODS["client_secret_basic"]


@pytest.mark.parametrize("method", METHODS)
def test_a_client_gets_a_token_in_every_way_that_it_can_authenticate(issuer: str, method: str) -> None:
    result = obtain(issuer, *METHODS[method], "--scope", "jobs.read", "--decode", "--json")
    assert result.exit_code == 0, result.stderr
    claims = json.loads(result.stdout)["claims"]
    assert (claims["client_id"], claims["scope"]) == (METHODS[method][1], "jobs.read")


def test_a_token_is_bound_to_the_certificate_that_is_shown_beside_a_secret(issuer: str) -> None:
    tied = ["--client-id", "tied", "--client-secret-file", "reader.secret"]
    certificate = ["--certificate", "vouched.crt", "--certificate-key", "vouched.key"]
    result = obtain(issuer, *tied, *certificate, "--decode", "--json")
    assert result.exit_code == 0, result.stderr
    thumbprint = certificate_members(Path("vouched.crt").read_bytes())["x5t#S256"]
    assert json.loads(result.stdout)["claims"]["cnf"] == {"x5t#S256": thumbprint}


def test_a_token_is_bound_to_a_dpop_key_that_is_made_if_told(issuer: str) -> None:
    bound = ["--client-id", "bound", "--client-secret-file", "reader.secret", "--dpop-key", "dpop.pem"]
    missing = obtain(issuer, *bound)
    assert missing.exit_code == 2
    assert "No such file" in missing.stderr
    result = obtain(issuer, *bound, "--make-dpop-key", "--decode", "--json")
    assert result.exit_code == 0, result.stderr
    made = Path("dpop.pem")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    before = made.read_bytes()
    assert json.loads(result.stdout)["claims"]["cnf"] == {"jkt": read_key(before).thumbprint}
    again = obtain(issuer, *bound, "--make-dpop-key", "--json")
    assert json.loads(again.stdout)["token_type"] == "DPoP"
    assert made.read_bytes() == before


def test_a_dpop_bound_client_without_a_key_is_refused(issuer: str) -> None:
    result = obtain(issuer, "--client-id", "bound", "--client-secret-file", "reader.secret")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "invalid_dpop_proof" in result.stderr


def test_the_fields_for_one_request_are_printed_for_curl(issuer: str) -> None:
    url = "https://api.example/jobs?x=1"
    bearer = obtain(issuer, *READER, "--fields", "GET", url)
    assert bearer.stdout.startswith("Authorization: Bearer ey")
    assert bearer.stdout.count("\n") == 1
    dpop = ["--dpop-key", "dpop.pem", "--make-dpop-key"]
    lines = dict(
        line.split(": ", 1) for line in obtain(issuer, *READER, *dpop, "--fields", "GET", url).stdout.splitlines()
    )
    assert lines.keys() == {"Authorization", "DPoP"}
    kind, access_token = lines["Authorization"].split(" ")
    proof = jose_jwt.decode(lines["DPoP"], ECKey.import_key(public("dpop.pem")), algorithms=["ES256"])
    assert (kind, proof.claims["htm"], proof.claims["htu"]) == ("DPoP", "GET", "https://api.example/jobs")
    digest = base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).decode().rstrip("=")
    assert proof.claims["ath"] == digest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--client-id", "signer", "--assertion-key", "certified.key", "--assertion-kid", "signer-1"],
            "invalid_client",
        ),
        (["--client-id", "signer", "--assertion-key", "signer.pem", "--assertion-kid", "other"], "invalid_client"),
        (["--client-id", "reader", "--client-secret-file", "wrong.secret"], "invalid_client"),
        (
            ["--client-id", "vouched", "--certificate", "certified.crt", "--certificate-key", "certified.key"],
            "invalid_client",
        ),
        ([*READER, "--scope", "jobs.delete"], "invalid_scope"),
        ([*READER, "--resource", "https://other.example"], "invalid_target"),
    ],
)
def test_a_refusal_is_told_with_exit_code_1(issuer: str, arguments: list[str], words: str) -> None:
    result = obtain(issuer, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr


def test_an_issuer_whose_certificate_nobody_vouches_for_gets_no_secret(issuer: str) -> None:
    result = run("--issuer", issuer, *READER)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "certificate verify failed" in result.stderr


USAGE = [
    ([], "Say how the client authenticates"),
    (["--auth-method", "private_key_jwt"], "--assertion-key is missing: private_key_jwt needs it"),
    (["--auth-method", "client_secret_post"], "--client-secret-file is missing"),
    (["--auth-method", "tls_client_auth"], "--certificate is missing"),
    (["--auth-method", "none"], "Invalid value for '--auth-method'"),
    (["--certificate", "vouched.crt"], "--certificate-key is missing: the private key that belongs to --certificate"),
    (["--client-secret-file", "reader.secret", "--certificate-key", "vouched.key"], "--certificate-key has no effect"),
    (["--client-secret-file", "reader.secret", "--assertion-kid", "x"], "--assertion-kid has no effect here"),
    (["--client-secret-file", "reader.secret", "--assertion-key", "signer.pem"], "--client-secret-file has no effect"),
    (["--client-secret-file", "reader.secret", "--auth-method", "client_secret_jwt"], "32 bytes or more"),
    (
        [
            *("--client-secret-file", "sharer.secret", "--auth-method", "client_secret_jwt"),
            *("--assertion-algorithm", "RS256"),
        ],
        "a secret signs with HS256, HS384, HS512",
    ),
    (["--client-secret-file", "reader.secret", "--make-dpop-key"], "--dpop-key is missing"),
    (["--client-secret-file", "reader.secret", "--dpop-key", "reader.secret"], "reader.secret holds no private key"),
    (["--assertion-key", "reader.secret"], "--assertion-key: holds no private key"),
    (["--assertion-key", "signer.pem", "--assertion-algorithm", "PS256"], "signs with ES256, not with PS256"),
    (["--assertion-key", "signer.pem", "--assertion-certificate", "signer.pem"], "holds no certificate"),
    (["--certificate", "vouched.crt", "--certificate-key", "certified.key"], "--certificate-key: .*does not belong"),
    (["--certificate", "none.crt", "--certificate-key", "certified.key"], "--certificate: none.crt cannot be read"),
    (["--client-secret-file", "reader.secret", "--ca", "signer.pem"], "--ca: signer.pem holds no certificate"),
    (["--client-secret-file", "reader.secret", "--json", "--fields", "GET", "https://x"], "leave out --json"),
    (["--client-secret-file", "none"], "No such file"),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE)
def test_options_and_files_that_make_no_request_are_told_with_exit_code_2(
    folder: Path, arguments: list[str], words: str
) -> None:
    result = run("--token-endpoint", "http://127.0.0.1:1/t", "--client-id", "a", *arguments)
    told = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.search(words, told), told


def test_a_client_and_an_issuer_have_to_be_named(folder: Path) -> None:
    assert "Missing option '--client-id'" in run().stderr
    assert "Give --issuer, or --token-endpoint" in run(*READER).stderr


def test_with_an_endpoint_the_issuer_is_whom_the_assertion_is_for(threaded_peer: Peer, folder: Path) -> None:
    threaded_peer.tells("/t", {"access_token": "x", "token_type": "Bearer"})
    where = ["--token-endpoint", f"{threaded_peer.url}/t", "--issuer", "https://login.example"]
    result = run(*where, *METHODS["private_key_jwt"], "--audience", "api", "--resource", "https://r.example")
    assert (result.exit_code, result.stdout) == (0, "x\n")
    ((path, _, form),) = threaded_peer.seen
    signed = jose_jwt.decode(form["client_assertion"], ECKey.import_key(public("signer.pem")), algorithms=["ES256"])
    assert (path, signed.claims["aud"]) == ("/t", "https://login.example")
    assert (form["audience"], form["resource"]) == ("api", "https://r.example")


def cached(peer: Peer, *arguments: str) -> Result:
    return run("--token-endpoint", f"{peer.url}/t", *READER, "--cache-file", "tokens", *arguments)


def test_a_token_that_was_kept_is_used_again_for_the_same_request_alone(threaded_peer: Peer, folder: Path) -> None:
    for number in range(1, 6):
        threaded_peer.tells("/t", {"access_token": f"t{number}", "token_type": "Bearer", "expires_in": 3600})
    different = [[], ["--scope", "b a"], ["--resource", "https://r.example"], ["--audience", "api"]]
    assert [cached(threaded_peer, *arguments).stdout for arguments in different] == ["t1\n", "t2\n", "t3\n", "t4\n"]
    different[1] = ["--scope", "a", "--scope", "b", "--scope", "a"]
    assert [cached(threaded_peer, *arguments).stdout for arguments in different] == ["t1\n", "t2\n", "t3\n", "t4\n"]
    assert len(threaded_peer.seen) == 4
    assert stat.S_IMODE(Path("tokens").stat().st_mode) == 0o600
    kept = json.loads(cached(threaded_peer, "--json").stdout)
    assert (kept["access_token"], kept["token_type"]) == ("t1", "Bearer")
    assert 3500 < kept["expires_in"] <= 3600
    bound = cached(threaded_peer, "--dpop-key", "dpop.pem", "--make-dpop-key")
    assert bound.exit_code == 4, "a token of another kind must not come out of the file"


def test_a_token_that_expires_soon_is_not_used_again(threaded_peer: Peer, folder: Path) -> None:
    threaded_peer.tells("/t", {"access_token": "t1", "token_type": "Bearer", "expires_in": 10})
    threaded_peer.tells("/t", {"access_token": "t2", "token_type": "Bearer", "expires_in": 10})
    assert [cached(threaded_peer).stdout, cached(threaded_peer).stdout] == ["t1\n", "t2\n"]


def test_a_file_that_others_can_read_is_refused_before_anything_is_asked(threaded_peer: Peer, folder: Path) -> None:
    Path("tokens").write_text("")
    Path("tokens").chmod(0o644)
    result = cached(threaded_peer)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "tokens is open to others: chmod 600 tokens" in result.stderr
    assert threaded_peer.seen == []


def test_a_token_that_cannot_be_kept_is_printed_all_the_same(threaded_peer: Peer, folder: Path) -> None:
    threaded_peer.tells("/t", {"access_token": "t1", "token_type": "Bearer", "expires_in": 3600})
    result = run("--token-endpoint", f"{threaded_peer.url}/t", *READER, "--cache-file", "none/tokens")
    assert (result.exit_code, result.stdout) == (0, "t1\n")
    assert "could not be kept" in result.stderr
    assert "No such file" in result.stderr


def test_an_opaque_token_cannot_be_decoded(threaded_peer: Peer, folder: Path) -> None:
    threaded_peer.tells("/t", {"access_token": "opaque", "token_type": "Bearer"})
    result = run("--token-endpoint", f"{threaded_peer.url}/t", *READER, "--decode")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "opaque" in result.stderr
