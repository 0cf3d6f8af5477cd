"""The verifier: what was verified once is remembered, for as long as it stays true.

A remembered verification ends when the token expires, when its key leaves the issuer's set, when the issuer revokes it,
and at a reload. What an issuer was asked about (introspection) is remembered beside it,
under the token and the issuer, for the time that the configuration says. Whether the token satisfies a route is decided
anew for each request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import orjson
from cachetools import FIFOCache

from gateway.policy.claims import check_times, shown_claim
from gateway.policy.decision import Evidence
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.headers import identity_lines
from gateway.policy.model import BearerToken, Claims, TrustedIssuer
from gateway.policy.printable import printable
from gateway.tokens.compact import read_compact
from gateway.tokens.introspection import Active, UnknownToken, is_token68, looks_like_jwt
from gateway.tokens.introspector import IntrospectionSettings
from gateway.tokens.issuer_clock import IssuerClock
from gateway.tokens.keys import KeySet
from gateway.tokens.revoked import NOTHING_REVOKED, RevokedTokens
from gateway.tokens.verify import UnknownKey, Verification, by_iss, issuer_of, verify


class Keys(Protocol):
    """Where an issuer's keys come from, as far as a verification sees it."""

    @property
    def current(self) -> KeySet | None:
        """The keys at this moment."""
        ...


class Asked(Protocol):
    """An issuer that is asked about tokens, as far as a verification sees it."""

    @property
    def settings(self) -> IntrospectionSettings:
        """How it is asked."""
        ...

    def recall(self, token: bytes, now: float) -> Denial | None:
        """The refusal of a token that was asked about a moment ago."""
        ...


class VerifiedToken(NamedTuple):
    """All that is computed once per token.

    Attributes:
        claims: the verified claims.
        evidence: the same, as decisions take them.
        leeway: seconds, of the issuer.
        valid_from: seconds since the epoch, leeway included.
        valid_until: the first moment at which it is expired, likewise, or at which its issuer is to be asked again.
        thumbprint: of the key that signed; None where the issuer was asked.
        kid: that key's identifier, or None.
        algorithm: of the signature; None where the issuer was asked.
        identity: the identity fields towards the upstream, as field lines.
        jti_hash: keyed hash of issuer and `jti`; without one, of an opaque token's own digest, and None of a JWT.
        record: the members of the access record that speak of the token, as JSON without braces.
    """

    claims: Claims
    evidence: Evidence
    leeway: float
    valid_from: float
    valid_until: float
    thumbprint: str | None
    kid: str | None
    algorithm: str | None
    identity: bytes
    jti_hash: str | None
    record: str

    @property
    def unproven(self) -> VerifiedToken:
        """The same where its sender did not prove that it is its own: recorded, and nobody to the upstream."""
        return self._replace(identity=identity_lines(None), claims=self.claims._replace(kept=(), told=()))


def hash_key(secret: str) -> bytes:
    """What a `log_hash_key` stands for, in the gateway's file and in the issuer's."""
    return hashlib.sha256(secret.encode()).digest()


def _under(issuer: str, digest: bytes) -> bytes:
    """What an opaque token is remembered by: another issuer may tell something else about it."""
    return hashlib.sha256(digest + issuer.encode()).digest()


def jti_hash(key: bytes, issuer: str, jti: str) -> str | None:
    """A token's identity in a log: 32 hex digits, meaningless without the key; None where it has no `jti`."""
    if not jti:
        return None
    return hashlib.blake2b(f"{issuer}\n{jti}".encode(), digest_size=16, key=key).hexdigest()


def token_record(claims: Claims, kid: str | None, algorithm: str | None, hashed: str | None) -> str:
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
        "token_kind": "opaque" if algorithm is None else "jwt",
    }
    return orjson.dumps(members)[1:-1].decode("ascii")


UNVERIFIED = (
    '"issuer":null,"client_id":null,"sub":null,"aud":[],"jti_hash":null,'
    '"kid":null,"alg":null,"token_exp":null,"token_kind":null'
)


_NO_TOKEN = unmet(
    Reason.TOKEN_MALFORMED, "form", "a token as RFC 6750 §2.1 has it", "one that is too long, or of another form"
)
_REVOKED = unmet(
    Reason.TOKEN_REVOKED,
    "revocation",
    "not revoked by its issuer",
    "revoked: the token, its client's tokens, or its key",
)
_NONE_AT_ALL: Mapping[str, RevokedTokens] = MappingProxyType({})
_NOBODY: Mapping[str, Asked] = MappingProxyType({})


