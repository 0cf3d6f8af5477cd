"""The journey of a request: judge it (match, take, verify, decide), forward or refuse it, record it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from aiohttp.http_parser import RawRequestMessage

from gateway.client.token_source import NoToken, TokenSource
from gateway.downstream.connection import ClientConnection
from gateway.policy.decision import Allow
from gateway.policy.denial import Denial, Reason
from gateway.policy.headers import read_head
from gateway.policy.model import Route
from gateway.policy.preflight import Preflight
from gateway.policy.resource_metadata import resource_path
from gateway.recorder import Recorder
from gateway.relay import Relay
from gateway.rules import UNKNOWN, Familiar, Known, Rules, beyond_rates, familiar, judge, without_key
from gateway.tokens.introspection import UnknownToken
from gateway.tokens.verifier import VerifiedToken
from gateway.tokens.verify import UnknownKey
from gateway.upstream.pool import Upstream

log = logging.getLogger(__name__)


class Proxy:
    """Answers the requests of all client connections.

    Args:
        rules: the configuration in force; replace the attribute to change it.
        recorder: takes one record a request.
        clock: seconds since the epoch.
        max_requests: in flight at a time; those beyond are refused.
    """

    def __init__(self, rules: Rules, recorder: Recorder, clock: Callable[[], float], max_requests: int) -> None:
        self.rules = rules
        self._max_requests = max_requests
        self._recorder = recorder
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, connection: ClientConnection, message: RawRequestMessage) -> None:
        """Take a request head from a client."""
        exchange = self._exchange(connection, message)
        try:
            rules, last = exchange.rules, connection.familiar
            alike = last.read(rules, message) if isinstance(last, Familiar) else None
            if alike is not None:
                received, known = alike
            else:
                received = read_head(message.method, message.path, message.version, message.raw_headers)
                known = UNKNOWN
            if isinstance(received, Denial):
                exchange.refuse(received)
                return
            exchange.take_head(received)
            if self._recorder.in_flight > self._max_requests:
                exchange.refuse(Denial(Reason.OVERLOADED, f"{self._max_requests} requests are in flight already"))
                return
            if rules.metadata is not None and (about := resource_path(received.head.path)) is not None:
                self._describe(exchange, rules, about)
                return
            self._travel(exchange, known)
            if alike is None and exchange.denial is None and exchange.would_deny is None:
                connection.familiar = familiar(rules, message, received, exchange.judgement)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            fail_closed(exchange, error)

    def reject(self, connection: ClientConnection, denial: Denial) -> None:
        """Answer what is no request head."""
        self._exchange(connection, None).refuse(denial)

    @staticmethod
    def _describe(exchange: Relay, rules: Rules, path: str) -> None:
        """Tell what there is to know of a protected resource (RFC 9728 §3)."""
        routes = rules.table.candidates(path, exchange.head.host) if path else ()
        if rules.metadata is None or (path and not routes):
            exchange.refuse(Denial(Reason.NO_ROUTE, "no route's path fits that of the resource"))
        elif exchange.head.method not in {"GET", "HEAD"}:
            exchange.refuse(Denial(Reason.METHOD_NOT_ALLOWED, "metadata are only read", allow=("GET", "HEAD")))
        else:
            exchange.tell(rules.metadata.document(path, routes))

    def _exchange(self, connection: ClientConnection, message: RawRequestMessage | None) -> Relay:
        self._recorder.in_flight += 1
        return Relay(connection, message, self.rules, self._recorder.record, self._later, self._clock())

    def _travel(self, exchange: Relay, known: Known = UNKNOWN, *, looked: bool = False) -> None:
        """The journey; where it has to wait, a task takes it up again."""
        rules = exchange.rules
        exchange.judgement = judgement = judge(
            exchange.head, exchange.client, rules.table, rules.verifier, rules.proofs, self._clock(), known
        )
        outcome = judgement.outcome
        if looked and judgement.cached:
            exchange.judgement = judgement._replace(cached=False)
        if isinstance(outcome, Allow) and judgement.route is not None:
            self._let_in(exchange, judgement.route)
        elif isinstance(outcome, UnknownKey):
            if looked:
                self._deny(exchange, without_key(outcome, rules.keys[outcome.issuer]))
            else:
                exchange.wait()
                self._later(exchange, self._look_for_key(exchange, outcome))
        elif isinstance(outcome, UnknownToken):
            if looked:
                self._deny(exchange, Denial(Reason.INTROSPECTION_UNAVAILABLE, "the answer was out of date at once"))
            else:
                self._ask_issuer(exchange, outcome)
        elif isinstance(outcome, Denial):
            if outcome.issuer is None or looked or not rules.keys[outcome.issuer].may_have_changed:
                self._deny(exchange, outcome)
            else:
                exchange.wait()
                self._later(exchange, self._look_for_key(exchange, UnknownKey(outcome.issuer, None)))
        elif isinstance(outcome, Preflight):
            exchange.answer_preflight(outcome)

    def _deny(self, exchange: Relay, denial: Denial) -> None:
        """Refuse, unless the route's mode lets it pass."""
        route = exchange.judgement.route
        if route is not None and exchange.lets_pass(denial):
            self._let_in(exchange, route)
        else:
            exchange.refuse(denial)

    @staticmethod
    def _beyond_bounds(exchange: Relay, route: Route) -> Denial | None:
        """What an allowed request is refused for; what would be refused anyway (shadow) counts against no bound."""
        if exchange.would_deny is not None and route.rule.mode.name == "shadow":
            return None
        if route.max_body is not None and (denial := exchange.bound_body(route.max_body)) is not None:
            return denial
        if not route.rate_limits:
            return None
        return beyond_rates(exchange.rules, exchange.judgement, exchange.client, exchange.head)

    def _let_in(self, exchange: Relay, route: Route) -> None:
        """Within the route's bounds, on to its upstream; first the gateway's own token is waited for if need be."""
        beyond = self._beyond_bounds(exchange, route)
        if beyond is not None and not exchange.lets_pass(beyond):
            exchange.refuse(beyond)
            return
        upstream = exchange.rules.upstreams[route.upstream]
        total = upstream.total_timeout
        if route.timeouts is not None and route.timeouts.total is not None:
            total = route.timeouts.total
        if total is not None:
            exchange.bound_time(total)
        credentials = upstream.credentials
        if credentials is not None:
            exchange.authorization = credentials.authorization
            if exchange.authorization is None:
                exchange.wait()
                self._later(exchange, self._obtain_token(exchange, upstream, credentials))
                return
        self._forward(exchange, upstream)

    def _forward(self, exchange: Relay, upstream: Upstream) -> None:
        if not exchange.forward_at_once(upstream):
            exchange.wait()
            self._later(exchange, exchange.forward(upstream))

    async def _obtain_token(self, exchange: Relay, upstream: Upstream, credentials: TokenSource) -> None:
        obtained = await credentials.wait()
        if exchange.over:
            return
        if isinstance(obtained, NoToken):
            exchange.refuse(Denial(Reason.CREDENTIALS_UNAVAILABLE, obtained.detail))
        else:
            exchange.authorization = obtained
            self._forward(exchange, upstream)
        exchange.go_on()

    async def _look_for_key(self, exchange: Relay, unknown: UnknownKey) -> None:
        await exchange.rules.keys[unknown.issuer].look_for(unknown.kid)
        if not exchange.over:
            self._travel(exchange, looked=True)
            exchange.go_on()

    def _ask_issuer(self, exchange: Relay, unknown: UnknownToken) -> None:
        rules = exchange.rules
        asked = rules.introspectors[unknown.issuer].ask(unknown, rules.verifier.admit)
        if isinstance(asked, Denial):
            self._deny(exchange, asked)
        else:
            exchange.wait()
            self._later(exchange, self._wait_for_issuer(exchange, asked))

    async def _wait_for_issuer(self, exchange: Relay, asked: asyncio.Future[VerifiedToken | Denial]) -> None:
        answer = await asked
        if exchange.over:
            return
        if isinstance(answer, Denial):
            self._deny(exchange, answer)
        else:
            # What was remembered of this connection while the token was unknown: the next request shall find it known.
            exchange.client.familiar = None
            self._travel(exchange, looked=True)
        exchange.go_on()

    def _later(self, exchange: Relay, journey: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(_guarded(exchange, journey))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _guarded(exchange: Relay, journey: Coroutine[None, None, None]) -> None:
    try:
        await journey
    except Exception as error:  # noqa: BLE001 - the last line of defence
        fail_closed(exchange, error)


def fail_closed(exchange: Relay, error: Exception) -> None:
    """Whatever is unforeseen is logged and refused, and never forwarded."""
    log.error("request %s failed unexpectedly", exchange.request_id, exc_info=error)
    if not exchange.over:
        exchange.fail(Denial(Reason.INTERNAL_ERROR, "an unexpected error, see the gateway's log"))
