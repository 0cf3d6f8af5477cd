"""A client's assertion: is it well-formed, for us, and valid now (RFC 7523 §3)? Pure; says nothing of the signature.

What is refused here does not depend on which clients exist, so that it can be said in plain words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard, cast

from gateway.client.assertions import SHARED_ALGORITHMS
from gateway.tokens.compact import FormError, SignedParts, read_signed
from gateway.tokens.keys import ALGORITHMS

LONGEST_LIFETIME = 300.0
"""Seconds that an assertion may have left: its `jti` has to be remembered for as long."""

AHEAD = 10.0
"""Seconds by which a client's clock may be ahead."""

SIGNING_ALGORITHMS = (*(name for name in ALGORITHMS if name != "Ed25519"), "Ed25519", *SHARED_ALGORITHMS)
_LONGEST = 16 << 10
_TYPES = frozenset({"", "jwt", "client-authentication+jwt"})


@dataclass(frozen=True, slots=True)
class AssertionRules:
    """Whom an assertion has to be for.

    Attributes:
        issuer: this server.
        token_endpoint: its address.
        strict: whether the issuer has to be the sole audience, as the revision of RFC 7523 wants.
    """

    issuer: str
    token_endpoint: str
    strict: bool = False

    def admit(self, audience: object) -> bool:
        """Whether an `aud`, a string or an array of strings, fits."""
        values = [audience] if isinstance(audience, str) else audience
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            return False
        if self.strict:
            return values == [self.issuer]
        return self.issuer in values or self.token_endpoint in values


class ClientAssertion(NamedTuple):
    """An assertion that is valid, if its signature is.

    Attributes:
        client_id: whose it says it is.
        jti: its name: it may be used once.
        expires_at: seconds since the epoch.
        parts: header and signature.
    """

    client_id: str
    jti: str
    expires_at: float
    parts: SignedParts


def read_assertion(text: str, rules: AssertionRules, now: float) -> ClientAssertion | str:
    """Read an assertion; or say what is wrong with it, as the end of a sentence about it."""
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST >> 10} KiB"
    try:
        parts = read_signed(text.encode("utf-8", "surrogatepass"))
    except FormError as error:
        return f"is no signed JWT: {error}"
    claims = parts.payload
    fault = _header_fault(parts) or _addressing_fault(claims, rules) or _time_fault(claims, now)
    if fault is not None:
        return fault
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        return "has no jti, by which it is used only once"
    return ClientAssertion(str(claims["sub"]), jti, float(cast("float", claims["exp"])), parts)


def _header_fault(parts: SignedParts) -> str | None:
    if parts.header.alg not in SIGNING_ALGORITHMS:
        return f"is signed with an algorithm that is not taken: use one of {', '.join(SIGNING_ALGORITHMS)}"
    if parts.header.typ not in _TYPES:
        return "has another typ than JWT or client-authentication+jwt"
    return None


def _addressing_fault(claims: Mapping[str, object], rules: AssertionRules) -> str | None:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or claims.get("iss") != subject:
        return "must have the client id as iss and as sub"
    if not rules.admit(claims.get("aud")):
        if rules.strict:
            return f"must have {rules.issuer} as its only aud"
        return f"must have {rules.issuer} or {rules.token_endpoint} as aud"
    return None


def _time_fault(claims: Mapping[str, object], now: float) -> str | None:
    expires_at = claims.get("exp")
    if not _is_number(expires_at):
        return "has no exp that is a number"
    if expires_at <= now:
        return "has expired (exp): make one for each request, and compare the clocks"
    if expires_at > now + LONGEST_LIFETIME + AHEAD:
        return f"is valid for too long (exp): {LONGEST_LIFETIME:.0f} s are the most"
    for name in ("nbf", "iat"):
        moment = claims.get(name)
        if name not in claims:
            continue
        if not _is_number(moment):
            return f"has an {name} that is no number"
        if moment > now + AHEAD:
            return f"is from the future ({name}): compare the clocks"
    return None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
