"""What is kept of an exchange: one line in the access log, and the counters that metrics show."""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from aiohttp.http_parser import RawRequestMessage

from gateway.access.record import VERSION, timestamp
from gateway.access.writer import AccessLog
from gateway.exchange import Exchange
from gateway.policy.denial import Denial
from gateway.policy.headers import Field
from gateway.policy.model import Route
from gateway.policy.paths import query_keys
from gateway.policy.printable import brief, printable
from gateway.rules import Rules
from gateway.tokens.verifier import UNVERIFIED

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the duration histogram, in seconds."""

AT_ONCE = 64
"""Exchanges that are rendered together: more would make the others wait noticeably."""

LATEST = 0.02
"""Seconds that an exchange waits for others at most."""

LONGEST_DETAIL = 600
"""Characters of what is said of a refusal."""

NULL, EMPTY = "null", "[]"
_BOOLEANS = {None: NULL, True: "true", False: "false"}


class Counters:
    """What has happened since the start.

    Attributes:
        requests: by (route, decision, reason, status); "" stands for none.
        would_deny: requests that were let pass though refused, by (route, reason).
        durations: requests in each bucket of BUCKETS, and beyond; with their sum in seconds.
        retries: requests that were sent again because a kept connection had died.
        aborted: answers that were cut off, or that the client did not wait for.
        verified: tokens that were verified, and those that had been before (recalled).
        opaque_recalled: by issuer, those of them that are opaque.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str, int]] = Counter()
        self.would_deny: Counter[tuple[str, str]] = Counter()
        self.durations = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.retries = 0
        self.aborted = 0
        self.verified = 0
        self.recalled = 0
        self.opaque_recalled: Counter[str] = Counter()


