"""Client authentication (RFC 6749 §2.3): who sent this request?

    presented         what does the request use?                           pure
    client_secrets    client_secret_basic, client_secret_post              scrypt, in a thread
    assertion         client_secret_jwt, private_key_jwt: is it for us, now?  pure
    assertion_keys    ... and is it signed by the client?                  may fetch the client's keys
    used_assertions   ... and new?                                         the state
    certificates      tls_client_auth, self_signed_tls_client_auth         pure

The throttle is before all of them.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.client.authentication import AuthenticationMethod
from gateway.issuer.assertion import AssertionRules, ClientAssertion, read_assertion
from gateway.issuer.assertion_keys import RegisteredKeys, register
from gateway.issuer.certificates import fits, is_issued_by
from gateway.issuer.client_request import ClientRequest
from gateway.issuer.client_secrets import ClientSecrets, SecretMemory
from gateway.issuer.errors import StateError, TokenError, TokenErrorCode
from gateway.issuer.metadata import TOKEN_PATH
from gateway.issuer.peer_certificate import PeerCertificate
from gateway.issuer.presented import PresentedAssertion, PresentedCertificate, PresentedSecret, read_presented
from gateway.issuer.remote_keys import KeyFetcher, RemoteKeySet
from gateway.issuer.settings import ClientSettings, IssuerSettings
from gateway.issuer.throttle import Attempt, Throttle
from gateway.issuer.used_assertions import UsedAssertions
from gateway.tokens.replay import Admission, ReplayStore

_NOTHING = RegisteredKeys()
_FULL_SECONDS = 60
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client that proved who it is: to hold one means that verification passed.

    Attributes:
        method: how, by the name in IANA's registry.
        certificate_thumbprint: SHA-256 of the certificate that it showed in mutual TLS, whatever the method
            (`x5t#S256`); None where it showed none.
    """

    client_id: str
    settings: ClientSettings
    method: AuthenticationMethod
    certificate_thumbprint: str | None = None


