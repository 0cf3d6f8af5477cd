"""What is kept of an exchange: one line in the access log, and the counters that metrics show."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter

from gateway.access.record import VERSION, AccessRecord, printable, render, timestamp
from gateway.access.writer import AccessLog
from gateway.exchange import Exchange
from gateway.policy.paths import query_keys

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the duration histogram, in seconds."""


class Counters:
    """What has happened since the start.

    Attributes:
        requests: by (route, decision, reason, status); "" stands for none.
        durations: requests in each bucket of BUCKETS, and beyond; with their sum in seconds.
        retries: requests that were sent again because a kept connection had died.
        aborted: answers that were cut off, or that the client did not wait for.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str, int]] = Counter()
        self.durations = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.retries = 0
        self.aborted = 0
        self.verified = 0
        self.recalled = 0


class Recorder:
    """Takes each exchange once, when it is over."""

    def __init__(self, access_log: AccessLog, counters: Counters) -> None:
        self._log = access_log
        self._counters = counters

    def record(self, exchange: Exchange) -> None:
        """Write the exchange's line and count it."""
        seconds = time.perf_counter() - exchange.started
        record = _record(exchange, seconds)
        self._log.write(render(record))
        counters = self._counters
        counters.requests[record["route"] or "", record["decision"], record["reason"] or "", record["status"]] += 1
        counters.durations[bisect_left(BUCKETS, seconds)] += 1
        counters.seconds += seconds
        counters.retries += exchange.retries
        counters.aborted += exchange.aborted
        if record["cache_hit"] is not None:
            counters.recalled += record["cache_hit"]
            counters.verified += not record["cache_hit"]


def _record(exchange: Exchange, seconds: float) -> AccessRecord:
    rules, message, received, judgement = exchange.rules, exchange.message, exchange.received, exchange.judgement
    head = None if received is None else received.head
    route = None if judgement is None else judgement.route
    token = None if judgement is None else judgement.token
    claims = None if token is None else token.claims
    denial = exchange.denial
    verify = None if judgement is None else judgement.seconds
    forwarding = () if received is None else received.forwarding
    agent = None if received is None else received.user_agent
    return {
        "v": VERSION,
        "ts": timestamp(exchange.began_at),
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_id,
        "mode": "enforce",
        "config_rev": rules.revision,
        "client_ip": rules.trusted_proxies.client_address(exchange.client.peer, forwarding),
        "peer_ip": exchange.client.peer,
        "method": None if message is None else message.method,
        "host": None if head is None else head.host,
        "path": _path(exchange),
        "route": None if route is None else route.id,
        "query_keys": [] if head is None else query_keys(head.query),
        "http_version": None if message is None else f"{message.version.major}.{message.version.minor}",
        "user_agent": None if agent is None else printable(agent.decode("latin-1")),
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "issuer": None if claims is None else claims.issuer,
        "client_id": None if claims is None else claims.client_id or None,
        "sub": None if claims is None else claims.subject or None,
        "aud": [] if claims is None else [printable(audience) for audience in claims.audience],
        "jti_hash": None if token is None else token.jti_hash,
        "kid": None if token is None or token.kid is None else printable(token.kid),
        "alg": None if token is None else token.algorithm,
        "token_exp": None if claims is None else int(claims.expires_at),
        "token_kind": None if token is None else "jwt",
        "scopes_required": [] if route is None else list(route.rule.scopes_named),
        "scopes_granted": [] if claims is None else list(claims.scopes),
        "scopes_missing": [] if denial is None else list(denial.scopes_missing),
        "decision": "deny" if denial is not None and denial.keeps_out else "allow",
        "reason": None if denial is None else denial.reason.value,
        "would_deny": None,
        "status": exchange.status,
        "upstream": None if exchange.upstream is None else exchange.upstream.settings.name,
        "upstream_status": exchange.upstream_status,
        "retries": exchange.retries,
        "ms_total": round(seconds * 1000, 3),
        "ms_verify": None if verify is None else round(verify * 1000, 3),
        "ms_upstream": _milliseconds_of_upstream(exchange),
        "cache_hit": None if judgement is None else judgement.cached,
        "aborted": exchange.aborted,
    }


def _path(exchange: Exchange) -> str | None:
    """The path as received, without what may hold a secret: query, fragment, and the userinfo of an absolute form."""
    if exchange.message is None:
        return None
    path = exchange.message.path.partition("?")[0].partition("#")[0]
    return printable(path if path.startswith("/") else path.rpartition("@")[2])


def _milliseconds_of_upstream(exchange: Exchange) -> float | None:
    """From the request's going out to the head of the answer."""
    if exchange.forwarded_at is None or exchange.answered_at is None:
        return None
    return round((exchange.answered_at - exchange.forwarded_at) * 1000, 3)
