"""Claims checks: is a payload whose signature is good also valid here and now (RFC 7519 §4.1, RFC 9068 §4)?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from gateway.policy.claim_fields import field_text
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.model import Claims, ClaimValue, Confirmation, TrustedIssuer
from gateway.policy.printable import brief

LATEST_TIME = 253_402_300_799
"""The last second of the year 9999: a NumericDate beyond it is no date that anyone meant."""

_BINDING = "none, or cnf with jkt or x5t#S256"
"""What can't be proven is worth nothing (RFC 7800 §3.1)."""

_LONGEST = 80
"""Characters of a claim that a denial shows."""

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
_FIELD_SAFE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\Z")


ABSENT = object()
"""In the place of a claim that a token does not have; null is a value."""


class _ClaimError(Exception):
    """A claim is not what it has to be: what that is, and what it is."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found


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
            return unmet(Reason.ISSUER_UNTRUSTED, "issuer", issuer.issuer, shown_claim(payload.get("iss", ABSENT)))
        confirmation = _confirmation(payload["cnf"]) if "cnf" in payload else None
        if isinstance(confirmation, Denial):
            return confirmation
        claims = _read(payload, issuer, confirmation)
        if issuer.required_claims or issuer.conditions:
            _check_terms(payload, issuer)
    except _ClaimError as error:
        return unmet(Reason.CLAIM_INVALID, "claims", error.expected, error.found)
    if issuer.audiences.isdisjoint(claims.audience):
        expected = " or ".join(sorted(issuer.audiences))
        return unmet(Reason.AUDIENCE_MISMATCH, "audience", expected, shown_claim(payload["aud"]))
    return check_times(claims, issuer.leeway, now) or claims


def fits(payload: Mapping[str, object], issuer: TrustedIssuer) -> bool:
    """Whether a payload meets the conditions that tell entries apart which share one `iss`; proves nothing."""
    return all(_holds(claim_at(payload, path), values) for path, values in issuer.conditions)


def claim_at(payload: Mapping[str, object], path: str) -> object:
    """The claim of a path: the member of this very name, else the member of a member; ABSENT where there is none."""
    if path in payload:
        return payload[path]
    at = path.find(".")
    while at >= 0:
        inner = payload.get(path[:at])
        if isinstance(inner, Mapping) and (found := claim_at(inner, path[at + 1 :])) is not ABSENT:
            return found
        at = path.find(".", at + 1)
    return ABSENT


def _holds(found: object, values: tuple[ClaimValue, ...]) -> bool:
    """Whether a claim is one of the values, or a list that holds one; `true` is not 1."""
    items = found if isinstance(found, list) else [found]
    return any(type(item) is type(value) and item == value for item in items for value in values)


def _check_terms(payload: Mapping[str, object], issuer: TrustedIssuer) -> None:
    """What this issuer's entry demands beyond the profile."""
    for path in issuer.required_claims:
        if claim_at(payload, path) is ABSENT:
            raise _ClaimError(path, "none")
    for path, values in issuer.conditions:
        if not _holds(claim_at(payload, path), values):
            raise _ClaimError(f"{path} {' or '.join(map(shown_claim, values))}", shown_claim(claim_at(payload, path)))


def check_times(claims: Claims, leeway: float, now: float) -> Denial | None:
    """Check whether claims are valid at `now`; also for claims that were verified before (RFC 7519 §4.1.4, §4.1.5)."""
    if now >= claims.expires_at + leeway:
        late = f"{now - claims.expires_at:.0f} s past it"
        if claims.ends_by_age and claims.issued_at is not None:
            most = claims.expires_at - claims.issued_at
            return unmet(
                Reason.TOKEN_EXPIRED, "expiry", f"iat at most {most:.0f} s ago (max_age){_within(leeway)}", late
            )
        return unmet(Reason.TOKEN_EXPIRED, "expiry", f"exp ahead{_within(leeway)}", late)
    if claims.not_before is not None and now < claims.not_before - leeway:
        ahead = claims.not_before - now
        return unmet(Reason.TOKEN_NOT_YET_VALID, "begin", f"nbf and iat past{_within(leeway)}", f"{ahead:.0f} s ahead")
    return None


def _within(leeway: float) -> str:
    return f", leeway {leeway:.0f} s" if leeway else ""


def shown_claim(value: object) -> str:
    """A claim's value, briefly: it may be of any form, and nobody's to be read at length."""
    text = value if isinstance(value, str) else "none" if value is ABSENT else json.dumps(value)
    return brief(text, _LONGEST)


def _confirmation(value: object) -> Confirmation | Denial:
    """The keys that a token is bound to; where one of several ways is unknown, the binding can't be proven."""
    if not isinstance(value, Mapping) or not value or not value.keys() <= {"jkt", "x5t#S256"}:
        named = ", ".join(value) if isinstance(value, Mapping) else ""
        return unmet(Reason.PROOF_INVALID, "binding", _BINDING, f"cnf with {brief(named, _LONGEST) or 'neither'}")
    if not all(isinstance(item, str) and _THUMBPRINT.match(item) for item in value.values()):
        return unmet(Reason.PROOF_INVALID, "binding", _BINDING, "cnf with what is no SHA-256 thumbprint")
    return Confirmation(value.get("jkt"), value.get("x5t#S256"))


