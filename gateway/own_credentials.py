"""The gateway's own credentials: a client that it is towards an issuer, as a source of tokens."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from gateway.client import (
    CertificateShown,
    ClientAssertion,
    ClientCredentials,
    ClientSecretBasic,
    ClientSecretPost,
    TokenClient,
    TokenRequest,
    TokenSource,
)
from gateway.client.assertions import SharedSecret
from gateway.client.authentication import AuthenticationMethod
from gateway.client.client_keys import ClientKey, certificate_members, read_key
from gateway.client.introspection_request import Questioner
from gateway.tls import ClientFiles, TlsFileError, client_context


class CredentialsError(Exception):
    """A file or a secret is of no use.

    Attributes:
        key: of the section `credentials.NAME`, dotted.
        message: what is wrong with it.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


@dataclass(frozen=True, slots=True)
class AssertionSettings:
    """How a client signs its assertions.

    Attributes:
        key: file with the private key; None where the secret signs.
        kid: the key's name.
        certificate: file with the key's certificate, which is then named, too.
        algorithm: by default what the key gives.
        audience: issuer, token_endpoint, or a text.
    """

    key: Path | None = None
    kid: str | None = None
    certificate: Path | None = None
    algorithm: str | None = None
    audience: str = "issuer"


@dataclass(frozen=True, slots=True)
class CredentialsSettings:
    """A client, and what it asks for.

    Attributes:
        name: its key in the configuration.
        client_id: as the issuer knows it.
        issuer: whose endpoint is found by discovery, unless it is given.
        token_endpoint: where tokens are asked for.
        authentication: how the client authenticates (RFC 7591 §4.2).
        secret: for the methods that need one.
        assertion: for the methods that sign.
        tls: files for TLS towards the issuer; None where nothing is said of it.
        scope: space separated, None for all that the client may have.
        resource: RFC 8707.
        audience: what some issuers take in place of `resource`.
        timeout: seconds for a token.
    """

    name: str
    client_id: str
    issuer: str | None = None
    token_endpoint: str | None = None
    authentication: AuthenticationMethod = "client_secret_basic"
    secret: str = field(default="", repr=False)
    assertion: AssertionSettings = AssertionSettings()
    tls: ClientFiles | None = None
    scope: str | None = None
    resource: str | None = None
    audience: str | None = None
    timeout: float = 5.0


def token_source(settings: CredentialsSettings, http: aiohttp.ClientSession, clock: Callable[[], float]) -> TokenSource:
    """What keeps a token of the client at hand, once started.

    Raises:
        CredentialsError: a file or the secret can't be used.
    """
    issuer, endpoint = settings.issuer, settings.token_endpoint
    client = TokenClient(http, token_request(settings), clock, issuer=issuer, token_endpoint=endpoint)
    return TokenSource(settings.name, client.obtain, timeout=settings.timeout, clock=clock)


def questioner(settings: CredentialsSettings, token: TokenSource | None) -> Questioner:
    """The client as one that asks about tokens, by a token of its own where there is one.

    Raises:
        CredentialsError: a file or the secret can't be used.
    """
    return Questioner(
        client=_credentials(settings) if token is None else None,
        token=token,
        tls=_tls(settings.tls),
        shows_certificate=settings.tls is not None and settings.tls.certificate is not None,
    )


def token_request(settings: CredentialsSettings) -> TokenRequest:
    """What is asked for.

    Raises:
        CredentialsError: a file or the secret can't be used.
    """
    return TokenRequest(
        _credentials(settings),
        scope=settings.scope,
        resource=settings.resource,
        audience=settings.audience,
        tls=_tls(settings.tls),
        shows_certificate=settings.tls is not None and settings.tls.certificate is not None,
        seconds=settings.timeout,
    )


def _credentials(settings: CredentialsSettings) -> ClientCredentials:
    client_id, assertion = settings.client_id, settings.assertion
    match settings.authentication:
        case "client_secret_basic":
            return ClientSecretBasic(client_id, settings.secret)
        case "client_secret_post":
            return ClientSecretPost(client_id, settings.secret)
        case "tls_client_auth" | "self_signed_tls_client_auth":
            return CertificateShown(client_id)
        case "client_secret_jwt":
            return ClientAssertion(client_id, _shared_secret(settings.secret, assertion), assertion.audience)
        case "private_key_jwt":
            return ClientAssertion(client_id, _private_key(assertion), assertion.audience)


def _shared_secret(secret: str, assertion: AssertionSettings) -> SharedSecret:
    algorithm = assertion.algorithm or "HS256"
    if not algorithm.startswith("HS"):
        raise CredentialsError("assertion_algorithm", f"a secret signs with HS256, HS384 or HS512, not {algorithm}")
    try:
        return SharedSecret(secret, algorithm, {} if assertion.kid is None else {"kid": assertion.kid})
    except ValueError as error:
        raise CredentialsError("client_secret", str(error)) from error


def _private_key(assertion: AssertionSettings) -> ClientKey:
    raw = _read("assertion_key", assertion.key or Path())
    try:
        key = read_key(raw, assertion.algorithm, assertion.kid)
    except ValueError as error:
        raise CredentialsError("assertion_key", f"{assertion.key} {error}") from error
    if assertion.certificate is None:
        return key
    pem = _read("assertion_certificate", assertion.certificate)
    try:
        return ClientKey(key.key, key.algorithm, {**key.named, **certificate_members(pem)})
    except ValueError as error:
        raise CredentialsError("assertion_certificate", f"{assertion.certificate} {error}") from error


def _tls(files: ClientFiles | None) -> ssl.SSLContext | None:
    try:
        return None if files is None else client_context(files)
    except TlsFileError as error:
        raise CredentialsError(f"tls.{error.key}", error.message) from error


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(key, f"{path} cannot be read: {error.strerror}") from error
