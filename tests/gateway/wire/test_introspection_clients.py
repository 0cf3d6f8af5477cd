"""The gateway asks about tokens as a client of the issuer, by each method of authentication (RFC 7591 §4.2)."""

import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.issuer.running import RunningIssuer
from gateway.issuer.secrets import ScryptCost, hash_secret
from gateway.issuer.settings import IssuerSettings, parse

from .asked import OPAQUE, SECRET, active, asking, http, says, tried
from .authorities import Authority, TlsUpstream
from .conftest import Start
from .gate import Gate
from .minting import AUDIENCE, ISSUER, NOW, ec_key, jwk
from .raw_client import request
from .raw_upstream import Play, RawUpstream, Visit, replies

CHEAP = ScryptCost(n=16, r=1, p=1)
SHARED = "a-secret-that-keys-an-hmac-with-32-bytes"
CLIENT: dict[str, Any] = {"type": "trusted", "introspect": True, "roles": []}
CLIENTS: dict[str, Any] = {
    "nightly-batch": {"type": "trusted", "roles": ["administrator"], "secret": hash_secret("batch", CHEAP)},
    "by-secret": CLIENT | {"secret": hash_secret(SECRET, CHEAP)},
    "by-hmac": CLIENT | {"shared_secret": SHARED},
    "by-key": CLIENT | {"jwks": {"keys": [jwk(ec_key(), kid="own")]}},
    "by-name": CLIENT | {"tls_client_auth": {"san_dns": "machine.example"}},
    "by-own": CLIENT | {"certificate": "own.crt"},
}
KEY = {"client_id": "by-key", "authentication": "private_key_jwt", "assertion_kid": "own"}
METHODS: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "client_secret_basic": ({"client_id": "by-secret", "client_secret": SECRET}, {"client_secret": "another"}),
    "client_secret_post": ({"client_id": "by-secret", "client_secret": SECRET}, {"client_secret": "another"}),
    "client_secret_jwt": ({"client_id": "by-hmac", "client_secret": SHARED}, {"client_secret": SHARED[::-1]}),
    "private_key_jwt": (KEY | {"assertion_key": "good.key"}, {"assertion_key": "other.key"}),
    "tls_client_auth": ({"client_id": "by-name", "shows": "machine"}, {"shows": "stranger"}),
    "self_signed_tls_client_auth": ({"client_id": "by-own", "shows": "own"}, {"shows": "stranger"}),
}
"""For each the client's section in the gateway's file, and what makes it another's; `shows` names a certificate."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """With all the certificates and keys that the clients may have."""
    authority = Authority(tmp_path)
    authority.issue("server")
    authority.issue("machine", "machine.example")
    authority.issue("stranger", "stranger.example")
    own = trustme.CA()
    own.cert_pem.write_to_path(tmp_path / "own.crt")
    own.private_key_pem.write_to_path(tmp_path / "own.key")
    for name, key in (("good", ec_key()), ("other", ec.generate_private_key(ec.SECP256R1()))):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.key").write_bytes(pem)
    return authority


@pytest.fixture
async def embedded(authority: Authority) -> AsyncIterator[str]:
    """An issuer of opaque tokens that speaks TLS; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    tls = {"certificate": "server.crt", "key": "server.key", "client_ca": "ca.pem", "client_certificate": "optional"}
    document = {
        "listen": address,
        "issuer": f"https://{address}",
        "state": str(authority.folder / "issuer.db"),
        "token_format": "opaque",
        "tls": tls,
        "resources": {AUDIENCE: {"admin": "Everything"}},
        "roles": {"administrator": ["admin"]},
        "clients": CLIENTS,
    }
    settings = parse(json.dumps(document), "issuer.yaml", {})
    assert isinstance(settings, IssuerSettings), settings
    async with RunningIssuer(settings, base=authority.folder):
        yield f"https://{address}"


async def issued(issuer: str, authority: Authority) -> str:
    """A token for the nightly batch."""
    form = {"grant_type": "client_credentials", "scope": "admin"}
    credentials = {"Authorization": aiohttp.encode_basic_auth("nightly-batch", "batch")}
    async with (
        aiohttp.ClientSession(headers=credentials) as session,
        session.post(f"{issuer}/oauth2/v1/token", data=form, ssl=authority.trusting()) as answer,
    ):
        return str((await answer.json())["access_token"])


