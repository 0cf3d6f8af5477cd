"""What clients' assertions are verified by: registered keys, keys at an address, a certificate, a shared secret."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from jwt.algorithms import get_default_algorithms

from gateway.client.assertions import SHARED_ALGORITHMS
from gateway.issuer.assertion import ClientAssertion
from gateway.issuer.certificates import RegisteredCertificate, certificates_of_jwks, read_certificate
from gateway.issuer.remote_keys import RemoteKeySet, fitting
from gateway.issuer.settings import ClientSettings
from gateway.tokens.keys import KeySet, KeySetError, VerificationKey, read_key_set

AssertionMethod: TypeAlias = Literal["client_secret_jwt", "private_key_jwt"]

_HMAC = {name: algorithm for name, algorithm in get_default_algorithms().items() if name in SHARED_ALGORITHMS}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RegisteredKeys:
    """All that one client's assertions may be signed with, and the certificates that it may show for itself."""

    shared_secret: bytes | None = field(default=None, repr=False)
    key_set: KeySet | None = None
    remote: RemoteKeySet | None = None
    certificate: RegisteredCertificate | None = None
    own_certificates: frozenset[bytes] = frozenset()

    async def verify(self, assertion: ClientAssertion, now: float) -> AssertionMethod | None:
        """The method by which the assertion authenticates; None where its signature is not the client's."""
        parts = assertion.parts
        algorithm = parts.header.alg
        if algorithm in SHARED_ALGORITHMS:
            secret = self.shared_secret
            # RFC 7518 §3.2: a key has at least as many bits as the hash.
            if secret is None or len(secret) < SHARED_ALGORITHMS[algorithm]:
                return None
            return (
                "client_secret_jwt" if _HMAC[algorithm].verify(parts.signing_input, secret, parts.signature) else None
            )
        candidates = await self._candidates(assertion, now)
        verified = any(key.verifies(algorithm, parts.signing_input, parts.signature) for key in candidates)
        return "private_key_jwt" if verified else None

    async def _candidates(self, assertion: ClientAssertion, now: float) -> tuple[VerificationKey, ...]:
        header, certificate = assertion.parts.header, self.certificate
        found: tuple[VerificationKey, ...] = ()
        if certificate is not None and certificate.is_valid(now) and certificate.is_meant(assertion.parts.members):
            found += (certificate.key,)
        if self.key_set is not None:
            found += fitting(self.key_set, header.kid, header.alg)
        if self.remote is not None:
            found += await self.remote.candidates(header.kid, header.alg)
        return found


def register(
    clients: Mapping[str, ClientSettings], base: Path, remote: Callable[[str], RemoteKeySet]
) -> dict[str, RegisteredKeys]:
    """What the settings say of each client's keys; `base` is the folder of issuer.yaml.

    What cannot be used is logged, and then authenticates nobody.
    """
    return {client_id: _registered(client_id, client, base, remote) for client_id, client in clients.items()}


def _registered(
    client_id: str, client: ClientSettings, base: Path, remote: Callable[[str], RemoteKeySet]
) -> RegisteredKeys:
    certificate = _certificate(client_id, client, base)
    # Settings are frozen, arrays as tuples; written as JSON they are arrays again.
    jwks = json.loads(json.dumps(client.jwks or {}))
    own = {certificate.der} if certificate is not None else set()
    may_show_own = client.type == "trusted" and client.tls_client_auth is None
    return RegisteredKeys(
        None if client.shared_secret is None else client.shared_secret.encode(),
        _key_set(client_id, jwks),
        None if client.jwks_uri is None else remote(client.jwks_uri),
        certificate,
        frozenset(own.union(certificates_of_jwks(jwks))) if may_show_own else frozenset(),
    )


def _certificate(client_id: str, client: ClientSettings, base: Path) -> RegisteredCertificate | None:
    if client.certificate is None:
        return None
    try:
        return read_certificate(base / client.certificate, client.certificate_alias)
    except ValueError as error:
        _log.error("client %a: its certificate cannot be used: %s", client_id, error)
        return None


def _key_set(client_id: str, jwks: Mapping[str, Any]) -> KeySet | None:
    if not jwks.get("keys"):
        return None
    try:
        keys = read_key_set(jwks)
    except KeySetError as error:
        _log.error("client %a: its jwks cannot be used: %s", client_id, error)
        return None
    for reason in keys.skipped:
        _log.warning("client %a: a key of its jwks is not used: %s", client_id, reason)
    return keys
