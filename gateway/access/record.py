"""The access record: one flat JSON object a request. Its members are a contract; add to them, never change them."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TypedDict

VERSION = 1


class AccessRecord(TypedDict):
    """What one request was, who sent it, what was decided and what came of it.

    Durations are in milliseconds, sizes are those of bodies in bytes. A refused request carries as much identity as was
    verified, and nothing that was not. None stands for what is not known.
    """

    v: int
    ts: str
    request_id: str
    trace_id: str
    mode: str
    config_rev: str
    client_ip: str | None
    peer_ip: str
    method: str | None
    host: str | None
    path: str | None
    route: str | None
    query_keys: list[str]
    http_version: str | None
    user_agent: str | None
    bytes_in: int
    bytes_out: int
    issuer: str | None
    client_id: str | None
    sub: str | None
    aud: list[str]
    jti_hash: str | None
    kid: str | None
    alg: str | None
    token_exp: int | None
    token_kind: str | None
    scopes_required: list[str]
    scopes_granted: list[str]
    scopes_missing: list[str]
    decision: str
    reason: str | None
    would_deny: str | None
    status: int
    upstream: str | None
    upstream_status: int | None
    retries: int
    ms_total: float
    ms_verify: float | None
    ms_upstream: float | None
    cache_hit: bool | None
    aborted: bool
    detail: str | None


def timestamp(now: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with milliseconds."""
    return _millisecond(int(now * 1000))


@lru_cache(maxsize=16)
def _millisecond(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