class AuthenticationMemory:
    """What is known of clients beyond their settings, and so outlives them. Close it when done.

    Args:
        clock: seconds since the epoch.
        used: assertions that were used.
        authorities: the certificates, as DER, of those who vouch for clients' certificates at the moment.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        used: UsedAssertions,
        authorities: Callable[[], frozenset[bytes]] = frozenset,
    ) -> None:
        self.clock = clock
        self.used = used
        self.authorities = authorities
        self.secrets = SecretMemory(clock)
        self.throttle = Throttle(clock)
        self.proofs = ReplayStore(clock)
        self._fetcher = KeyFetcher()
        self._remote: dict[str, RemoteKeySet] = {}

    def remote(self, uri: str) -> RemoteKeySet:
        """The keys at an address: the same ones for all settings that name it."""
        return self._remote.setdefault(uri, RemoteKeySet(uri, self._fetcher, self.clock))

    async def close(self) -> None:
        """Fetch no more keys. May be called twice."""
        await self._fetcher.close()


class ClientAuthenticator:
    """Finds out which client sent a request, and refuses guesses; `base` is the folder of issuer.yaml."""

    def __init__(self, settings: IssuerSettings, memory: AuthenticationMemory, base: Path = Path()) -> None:
        self._clients = settings.clients
        self._memory = memory
        self._secrets = ClientSecrets(settings.clients, memory.secrets)
        self._keys = register(settings.clients, base, memory.remote)
        strict = settings.assertion_audience == "strict"
        self._rules = AssertionRules(settings.issuer, settings.issuer.rstrip("/") + TOKEN_PATH, strict)

    @property
    def own_certificates(self) -> frozenset[bytes]:
        """All certificates, as DER, that clients may show though nobody vouches for them."""
        return frozenset().union(*(keys.own_certificates for keys in self._keys.values()))

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient | TokenError:
        """Authenticate the client that sent a request."""
        presented = read_presented(request)
        named = request.form.get("client_id")
        if self._is_mobile(named):
            return _mobile()
        match presented:
            case TokenError():
                return presented
            case PresentedSecret():
                return await self._by_secret(presented, request)
            case PresentedAssertion():
                return await self._by_assertion(presented, request)
            case PresentedCertificate():
                return self._by_certificate(presented, request)

    async def _by_secret(self, presented: PresentedSecret, request: ClientRequest) -> AuthenticatedClient | TokenError:
        challenge = presented.method == "client_secret_basic"
        attempt = self._attempt({reading.client_id for reading in presented.readings}, request)
        if all(self._is_mobile(client_id) for client_id in attempt.client_ids):
            return _mobile()
        seconds = attempt.retry_after()
        found = await self._secrets.verify(presented.readings, attempt) if seconds is None else seconds
        if isinstance(found, int):
            return _too_many(found, challenge=challenge)
        if found is None:
            return _invalid_client("The client is unknown, or its secret is wrong.", challenge=challenge)
        return self._authenticated(found.client_id, presented.method, request)

    async def _by_assertion(
        self, presented: PresentedAssertion, request: ClientRequest
    ) -> AuthenticatedClient | TokenError:
        assertion = read_assertion(presented.assertion, self._rules, self._memory.clock())
        if isinstance(assertion, str):
            return _invalid_client(f"The client_assertion {assertion}.")
        if presented.client_id not in {None, assertion.client_id}:
            return _invalid_client("The client_assertion is of another client than the client_id.")
        if self._is_mobile(assertion.client_id):
            return _mobile()
        attempt = self._attempt({assertion.client_id}, request)
        if (seconds := attempt.retry_after()) is not None:
            return _too_many(seconds)
        keys = self._keys.get(assertion.client_id, _NOTHING)
        method = await keys.verify(assertion, self._memory.clock())
        if method is None:
            attempt.failed()
            return _invalid_client(
                "The client is unknown, or its client_assertion is not signed with a key of its own."
            )
        return await self._use(assertion) or self._authenticated(assertion.client_id, method, request)

    async def _use(self, assertion: ClientAssertion) -> TokenError | None:
        """Note that the assertion is used; or refuse it, if it is not new."""
        try:
            admission = await asyncio.to_thread(
                self._memory.used.use, assertion.client_id, assertion.jti, assertion.expires_at
            )
        except StateError as error:
            _log.error("assertions cannot be taken: %s", error)
            return TokenError(TokenErrorCode.TEMPORARILY_UNAVAILABLE, "The server has a fault: try again later.")
        match admission:
            case Admission.REPLAYED:
                return _invalid_client("The client_assertion was used before (jti): make one for each request.")
            case Admission.FULL:
                _log.error("no more assertions are taken: too many were used and have not expired")
                return TokenError(
                    TokenErrorCode.INVALID_CLIENT,
                    "Too many assertions are in use: try again later, with assertions of a shorter life.",
                    retry_after=_FULL_SECONDS,
                )
            case Admission.NEW:
                return None

    def _by_certificate(
        self, presented: PresentedCertificate, request: ClientRequest
    ) -> AuthenticatedClient | TokenError:
        attempt = self._attempt({presented.client_id}, request)
        if (seconds := attempt.retry_after()) is not None:
            return _too_many(seconds)
        method = self._certificate_method(presented.client_id, presented.certificate)
        if method is None:
            attempt.failed()
            return _invalid_client("The client is unknown, or its certificate is another.")
        return self._authenticated(presented.client_id, method, request)

    def _certificate_method(self, client_id: str, certificate: PeerCertificate) -> AuthenticationMethod | None:
        client = self._clients.get(client_id)
        if client is None:
            return None
        if client.tls_client_auth is None:
            is_own = certificate.der in self._keys[client_id].own_certificates
            return "self_signed_tls_client_auth" if is_own else None
        is_right = fits(certificate.der, client.tls_client_auth) and self._is_vouched_for(certificate)
        return "tls_client_auth" if is_right else None

    def _is_vouched_for(self, certificate: PeerCertificate) -> bool:
        """Whether an authority vouches for it.

        The handshake says no more than that someone does: a client's own certificate is trusted there, too, and may be
        fit to issue others.
        """
        authorities = self._memory.authorities()
        if certificate.anchor is None:
            return is_issued_by(certificate.der, authorities)
        return certificate.anchor in authorities

    def _attempt(self, client_ids: set[str], request: ClientRequest) -> Attempt:
        return Attempt(self._memory.throttle, frozenset(client_ids), request.address)

    def _authenticated(
        self, client_id: str, method: AuthenticationMethod, request: ClientRequest
    ) -> AuthenticatedClient:
        thumbprint = None if request.certificate is None else request.certificate.thumbprint
        return AuthenticatedClient(client_id, self._clients[client_id], method, thumbprint)

    def _is_mobile(self, client_id: str | None) -> bool:
        """Such a client has no secret, so its id is no secret either, and it may be told why it is refused."""
        client = self._clients.get(client_id or "")
        return client is not None and client.type == "mobile"


def _mobile() -> TokenError:
    return TokenError(
        TokenErrorCode.UNAUTHORIZED_CLIENT,
        "A mobile or browser application has no secret and cannot use client_credentials: use a trusted application.",
    )


def _invalid_client(description: str, *, challenge: bool = False) -> TokenError:
    return TokenError(TokenErrorCode.INVALID_CLIENT, description, challenge=challenge)


def _too_many(seconds: int, *, challenge: bool = False) -> TokenError:
    return TokenError(
        TokenErrorCode.INVALID_CLIENT,
        f"Too many failed attempts: try again in {seconds} s.",
        challenge=challenge,
        retry_after=seconds,
    )
