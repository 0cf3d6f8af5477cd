"""TLS of the authorization server, and clients that authenticate by their certificates (RFC 8705)."""

import asyncio
import base64
import datetime as dt
import hashlib
import ipaddress
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.client.assertions import ASSERTION_TYPE
from gateway.client.client_keys import certificate_members, read_key
from gateway.issuer.certificates import certificates_of_jwks, fits, read_certificate
from gateway.issuer.client_request import ClientRequest
from gateway.issuer.errors import TokenError
from gateway.issuer.form import Form
from gateway.issuer.peer_certificate import PeerCertificate
from gateway.issuer.running import RunningIssuer
from gateway.issuer.secrets import hash_secret
from gateway.issuer.settings import TlsClientAuthSettings

from .issuer_case import CHEAP, ISSUER, TEXT, Clock, settings

ENDPOINT = "/oauth2/v1/token"
TLS = "tls: {certificate: server.crt, key: server.key, client_ca: ca.pem, client_certificate: optional}\n"
OPERATOR = "type: trusted, roles: [operator]"
JOBS: dict[str, Any] = {"organization_name": "Example", "organization_unit_name": "Jobs"}
CLIENTS = f"""
  by-name: {{{OPERATOR}, tls_client_auth: {{subject_dn: "CN=batch,OU=Jobs,O=Example"}}}}
  by-dns: {{{OPERATOR}, tls_client_auth: {{san_dns: Batch.example}}}}
  by-own: {{{OPERATOR}, certificate: own.crt}}
  by-jwks: {{{OPERATOR}, jwks: JWKS}}
  by-secret: {{{OPERATOR}, secret: "{hash_secret("s", CHEAP)}", tls_client_certificate_bound_access_tokens: true}}
"""


@dataclass
class Identity:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())

    @property
    def thumbprint(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.der).digest()).rstrip(b"=").decode()


