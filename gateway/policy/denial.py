"""The closed set of reasons, and the one table that turns a reason into status, challenge and hint.

A reason is a stable slug: the response, the access log and the metrics all carry the same word.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from gateway.policy.printable import brief


class Reason(StrEnum):
    """Why a request was not answered by its upstream."""

    TARGET_INVALID = "target_invalid"
    NO_ROUTE = "no_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_MALFORMED = "request_malformed"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - a slug, not a secret
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105 - a slug, not a secret
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE_INVALID = "signature_invalid"
    ISSUER_UNTRUSTED = "issuer_untrusted"
    AUDIENCE_MISMATCH = "audience_mismatch"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a slug, not a secret
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"  # noqa: S105 - a slug, not a secret
    CLAIM_INVALID = "claim_invalid"
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a slug, not a secret
    PROOF_INVALID = "proof_invalid"
    AUTHENTICATION_INSUFFICIENT = "authentication_insufficient"
    ORIGIN_UNTRUSTED = "origin_untrusted"
    SCOPE_INSUFFICIENT = "scope_insufficient"
    CLAIM_CONDITION_FAILED = "claim_condition_failed"
    ROUTE_DENIED = "route_denied"
    NETWORK_NOT_ALLOWED = "network_not_allowed"
    OUTSIDE_HOURS = "outside_hours"
    BODY_TOO_LARGE = "body_too_large"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    KEYS_UNAVAILABLE = "keys_unavailable"
    INTROSPECTION_UNAVAILABLE = "introspection_unavailable"
    CREDENTIALS_UNAVAILABLE = "credentials_unavailable"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_INVALID = "upstream_invalid"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_BUSY = "upstream_busy"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason means to the client.

    Attributes:
        status: HTTP status code.
        title: the problem's short summary (RFC 9457 §3.1.3), the same for every occurrence.
        hint: what the client's developer may do; gives nothing away to a stranger.
        challenge: whether a WWW-Authenticate field is sent.
        error: the challenge's error code (RFC 6750 §3.1), None where none may be given.
        retry_after: seconds for Retry-After, None where no retry is promised.
    """

    status: int
    title: str
    hint: str
    challenge: bool = False
    error: str | None = None
    retry_after: int | None = None


def _invalid_token(title: str, hint: str) -> Meaning:
    return Meaning(401, title, hint, challenge=True, error="invalid_token")


def _insufficient(title: str, hint: str) -> Meaning:
    return Meaning(403, title, hint, challenge=True, error="insufficient_scope")


