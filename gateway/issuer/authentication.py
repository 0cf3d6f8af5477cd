"""Client authentication at the token endpoint (RFC 6749 §2.3): HTTP Basic."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.issuer.basic import Credentials, read_basic
from gateway.issuer.errors import TokenError, TokenErrorCode
from gateway.issuer.form import Form
from gateway.issuer.secrets import RememberedSecrets, decoy_hash, verify_secret
from gateway.issuer.settings import ClientSettings
from gateway.issuer.throttle import Throttle

_SCRYPTS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client that proved who it is: to hold one means that verification passed."""

    client_id: str
    settings: ClientSettings


class AuthenticationMemory:
    """What is known of clients beyond their settings, and so outlives them: verified secrets, and failures."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.remembered = RememberedSecrets(clock)
        self.throttle = Throttle(clock)
        self.slots = asyncio.Semaphore(_SCRYPTS_AT_ONCE)


class ClientAuthenticator:
    """Finds out which client sent a request, and refuses guesses."""

    def __init__(self, clients: Mapping[str, ClientSettings], memory: AuthenticationMemory) -> None:
        self._clients = clients
        self._hashes = {client_id: client.secret for client_id, client in clients.items() if client.secret is not None}
        self._decoy = decoy_hash(self._hashes.values())
        self._remembered = memory.remembered
        self._throttle = memory.throttle
        self._slots = memory.slots

    async def authenticate(
        self, authorizations: Sequence[str], form: Form, address: str
    ) -> AuthenticatedClient | TokenError:
        """Authenticate the client. `authorizations` are all values of that field; `address` is the peer's."""
        readings = self._presented(authorizations, form)
        if isinstance(readings, TokenError):
            return readings
        client_ids = {reading.client_id for reading in readings}
        if all(self._is_mobile(client_id) for client_id in client_ids):
            return _mobile()
        named = form.get("client_id")
        if named is not None and named not in client_ids:
            return _invalid_request("The client_id of the body is another than that of the Authorization field.")
        return await self._verify(readings, client_ids, address)

    def _presented(self, authorizations: Sequence[str], form: Form) -> tuple[Credentials, ...] | TokenError:
        """The readings of the one authentication method that the request uses."""
        in_body = [name for name in ("client_secret", "client_assertion") if form.get(name) is not None]
        if len(authorizations) + len(in_body) > 1:
            return _invalid_request("More than one way of client authentication is used: use one.")
        if authorizations:
            readings = read_basic(authorizations[0])
            return _invalid_client(readings) if isinstance(readings, str) else readings
        if in_body:
            return TokenError(
                TokenErrorCode.INVALID_CLIENT,
                f"The parameter {in_body[0]} is not accepted here: send id and secret with HTTP Basic.",
            )
        if self._is_mobile(form.get("client_id")):
            return _mobile()
        return TokenError(
            TokenErrorCode.INVALID_CLIENT, "Client authentication is missing: send id and secret with HTTP Basic."
        )

    async def _verify(
        self, readings: Sequence[Credentials], client_ids: set[str], address: str
    ) -> AuthenticatedClient | TokenError:
        """Verify the secret, unless too many were wrong.

        The throttle comes before the remembered secrets, or it would not bound guesses at those; and once more
        after the wait for a slot, or guesses sent at the same time would not bound each other.
        """
        if (seconds := self._throttle.retry_after(client_ids, address)) is not None:
            return _too_many(seconds)
        for reading in readings:
            if self._remembered.knows(reading.secret, self._hash(reading)):
                return self._authenticated(reading)
        async with self._slots:
            if (seconds := self._throttle.retry_after(client_ids, address)) is not None:
                return _too_many(seconds)
            for reading in readings:
                if await asyncio.to_thread(verify_secret, reading.secret, self._hash(reading)):
                    self._remembered.remember(reading.secret, self._hash(reading))
                    return self._authenticated(reading)
            self._throttle.failed(client_ids, address)
        return _invalid_client("The client is unknown, or its secret is wrong.")

    def _hash(self, reading: Credentials) -> str:
        return self._hashes.get(reading.client_id, self._decoy)

    def _authenticated(self, reading: Credentials) -> AuthenticatedClient:
        return AuthenticatedClient(reading.client_id, self._clients[reading.client_id])

    def _is_mobile(self, client_id: str | None) -> bool:
        """Such a client has no secret, so its id is no secret either, and it may be told why it is refused."""
        client = self._clients.get(client_id or "")
        return client is not None and client.type == "mobile"


def _mobile() -> TokenError:
    return TokenError(
        TokenErrorCode.UNAUTHORIZED_CLIENT,
        "A mobile or browser application has no secret and cannot use client_credentials: use a trusted application.",
    )


def _invalid_request(description: str) -> TokenError:
    return TokenError(TokenErrorCode.INVALID_REQUEST, description)


def _invalid_client(description: str) -> TokenError:
    return TokenError(TokenErrorCode.INVALID_CLIENT, description, challenge=True)


def _too_many(seconds: int) -> TokenError:
    return TokenError(
        TokenErrorCode.INVALID_CLIENT,
        f"Too many failed attempts: try again in {seconds} s.",
        challenge=True,
        retry_after=seconds,
    )
