"""One request and its answer: streams both ways between a client's and an upstream's connection.

All of it runs in the socket's callbacks. Whoever reads more slowly than the other writes holds the other back; nothing
is collected.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine

from aiohttp import HttpVersion11
from aiohttp.http_parser import RawRequestMessage, RawResponseMessage

from gateway.answer_head import CHUNKED, answer_head, http_date, informational_head, read_answer
from gateway.downstream.connection import ClientConnection
from gateway.policy.cors import told, without_cors
from gateway.policy.denial import Denial, Reason, Refusal, refuse
from gateway.policy.forwarding import read_traceparent
from gateway.policy.headers import Kind, ReceivedHead, read_reason, read_response
from gateway.policy.model import RequestHead
from gateway.policy.modes import lets_pass, warning
from gateway.policy.preflight import Preflight
from gateway.policy.trailers import announced, announcement, takes_trailers
from gateway.policy.websocket import ASKING, agrees, handshake_key
from gateway.request_head import never_trailing, request_head
from gateway.rules import NOT_JUDGED, Judgement, Rules
from gateway.tunnel import Tunnel, span_of
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.failure import UpstreamFailure
from gateway.upstream.pool import Upstream

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""Methods that may be sent again (RFC 9110 §9.2.2)."""

CLIENT_CLOSED = 499
"""What the record shows when the client left before it was answered; no such status is ever sent."""

CONTINUE_SECONDS = 1.0
"""How long the upstream may keep a client waiting that asked whether to send its body (RFC 9110 §10.1.1)."""


