"""One request and its answer: what is known of both, what the gateway itself answers, and the record of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from aiohttp import HttpVersion11
from aiohttp.http_parser import RawRequestMessage

from gateway.answer_head import answer_head, http_date
from gateway.downstream.connection import ClientConnection
from gateway.policy.cors import told
from gateway.policy.denial import Denial, Reason, Refusal, refuse
from gateway.policy.forwarding import read_traceparent
from gateway.policy.headers import Kind, ReceivedHead
from gateway.policy.model import RequestHead
from gateway.policy.modes import lets_pass, warning
from gateway.policy.preflight import Preflight
from gateway.rules import NOT_JUDGED, Judgement, Rules
from gateway.upstream.pool import Upstream


class Exchange:
    """One request and its answer.

    Args:
        client: the client's connection.
        message: the request head; None where none could be parsed.
        rules: in force when the request came.
        record: takes the exchange when it is over, exactly once.
        now: seconds since the epoch.

    Attributes:
        received: the head as it is judged; None before.
        judgement: what was found out so far.
        trace_flags: of the trace that the client began, None where it began none.
        denial: why it was refused, or failed; None where it was not.
        would_deny: why the request would have been refused, where the route's mode let it pass.
        warning: the field line that tells the client of it, empty where nothing does.
        upstream: that the request went to.
        upstream_seconds: from the request's going out to the head of the answer.
        over: whether the exchange has been recorded.
    """

    __slots__ = (
        "_must_close",
        "_record_once",
        "aborted",
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

    def __init__(
        self,
        client: ClientConnection,
        message: RawRequestMessage | None,
        rules: Rules,
        record: Callable[[Exchange], None],
        now: float,
    ) -> None:
        self.client = client
        self.message = message
        self.rules = rules
        self.began_at = now
        self.started = time.perf_counter()
        self.request_id = self.trace_id = f"{random.getrandbits(128):032x}"  # it names a request and protects nothing
        self.trace_flags: str | None = None
        self._record_once = record
        self.received: ReceivedHead | None = None
        self.judgement: Judgement = NOT_JUDGED
        self.denial: Denial | None = None
        self.would_deny: Denial | None = None
        self.warning = b""
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.upstream: Upstream | None = None
        self.upstream_status: int | None = None
        self.upstream_seconds: float | None = None
        self.retries = 0
        self.aborted = False
        self.over = False
        self._must_close = False

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

    # What the gateway answers itself

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

    def _told_to_pages(self) -> bytes:
        """The field lines of an answer for the pages of other origins, on a route that says something of them."""
        route = self.judgement.route
        return b"" if route is None or route.cors is None else told(route.cors, self.head.method, self.head.fields)

    @property
    def _body_is_optional(self) -> bool:
        """Whether the client asked before it sends its body: refused, it may send or keep it (RFC 9110 §10.1.1)."""
        return self.received is not None and Kind.EXPECT in self.received.special and self.client.has_body_to_come

    def _date(self) -> bytes:
        """When the answer is made (RFC 9110 §6.6.1)."""
        return http_date(int(self.began_at + time.perf_counter() - self.started))

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

    # The end

    def _finish(self) -> None:
        self._record()
        self.client.finish(keep_alive=self._keep_alive)

    def _record(self) -> None:
        if not self.over:
            self.over = True
            self._record_once(self)
