"""Field types of a route's mode."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from gateway.config.fields import shown
from gateway.policy.model import Mode
from gateway.policy.modes import moment

GRACE = "grace until "
_FORMS = "write enforce, shadow, or grace until a date such as 2026-12-31"
_UNTIL = re.compile(r"(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d))?", re.ASCII)


def read_mode(value: Any) -> Mode:
    """`enforce`, `shadow` or `grace until DATE`, whose clients are said elsewhere; ValueError says what to write.

    The date is one of RFC 3339, and means its first moment in UTC; or a date and time with its offset.
    """
    if value == "enforce":
        return Mode()
    if value == "shadow":
        return Mode("shadow")
    if not isinstance(value, str) or not value.startswith(GRACE):
        raise ValueError(f"{shown(value)} is no mode: {_FORMS}")
    return Mode("grace", _until(value.removeprefix(GRACE)))


def _until(text: str) -> float:
    found = _UNTIL.fullmatch(text)
    if found is None:
        remedy = "write a date such as 2026-12-31, or 2026-12-31T18:00:00Z"
        raise ValueError(f"{shown(text)} is no date that can end the grace: {remedy}")
    day, time_of_day = found.groups()
    try:
        until = datetime.fromisoformat(day + (time_of_day or "T00:00:00Z")).timestamp()
        moment(until)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(text)} is no day or time of the calendar") from None
    return until


RouteMode = Annotated[
    Mode,
    PlainValidator(read_mode),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["enforce", "shadow"]},
                {"type": "string", "pattern": f"^{GRACE}{_UNTIL.pattern}$"},
            ],
            "examples": ["shadow", "grace until 2026-12-31"],
        }
    ),
]
"""Without the clients that are in grace."""
