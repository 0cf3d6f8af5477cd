"""What is kept of an exchange: one line in the access log, and the counters that metrics show."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from functools import lru_cache

from gateway.access.record import VERSION, AccessRecord, render, timestamp
from gateway.access.writer import AccessLog
from gateway.exchange import Exchange
from gateway.policy.headers import ReceivedHead
from gateway.policy.paths import query_keys
from gateway.policy.printable import printable
from gateway.tokens.verifier import NO_TOKEN

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
        record = access_record(exchange, seconds)
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


def access_record(exchange: Exchange, seconds: float) -> AccessRecord:
    """What the log says of an exchange that took so many seconds."""
    rules, message, received, denial = exchange.rules, exchange.message, exchange.received, exchange.denial
    _, route, token, cached, verify_seconds = exchange.judgement
    head, forwarding = (None, ()) if received is None else (received.head, received.forwarding)
    peer = exchange.client.peer
    return {
        "v": VERSION,
        "ts": timestamp(exchange.began_at),
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_id,
        "mode": "enforce",
        "config_rev": rules.revision,
        "client_ip": rules.trusted_proxies.client_address(peer, forwarding),
        "peer_ip": peer,
        "method": None if message is None else message.method,
        "host": None if head is None else head.host,
        "path": None if message is None else printable(message.path.partition("?")[0]),
        "route": None if route is None else route.id,
        "query_keys": () if head is None else query_keys(head.query),
        "http_version": None if message is None else http_version(message.version),
        "user_agent": None if received is None else _user_agent(received),
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        **(NO_TOKEN if token is None else token.record),
        "scopes_required": () if route is None else route.rule.scopes_named,
        "scopes_granted": () if token is None else token.claims.scopes,
        "scopes_missing": () if denial is None else denial.scopes_missing,
        "decision": "deny" if denial is not None and denial.keeps_out else "allow",
        "reason": None if denial is None else denial.reason.value,
        "would_deny": None,
        "status": exchange.status,
        "upstream": None if exchange.upstream is None else exchange.upstream.settings.name,
        "upstream_status": exchange.upstream_status,
        "retries": exchange.retries,
        "ms_total": _milliseconds(seconds),
        "ms_verify": None if verify_seconds is None else _milliseconds(verify_seconds),
        "ms_upstream": None if exchange.upstream_seconds is None else _milliseconds(exchange.upstream_seconds),
        "cache_hit": cached,
        "aborted": exchange.aborted,
    }


def _milliseconds(seconds: float) -> float:
    return int(seconds * 1e6) / 1000


@lru_cache(maxsize=16)
def http_version(version: tuple[int, int]) -> str:
    """An HTTP version as the record shows it."""
    return f"{version[0]}.{version[1]}"


def _user_agent(received: ReceivedHead) -> str | None:
    agent = received.user_agent
    return None if agent is None else printable(agent.decode("latin-1"))