class Authority:
    """A certificate authority, and what else the tests need of certificates, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(folder / "ca.pem")
        self._write("server", self.ca.issue_cert("localhost"))

    def client(self, name: str, *names: str, ca: trustme.CA | None = None, **more: Any) -> Identity:
        return self._write(name, (ca or self.ca).issue_cert(*names, **more))

    def self_signed(
        self, name: str, subject: str = "CN=own", *, issuer: Identity | None = None, is_authority: bool = False
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        said = x509.Name.from_rfc4514_string(subject)
        signer, by = key, said
        if issuer is not None:
            loaded = serialization.load_pem_private_key(issuer.key.read_bytes(), None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            signer, by = loaded, x509.load_der_x509_certificate(issuer.der).subject
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder(by, said, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(signer, hashes.SHA256())
        )
        identity = Identity(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        identity.key.write_bytes(private)
        return identity

    def trusting(self, identity: Identity | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

    def _write(self, name: str, leaf: trustme.LeafCert) -> Identity:
        identity = Identity(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        identity.certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(identity.key)
        return identity


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def running(authority: Authority, clients: str = CLIENTS, tls: str = TLS) -> AsyncIterator[RunningIssuer]:
    own = authority.folder / "own.crt"
    if not own.exists():
        authority.self_signed("own", is_authority=True)
    shown = authority.self_signed("shown", "CN=shown")
    jwks = {"keys": [jwk_of(shown)]}
    text = TEXT.lstrip() + clients.replace("JWKS", json.dumps(jwks)) + tls
    made = settings(text)
    async with RunningIssuer(made, state=authority.folder / "issuer.db", base=authority.folder) as issuer:
        yield issuer


def server_chain(authority: Authority) -> str:
    return (authority.folder / "server.crt").read_text()


def jwk_of(identity: Identity) -> dict[str, Any]:
    """The public key as a JWK, with its certificate."""
    public = read_key(identity.key.read_bytes()).public_jwk
    return public | {"x5c": [base64.b64encode(identity.der).decode()]}


async def ask(
    issuer: RunningIssuer, context: ssl.SSLContext, client_id: str, **more: str
) -> tuple[int, dict[str, Any]]:
    data = {"grant_type": "client_credentials", "client_id": client_id} | more
    url = f"https://localhost:{issuer.address.port}{ENDPOINT}"
    async with aiohttp.ClientSession() as http, http.post(url, data=data, ssl=context) as answer:
        return answer.status, await answer.json()


def bound_to(answer: dict[str, Any]) -> object:
    return jwt.decode(answer["access_token"], options={"verify_signature": False}).get("cnf")


async def test_a_certificate_that_an_authority_vouches_for_authenticates_and_binds(authority: Authority) -> None:
    batch = authority.client("batch", common_name="batch", **JOBS)
    other = authority.client("other", common_name="other", **JOBS)
    async with running(authority) as issuer:
        status, answer = await ask(issuer, authority.trusting(batch), "by-name")
        assert (status, answer["token_type"]) == (200, "Bearer")
        assert bound_to(answer) == {"x5t#S256": batch.thumbprint}
        for context, client_id in (
            (authority.trusting(other), "by-name"),
            (authority.trusting(batch), "by-dns"),
            (authority.trusting(batch), "by-own"),
            (authority.trusting(batch), "nightly-batch"),
            (authority.trusting(batch), "nobody"),
        ):
            status, answer = await ask(issuer, context, client_id)
            assert (status, answer["error"]) == (400, "invalid_client")
            assert answer["error_description"] == "The client is unknown, or its certificate is another."
        status, answer = await ask(issuer, authority.trusting(), "by-name")
        assert (status, answer["error"]) == (400, "invalid_client")


async def test_a_name_in_the_certificate_authenticates(authority: Authority) -> None:
    batch = authority.client("batch", "batch.example")
    async with running(authority) as issuer:
        assert (await ask(issuer, authority.trusting(batch), "by-dns"))[0] == 200


async def test_a_certificate_authenticates_through_an_intermediate(authority: Authority) -> None:
    batch = authority.client("batch", "batch.example", ca=authority.ca.create_child_ca())
    async with running(authority) as issuer:
        assert (await ask(issuer, authority.trusting(batch), "by-dns"))[0] == 200


def ask_again(
    context: ssl.SSLContext, port: int, session: ssl.SSLSession | None
) -> tuple[bytes, ssl.SSLSession | None]:
    """The status of one request on a connection of its own, that offers to take up a session; and its session."""
    body = b"grant_type=client_credentials&client_id=by-dns"
    head = (
        f"POST {ENDPOINT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
    ):
        connection.sendall(head.encode() + body)
        return connection.recv(16), connection.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_that_takes_up_its_session_still_shows_who_vouches_for_it(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.trusting(authority.client("batch", "batch.example"))
    context.maximum_version = version
    async with running(authority) as issuer:
        session: ssl.SSLSession | None = None
        for _ in range(3):
            status, session = await asyncio.to_thread(ask_again, context, issuer.address.port, session)
            assert status.startswith(b"HTTP/1.1 200")


async def test_a_certificate_of_a_stranger_s_authority_gets_no_connection(authority: Authority) -> None:
    batch = authority.client("batch", "batch.example", ca=trustme.CA())
    async with running(authority) as issuer:
        with pytest.raises(aiohttp.ClientError):
            await ask(issuer, authority.trusting(batch), "by-dns")


@pytest.mark.parametrize("with_authority", [True, False])
async def test_a_certificate_of_the_client_s_own_authenticates(authority: Authority, *, with_authority: bool) -> None:
    own = authority.self_signed("own")
    clients, tls = CLIENTS, TLS
    if not with_authority:
        clients = "".join(line for line in CLIENTS.splitlines(keepends=True) if "tls_client_auth" not in line)
        tls = TLS.replace(" client_ca: ca.pem,", "")
    async with running(authority, clients, tls) as issuer:
        status, answer = await ask(issuer, authority.trusting(own), "by-own")
        assert (status, bound_to(answer)) == (200, {"x5t#S256": own.thumbprint})
        shown = Identity(authority.folder / "shown.crt", authority.folder / "shown.key")
        assert (await ask(issuer, authority.trusting(shown), "by-jwks"))[0] == 200
        assert (await ask(issuer, authority.trusting(shown), "by-own"))[0] == 400
        assert (await ask(issuer, authority.trusting(own), "by-jwks"))[0] == 400


async def test_a_client_s_own_certificate_vouches_for_nobody(authority: Authority) -> None:
    own = authority.self_signed("own", is_authority=True)
    forged = authority.self_signed("forged", "CN=batch,OU=Jobs,O=Example", issuer=own)
    async with running(authority) as issuer:
        status, answer = await ask(issuer, authority.trusting(forged), "by-name")
        assert (status, answer["error"]) == (400, "invalid_client")
        assert (await ask(issuer, authority.trusting(own), "by-own"))[0] == 200


async def test_certificates_are_guessed_no_faster_than_secrets(authority: Authority) -> None:
    other = authority.client("other", "other.example")
    async with running(authority) as issuer:
        answers = [await ask(issuer, authority.trusting(other), "by-dns") for _ in range(11)]
    assert [status for status, _ in answers] == [400] * 10 + [429]


async def test_a_secret_may_come_with_a_certificate_that_the_token_is_bound_to(authority: Authority) -> None:
    other = authority.client("other", "other.example")
    async with running(authority) as issuer:
        status, answer = await ask(issuer, authority.trusting(other), "by-secret", client_secret="s")
        assert (status, bound_to(answer)) == (200, {"x5t#S256": other.thumbprint})
        status, answer = await ask(issuer, authority.trusting(), "by-secret", client_secret="s")
        assert (status, answer["error"]) == (400, "invalid_request")
        assert "mutual TLS" in answer["error_description"]


async def test_with_a_certificate_a_client_still_has_to_say_who_it_is(authority: Authority) -> None:
    batch = authority.client("batch", "batch.example")
    async with running(authority) as issuer:
        status, answer = await ask(issuer, authority.trusting(batch), "")
        assert (status, answer["error"]) == (400, "invalid_client")
        assert "client_id" in answer["error_description"]


async def test_a_client_that_is_added_or_removed_brings_its_certificate_along(authority: Authority) -> None:
    own = authority.self_signed("own")
    without = CLIENTS.replace("by-own", "by-other").replace("certificate: own.crt", "jwks: {keys: []}")
    async with running(authority, without) as issuer:
        with pytest.raises(aiohttp.ClientError):
            await ask(issuer, authority.trusting(own), "by-own")
        before = issuer._settings
        issuer.adopt(settings(TEXT.lstrip() + CLIENTS.replace("JWKS", "{keys: []}") + TLS))
        assert (await ask(issuer, authority.trusting(own), "by-own"))[0] == 200
        issuer.adopt(before)
        with pytest.raises(aiohttp.ClientError):
            await ask(issuer, authority.trusting(own), "by-own")


async def test_a_new_certificate_of_the_server_is_taken_while_it_runs(authority: Authority) -> None:
    async with running(authority) as issuer:
        assert issuer._tls is not None
        before = ssl.PEM_cert_to_DER_cert(server_chain(authority))
        authority.client("server", "localhost")
        await issuer._tls.refresh()
        _, writer = await asyncio.open_connection(
            "localhost", issuer.address.port, ssl=authority.trusting(), server_hostname="localhost"
        )
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert shown == ssl.PEM_cert_to_DER_cert(server_chain(authority)) != before
        writer.close()
        await writer.wait_closed()


async def test_metadata_names_certificates_where_they_may_be_shown(authority: Authority) -> None:
    async with running(authority) as issuer, aiohttp.ClientSession() as http:
        url = f"https://localhost:{issuer.address.port}/.well-known/oauth-authorization-server"
        async with http.get(url, ssl=authority.trusting()) as answer:
            document = await answer.json()
    methods = document["token_endpoint_auth_methods_supported"]
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(methods)
    assert document["tls_client_certificate_bound_access_tokens"] is True
    assert "ES256" in document["dpop_signing_alg_values_supported"]


async def test_a_port_in_use_is_told_and_leaves_nothing_open(authority: Authority) -> None:
    async with running(authority) as first:
        busy = first._settings.model_copy(update={"listen": first.address})
        second = RunningIssuer(busy, state=authority.folder / "issuer.db", base=authority.folder)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert second._listening is None


async def test_a_client_that_speaks_no_tls_does_not_disturb_the_others(authority: Authority) -> None:
    async with running(authority) as issuer:
        reader, writer = await asyncio.open_connection("127.0.0.1", issuer.address.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in await reader.read()
        writer.close()
        async with aiohttp.ClientSession() as http:
            url = f"https://localhost:{issuer.address.port}/healthz"
            async with http.get(url, ssl=authority.trusting()) as answer:
                assert answer.status == 200


@pytest.mark.parametrize("anchor", [None, b"the client's own"])
async def test_a_forged_certificate_in_a_session_that_is_taken_up_is_refused(
    authority: Authority, anchor: bytes | None
) -> None:
    own = authority.self_signed("own", is_authority=True)
    forged = authority.self_signed("forged", "CN=batch,OU=Jobs,O=Example", issuer=own)
    async with running(authority) as issuer:
        assert issuer._server is not None
        form = Form({"grant_type": "client_credentials", "client_id": "by-name"})
        request = ClientRequest(form, certificate=PeerCertificate(forged.der, anchor))
        outcome = await issuer._server._authenticator.authenticate(request)
        assert isinstance(outcome, TokenError)


def san(*names: x509.GeneralName) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=batch,OU=Jobs,O=Example")
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


NAMES = san(
    x509.DNSName("batch.example"),
    x509.UniformResourceIdentifier("spiffe://example/batch"),
    x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
    x509.RFC822Name("batch@example.com"),
)


@pytest.mark.parametrize(
    ("der", "demand", "expected"),
    [
        (NAMES, {"subject_dn": "CN=batch,OU=Jobs,O=Example"}, True),
        (NAMES, {"subject_dn": "O=Example,OU=Jobs,CN=batch"}, False),
        (NAMES, {"subject_dn": "CN=batch,O=Example"}, False),
        (NAMES, {"san_dns": "BATCH.example"}, True),
        (NAMES, {"san_dns": "example"}, False),
        (NAMES, {"san_uri": "spiffe://example/batch"}, True),
        (NAMES, {"san_uri": "spiffe://example/"}, False),
        (NAMES, {"san_ip": "2001:0db8:0::1"}, True),
        (NAMES, {"san_ip": "192.0.2.1"}, False),
        (NAMES, {"san_email": "batch@example.com"}, True),
        (NAMES, {"san_email": "batch.example"}, False),
        (san(), {"san_dns": "batch.example"}, False),
        (b"no certificate", {"san_dns": "batch.example"}, False),
    ],
)
def test_a_certificate_fits_by_its_subject_or_one_of_its_names(
    der: bytes, demand: dict[str, str], *, expected: bool
) -> None:
    assert fits(der, TlsClientAuthSettings(**demand)) is expected


@pytest.mark.parametrize("jwks", [{}, {"keys": None}, {"keys": [1, {}, {"x5c": 1}, {"x5c": []}, {"x5c": ["!"]}]}])
def test_keys_without_certificates_have_none(jwks: dict[str, Any]) -> None:
    assert certificates_of_jwks(jwks) == frozenset()


async def test_an_assertion_names_its_certificate_by_thumbprint_or_alias(authority: Authority) -> None:
    own = authority.self_signed("own")
    prints = certificate_members(own.certificate.read_bytes())
    clients = CLIENTS.replace("certificate: own.crt", "certificate: own.crt, certificate_alias: own-2026")
    text = TEXT.lstrip() + clients.replace("JWKS", "{keys: []}") + TLS
    clock = Clock()
    clock.now = dt.datetime.now(dt.UTC).timestamp()
    key, made = read_key(own.key.read_bytes()), settings(text)
    async with RunningIssuer(made, clock=clock, state=authority.folder / "i.db", base=authority.folder) as issuer:
        for named, status in (
            ({"x5t": prints["x5t"]}, 200),
            ({"x5t#S256": prints["x5t#S256"]}, 200),
            ({**prints, "kid": "whatever"}, 200),
            ({"kid": "own-2026"}, 200),
            ({}, 200),
            ({"kid": "other"}, 400),
            ({"x5t": prints["x5t#S256"]}, 400),
            ({**prints, "x5t": "AAAA"}, 400),
        ):
            claims = {"iss": "by-own", "sub": "by-own", "aud": ISSUER, "jti": str(named), "exp": clock.now + 60}
            more = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": key.sign(named, claims)}
            assert (await ask(issuer, authority.trusting(), "by-own", **more))[0] == status, named
        clock.now += 2 * 86_400
        claims = {"iss": "by-own", "sub": "by-own", "aud": ISSUER, "jti": "late", "exp": clock.now + 60}
        more = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": key.sign({}, claims)}
        assert (await ask(issuer, authority.trusting(), "by-own", **more))[0] == 400


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("nothing", "no certificate in PEM form")],
)
def test_a_certificate_that_is_of_no_use_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "a.crt").write_text(content)
    with pytest.raises(ValueError, match=words):
        read_certificate(tmp_path / "a.crt", None)
