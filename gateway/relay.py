"""What goes on between a client's and an upstream's connection: streams both ways.

All of it runs in the socket's callbacks. Whoever reads more slowly than the other writes holds the other back; nothing
is collected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

from aiohttp.http_parser import RawRequestMessage, RawResponseMessage

from gateway.answer_head import CHUNKED, informational_head, read_answer
from gateway.downstream.connection import ClientConnection
from gateway.exchange import Exchange
from gateway.policy.cors import without_cors
from gateway.policy.denial import Denial, Reason
from gateway.policy.headers import Kind, ReceivedHead, read_reason, read_response
from gateway.policy.trailers import announced, announcement, takes_trailers
from gateway.policy.websocket import ASKING, agrees, handshake_key
from gateway.request_head import never_trailing, request_head
from gateway.rules import Rules
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


class Relay(Exchange):
    """An exchange that can go on to an upstream.

    Args:
        client: the client's connection.
        message: the request head; None where none could be parsed.
        rules: in force when the request came.
        record: takes the exchange when it is over, exactly once.
        later: runs what has to wait.
        now: seconds since the epoch.

    Attributes:
        authorization: the gateway's own credentials for the upstream, in place of the caller's; None for none.
    """

    __slots__ = (
        "_answer_sent",
        "_chunked_answer",
        "_connection",
        "_end_in_time",
        "_forwarded_at",
        "_later",
        "_max_body",
        "_trailers",
        "_unsent",
        "_waits_for_continue",
        "_websocket_key",
        "authorization",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what one request needs of its surroundings
        self,
        client: ClientConnection,
        message: RawRequestMessage | None,
        rules: Rules,
        record: Callable[[Exchange], None],
        later: Callable[[Relay, Coroutine[None, None, None]], None],
        now: float,
    ) -> None:
        super().__init__(client, message, rules, record, now)
        self._later = later
        self.authorization: bytes | None = None
        self._connection: UpstreamConnection | None = None
        self._forwarded_at = 0.0
        self._max_body: int | None = None
        self._end_in_time: asyncio.TimerHandle | None = None
        self._waits_for_continue = False
        self._websocket_key: bytes | None = None
        self._unsent = b""
        self._chunked_answer = False
        self._trailers = b""
        self._answer_sent = False
        client.exchange = self

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
            late = Denial(Reason.UPSTREAM_TIMEOUT, f"request and answer took longer than {seconds:g} s")
            self._end_in_time = asyncio.get_running_loop().call_later(seconds, self.fail, late)

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

    # Failing

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

    def _record(self) -> None:
        if self._end_in_time is not None:
            self.unbound_time()
        super()._record()