MEANINGS: dict[Reason, Meaning] = {
    Reason.TARGET_INVALID: Meaning(
        400,
        "The request target is not in canonical form",
        "Send an absolute path without dot segments, empty segments, encoded slashes, backslashes or ';' parameters.",
    ),
    Reason.NO_ROUTE: Meaning(404, "No route matches", "Check the path: only what a route names is reachable."),
    Reason.METHOD_NOT_ALLOWED: Meaning(
        405, "The path does not take this method", "Use one of the methods in the Allow field."
    ),
    Reason.REQUEST_MALFORMED: Meaning(
        400,
        "The request is malformed",
        "Send one well-formed HTTP/1.1 request with at most one Authorization field: 'Authorization: Bearer TOKEN'.",
        challenge=True,
        error="invalid_request",
    ),
    Reason.TOKEN_MISSING: Meaning(
        401,
        "A bearer token is required",
        "Get a token from the authorization server and send it as 'Authorization: Bearer TOKEN'.",
        challenge=True,
    ),
    Reason.TOKEN_MALFORMED: _invalid_token(
        "The token is not a well-formed signed JWT", "Send the access token exactly as the token endpoint returned it."
    ),
    Reason.ALGORITHM_NOT_ALLOWED: _invalid_token(
        "The token's algorithm is not accepted", "Ask for the algorithms that are accepted from this issuer."
    ),
    Reason.KEY_UNKNOWN: _invalid_token(
        "The token's signing key is not known", "Get a new token; this one may be signed by a key that was removed."
    ),
    Reason.SIGNATURE_INVALID: _invalid_token(
        "The token's signature is not valid", "Send the token unchanged, or get a new one."
    ),
    Reason.ISSUER_UNTRUSTED: _invalid_token(
        "The token's issuer is not accepted here", "Get the token from an authorization server that this API trusts."
    ),
    Reason.AUDIENCE_MISMATCH: _invalid_token(
        "The token is meant for another audience", "Ask the authorization server for a token for this API."
    ),
    Reason.TOKEN_EXPIRED: _invalid_token("The token has expired", "Get a new token."),
    Reason.TOKEN_NOT_YET_VALID: _invalid_token(
        "The token is not valid yet", "Wait, or compare the clocks: issuer and gateway disagree on the time."
    ),
    Reason.CLAIM_INVALID: _invalid_token(
        "A claim of the token is missing or has a wrong form", "Get a token that carries the claims this API needs."
    ),
    Reason.TOKEN_REVOKED: _invalid_token("The token is revoked, or unknown to its issuer", "Get a new token."),
    Reason.PROOF_INVALID: _invalid_token(
        "The token's proof of possession is missing or wrong", "Send the proof that the token is bound to."
    ),
    Reason.AUTHENTICATION_INSUFFICIENT: Meaning(
        401,
        "The token's authentication is not strong or not recent enough",
        "Authenticate anew as the challenge says (acr_values, max_age), and get a new token.",
        challenge=True,
        error="insufficient_user_authentication",
    ),
    Reason.ORIGIN_UNTRUSTED: Meaning(
        403,
        "The request was not sent by a page that may send it",
        "Send it from a page of the same origin: a browser then says so in Origin and Sec-Fetch-Site.",
    ),
    Reason.SCOPE_INSUFFICIENT: _insufficient(
        "The token lacks a scope that this request needs", "Ask for a token with the scope that the challenge names."
    ),
    Reason.CLAIM_CONDITION_FAILED: _insufficient(
        "The token's claims do not satisfy this route", "Ask the API's owner which clients may call this route."
    ),
    Reason.ROUTE_DENIED: Meaning(403, "Nobody may make this request", "Ask the API's owner: no token opens this path."),
    Reason.NETWORK_NOT_ALLOWED: Meaning(
        403, "Requests from this network are not taken here", "Ask the API's owner from where it may be called."
    ),
    Reason.OUTSIDE_HOURS: Meaning(
        403, "Requests are not taken here at this time", "Ask the API's owner at which times it may be called."
    ),
    Reason.BODY_TOO_LARGE: Meaning(
        413, "The request's body is larger than this route takes", "Send less, or ask the API's owner for the bound."
    ),
    Reason.RATE_LIMITED: Meaning(429, "Too many requests", "Slow down and retry later.", retry_after=1),
    Reason.OVERLOADED: Meaning(503, "The gateway is busy", "Retry later: the request was not judged.", retry_after=1),
    Reason.KEYS_UNAVAILABLE: Meaning(
        503, "The issuer's keys cannot be had at the moment", "Retry later: the token was not judged.", retry_after=5
    ),
    Reason.INTROSPECTION_UNAVAILABLE: Meaning(
        503, "The issuer cannot be asked at the moment", "Retry later: the token was not judged.", retry_after=5
    ),
    Reason.CREDENTIALS_UNAVAILABLE: Meaning(
        503,
        "The gateway's own credentials for the API cannot be had at the moment",
        "Retry later: the request was not sent on.",
        retry_after=5,
    ),
    Reason.UPSTREAM_UNREACHABLE: Meaning(502, "The API behind the gateway cannot be reached", "Retry later."),
    Reason.UPSTREAM_INVALID: Meaning(
        502, "The API behind the gateway gave an invalid answer", "Report it to the API's owner."
    ),
    Reason.UPSTREAM_TIMEOUT: Meaning(504, "The API behind the gateway did not answer in time", "Retry later."),
    Reason.UPSTREAM_BUSY: Meaning(
        503, "The API behind the gateway is busy", "Retry later: nothing was sent to the API.", retry_after=1
    ),
    Reason.INTERNAL_ERROR: Meaning(500, "The gateway failed", "Report it to the gateway's operator."),
}


_UPSTREAM_REASONS = frozenset(
    {
        Reason.UPSTREAM_UNREACHABLE,
        Reason.UPSTREAM_INVALID,
        Reason.UPSTREAM_TIMEOUT,
        Reason.UPSTREAM_BUSY,
        Reason.CREDENTIALS_UNAVAILABLE,
    }
)


