"""The options of `scopegate token`, and the credentials that they make."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import click

from gateway.client import (
    CertificateShown,
    ClientAssertion,
    ClientCredentials,
    ClientSecretBasic,
    ClientSecretPost,
    InsecureAddress,
    TokenRequest,
    is_safe_url,
)
from gateway.client.assertions import SHARED_ALGORITHMS, SharedSecret
from gateway.client.authentication import METHODS, WITH_CERTIFICATE, WITH_SECRET, AuthenticationMethod
from gateway.client.client_keys import ALGORITHMS, ClientKey, certificate_members, make_key, read_key
from gateway.client.dpop_proof import DpopKey
from gateway.client.private_files import write_private
from gateway.client.secret_file import parse_secret
from gateway.tls import ClientFiles, TlsFileError, client_context

F = TypeVar("F", bound=Callable[..., Any])

_ANY_ALGORITHM: Final = (*ALGORITHMS, *SHARED_ALGORITHMS)


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """What the command was told."""

    issuer: str | None
    token_endpoint: str | None
    client_id: str
    auth_method: AuthenticationMethod | None
    client_secret_file: str | None = field(repr=False)
    assertion_key: bytes | None = field(repr=False)
    assertion_kid: str | None
    assertion_certificate: bytes | None
    assertion_algorithm: str | None
    assertion_audience: str
    certificate: Path | None
    certificate_key: Path | None
    ca: Path | None
    dpop_key: Path | None
    make_dpop_key: bool
    scopes: tuple[str, ...]
    resource: str | None
    audience: str | None
    cache_file: Path | None
    as_json: bool
    decoded: bool
    fields: tuple[str, str] | None

    @property
    def scope(self) -> str | None:
        """Space separated, each once; None for all."""
        return " ".join(dict.fromkeys(" ".join(self.scopes).split())) or None

    @property
    def method(self) -> AuthenticationMethod:
        """How the client authenticates: as told, else by what it has."""
        if self.auth_method is not None:
            return self.auth_method
        if self.assertion_key is not None:
            return "private_key_jwt"
        if self.client_secret_file is not None:
            return "client_secret_basic"
        if self.certificate is not None:
            return "tls_client_auth"
        raise click.UsageError(
            "Say how the client authenticates: --client-secret-file, --assertion-key or --certificate."
        )

    def request(self) -> TokenRequest:
        """What to ask for. Raises click.UsageError for options and files that make no request."""
        self._check()
        return TokenRequest(
            self._credentials(),
            scope=self.scope,
            resource=self.resource,
            audience=self.audience,
            dpop=self._dpop(),
            tls=self._tls(),
            shows_certificate=self.certificate is not None,
        )

    def _check(self) -> None:
        if self.issuer is None and self.token_endpoint is None:
            raise click.UsageError("Give --issuer, or --token-endpoint.")
        if self.fields is not None and (self.as_json or self.decoded):
            raise click.UsageError("--fields prints header fields: leave out --json and --decode.")
        given, needed, allowed = self._given(), self._needed(), self._allowed()
        for option in sorted(needed - given):
            raise click.UsageError(f"{option} is missing: {_why(option, self.method)}.")
        for option in sorted(given - allowed):
            raise click.UsageError(f"{option} has no effect here: leave it out, or choose another --auth-method.")

    def _given(self) -> set[str]:
        """Which of the options are given that only go with others."""
        options = {
            "--client-secret-file": self.client_secret_file,
            "--assertion-key": self.assertion_key,
            "--assertion-certificate": self.assertion_certificate,
            "--assertion-kid": self.assertion_kid,
            "--assertion-algorithm": self.assertion_algorithm,
            "--certificate": self.certificate,
            "--certificate-key": self.certificate_key,
            "--dpop-key": self.dpop_key,
        }
        return {option for option, value in options.items() if value is not None}

    def _needed(self) -> set[str]:
        needed = {"--client-secret-file"} if self.method in WITH_SECRET else set()
        if self.method == "private_key_jwt":
            needed.add("--assertion-key")
        if self.method in WITH_CERTIFICATE:
            needed.add("--certificate")
        if self.certificate is not None:
            needed.add("--certificate-key")
        return needed | {"--dpop-key"} if self.make_dpop_key else needed

    def _allowed(self) -> set[str]:
        """What is needed, and what may be there besides."""
        allowed = self._needed() | {"--certificate", "--dpop-key"}
        if self.method == "private_key_jwt":
            allowed.add("--assertion-certificate")
        if self.method.endswith("_jwt"):
            allowed |= {"--assertion-kid", "--assertion-algorithm"}
        return allowed

    def _credentials(self) -> ClientCredentials:
        secret, method = self.client_secret_file or "", self.method
        if method == "client_secret_basic":
            return ClientSecretBasic(self.client_id, secret)
        if method == "client_secret_post":
            return ClientSecretPost(self.client_id, secret)
        if method in WITH_CERTIFICATE:
            return CertificateShown(self.client_id)
        return ClientAssertion(self.client_id, self._assertion_key(secret), self.assertion_audience)

    def _assertion_key(self, secret: str) -> ClientKey | SharedSecret:
        algorithm, kid = self.assertion_algorithm, self.assertion_kid
        try:
            if self.method == "client_secret_jwt":
                return _shared_secret(secret, algorithm, kid)
            key = read_key(self.assertion_key or b"", algorithm, kid)
        except ValueError as error:
            raise click.UsageError(f"--assertion-key: {error}.") from None
        if self.assertion_certificate is None:
            return key
        try:
            return ClientKey(key.key, key.algorithm, {**key.named, **certificate_members(self.assertion_certificate)})
        except ValueError as error:
            raise click.UsageError(f"--assertion-certificate: {error}.") from None

    def _dpop(self) -> DpopKey | None:
        if self.dpop_key is None:
            return None
        try:
            if self.make_dpop_key and not self.dpop_key.exists():
                write_private(self.dpop_key, make_key())
            return DpopKey(read_key(self.dpop_key.read_bytes()))
        except OSError as error:
            raise click.UsageError(f"--dpop-key: {self.dpop_key}: {error.strerror}.") from None
        except ValueError as error:
            raise click.UsageError(f"--dpop-key: {self.dpop_key} {error}.") from None

    def _tls(self) -> ssl.SSLContext | None:
        if self.certificate is None and self.ca is None:
            return None
        try:
            return client_context(ClientFiles(self.ca, self.certificate, self.certificate_key))
        except TlsFileError as error:
            option = "--certificate-key" if error.key == "key" else f"--{error.key}"
            raise click.UsageError(f"{option}: {error.message}.") from None


def _shared_secret(secret: str, algorithm: str | None, kid: str | None) -> SharedSecret:
    algorithm = algorithm or "HS256"
    if algorithm not in SHARED_ALGORITHMS:
        raise click.UsageError(f"--assertion-algorithm: a secret signs with {', '.join(SHARED_ALGORITHMS)}.")
    try:
        return SharedSecret(secret, algorithm, {} if kid is None else {"kid": kid})
    except ValueError as error:
        raise click.UsageError(f"--client-secret-file: {error}.") from None


def _why(option: str, method: str) -> str:
    if option == "--certificate-key":
        return "the private key that belongs to --certificate"
    return "--make-dpop-key makes that file" if option == "--dpop-key" else f"{method} needs it"


def _secret(_ctx: click.Context, _param: click.Parameter, file: BinaryIO | None) -> str | None:
    try:
        return None if file is None else parse_secret(file.read())
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


def _content(_ctx: click.Context, _param: click.Parameter, file: BinaryIO | None) -> bytes | None:
    return None if file is None else file.read()


def _safe(_ctx: click.Context, _param: click.Parameter, url: str | None) -> str | None:
    if url is not None and not is_safe_url(url):
        raise click.BadParameter(InsecureAddress(url).detail)
    return url


_FILE: Final = click.Path(path_type=Path)
_OPTIONS: Final = (
    click.option("--issuer", metavar="URL", callback=_safe, help="The issuer; its endpoint is discovered."),
    click.option("--token-endpoint", metavar="URL", callback=_safe, help="The token endpoint, without discovery."),
    click.option("--client-id", required=True, help="The client that asks."),
    click.option(
        "--auth-method",
        type=click.Choice(METHODS),
        metavar="METHOD",
        help=f"How the client authenticates: {', '.join(METHODS)}. [default: by what is given: private_key_jwt, "
        "client_secret_basic or tls_client_auth]",
    ),
    click.option(
        "--client-secret-file",
        type=click.File("rb"),
        callback=_secret,
        help='The file that holds its secret; "-" is standard input.',
    ),
    click.option(
        "--assertion-key",
        metavar="FILE",
        type=click.File("rb"),
        callback=_content,
        help='The private key that signs a client assertion, as PEM or JWK; "-" is standard input.',
    ),
    click.option("--assertion-kid", metavar="KID", help="The key's name in the assertion (`kid`)."),
    click.option(
        "--assertion-certificate",
        metavar="FILE",
        type=click.File("rb"),
        callback=_content,
        help="The key's certificate, which the assertion then names (`x5t`, `x5t#S256`).",
    ),
    click.option(
        "--assertion-algorithm",
        type=click.Choice(_ANY_ALGORITHM),
        metavar="ALG",
        help="The assertion's algorithm. [default: RS256, EdDSA, HS256, or what the key's curve gives]",
    ),
    click.option(
        "--assertion-audience",
        metavar="AUD",
        default="issuer",
        show_default=True,
        help="Whom the assertion is for: `issuer` (the endpoint, if the issuer is not known), `token_endpoint`, or "
        "a text of your own.",
    ),
    click.option("--certificate", type=_FILE, help="A certificate to show in TLS, as PEM (RFC 8705)."),
    click.option("--certificate-key", type=_FILE, help="Its private key, as PEM."),
    click.option("--ca", type=_FILE, help="Authorities to trust, as PEM. [default: those of the system]"),
    click.option("--dpop-key", type=_FILE, help="The private key that the token is bound to (RFC 9449), PEM or JWK."),
    click.option("--make-dpop-key", is_flag=True, help="Make that file, readable by you alone, if it does not exist."),
    click.option(
        "--scope", "scopes", multiple=True, help="A scope; repeatable, or several with spaces. [default: all]"
    ),
    click.option("--resource", metavar="URL", help="The resource that the token is for (RFC 8707)."),
    click.option("--audience", help="The same for issuers that want `audience` in place of `resource`."),
    click.option("--cache-file", type=_FILE, help="Keep the token there, and use it again until it expires."),
    click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON."),
    click.option("--decode", "decoded", is_flag=True, help="Print the token's header and claims, not the token."),
    click.option(
        "--fields",
        nargs=2,
        metavar="METHOD URL",
        help="Print the header fields for one request, for `curl -H @-`: with --dpop-key, its proof, too.",
    ),
)


def token_options(command: F) -> F:
    """Give a command all of these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
