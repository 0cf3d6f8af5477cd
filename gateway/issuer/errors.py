"""The closed set of refusals of the token endpoint, and the characters that they may be told in."""

import re
from dataclasses import dataclass
from enum import StrEnum

_NOT_ALLOWED = re.compile(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]")
_LONGEST_DESCRIPTION = 400


class TokenErrorCode(StrEnum):
    """RFC 6749 §5.2; `invalid_target` of RFC 8707 §2, `invalid_dpop_proof` of RFC 9449 §5.

    `temporarily_unavailable` is RFC 6749 §4.1.2.1's: the server's own fault has no word at the token endpoint.
    """

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    INVALID_GRANT = "invalid_grant"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    INVALID_DPOP_PROOF = "invalid_dpop_proof"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


@dataclass(frozen=True, slots=True)
class TokenError:
    """Why no token is issued.

    `challenge` says that the client tried the Authorization header, so that the answer names the scheme to use;
    `retry_after` (seconds) that it failed too often.
    """

    code: TokenErrorCode
    description: str
    challenge: bool = False
    retry_after: int | None = None

    @property
    def status(self) -> int:
        """The HTTP status: 400, unless RFC 6749 §5.2 or RFC 6585 §4 (too many requests) has a better one."""
        if self.code is TokenErrorCode.TEMPORARILY_UNAVAILABLE:
            return 503
        if self.retry_after is not None:
            return 429
        return 401 if self.challenge else 400


def allowed_text(text: str) -> str:
    """The text in the characters that RFC 6749 §5.2 allows in error_description: others turn into `'` or `?`."""
    return _NOT_ALLOWED.sub("?", text.replace('"', "'"))[:_LONGEST_DESCRIPTION]


class IssuanceLogError(OSError):
    """The issuance log cannot be written; the message names it and says why."""


class StateError(OSError):
    """The state file cannot be used; the message names it and says why."""
