"""Claims checks: is a payload whose signature is good also valid here and now (RFC 7519 §4.1, RFC 9068 §4)?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, TrustedIssuer

CLIENT_CLAIMS = ("client_id", "azp", "appid", "cid")
"""Where issuers put the client's identifier: RFC 9068; OpenID Connect, Keycloak, Auth0; Entra 1.0; Okta."""

SCOPE_CLAIMS = ("scope", "scp")
"""Where issuers put the scopes: RFC 8693 §4.2 (Keycloak, Oracle, Auth0); Entra, Okta."""

LATEST_TIME = 253_402_300_799
"""The last second of the year 9999: a NumericDate beyond it is no date that anyone meant."""

_UNPROVEN = Denial(Reason.PROOF_INVALID, "the token is bound to a key (cnf), and no proof of that key is taken here")
"""A sender-constrained token is worth nothing as a bearer token (RFC 9449 §7.2, RFC 8705 §3)."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
_FIELD_SAFE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\Z")


class _ClaimError(Exception):
    """A claim has a form that no valid token has."""


def check_claims(payload: Mapping[str, object], issuer: TrustedIssuer, now: float) -> Claims | Denial:
    """Check the claims of a token whose `iss` chose this issuer.

    Args:
        payload: the decoded JWT claims set.
        issuer: the trusted issuer.
        now: seconds since the epoch.

    Returns:
        Claims, or a Denial: claim_invalid, issuer_untrusted, audience_mismatch, proof_invalid, token_expired or
        token_not_yet_valid.
    """
    try:
        if payload.get("iss") != issuer.issuer:
            return Denial(Reason.ISSUER_UNTRUSTED, f"iss is not {issuer.issuer}")
        if "cnf" in payload:
            return _UNPROVEN
        claims = _read(payload, issuer)
    except _ClaimError as error:
        return Denial(Reason.CLAIM_INVALID, str(error))
    if issuer.audiences.isdisjoint(claims.audience):
        expected = " or ".join(sorted(issuer.audiences))
        return Denial(Reason.AUDIENCE_MISMATCH, f"aud holds {list(claims.audience)}, expected {expected}")
    return check_times(claims, issuer.leeway, now) or claims


def check_times(claims: Claims, leeway: float, now: float) -> Denial | None:
    """Check whether claims are valid at `now`; also for claims that were verified before (RFC 7519 §4.1.4, §4.1.5)."""
    if now >= claims.expires_at + leeway:
        return Denial(Reason.TOKEN_EXPIRED, f"exp is {now - claims.expires_at:.0f} s ago, leeway {leeway:.0f} s")
    if claims.not_before is not None and now < claims.not_before - leeway:
        ahead = claims.not_before - now
        return Denial(Reason.TOKEN_NOT_YET_VALID, f"nbf or iat is {ahead:.0f} s ahead, leeway {leeway:.0f} s")
    return None


def _read(payload: Mapping[str, object], issuer: TrustedIssuer) -> Claims:
    expires_at = _time(payload, "exp")
    if expires_at is None:
        raise _ClaimError("exp is missing")
    not_before, issued_at = _time(payload, "nbf"), _time(payload, "iat")
    if not_before is None or (issued_at is not None and issued_at > not_before):
        not_before = issued_at
    return Claims(
        issuer_name=issuer.name,
        issuer=_issuer(issuer.issuer),
        subject=_text(payload, "sub"),
        client_id=_first_text(payload, CLIENT_CLAIMS),
        audience=_audience(payload.get("aud")),
        scopes=_scopes(payload),
        expires_at=expires_at,
        not_before=not_before,
        jti=_jti(payload),
    )


def _time(payload: Mapping[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2), or None where the claim is absent."""
    if name not in payload:
        return None
    value = payload[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _ClaimError(f"{name} is not a number")
    if not 0 <= value <= LATEST_TIME:  # NaN and the infinities included
        raise _ClaimError(f"{name} is out of range")
    return value


def _audience(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise _ClaimError("aud is missing, or neither a string nor an array of strings")


def _text(payload: Mapping[str, object], name: str) -> str:
    """A claim that goes into a field towards the upstream, or "" where it is absent."""
    value = payload.get(name, "")
    if not isinstance(value, str):
        raise _ClaimError(f"{name} is not a string")
    return _field_safe(name, value)


def _field_safe(name: str, value: str) -> str:
    if value and _FIELD_SAFE.match(value) is None:
        raise _ClaimError(f"{name} holds characters that cannot stand in a header field")
    return value


@lru_cache(maxsize=64)
def _issuer(name: str) -> str:
    return _field_safe("iss", name)


def _first_text(payload: Mapping[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        if name in payload:
            return _text(payload, name)
    return ""


def _jti(payload: Mapping[str, object]) -> str:
    value = payload.get("jti", "")
    if not isinstance(value, str):
        raise _ClaimError("jti is not a string")
    return value


def _scopes(payload: Mapping[str, object]) -> tuple[str, ...]:
    """The granted scopes; whatever is not of RFC 6749 §3.3's grammar grants nothing."""
    for name in SCOPE_CLAIMS:
        if name in payload:
            value = payload[name]
            if isinstance(value, str):
                return _split_scopes(value)
            return tuple(filter(_is_scope, value)) if isinstance(value, list) else ()
    return ()


@lru_cache(maxsize=1024)
def _split_scopes(value: str) -> tuple[str, ...]:
    """Many tokens carry the same few lists. Only U+0020 separates: str.split() would also split at U+00A0."""
    return tuple(filter(_is_scope, value.split(" ")))


def _is_scope(item: object) -> bool:
    return isinstance(item, str) and _SCOPE.match(item) is not None
