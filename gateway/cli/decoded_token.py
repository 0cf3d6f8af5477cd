"""A token's header and claims, for people: decoded, never verified."""

import json
import time
from datetime import UTC, datetime
from typing import Any, Final

import jwt

_TIMES: Final = ("exp", "iat", "nbf", "auth_time")
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class OpaqueTokenError(Exception):
    """The token is no JWT."""


def decoded(access_token: str, *, as_json: bool) -> str:
    """The parts of a token in lines, or as one JSON object.

    Raises:
        OpaqueTokenError: it is no JWT.
    """
    try:
        parts = jwt.decode_complete(access_token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise OpaqueTokenError("the token is opaque, not a JWT: only its issuer can tell what it means") from error
    header, claims = parts["header"], parts["payload"]
    if as_json:
        return json.dumps({"header": header, "claims": claims})
    now = time.time()
    return "\n".join([*_table("header", header, now), "", *_table("claims", claims, now)])


def _table(title: str, members: dict[str, Any], now: float) -> list[str]:
    width = max(map(len, members), default=0)
    return [title, *(f"  {_shown(name):{width}}  {_explained(name, value, now)}" for name, value in members.items())]


def _explained(name: str, value: Any, now: float) -> str:
    if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value}  {in_words(value, now)}"
    return _shown(value)


def _shown(value: Any) -> str:
    """JSON, which escapes whatever a terminal might obey; strings without their quotes."""
    text = json.dumps(value)
    return text[1:-1] if isinstance(value, str) else text


def in_words(moment: float, now: float) -> str:
    """A NumericDate as UTC and as a distance: `2026-01-02T03:04:05Z, in 59 minutes`."""
    try:
        written = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "(no date)"
    distance = round(abs(moment - now))
    size, unit = next(((size, unit) for size, unit in _UNITS if distance >= size), (1, "second"))
    count = distance // size
    span = f"{count} {unit}{'' if count == 1 else 's'}"
    if distance == 0:
        return f"{written}, now"
    return f"{written}, in {span}" if moment > now else f"{written}, {span} ago"