class Exchange:
    """One request and its answer.

    Args:
        client: the client's connection.
        message: the request head; None where none could be parsed.
        rules: in force when the request came.
        record: takes the exchange when it is over, exactly once.
        later: runs what has to wait.
        now: seconds since the epoch.

    Attributes:
        received: the head as it is judged; None before.
        authorization: the gateway's own credentials for the upstream, in place of the caller's; None for none.
        judgement: what was found out so far.
        trace_flags: of the trace that the client began, None where it began none.
        upstream_seconds: from the request's going out to the head of the answer.
        over: whether the exchange has been recorded.
        would_deny: why the request would have been refused, where the route's mode let it pass.
        warning: the field line that tells the client of it, empty where nothing does.
    """

    __slots__ = (
        "_answer_sent",
        "_chunked_answer",
        "_connection",
        "_end_in_time",
        "_forwarded_at",
        "_later",
        "_max_body",
        "_must_close",
        "_record_once",
        "_trailers",
        "_unsent",
        "_waits_for_continue",
        "_websocket_key",
        "aborted",
        "authorization",
        "began_at",
        "bytes_in",
        "bytes_out",
        "client",
        "denial",
        "judgement",
        "message",
        "over",
        "received",
        "request_id",
        "retries",
        "rules",
        "started",
        "status",
        "trace_flags",
        "trace_id",
        "upstream",
        "upstream_seconds",
        "upstream_status",
        "warning",
        "would_deny",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what one request needs of its surroundings
        self,
        client: ClientConnection,
        message: RawRequestMessage | None,
        rules: Rules,
        record: Callable[[Exchange], None],
        later: Callable[[Exchange, Coroutine[None, None, None]], None],
        now: float,
    ) -> None:
        self.client = client
        self.message = message
        self.rules = rules
        self.began_at = now
        self.started = time.perf_counter()
        self.request_id = self.trace_id = f"{random.getrandbits(128):032x}"  # it names a request and protects nothing
        self._record_once = record
        self._later = later
        self.received: ReceivedHead | None = None
        self.authorization: bytes | None = None
        self.judgement: Judgement = NOT_JUDGED
        self.over = False
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.upstream: Upstream | None = None
        self.upstream_status: int | None = None
        self.upstream_seconds: float | None = None
        self.retries = 0
        self.denial: Denial | None = None
        self.aborted = False
        self._forwarded_at = 0.0
        self._connection: UpstreamConnection | None = None
        self._waits_for_continue = False
        self._chunked_answer = False
        self._must_close = False
        self._answer_sent = False
        self.trace_flags: str | None = None
        self._unsent = b""
        self._trailers = b""
        self._max_body: int | None = None
        self._end_in_time: asyncio.TimerHandle | None = None
        self._websocket_key: bytes | None = None
        self.would_deny: Denial | None = None
        self.warning = b""
        client.exchange = self

    @property
    def head(self) -> RequestHead:
        """What is judged."""
        return self._received.head

    @property
    def _received(self) -> ReceivedHead:
        if self.received is None:
            raise RuntimeError("a request is forwarded only after its head was read")
        return self.received

    def take_head(self, received: ReceivedHead) -> None:
        """The head can be read: what follows is to be judged by it."""
        self.received = received
        trace = read_traceparent(received.first(Kind.TRACEPARENT)) if received.special else None
        if trace is not None:
            self.trace_id, self.trace_flags = trace

    # Bounds

    def bound_body(self, most: int) -> Denial | None:
        """Take so many bytes of a body at most; a Denial where the request announces more."""
        length = self._received.content_length
        if length is not None and length > most:
            return Denial(Reason.BODY_TOO_LARGE, f"a body of {length} bytes, where {most} are taken")
        self._max_body = most
        return None

    def _takes_more(self, most: int) -> bool:
        """Whether the body goes on beyond its bound; else the request has failed."""
        denial = Denial(Reason.BODY_TOO_LARGE, f"a body of more than {most} bytes")
        if not self.lets_pass(denial):
            self.fail(denial)
            return False
        self._max_body = None
        return True

    def bound_time(self, seconds: float) -> None:
        """End the exchange if it is not over in time."""
        if self._end_in_time is None:
            loop = asyncio.get_running_loop()
            self._end_in_time = loop.call_later(seconds, self._out_of_time, seconds)

    def _out_of_time(self, seconds: float) -> None:
        self.fail(Denial(Reason.UPSTREAM_TIMEOUT, f"request and answer took longer than {seconds:g} s"))

    def unbound_time(self) -> None:
        """It may take any time from now on."""
        if self._end_in_time is not None:
            self._end_in_time.cancel()
            self._end_in_time = None

    # Waiting

    def wait(self) -> None:
        """The journey waits for keys or a connection; meanwhile the client's body waits, too."""
        self.client.hold_body()

    def go_on(self) -> None:
        """The wait is over, if no other one has begun."""
        if self._connection is not None or self.over:
            self.client.release_body()

    # Refusing

    def lets_pass(self, denial: Denial) -> bool:
        """Whether the route's mode lets pass what is refused; it is recorded then, the first refusal only."""
        route, token = self.judgement.route, self.judgement.token
        if route is None:
            return False
        mode = route.rule.mode
        if not lets_pass(mode, denial, None if token is None else token.claims, self.began_at):
            return False
        if self.would_deny is None:
            self.would_deny, self.warning = denial, warning(mode, denial)
            if token is not None and not denial.knows_sender:
                self.judgement = self.judgement._replace(token=token.unproven)
        return True

    def refuse(self, denial: Denial) -> None:
        """Answer with a refusal."""
        self._take_denial(denial)
        metadata = self.rules.metadata
        self._answer(refuse(denial, self.rules.realm, self.request_id, None if metadata is None else metadata.address))

    def _take_denial(self, denial: Denial) -> None:
        """What is refused was not let pass, whatever came before."""
        self.denial = denial
        if denial.keeps_out:
            self.would_deny, self.warning = None, b""

    def answer_preflight(self, preflight: Preflight) -> None:
        """Tell a browser whether a page may send what it asks about; no mode of the route changes the answer."""
        if isinstance(preflight.outcome, Denial):
            self.refuse(preflight.outcome)
        else:
            self._answer(Refusal(204, preflight.outcome.fields, b""))

    def _told_to_pages(self) -> bytes:
        """The field lines of an answer for the pages of other origins, on a route that says something of them."""
        route = self.judgement.route
        return b"" if route is None or route.cors is None else told(route.cors, self.head.method, self.head.fields)

    def tell(self, document: bytes) -> None:
        """Answer with a document of the gateway's own (JSON)."""
        fields = ((b"Content-Type", b"application/json"), (b"Cache-Control", b"public, max-age=300"))
        self._answer(Refusal(200, fields, document))

    def _answer(self, answer: Refusal) -> None:
        self.status = answer.status
        malformed = self.denial is not None and self.denial.reason is Reason.REQUEST_MALFORMED
        if malformed or self._body_is_optional:
            # Where the body ends is unknown: bytes that follow could be body or request.
            self._must_close = True
        is_head = self.message is not None and self.message.method == "HEAD"
        body = b"" if is_head else answer.body
        fields = b"".join(b"%b: %b\r\n" % field for field in answer.fields) + self._told_to_pages()
        # A 204 has no body, and says nothing of its length (RFC 9110 §8.6).
        length = b"" if answer.status == 204 else b"Content-Length: %d\r\n" % len(answer.body)
        dated = b"Date: %b\r\n" % self._date()
        self.bytes_out = len(body)
        self.client.send(self._answer_head(answer.status, b"", fields + dated + length) + body)
        self._finish()

    @property
    def _body_is_optional(self) -> bool:
        """Whether the client asked before it sends its body: refused, it may send or keep it (RFC 9110 §10.1.1)."""
        return self.received is not None and Kind.EXPECT in self.received.special and self.client.has_body_to_come

    def _date(self) -> bytes:
        """When the answer is made (RFC 9110 §6.6.1)."""
        return http_date(int(self.began_at + time.perf_counter() - self.started))

    def fail(self, denial: Denial) -> None:
        """Refuse if nothing has been answered yet; else cut the answer off, so that it is seen to be incomplete."""
        self._leave_upstream()
        if self.status == 0:
            self.refuse(denial)
            return
        self._take_denial(denial)
        if self._answer_sent:
            self._must_close = True
            self._finish()
            return
        self.aborted = True
        self._record()
        self.client.abort()

    def _leave_upstream(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _answer_head(self, status: int, reason: bytes, fields: bytes) -> bytes:
        connection = b"" if self.usual_version and self._keep_alive else self._connection_line
        return answer_head(status, reason, fields + self.warning, connection, self.request_id)

    @property
    def usual_version(self) -> bool:
        """Whether the request came by HTTP/1.1."""
        return self.message is not None and self.message.version is HttpVersion11

    @property
    def _keep_alive(self) -> bool:
        message = self.message
        return message is not None and not (message.should_close or self._must_close or self.client.closing)

    @property
    def _connection_line(self) -> bytes:
        return b"Connection: keep-alive\r\n" if self._keep_alive else b"Connection: close\r\n"

    # Forwarding

    def forward_at_once(self, upstream: Upstream) -> bool:
        """Send the request over a connection that is free now; False where there is none."""
        self.upstream = upstream
        connection = upstream.take_idle()
        if connection is None:
            return False
        self._send_head(connection)
        return True

    async def forward(self, upstream: Upstream, *, fresh: bool = False) -> None:
        """Send the request as soon as there is a connection for it."""
        self.upstream = upstream
        connection = await upstream.connect(fresh=fresh)
        if isinstance(connection, UpstreamFailure):
            if not self.over:
                self.on_failure(connection)
        elif self.over:
            connection.hand_back()
        else:
            self._send_head(connection)
            self.client.release_body()

    def _send_head(self, connection: UpstreamConnection) -> None:
        received = self._received
        self._connection = connection
        self._forwarded_at = time.perf_counter()
        to_come = self.client.has_body_to_come
        route = self.judgement.route
        upgrade = b"" if route is None or route.websocket is None else self._ask_for_websocket(received)
        table = self.rules.table
        if received.chunked and route is not None and (route.alters_head or table.looked_at):
            self.client.keep_trailers_back(never_trailing(route, table))
        connection.start(
            self,
            request_head(self, connection.host_line, upgrade),
            complete=not to_come,
            answer_has_body=received.head.method != "HEAD",
            timeouts=None if route is None else route.timeouts,
        )
        if to_come and received.special and Kind.EXPECT in received.special:
            self._waits_for_continue = True
            asyncio.get_running_loop().call_later(CONTINUE_SECONDS, self._continue)

    def _ask_for_websocket(self, received: ReceivedHead) -> bytes:
        """The field lines that ask for a WebSocket, if that is what the client does."""
        message, connection = self.message, self._connection
        if message is None or connection is None or not message.upgrade:
            return b""
        self._websocket_key = handshake_key(received, message.version, message.raw_headers)
        if self._websocket_key is None:
            return b""
        connection.may_switch()
        return ASKING

    # What the client's connection calls

    def on_body(self, data: bytes) -> None:
        """Some of the request's body has come."""
        self.bytes_in += len(data)
        self._waits_for_continue = False
        if self._max_body is not None and self.bytes_in > self._max_body and not self._takes_more(self._max_body):
            return
        if self._connection is not None:
            chunked = self._received.chunked
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    def on_body_end(self, trailers: bytes) -> None:
        """The request's body is complete."""
        self._waits_for_continue = False
        if self._connection is not None:
            if self._received.chunked:
                self._connection.send(b"0\r\n%b\r\n" % trailers)
            self._connection.sent()

    def on_client_gone(self, denial: Denial | None) -> None:
        """The client left, or broke the framing of its body: the upstream need not go on."""
        if self.over:
            return
        if denial is not None:
            self.fail(denial)
            return
        self._leave_upstream()
        self.status = self.status or CLIENT_CLOSED
        self.aborted = not (self._answer_sent and self.client.writable)
        self._record()

    def on_client_blocked(self) -> None:
        """The client takes no more of the answer for now."""
        if self._connection is not None:
            self._connection.hold()

    def on_client_ready(self) -> None:
        """The client takes more again."""
        if self._connection is not None:
            self._connection.release()

    # What the upstream's connection calls

    def on_informational(self, message: RawResponseMessage) -> None:
        """A 1xx answer: passed on to a client that understands it (RFC 9110 §15.2)."""
        if message.code == 100:
            self._continue()
        elif self.usual_version:
            response = read_response(message.raw_headers)
            if isinstance(response, Denial):
                self.fail(response)
                return
            self.client.send(informational_head(message.code, response.lines))

    def _continue(self) -> None:
        if self._waits_for_continue and not self.over and self.status == 0:
            self._waits_for_continue = False
            self.client.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_switch(self, message: RawResponseMessage, behind: bytes) -> None:
        """The upstream switches protocols: a tunnel stands, if it agrees to the handshake (RFC 6455 §4.1)."""
        connection, key = self._connection, self._websocket_key
        span = span_of(self.judgement, self.began_at + time.perf_counter() - self.started)
        response = read_response(message.raw_headers)
        if isinstance(response, Denial):
            self.fail(response)
        elif connection is None or key is None or span is None or not agrees(message.raw_headers, key):
            self.fail(Denial(Reason.UPSTREAM_INVALID, "the answer to the WebSocket handshake does not agree to it"))
        else:
            self.upstream_seconds = time.perf_counter() - self._forwarded_at
            self.upstream_status = self.status = 101
            agreement = b"HTTP/1.1 101 Switching Protocols\r\n%b%b%bX-Request-Id: %b\r\n\r\n" % (
                ASKING,
                response.lines,
                self.warning,
                self.request_id.encode(),
            )
            self.unbound_time()
            Tunnel(self, self.client, connection, span, agreement, behind)

    def on_tunnel_end(self, *, aborted: bool) -> None:
        """The WebSocket has ended."""
        if not self.over:
            self.aborted = aborted
            self._record()

    def on_head(self, message: RawResponseMessage) -> None:
        """The final answer's head."""
        response = read_answer(message, self._connection)
        if isinstance(response, Denial):
            self.fail(response)
            return
        reason = read_reason(message.reason)
        if reason is None:
            self.fail(Denial(Reason.UPSTREAM_INVALID, "a control character in the answer's reason phrase"))
            return
        self.upstream_seconds = time.perf_counter() - self._forwarded_at
        self.upstream_status = self.status = status = message.code
        if status == 401 and self.authorization is not None:
            self._credentials_refused(self.authorization)
        if self._waits_for_continue:
            self._must_close = True
        length = response.content_length
        own = self._framing(message) if length is None or status == 204 else b"Content-Length: %d\r\n" % length
        if not response.dated:
            own += b"Date: %b\r\n" % self._date()
        lines, route = response.lines, self.judgement.route
        if route is not None and route.cors is not None:
            lines = without_cors(lines) + self._told_to_pages()
        self._unsent = self._answer_head(status, reason, lines + own)

    def _credentials_refused(self, authorization: bytes) -> None:
        """The upstream did not take the gateway's own token: it may have been revoked."""
        if self.upstream is not None and self.upstream.credentials is not None:
            self.upstream.credentials.refused(authorization)

    def _framing(self, message: RawResponseMessage) -> bytes:
        """How the client knows where an answer of no known length ends (RFC 9112 §6.3)."""
        if message.code in {204, 304} or self.head.method == "HEAD":
            return b""
        if self.usual_version:
            self._chunked_answer = True
            return CHUNKED + self._announcement(message)
        self._must_close = True
        return b""

    @property
    def takes_trailers(self) -> bool:
        """Whether the client takes trailers."""
        return self.usual_version and takes_trailers(self._received.special)

    def _announcement(self, message: RawResponseMessage) -> bytes:
        """Ask for the trailers that the answer announces, and announce them, if the client takes any."""
        if self._connection is None or not (message.chunked and self.takes_trailers):
            return b""
        names = announced(message.raw_headers)
        if names:
            self._connection.read_trailers(names)
        return announcement(names)

    def on_trailers(self, trailers: bytes) -> None:
        """The answer's trailers."""
        self._trailers = trailers

    def on_data(self, data: bytes) -> None:
        """Some of the answer's body."""
        self.bytes_out += len(data)
        if self._chunked_answer:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        unsent, self._unsent = self._unsent, b""
        self.client.send(unsent + data if unsent else data)

    def on_pause(self) -> None:
        """No more of the answer is at hand now."""
        unsent, self._unsent = self._unsent, b""
        if unsent:
            self.client.send(unsent)

    def on_answered(self) -> None:
        """The answer is complete, the request's body is not: the upstream gets the rest of it, if there will be one."""
        self._end_answer()
        self._answer_sent = True
        if self._waits_for_continue or not (self._keep_alive or self.client.end_answers()):
            self._leave_upstream()
            self._finish()

    def on_end(self) -> None:
        """The answer is complete, and the upstream takes no more of the request's body."""
        self._connection = None
        if self._unsent or self._chunked_answer:
            self._end_answer()
        self._finish()

    def _end_answer(self) -> None:
        unsent, self._unsent = self._unsent, b""
        if self._chunked_answer:
            self._chunked_answer = False
            unsent += b"0\r\n%b\r\n" % self._trailers
        if unsent:
            self.client.send(unsent)

    def on_failure(self, failure: UpstreamFailure) -> None:
        """There will be no (more) answer: ask again where nothing can have been done twice, else say so."""
        self._connection = None
        if failure.stale and self._may_ask_again() and self.upstream is not None:
            self.retries += 1
            self.wait()
            self._later(self, self.forward(self.upstream, fresh=True))
        else:
            self.fail(Denial(failure.reason, failure.detail))

    def _may_ask_again(self) -> bool:
        """Whether nothing of a body was sent, and doing it twice does what doing it once does."""
        received = self._received
        unsent = self.bytes_in == 0 and self.client.has_body_to_come
        return (
            self.retries == 0
            and received.head.method in IDEMPOTENT
            and (unsent or not (received.chunked or received.content_length))
        )

    def on_upstream_blocked(self) -> None:
        """The upstream takes no more of the body for now."""
        self.client.hold_body()

    def on_upstream_ready(self) -> None:
        """The upstream takes more again."""
        self.client.release_body()

    # The end

    def _finish(self) -> None:
        self._record()
        self.client.finish(keep_alive=self._keep_alive)

    def _record(self) -> None:
        if not self.over:
            self.over = True
            if self._end_in_time is not None:
                self.unbound_time()
            self._record_once(self)