def _read(payload: Mapping[str, object], issuer: TrustedIssuer, confirmation: Confirmation | None) -> Claims:
    not_before, issued_at = _time(payload, "nbf"), _time(payload, "iat")
    expires_at = _expiry(payload, issuer, issued_at)
    if not_before is None or (issued_at is not None and issued_at > not_before):
        not_before = issued_at
    return Claims(
        issuer_name=issuer.name,
        issuer=_issuer(issuer.issuer),
        subject=_text(payload, "sub"),
        client_id=_client_id(payload, issuer.client_claims),
        audience=_audience(payload.get("aud")),
        scopes=granted_scopes(payload, issuer),
        expires_at=expires_at,
        not_before=not_before,
        jti=_jti(payload),
        issued_at=issued_at,
        confirmation=confirmation,
        acr=_text(payload, "acr") if "acr" in payload else "",
        auth_time=_time(payload, "auth_time"),
        ends_by_age=issuer.max_age is not None and expires_at != payload["exp"],
        kept=_kept(payload, issuer.kept_claims) if issuer.kept_claims else (),
        told=_told(payload, issuer.told_claims) if issuer.told_claims else (),
    )


def _kept(payload: Mapping[str, object], paths: tuple[str, ...]) -> tuple[tuple[str, tuple[ClaimValue, ...]], ...]:
    """What conditions may look at, and no more: texts, whole numbers, true and false, alone or in a list."""
    kept = []
    for path in paths:
        value = claim_at(payload, path)
        if value is not ABSENT:
            items = value if isinstance(value, list) else [value]
            kept.append((path, tuple(item for item in items if isinstance(item, str | int))))
    return tuple(kept)


def _told(payload: Mapping[str, object], paths: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((path, field_text(claim_at(payload, path))) for path in paths)


def _expiry(payload: Mapping[str, object], issuer: TrustedIssuer, issued_at: float | None) -> float:
    """When the token ends to be valid here: at its `exp`, or at its greatest age if that comes first."""
    expires_at = _time(payload, "exp")
    if expires_at is None:
        raise _ClaimError("exp", "none")
    if issuer.max_lifetime is None and issuer.max_age is None:
        return expires_at
    if issued_at is None:
        raise _ClaimError("iat, by which its lifetime is bounded here", "none")
    if issuer.max_lifetime is not None and expires_at - issued_at > issuer.max_lifetime:
        lifetime = expires_at - issued_at
        raise _ClaimError(f"a lifetime of {issuer.max_lifetime:.0f} s at most (max_lifetime)", f"{lifetime:.0f} s")
    return expires_at if issuer.max_age is None else min(expires_at, issued_at + issuer.max_age)


def _time(payload: Mapping[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2), or None where the claim is absent."""
    if name not in payload:
        return None
    value = payload[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _ClaimError(f"{name} as a number", shown_claim(value))
    if not 0 <= value <= LATEST_TIME:  # NaN and the infinities included
        raise _ClaimError(f"{name} as a date until the year 9999", shown_claim(value))
    return value


def _audience(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise _ClaimError("aud as a string or an array of strings", "none" if value is None else shown_claim(value))


def _text(payload: Mapping[str, object], name: str) -> str:
    """A claim that goes into a field towards the upstream, or "" where it is absent."""
    value = payload.get(name, "")
    if not isinstance(value, str):
        raise _ClaimError(f"{name} as a string", shown_claim(value))
    return _field_safe(name, value)


def _field_safe(name: str, value: str) -> str:
    if value and _FIELD_SAFE.match(value) is None:
        raise _ClaimError(f"{name} with characters that may stand in a header field", shown_claim(value))
    return value


@lru_cache(maxsize=64)
def _issuer(name: str) -> str:
    return _field_safe("iss", name)


def _client_id(payload: Mapping[str, object], paths: tuple[str, ...]) -> str:
    for path in paths:
        value = payload[path] if path in payload else claim_at(payload, path)
        if value is not ABSENT:
            if not isinstance(value, str):
                raise _ClaimError(f"{path} as a string", shown_claim(value))
            return _field_safe(path, value)
    return ""


def _jti(payload: Mapping[str, object]) -> str:
    value = payload.get("jti", "")
    if not isinstance(value, str):
        raise _ClaimError("jti as a string", shown_claim(value))
    return value


def granted_scopes(payload: Mapping[str, object], issuer: TrustedIssuer) -> tuple[str, ...]:
    """The granted scopes; whatever is not of RFC 6749 §3.3's grammar grants nothing."""
    scopes, prefix = _first_scopes(payload, issuer.scope_claims), issuer.scope_prefix
    if not prefix:
        return scopes
    return tuple(scope[len(prefix) :] for scope in scopes if scope.startswith(prefix) and scope != prefix)


def _first_scopes(payload: Mapping[str, object], paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        value = payload[path] if path in payload else claim_at(payload, path)
        if value is not ABSENT:
            return _scopes_of(value)
    return ()


def _scopes_of(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return _split_scopes(value)
    return tuple(filter(_is_scope, value)) if isinstance(value, list) else ()


@lru_cache(maxsize=1024)
def _split_scopes(value: str) -> tuple[str, ...]:
    """Many tokens carry the same few lists. Only U+0020 separates: str.split() would also split at U+00A0."""
    return tuple(filter(_is_scope, value.split(" ")))


def _is_scope(item: object) -> bool:
    return isinstance(item, str) and _SCOPE.match(item) is not None
