"""How a route's refusals are taken: enforced, only told of (shadow), or put off for some clients until a date (grace).

The one place that says whether a request goes on though the route refuses it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, Mode

_DECIDED = frozenset(
    {
        *(Reason.ISSUER_UNTRUSTED, Reason.AUDIENCE_MISMATCH, Reason.PROOF_INVALID, Reason.AUTHENTICATION_INSUFFICIENT),
        *(Reason.NETWORK_NOT_ALLOWED, Reason.OUTSIDE_HOURS, Reason.CLAIM_CONDITION_FAILED, Reason.SCOPE_INSUFFICIENT),
    }
)
"""Refusals that `decide` makes of a verified token."""

_OF_THE_ROUTE = _DECIDED | {
    *(Reason.TOKEN_MISSING, Reason.TOKEN_MALFORMED, Reason.ALGORITHM_NOT_ALLOWED, Reason.KEY_UNKNOWN),
    *(Reason.SIGNATURE_INVALID, Reason.TOKEN_EXPIRED, Reason.TOKEN_NOT_YET_VALID, Reason.CLAIM_INVALID),
    *(Reason.TOKEN_REVOKED, Reason.ORIGIN_UNTRUSTED, Reason.BODY_TOO_LARGE, Reason.RATE_LIMITED),
    *(Reason.KEYS_UNAVAILABLE, Reason.INTROSPECTION_UNAVAILABLE),
}
"""Refusals for the sake of what the route demands. Whatever is not listed is never let pass: a request that servers may
read differently, one for which there is no room, a failure of the gateway's or the upstream's own."""


def lets_pass(mode: Mode, denial: Denial, claims: Claims | None, now: float) -> bool:
    """Whether a request goes on though it is refused.

    Args:
        mode: of the route.
        denial: the refusal.
        claims: of the verified token; None where none was verified.
        now: when the request came, in seconds since the epoch.
    """
    if mode.name == "shadow":
        return denial.reason in _OF_THE_ROUTE
    if mode.name == "enforce" or claims is None or now >= mode.until:
        return False
    named = bool(claims.client_id) and (claims.issuer_name, claims.client_id) in mode.clients
    return named and denial.reason in _DECIDED and denial.knows_sender


def warning(mode: Mode, denial: Denial) -> bytes:
    """The field line that tells a client in grace what it will be refused for; empty in other modes (RFC 7234 §5.5)."""
    if mode.name != "grace":
        return b""
    missing = f", missing {' '.join(denial.scopes_missing)}" if denial.scopes_missing else ""
    return f'Warning: 299 - "refused from {moment(mode.until)} on: {denial.reason}{missing}"\r\n'.encode()


def moment(at: float) -> str:
    """Whole seconds since the epoch as RFC 3339 in UTC.

    Raises:
        ValueError: it is in none of the years 1 to 9999.
    """
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