DEMANDED_PROOF = "require_proof"
"""The check whether a proof was given that the rule demands, though the token would need none."""


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal, as a value.

    Attributes:
        reason: the slug.
        detail: what was expected and what was found, for `explain` and the access log; never sent to the client, and
            never the token itself.
        check: of the token or its proof that failed, "" where it was none.
        expected: by that check.
        found: by that check, shortened; not verified where the signature was not.
        retry_after: seconds for Retry-After, where they are known better than the reason's own.
        scopes_required: what the route demands, for the challenge (RFC 6750 §3).
        scopes_missing: those of them that the token lacks.
        allow: the methods that the path takes (405).
        scheme: of the challenge.
        error: the challenge's error code where the reason's own does not say it (RFC 9449 §8).
        parameters: further ones of the challenge, by name.
        nonce: that the client has to put into its next proof (RFC 9449 §8), None where it has to put none.
        hint: for the client, where the reason's own does not fit.
        issuer: the name of the issuer whose key did not make the signature; it may have a new key by the old name.
    """

    reason: Reason
    detail: str = ""
    scopes_required: tuple[str, ...] = ()
    scopes_missing: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    scheme: str = "Bearer"
    error: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    nonce: str | None = None
    hint: str = ""
    issuer: str | None = None
    check: str = ""
    expected: str = ""
    found: str = ""
    retry_after: int | None = None

    @property
    def keeps_out(self) -> bool:
        """Whether the request was not let in, rather than let in and then failed by its upstream."""
        return self.reason not in _UPSTREAM_REASONS

    @property
    def knows_sender(self) -> bool:
        """Whether a verified token is the sender's own: not where it is bound to a key, and the proof failed."""
        return self.reason is not Reason.PROOF_INVALID or self.check == DEMANDED_PROOF

    @property
    def meaning(self) -> Meaning:
        """The row of the table."""
        return MEANINGS[self.reason]


def unmet(reason: Reason, check: str, expected: str, found: str, issuer: str | None = None) -> Denial:
    """A denial for a check that failed; what was found may come from anyone."""
    shown = brief(found)
    return Denial(
        reason,
        f"{check}: expected {expected}, found {shown}",
        issuer=issuer,
        check=check,
        expected=expected,
        found=shown,
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer that a denial becomes: a status, field lines and a body, ready to be framed."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes


def challenge(denial: Denial, realm: str, metadata: str | None = None) -> str:
    """The value of WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1): each parameter at most once.

    No error code goes to a request that carried no credentials (RFC 6750 §3.1).

    Args:
        denial: what it is about.
        realm: which this is.
        metadata: where the resource's metadata is (RFC 9728 §5.1), None where it has none.
    """
    parts = [f'realm="{realm}"']
    error = denial.error or denial.meaning.error
    if error is not None:
        parts.append(f'error="{error}"')
        parts.append(f'error_description="{denial.meaning.title}"')
    if denial.scopes_required:
        parts.append(f'scope="{" ".join(denial.scopes_required)}"')
    parts.extend(f'{name}="{value}"' for name, value in denial.parameters)
    if metadata is not None:
        parts.append(f'resource_metadata="{metadata}"')
    return f"{denial.scheme} " + ", ".join(parts)


def refuse(denial: Denial, realm: str, request_id: str, metadata: str | None = None) -> Refusal:
    """Turn a denial into the response that the client gets (RFC 9457 problem details)."""
    meaning = denial.meaning
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": meaning.title,
        "status": meaning.status,
        "reason": denial.reason.value,
        "hint": denial.hint or meaning.hint,
        "request_id": request_id,
    }
    if denial.scopes_missing:
        problem["scopes_missing"] = list(denial.scopes_missing)
    body = json.dumps(problem, separators=(",", ":")).encode() + b"\n"
    fields = [(b"Content-Type", b"application/problem+json"), (b"Cache-Control", b"no-store")]
    if meaning.challenge:
        fields.append((b"WWW-Authenticate", challenge(denial, realm, metadata).encode()))
    if denial.nonce is not None:
        fields.append((b"DPoP-Nonce", denial.nonce.encode()))
    if denial.reason is Reason.METHOD_NOT_ALLOWED:
        fields.append((b"Allow", ", ".join(denial.allow).encode()))
    wait = meaning.retry_after if denial.retry_after is None else denial.retry_after
    if wait is not None:
        fields.append((b"Retry-After", str(wait).encode()))
    return Refusal(meaning.status, tuple(fields), body)
