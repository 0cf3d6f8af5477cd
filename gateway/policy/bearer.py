"""Which token does the request carry? The Authorization field's, and no other (RFC 6750 §2.1)."""

from __future__ import annotations

import re

from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.model import BearerToken, RequestHead, Scheme

_CREDENTIALS = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: +(.*))?\Z", re.DOTALL)
_SEPARATOR = re.compile(rb"[\s,]")
_SCHEMES: dict[bytes, Scheme] = {b"bearer": "Bearer", b"dpop": "DPoP"}
_EXPECTED = "one bearer token in Authorization"
_MISSING = unmet(Reason.TOKEN_MISSING, "token", _EXPECTED, "no Authorization field")


def take_token(head: RequestHead) -> BearerToken | Denial:
    """The one bearer token of a request.

    Several fields, or several credentials in one, are refused and never resolved to "the first that works". What the
    token consists of is for verification to say.

    Returns:
        The token, or a Denial: token_missing where no credentials or those of another scheme came (RFC 6750 §3.1 gives
        them no error code), request_malformed where the field breaks RFC 9110 §11.4.
    """
    values = head.authorization
    if not values:
        return _MISSING
    if len(values) > 1:
        return _malformed(f"{len(values)} Authorization fields")
    value = values[0]
    scheme, _, token = value.partition(b" ")
    if scheme == b"Bearer" and b"," not in token and token.split(None, 1) == [token]:
        return BearerToken(token)
    return _take_unusual(value)


def _take_unusual(value: bytes) -> BearerToken | Denial:
    credentials = _CREDENTIALS.match(value)
    if credentials is None:
        return _malformed("a field that does not begin with a scheme and a space")
    scheme, token = credentials[1], credentials[2]
    if _several(value):
        return _malformed("more than one set of credentials")
    known = _SCHEMES.get(scheme.lower())
    if known is None:
        return unmet(Reason.TOKEN_MISSING, "token", _EXPECTED, "another scheme than Bearer and DPoP")
    if not token:
        return _malformed(f"the scheme {known} without a token")
    if _SEPARATOR.search(token):
        return _malformed("more than one token")
    return BearerToken(token, known)


def _malformed(found: str) -> Denial:
    return unmet(Reason.REQUEST_MALFORMED, "token", _EXPECTED, found)


def _several(value: bytes) -> bool:
    """Whether a comma-joined list hides a token behind or before other credentials."""
    return re.search(rb",\s*(?:bearer|dpop)(?:\s|\Z)", value, re.IGNORECASE) is not None
