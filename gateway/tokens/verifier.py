"""The verifier: what was verified once is remembered, for as long as it stays true.

A remembered verification ends when the token expires, when its key leaves the issuer's set, when the issuer revokes it,
and with this object, which a reload replaces. Whether the token satisfies a route is decided anew for each request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import orjson
from cachetools import FIFOCache

from gateway.policy.claims import check_times
from gateway.policy.decision import Evidence
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.headers import identity_lines
from gateway.policy.model import BearerToken, Claims, TrustedIssuer
from gateway.policy.printable import printable
from gateway.tokens.issuer_clock import IssuerClock
from gateway.tokens.keys import KeySet
from gateway.tokens.revoked import NOTHING_REVOKED, RevokedTokens
from gateway.tokens.verify import UnknownKey, Verification, by_iss, verify


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
        valid_from: seconds since the epoch, leeway included.
        valid_until: the first moment at which it is expired, likewise.
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
    valid_from: float
    valid_until: float
    thumbprint: str
    kid: str | None
    algorithm: str
    identity: bytes
    jti_hash: str | None
    record: str


def hash_key(secret: str) -> bytes:
    """What a `log_hash_key` stands for, in the gateway's file and in the issuer's."""
    return hashlib.sha256(secret.encode()).digest()


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


_REVOKED = unmet(
    Reason.TOKEN_REVOKED,
    "revocation",
    "not revoked by its issuer",
    "the token, its client's tokens, or its key are revoked",
)
_NONE_AT_ALL: Mapping[str, RevokedTokens] = MappingProxyType({})


class TokenVerifier:
    """Verifies bearer tokens with the keys at hand; never waits.

    Args:
        issuers: the trusted issuers.
        keys: for each issuer's name, where its keys come from.
        capacity: how many verified tokens are remembered; beyond it the one that was verified first goes, which is
            the one that expires first, and finding a token then moves nothing.
        log_key: at most 64 bytes that key the `jti_hash`.
        revoked: what issuers have revoked, by their names, as of now; those that have revoked nothing are not in it.
    """

    def __init__(
        self,
        issuers: Iterable[TrustedIssuer],
        keys: Mapping[str, Keys],
        *,
        capacity: int,
        log_key: bytes,
        revoked: Mapping[str, RevokedTokens] = _NONE_AT_ALL,
    ) -> None:
        self._by_name = {issuer.name: issuer for issuer in issuers}
        self._by_iss = by_iss(self._by_name.values())
        self._keys = keys
        self._log_key = log_key
        self._revoked = revoked
        self._clocks = {name: IssuerClock() for name in self._by_name}
        self._last = (b"", b"")
        self._verified: FIFOCache[bytes, VerifiedToken] = FIFOCache(maxsize=capacity)

    def __len__(self) -> int:
        return len(self._verified)

    def recall(self, token: BearerToken, now: float) -> VerifiedToken | Denial | None:
        """A verification that was made before and still holds.

        Returns:
            The token; a Denial where it has meanwhile expired or been revoked; None where it has to be verified.
        """
        digest = self._digest(token)
        known = self._verified.get(digest)
        if known is None or self.holds(known, now):
            return known
        if self._is_revoked(known.claims, known.kid):
            # It stays remembered: to refuse it again then costs no signature.
            return check_times(known.claims, known.leeway, now) or _REVOKED
        del self._verified[digest]
        return check_times(known.claims, known.leeway, now) if self._key_is_published(known) else None

    def holds(self, known: VerifiedToken, now: float) -> bool:
        """Whether a verification that this object made is still true."""
        return (
            known.valid_from <= now < known.valid_until
            and self._key_is_published(known)
            and not (self._revoked and self._is_revoked(known.claims, known.kid))
        )

    def _is_revoked(self, claims: Claims, kid: str | None) -> bool:
        return self._revoked_of(claims.issuer_name).covers(claims, kid)

    def _revoked_of(self, issuer: str) -> RevokedTokens:
        return self._revoked.get(issuer, NOTHING_REVOKED)

    def _key_is_published(self, known: VerifiedToken) -> bool:
        keys = self._keys[known.claims.issuer_name].current
        return keys is not None and known.thumbprint in keys.thumbprints

    def verify(self, token: BearerToken, now: float) -> VerifiedToken | UnknownKey | Denial:
        """Verify a token and remember it."""
        verification = verify(
            token, self._by_iss, self._keys_of, now, lambda issuer, issued_at: self._clocks[issuer].saw(issued_at, now)
        )
        if isinstance(verification, UnknownKey) and verification.kid in self._revoked_of(verification.issuer).kids:
            return _REVOKED
        if isinstance(verification, Denial | UnknownKey):
            return verification
        verified = self._describe(verification)
        self._verified[self._digest(token)] = verified
        self._last = (b"", b"")
        return _REVOKED if self._revoked and self._is_revoked(verified.claims, verified.kid) else verified

    def clock_ahead(self, issuer: str, now: float) -> float | None:
        """Seconds by which an issuer's clock is ahead, by the freshest of its tokens; None if it had none of late."""
        return self._clocks[issuer].ahead(now)

    def _digest(self, token: BearerToken) -> bytes:
        """What a token is remembered by, so that no token is kept; made once for a recall and what follows it."""
        value, digest = self._last
        if token.value != value:
            digest = hashlib.sha256(token.value).digest()
            self._last = (token.value, digest)
        return digest

    def _describe(self, verification: Verification) -> VerifiedToken:
        claims, key, algorithm = verification
        hashed = jti_hash(self._log_key, claims.issuer, claims.jti)
        leeway = self._by_name[claims.issuer_name].leeway
        return VerifiedToken(
            claims,
            Evidence(claims),
            leeway,
            0.0 if claims.not_before is None else claims.not_before - leeway,
            claims.expires_at + leeway,
            key.thumbprint,
            key.kid,
            algorithm,
            identity_lines(claims),
            hashed,
            token_record(claims, key.kid, algorithm, hashed),
        )

    def _keys_of(self, issuer: str) -> KeySet | None:
        return self._keys[issuer].current
