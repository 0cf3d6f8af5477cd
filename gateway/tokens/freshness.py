"""What an answer's fields say of time: how long it stays fresh (RFC 9111 §4.2), and what the sender's clock shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

_DIRECTIVE = re.compile(r'([A-Za-z-]+)(?:="?([^",]*)"?)?')
_SECONDS = re.compile(r"[0-9]{1,9}\Z")


def fresh_for(headers: Mapping[str, str], shortest: float, longest: float) -> float:
    """Seconds until a document is to be fetched again: what its Cache-Control says, within bounds.

    Args:
        headers: of the answer, looked up without regard to case.
        shortest: how long it is kept at least, whatever is said: an issuer's `no-store` must not become a storm.
        longest: how long it is kept at most, and where nothing is said.
    """
    told = {name.lower(): value for name, value in _DIRECTIVE.findall(headers.get("Cache-Control", ""))}
    if told.keys() & {"no-store", "no-cache"}:
        return shortest
    most, age = told.get("max-age", ""), headers.get("Age", "0").strip()
    if not _SECONDS.match(most):
        return longest
    left = int(most) - (int(age) if _SECONDS.match(age) else 0)
    return min(max(float(left), shortest), longest)


def clock_ahead(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds by which the sender's clock is ahead, to one second (RFC 9110 §6.6.1); None where it does not say."""
    try:
        sent_at = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    aware = sent_at if sent_at.tzinfo is not None else sent_at.replace(tzinfo=UTC)
    return aware.timestamp() - now