def own(method: str, issuer: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """The gateway's credentials."""
    shown = section.get("shows")
    pair = {} if shown is None else {"certificate": f"{shown}.crt", "key": f"{shown}.key"}
    rest = {name: value for name, value in section.items() if name != "shows"}
    return {"authentication": method, "issuer": issuer, "tls": {"ca": "ca.pem"} | pair} | rest


async def asks(
    start: Start, issuer: str, credentials: dict[str, Any], clock: Callable[[], float] | None = None
) -> Gate:
    """A gateway whose clock is a test's, unless it is told another."""
    introspection = {"credentials": "own", "jwt_tokens": "refuse"}
    trusted = {"issuer": issuer, "jwks_file": None, "revocations": "off", "introspection": introspection}
    return await start(issuer=trusted, credentials={"own": credentials}, clock=clock)


@pytest.mark.parametrize("method", METHODS)
async def test_the_embedded_issuer_answers_each_method(
    start: Start, authority: Authority, embedded: str, method: str
) -> None:
    gate = await asks(start, embedded, own(method, embedded, METHODS[method][0]), time.time)
    gate.secrets += [SECRET, SHARED]
    bearer = gate.bearer(await issued(embedded, authority))
    assert (await gate.ask(request("GET /admin/x", bearer))).status == 200
    assert gate.upstream.last.fields("X-Client-Id") == ["nightly-batch"]
    assert (await gate.status())["issuers"][0]["introspection"]["failed"] == 0


@pytest.mark.parametrize("method", METHODS)
async def test_who_cannot_authenticate_is_told_nothing_and_the_client_gets_503(
    start: Start, authority: Authority, embedded: str, method: str
) -> None:
    good, change = METHODS[method]
    gate = await asks(start, embedded, own(method, embedded, {**good, **change}), time.time)
    answer = await gate.ask(request("GET /admin/x", gate.bearer(await issued(embedded, authority))))
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "introspection_unavailable")
    assert not gate.upstream.visits
    told = (await gate.status())["issuers"][0]["introspection"]["error"]
    status = 401 if method == "client_secret_basic" else 400
    assert told == f"it does not take the gateway's own credentials ({status})"


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        ("client_secret_basic", set()),
        ("client_secret_post", {"client_id", "client_secret"}),
        ("client_secret_jwt", {"client_id", "client_assertion", "client_assertion_type"}),
        ("private_key_jwt", {"client_id", "client_assertion", "client_assertion_type"}),
    ],
)
@pytest.mark.usefixtures("authority")
async def test_the_question_has_what_the_method_says_and_nothing_else(
    start: Start, method: str, sent: set[str]
) -> None:
    async with RawUpstream(says()) as issuer:
        section = own(method, ISSUER, METHODS[method][0])
        gate = await start(**asking(issuer) | {"credentials": {"own": section}})
        assert [(await tried(gate, token)).status for token in (OPAQUE, "another-token")] == [200, 200]
        forms = [parse_qs(visit.body.decode()) for visit in issuer.visits]
        assert [bool(visit.fields("Authorization")) for visit in issuer.visits] == [not sent] * 2
        assert [set(form) - {"token", "token_type_hint"} for form in forms] == [sent] * 2
        if "client_assertion" in sent:
            first, second = (read_assertion(form["client_assertion"][0]) for form in forms)
            assert (first["iss"], first["sub"], first["aud"]) == (section["client_id"], section["client_id"], ISSUER)
            assert first["exp"] - NOW <= 60
            assert first["jti"] != second["jti"]


def read_assertion(text: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(text, options={"verify_signature": False})
    return claims


def answers(metadata: Mapping[str, Any]) -> Play:
    """Metadata to those who look for them, and to others that a token is active."""

    async def play(visit: Visit) -> None:
        wants_metadata = visit.line.startswith(b"GET /.well-known/")
        await replies(http(metadata if wants_metadata else active(iss=metadata["issuer"])))(visit)

    return play


@pytest.mark.parametrize(
    ("method", "at_alias"),
    [("tls_client_auth", True), ("self_signed_tls_client_auth", True), ("client_secret_basic", False)],
)
async def test_who_shows_a_certificate_asks_at_the_alias_that_the_metadata_name(
    start: Start, authority: Authority, method: str, *, at_alias: bool
) -> None:
    pair = {"certificate": "server.crt", "key": "server.key"}
    asks_for_certificates = authority.serving(pair)
    asks_for_certificates.verify_mode = ssl.CERT_REQUIRED
    asks_for_certificates.load_verify_locations(authority.file)
    asks_for_certificates.load_verify_locations(authority.folder / "own.crt")
    async with TlsUpstream(tls=authority.serving(pair)) as usual, TlsUpstream(tls=asks_for_certificates) as alias:
        url = f"https://127.0.0.1:{usual.port}"
        aliases = {"introspection_endpoint": f"https://127.0.0.1:{alias.port}/introspect"}
        metadata = {"issuer": url, "introspection_endpoint": f"{url}/introspect", "mtls_endpoint_aliases": aliases}
        usual.play = alias.play = answers(metadata)
        gate = await asks(start, url, own(method, url, METHODS[method][0]))
        assert (await tried(gate)).status == 200
        asked = alias if at_alias else usual
        assert asked.last.line == b"POST /introspect HTTP/1.1"
        assert (len(usual.visits), len(alias.visits)) == ((1, 1) if at_alias else (2, 0))
        if at_alias:
            shown = authority.folder / f"{METHODS[method][0]['shows']}.crt"
            assert alias.certificates == [ssl.PEM_cert_to_DER_cert(shown.read_text())]
            assert parse_qs(alias.last.body.decode()).keys() == {"token", "token_type_hint", "client_id"}
            assert alias.last.fields("Authorization") == []