class TokenVerifier:
    """Verifies bearer tokens with the keys at hand; never waits.

    Args:
        issuers: the trusted issuers.
        keys: for each issuer's name, where its keys come from.
        capacity: how many verified tokens are remembered; beyond it the one that was verified first goes, which is
            the one that expires first, and finding a token then moves nothing.
        log_key: at most 64 bytes that key the `jti_hash`.
        revoked: what issuers have revoked, by their names, as of now; those that have revoked nothing are not in it.
        asked: the issuers that are asked about tokens, by their names.
    """

    def __init__(  # noqa: PLR0913 - what it depends on, each by its name
        self,
        issuers: Iterable[TrustedIssuer],
        keys: Mapping[str, Keys],
        *,
        capacity: int,
        log_key: bytes,
        revoked: Mapping[str, RevokedTokens] = _NONE_AT_ALL,
        asked: Mapping[str, Asked] = _NOBODY,
    ) -> None:
        self._by_name = {issuer.name: issuer for issuer in issuers}
        self._by_iss = by_iss(self._by_name.values())
        self._keys = keys
        self._log_key = log_key
        self._revoked = revoked
        self._asked = asked
        self._clocks = {name: IssuerClock() for name in self._by_name}
        self._last = (b"", b"")
        self._verified: FIFOCache[bytes, VerifiedToken] = FIFOCache(maxsize=capacity)

    def __len__(self) -> int:
        return len(self._verified)

    def renew(self, issuers: Iterable[TrustedIssuer]) -> None:
        """Take what these say from now on, and verify every token anew; their names are those of before."""
        self._by_name = {issuer.name: issuer for issuer in issuers}
        self._by_iss = by_iss(self._by_name.values())
        self._verified.clear()

    def recall(self, token: BearerToken, now: float, asks: str | None = None) -> VerifiedToken | Denial | None:
        """A verification that was made before and still holds.

        Args:
            token: as it was sent.
            now: seconds since the epoch.
            asks: the name of the issuer that is asked about opaque tokens here; None where none is.

        Returns:
            The token; a Denial where it has meanwhile expired or been revoked; None where it has to be verified.
        """
        key = self._digest(token)
        known = self._verified.get(key)
        if known is None and asks is not None:
            key = _under(asks, key)
            known = self._verified.get(key)
        if known is None or self.holds(known, now):
            return known
        if self._is_revoked(known.claims, known.kid):
            # It stays remembered: to refuse it again then costs no signature.
            return check_times(known.claims, known.leeway, now) or _REVOKED
        refusal = check_times(known.claims, known.leeway, now)
        if known.thumbprint is None and refusal is None:
            # It stays remembered as one that was active: see Introspector.ask.
            return None
        del self._verified[key]
        return refusal if self._key_is_published(known) else None

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
        if known.thumbprint is None:
            return True
        keys = self._keys[known.claims.issuer_name].current
        return keys is not None and known.thumbprint in keys.thumbprints

    def verify(
        self, token: BearerToken, now: float, asks: str | None = None
    ) -> VerifiedToken | UnknownKey | UnknownToken | Denial:
        """Verify a token and remember it; UnknownToken where the issuer `asks` has to be asked about it."""
        if asks is not None and asks in self._asked and self._is_for(asks, token):
            return self._unknown(asks, token, now)
        verification = verify(
            token, self._by_iss, self._keys_of, now, lambda issuer, issued_at: self._clocks[issuer].saw(issued_at, now)
        )
        if isinstance(verification, UnknownKey) and verification.kid in self._revoked_of(verification.issuer).kids:
            expected = f"one that {verification.issuer} has not revoked"
            return unmet(Reason.TOKEN_REVOKED, "key", expected, f"kid {shown_claim(verification.kid)}")
        if isinstance(verification, Denial | UnknownKey):
            return verification
        verified = self._describe(verification)
        self._verified[self._digest(token)] = verified
        self._last = (b"", b"")
        return _REVOKED if self._revoked and self._is_revoked(verified.claims, verified.kid) else verified

    def admit(self, unknown: UnknownToken, active: Active) -> VerifiedToken | Denial:
        """Remember a token that its issuer calls active; a Denial where it revoked it all the same."""
        claims, asked_at = active
        digest = self._digest(unknown.token)
        issuer = self._by_name[unknown.issuer]
        hashed = jti_hash(self._log_key, claims.issuer, claims.jti or digest.hex())
        verified = VerifiedToken(
            claims,
            Evidence(claims),
            issuer.leeway,
            0.0 if claims.not_before is None else claims.not_before - issuer.leeway,
            min(claims.expires_at + issuer.leeway, asked_at + self._asked[unknown.issuer].settings.keep),
            None,
            None,
            None,
            identity_lines(claims),
            hashed,
            token_record(claims, None, None, hashed),
        )
        self._verified[_under(unknown.issuer, digest)] = verified
        return _REVOKED if self._is_revoked(claims, None) else verified

    def _is_for(self, issuer: str, token: BearerToken) -> bool:
        """Whether a token is one that this issuer is asked about: opaque, or a JWT of its own where that is wanted."""
        if not looks_like_jwt(token.value):
            return True
        if self._asked[issuer].settings.jwts != "ask":
            return False
        compact = read_compact(token.value)
        return not isinstance(compact, Denial) and issuer_of(compact.payload, self._by_iss) is self._by_name[issuer]

    def _unknown(self, issuer: str, token: BearerToken, now: float) -> UnknownToken | Denial:
        if not is_token68(token.value):
            return _NO_TOKEN
        refusal = self._asked[issuer].recall(token.value, now)
        return refusal or UnknownToken(issuer, token, _under(issuer, self._digest(token)) in self._verified)

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
