"""The verifier: what was verified once is remembered, for as long as it stays true.

A remembered verification ends when the token expires, when its key leaves the issuer's set, and with this object,
which a reload replaces. Whether the token satisfies a route is decided anew for each request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import orjson
from cachetools import LRUCache

from gateway.policy.claims import check_times
from gateway.policy.decision import Evidence
from gateway.policy.denial import Denial
from gateway.policy.headers import identity_lines
from gateway.policy.model import BearerToken, Claims, TrustedIssuer
from gateway.policy.printable import printable
from gateway.tokens.keys import KeySet
from gateway.tokens.verify import UnknownKey, Verification, verify


class Keys(Protocol):
    """Where an issuer's keys come from, as far as a verification sees it."""

    @property
    def current(self) -> KeySet | None:
        """The keys at this moment."""
        ...


class VerifiedToken(NamedTuple):
    """All that is computed once per token.

    Attributes:
        claims: the verified claims.
        evidence: the same, as decisions take them.
        leeway: seconds, of the issuer.
        thumbprint: of the key that signed.
        kid: that key's identifier, or None.
        algorithm: of the signature.
        identity: the identity fields towards the upstream, as field lines.
        jti_hash: keyed hash of issuer and `jti`, or None where the token has no `jti`.
        record: the members of the access record that speak of the token, as JSON without braces.
    """

    claims: Claims
    evidence: Evidence
    leeway: float
    thumbprint: str
    kid: str | None
    algorithm: str
    identity: bytes
    jti_hash: str | None
    record: str


def jti_hash(key: bytes, issuer: str, jti: str) -> str | None:
    """A token's identity in a log: 32 hex digits, meaningless without the key; None where it has no `jti`."""
    if not jti:
        return None
    return hashlib.blake2b(f"{issuer}\n{jti}".encode(), digest_size=16, key=key).hexdigest()


def token_record(claims: Claims, kid: str | None, algorithm: str, hashed: str | None) -> str:
    """What the access record says of a token, as JSON members without braces."""
    members = {
        "issuer": claims.issuer,
        "client_id": claims.client_id or None,
        "sub": claims.subject or None,
        "aud": [printable(audience) for audience in claims.audience],
        "jti_hash": hashed,
        "kid": None if kid is None else printable(kid),
        "alg": algorithm,
        "token_exp": int(claims.expires_at),
        "token_kind": "jwt",
    }
    return orjson.dumps(members)[1:-1].decode("ascii")


UNVERIFIED = (
    '"issuer":null,"client_id":null,"sub":null,"aud":[],"jti_hash":null,'
    '"kid":null,"alg":null,"token_exp":null,"token_kind":null'
)


class TokenVerifier:
    """Verifies bearer tokens with the keys at hand; never waits.

    Args:
        issuers: the trusted issuers.
        keys: for each issuer's name, where its keys come from.
        capacity: how many verified tokens are remembered.
        log_key: at most 64 bytes that key the `jti_hash`.
    """

    def __init__(
        self, issuers: Iterable[TrustedIssuer], keys: Mapping[str, Keys], *, capacity: int, log_key: bytes
    ) -> None:
        self._by_name = {issuer.name: issuer for issuer in issuers}
        self._by_iss = {issuer.issuer: issuer for issuer in self._by_name.values()}
        self._keys = keys
        self._log_key = log_key
        self._verified: LRUCache[bytes, VerifiedToken] = LRUCache(maxsize=capacity)

    def __len__(self) -> int:
        return len(self._verified)

    def recall(self, token: BearerToken, now: float) -> VerifiedToken | Denial | None:
        """A verification that was made before and still holds.

        Returns:
            The token; a Denial where it has meanwhile expired; None where it has to be verified.
        """
        digest = _digest(token)
        known = self._verified.get(digest)
        if known is None:
            return None
        keys = self._keys[known.claims.issuer_name].current
        if keys is None or known.thumbprint not in keys.thumbprints:
            del self._verified[digest]
            return None
        denial = check_times(known.claims, known.leeway, now)
        if denial is not None:
            del self._verified[digest]
            return denial
        return known

    def holds(self, known: VerifiedToken, now: float) -> bool:
        """Whether a verification that this object made is still true."""
        claims, _, leeway, thumbprint, *_ = known
        keys = self._keys[claims.issuer_name].current
        return (
            keys is not None
            and thumbprint in keys.thumbprints
            and now < claims.expires_at + leeway
            and (claims.not_before is None or now >= claims.not_before - leeway)
        )

    def verify(self, token: BearerToken, now: float) -> VerifiedToken | UnknownKey | Denial:
        """Verify a token and remember it."""
        verification = verify(token, self._by_iss, self._keys_of, now)
        if isinstance(verification, Denial | UnknownKey):
            return verification
        verified = self._describe(verification)
        self._verified[_digest(token)] = verified
        return verified

    def _describe(self, verification: Verification) -> VerifiedToken:
        claims, key, algorithm = verification
        hashed = jti_hash(self._log_key, claims.issuer, claims.jti)
        leeway = self._by_name[claims.issuer_name].leeway
        record = token_record(claims, key.kid, algorithm, hashed)
        return VerifiedToken(
            claims, Evidence(claims), leeway, key.thumbprint, key.kid, algorithm, identity_lines(claims), hashed, record
        )

    def _keys_of(self, issuer: str) -> KeySet | None:
        return self._keys[issuer].current


def _digest(token: BearerToken) -> bytes:
    """What a token is remembered by: no token is kept in memory."""
    return hashlib.sha256(token.value).digest()