class Recorder:
    """Takes each exchange once, when it is over; renders and counts a few together, which costs half as much.

    Args:
        access_log: where the lines go.
        counters: what is counted.

    Attributes:
        in_flight: exchanges that are not over; whoever begins one counts it.
    """

    def __init__(self, access_log: AccessLog, counters: Counters) -> None:
        self._log = access_log
        self._counters = counters
        self.in_flight = 0
        self._waiting: list[tuple[Exchange, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def record(self, exchange: Exchange) -> None:
        """Take an exchange that is over."""
        self.in_flight -= 1
        self._waiting.append((exchange, time.perf_counter() - exchange.started))
        if len(self._waiting) >= AT_ONCE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LATEST, self.flush)

    def flush(self) -> None:
        """Render and count what waits."""
        waiting, self._waiting = self._waiting, []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for exchange, seconds in waiting:
            self._log.write(render(exchange, seconds))
            self._count(exchange, seconds)

    def _count(self, exchange: Exchange, seconds: float) -> None:
        counters, denial, judgement = self._counters, exchange.denial, exchange.judgement
        route = "" if judgement.route is None else judgement.route.id
        reason = "" if denial is None else denial.reason.value
        counters.requests[route, _decision(denial), reason, exchange.status] += 1
        if exchange.would_deny is not None:
            counters.would_deny[route, exchange.would_deny.reason.value] += 1
        counters.durations[bisect_left(BUCKETS, seconds)] += 1
        counters.seconds += seconds
        counters.retries += exchange.retries
        counters.aborted += exchange.aborted
        if judgement.cached is not None:
            counters.recalled += judgement.cached
            counters.verified += not judgement.cached
            token = judgement.token
            if token is not None and token.thumbprint is None and judgement.cached:
                counters.opaque_recalled[token.claims.issuer_name] += 1


def render(exchange: Exchange, seconds: float) -> bytes:
    """The access record of an exchange that took so many seconds: one line, its end included.

    The members are those of AccessRecord, in its order. Whatever could hold a quote, a backslash or a control
    character is quoted; the rest has been restricted before: ids and scopes by their grammar, a judged path and Host
    by the form that they are judged for.
    """
    denial, would_deny, upstream = exchange.denial, exchange.would_deny, exchange.upstream
    told = denial or would_deny
    _, route, token, cached, verify_seconds = exchange.judgement
    return (
        f'{{"v":{VERSION},"ts":"{timestamp(exchange.began_at)}","request_id":"{exchange.request_id}",'
        f'"trace_id":"{exchange.trace_id}",{_request_members(exchange, route)},'
        f'"bytes_in":{exchange.bytes_in},"bytes_out":{exchange.bytes_out},'
        f"{UNVERIFIED if token is None else token.record},"
        f'"scopes_required":{EMPTY if route is None else json_list(route.rule.scopes_named)},'
        f'"scopes_granted":{EMPTY if token is None else json_list(token.claims.scopes)},'
        f'"scopes_missing":{EMPTY if told is None else json_list(told.scopes_missing)},'
        f'"decision":"{_decision(denial)}","reason":{NULL if denial is None else _name(denial.reason.value)},'
        f'"would_deny":{NULL if would_deny is None else _name(would_deny.reason.value)},"status":{exchange.status},'
        f'"upstream":{NULL if upstream is None else _name(upstream.settings.name)},'
        f'"upstream_status":{exchange.upstream_status or NULL},"retries":{exchange.retries},'
        f'"ms_total":{seconds * 1000:.3f},"ms_verify":{_milliseconds(verify_seconds)},'
        f'"ms_upstream":{_milliseconds(exchange.upstream_seconds)},'
        f'"cache_hit":{_BOOLEANS[cached]},"aborted":{_BOOLEANS[exchange.aborted]},'
        f'"detail":{NULL if told is None or not told.detail else quoted(brief(told.detail, LONGEST_DETAIL))}}}\n'
    ).encode()


class _Shown(NamedTuple):
    """The members about a request's head, kept with its connection, and what they were made of."""

    rules: Rules
    forwarding: Sequence[Field]
    method: str
    target: str
    route: Route | None
    members: str


def _request_members(exchange: Exchange, route: Route | None) -> str:
    """The members from `mode` to `user_agent`; for a head that is like the connection's last, those of that one.

    Heads that were made out of a familiar one share its list of forwarding fields, so to be the same list is to have
    the same fields.
    """
    received, rules, client = exchange.received, exchange.rules, exchange.client
    if received is None:
        return _unread_members(exchange)
    head, last = received.head, client.shown
    if (
        isinstance(last, _Shown)
        and last.forwarding is head.forwarding
        and last.rules is rules
        and last.route is route
        and last.target == head.target
        and last.method == head.method
    ):
        return last.members
    address = rules.trusted_proxies.client_address(client.peer, head.forwarding)
    client_ip = f'"{address}"' if address else NULL
    agent = NULL if received.user_agent is None else _quoted_bytes(received.user_agent)
    members = (
        f'"mode":"{"enforce" if route is None else route.rule.mode.name}","config_rev":"{rules.revision}",'
        f'"client_ip":{client_ip},'
        f'"peer_ip":"{client.peer}","method":{_name(head.method)},"host":"{head.host}",'
        f'"path":"{head.target.partition("?")[0]}","route":{NULL if route is None else _name(route.id)},'
        f'"query_keys":{json_list(query_keys(head.query))},'
        f'"http_version":{_http_version(exchange.message)},"user_agent":{agent}'
    )
    client.shown = _Shown(rules, head.forwarding, head.method, head.target, route, members)
    return members


def _unread_members(exchange: Exchange) -> str:
    """The same members for a request whose head was refused for its form, or could not be parsed."""
    message, peer = exchange.message, exchange.client.peer
    return (
        f'"mode":"enforce","config_rev":"{exchange.rules.revision}","client_ip":"{peer}","peer_ip":"{peer}",'
        f'"method":{NULL if message is None else _name(message.method)},"host":null,'
        f'"path":{NULL if message is None else _unjudged_path(message)},"route":null,"query_keys":[],'
        f'"http_version":{_http_version(message)},"user_agent":null'
    )


def _unjudged_path(message: RawRequestMessage) -> str:
    """The path as received, without what may hold a secret: query, fragment, and the userinfo of an absolute form."""
    path = message.path.partition("?")[0].partition("#")[0]
    return quoted(path if path.startswith("/") else path.rpartition("@")[2])


def _decision(denial: Denial | None) -> str:
    return "deny" if denial is not None and denial.keeps_out else "allow"


def quoted(text: str) -> str:
    """Text of strangers as a JSON string."""
    return json.dumps(printable(text))


@lru_cache(maxsize=1024)
def _quoted_bytes(value: bytes) -> str:
    return quoted(value.decode("latin-1"))


@lru_cache(maxsize=1024)
def json_list(items: tuple[str, ...]) -> str:
    """Scopes or names of query parameters as a JSON array: few different ones, so each is rendered once."""
    return json.dumps(items, separators=(",", ":"))


@lru_cache(maxsize=1024)
def _name(text: str) -> str:
    return json.dumps(text)


def _http_version(message: RawRequestMessage | None) -> str:
    return NULL if message is None else f'"{message.version[0]}.{message.version[1]}"'


def _milliseconds(seconds: float | None) -> str:
    return NULL if seconds is None else f"{seconds * 1000:.3f}"
