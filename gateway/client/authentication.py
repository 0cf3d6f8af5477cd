"""How a client proves to the token endpoint who it is, by the names of IANA's registry (RFC 7591 §4.2)."""

import base64
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias
from urllib.parse import quote_plus

from gateway.client.assertions import ASSERTION_TYPE, SharedSecret, assertion
from gateway.client.client_keys import ClientKey

AuthenticationMethod: TypeAlias = Literal[
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
]
WITH_SECRET: Final = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
WITH_CERTIFICATE: Final = ("tls_client_auth", "self_signed_tls_client_auth")
METHODS: Final[tuple[AuthenticationMethod, ...]] = (
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
)


class TokenEndpoint(NamedTuple):
    """Where a token is asked for: its URL, and its issuer's name where that is known."""

    url: str
    issuer: str | None = None


class Presented(NamedTuple):
    """What goes into a request so that it authenticates."""

    headers: dict[str, str]
    parameters: dict[str, str]


class ClientCredentials(Protocol):
    """A client, and how it authenticates."""

    @property
    def client_id(self) -> str:
        """Who it is."""

    def present(self, endpoint: TokenEndpoint, now: float) -> Presented:
        """What authenticates one request; `now` in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ClientSecretBasic:
    """The secret in HTTP Basic, form-urlencoded as RFC 6749 §2.3.1 has it."""

    client_id: str
    secret: str = field(repr=False)

    def present(self, endpoint: TokenEndpoint, now: float) -> Presented:
        """See ClientCredentials."""
        del endpoint, now
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
        return Presented({"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, {})


@dataclass(frozen=True, slots=True)
class ClientSecretPost:
    """The secret in the body."""

    client_id: str
    secret: str = field(repr=False)

    def present(self, endpoint: TokenEndpoint, now: float) -> Presented:
        """See ClientCredentials."""
        del endpoint, now
        return Presented({}, {"client_id": self.client_id, "client_secret": self.secret})


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """A signed JWT: private_key_jwt with a key of the client's own, client_secret_jwt with its secret.

    Attributes:
        client_id: `iss` and `sub`.
        key: signs.
        audience: what `aud` is: "issuer" (the token endpoint's URL where no issuer is known), "token_endpoint", or
            a text of its own.
    """

    client_id: str
    key: ClientKey | SharedSecret
    audience: str = "issuer"

    def present(self, endpoint: TokenEndpoint, now: float) -> Presented:
        """See ClientCredentials."""
        named = {"issuer": endpoint.issuer or endpoint.url, "token_endpoint": endpoint.url}
        signed = assertion(self.client_id, named.get(self.audience, self.audience), self.key, now)
        parameters = {
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": signed,
        }
        return Presented({}, parameters)


@dataclass(frozen=True, slots=True)
class CertificateShown:
    """The certificate of the TLS connection authenticates; the request only names the client (RFC 8705 §2)."""

    client_id: str

    def present(self, endpoint: TokenEndpoint, now: float) -> Presented:
        """See ClientCredentials."""
        del endpoint, now
        return Presented({}, {"client_id": self.client_id})
