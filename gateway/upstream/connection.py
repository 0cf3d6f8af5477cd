"""One connection to an upstream, on aiohttp's C response parser.

aiohttp's client is not used: it rewrites paths, sends requests again by itself, drops bytes that it cannot encode,
and costs three quarters of a proxied request's time. Here bytes go out as they were judged.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from aiohttp.http_parser import HttpResponseParser, RawResponseMessage
from aiohttp.streams import StreamReader

from gateway.deadlines import NEVER
from gateway.parsing import PARSED_AT_ONCE, UNBOUNDED
from gateway.policy.denial import Denial
from gateway.policy.headers import NO_FIELDS, Field, ResponseHead
from gateway.policy.model import RouteTimeouts
from gateway.policy.trailers import ChunkedWalk, HeadEnd
from gateway.tls import fault
from gateway.upstream.failure import UpstreamFailure, invalid, timed_out, unreachable
from gateway.upstream.parties import Origin, UpstreamExchange

_Answer = tuple[RawResponseMessage, StreamReader]

HEAD_BYTES = 64 * 1024
"""Of an answer's head: a field's limit for the parser, and for the whole of it here."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream; one exchange at a time.

    Attributes:
        exchange: the one under way, None while idle.
        served: how many answers it has brought.
        writable: whether the upstream takes what is written.
        host_line: the Host field for whoever is at its other end.
        deadline: see `Deadlines`.
        familiar_fields: the last answer's fields, as received.
        familiar_head: what they amount to.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._waits = origin.waits
        self.host_line = origin.host_line
        self._now: Callable[[], float] = origin.loop.time
        self._parser: HttpResponseParser | None = None
        self._reads_bodies = False  # the parser, and may read a further one; it never does after an answer to HEAD
        self._payload: StreamReader | None = None
        self._keep_alive = False
        self._answered = False  # whether the final head has come
        self._heard = 0  # bytes of the answer before its final head
        self._request_sent = False
        self._held = False
        self._may_switch = False
        self._head_end: HeadEnd | None = None  # while a head is incomplete
        self._walk: ChunkedWalk | None = None
        self._parts = b""  # of what was read, what waits for its turn
        self._has_length = False  # the answer's body: its bytes cost nothing to parse
        self._trailers: tuple[bytes, ...] = ()
        self.writable = True
        self.exchange: UpstreamExchange | None = None
        self.served = 0
        self.familiar_fields: Sequence[Field] = ()
        self.familiar_head: ResponseHead | Denial = NO_FIELDS
        self.deadline = NEVER

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        self._origin.opened(self)

    def data_received(self, data: bytes) -> None:
        """Some of an answer has come."""
        if self._parts:
            self._parts += data
        elif len(data) > PARSED_AT_ONCE and not self._has_length:
            self._parts = data
            self._transport.pause_reading()
            self._take_turn()
        else:
            self._parse(data)

    def _take_turn(self) -> None:
        """Parse a part, and let other connections have their turn before the next."""
        part, self._parts = self._parts[:PARSED_AT_ONCE], self._parts[PARSED_AT_ONCE:]
        if self._parts:
            self._origin.loop.call_soon(self._take_turn)
        elif part and not self._held and self.usable:
            self._transport.resume_reading()
        if part:
            self._parse(part)

    def _parse(self, data: bytes) -> None:
        """Take a part of an answer; when none is expected, the connection can't be trusted any more."""
        exchange, parser = self.exchange, self._parser
        if exchange is None or parser is None:
            self.close()
            return
        try:
            messages, switched, behind = parser.feed_data(data)
        except Exception as error:  # noqa: BLE001 - the border to the parser: whatever it raises, this is no HTTP
            self._fail(invalid(f"the answer cannot be parsed ({type(error).__name__})"))
            return
        if switched:
            behind, self._parts = behind + self._parts, b""
        for message, payload in messages:
            if not self._take_head(exchange, message, payload, behind if switched else None):
                return
        if self._walk is not None:
            self._walk.feed(data, self._behind_heads(data, messages))
        if self._payload is not None:
            self._deliver(exchange, self._payload)
        elif self._answered:
            self._fail(invalid("more than one answer to one request"))
        else:
            self._count_head(data, messages)

    def connection_lost(self, exc: Exception | None) -> None:
        """The upstream closed, or we did."""
        if exc is not None:
            self._read_last_words()
        while self._parts:
            self._take_turn()
        self._origin.closed(self)
        self.deadline = NEVER
        if self.exchange is None:
            return
        if self._payload is not None and self._parser is not None:
            self._end_by_close(self._parser, self._payload)
        elif self._heard:
            self._fail(invalid("the connection ended within the answer's head"))
        else:
            why = f" ({fault(exc)})" if isinstance(exc, ssl.SSLError) else ""
            self._fail(unreachable(f"the connection ended before the answer{why}", stale=self.served > 0))

    def _read_last_words(self) -> None:
        """Read what the upstream said before it closed with some of the request unread: a failed write overtakes it."""
        if self._transport.get_extra_info("ssl_object") is None:
            descriptor = self._transport.get_extra_info("socket").fileno()
            with suppress(OSError):
                while self.exchange is not None and (data := os.read(descriptor, HEAD_BYTES)):
                    self.data_received(data)

    def pause_writing(self) -> None:
        """The upstream reads more slowly than we write."""
        self.writable = False
        self.deadline = self._now() + self._waits.idle
        if self.exchange is not None:
            self.exchange.on_upstream_blocked()

    def resume_writing(self) -> None:
        """The upstream has taken what was written."""
        self.writable = True
        if self.exchange is not None:
            self._set_deadline()
            self.exchange.on_upstream_ready()

    # What the parser's stream calls: it is emptied after every read, so there is nothing to do.

    def pause_reading(self) -> None:
        """The parser's stream holds much."""

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """The parser's stream was read."""

    # What the exchange calls

    def start(
        self,
        exchange: UpstreamExchange,
        head: bytes,
        *,
        complete: bool,
        answer_has_body: bool,
        timeouts: RouteTimeouts | None = None,
    ) -> None:
        """Send a request's head.

        Args:
            exchange: hears of the answer.
            head: request line and fields, as they go out.
            complete: whether this is the whole request.
            answer_has_body: False for HEAD (RFC 9110 §9.3.2).
            timeouts: that go before the upstream's own.
        """
        self.exchange = exchange
        self._waits = self._origin.waits if timeouts is None else self._origin.waits.on(timeouts)
        self._payload = None
        self._answered = False
        self._heard = 0
        self._has_length = False
        self._head_end = None
        self._request_sent = complete
        if not (self._reads_bodies and answer_has_body):
            self._reads_bodies = answer_has_body
            self._parser = self._new_parser(answer_has_body=answer_has_body)
        self.deadline = self._now() + self._waits.first_byte if complete else NEVER
        self._transport.write(head)

    def send(self, data: bytes) -> None:
        """Send a part of the request's body."""
        self._transport.write(data)

    def sent(self) -> None:
        """The request is complete, so from now on it is the upstream that is waited for."""
        self._request_sent = True
        if self._answered and self._payload is None and self.exchange is not None:
            self._end(self.exchange)
        else:
            self._set_deadline()

    def read_trailers(self, names: tuple[bytes, ...]) -> None:
        """Hand out the trailers of these lower-case names; to be asked for when the answer's head has come."""
        self._trailers = names
        self._walk = ChunkedWalk(HEAD_BYTES)
        self._content = 0

    def may_switch(self) -> None:
        """The request asks for another protocol: whatever is answered, this connection serves no other request."""
        self._may_switch = True

    def hand_over(self, receiver: asyncio.BaseProtocol) -> asyncio.Transport:
        """Give the transport to who receives from now on, and who reports with `connection_lost` when it is lost."""
        self.exchange = None
        self.deadline = NEVER
        self._transport.set_protocol(receiver)
        return self._transport

    def hold(self) -> None:
        """Deliver no more of the answer until `release`; the upstream is slowed down."""
        self._held = True
        self._set_deadline()
        self._transport.pause_reading()

    def release(self) -> None:
        """Deliver the answer again."""
        if self._held and self.exchange is not None:
            self._held = False
            self._set_deadline()
            if not self._parts:
                self._transport.resume_reading()
            if self._payload is not None:
                self._deliver(self.exchange, self._payload)

    def close(self) -> None:
        """Close; whoever waits for an answer is not told."""
        self.exchange = None
        self.deadline = NEVER
        self._transport.abort()

    def hand_back(self) -> None:
        """Go to another request: this one needs no connection any more."""
        self._origin.release(self)

    def expire(self) -> None:
        """The upstream took too long."""
        self._fail(timed_out("no more of the answer came in time" if self._answered else "no answer came in time"))

    @property
    def usable(self) -> bool:
        """Whether the connection is still open."""
        return not self._transport.is_closing()

    # The answer

    def _new_parser(self, *, answer_has_body: bool) -> HttpResponseParser:
        return HttpResponseParser(
            self,  # type: ignore[arg-type]  # only its stream's flow control calls it
            self._origin.loop,
            UNBOUNDED,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
            response_with_body=answer_has_body,
            read_until_eof=True,
            auto_decompress=False,
        )

    def _take_head(
        self, exchange: UpstreamExchange, message: RawResponseMessage, payload: StreamReader, behind: bytes | None
    ) -> bool:
        """Take an answer's head, behind which there may be bytes of another protocol; whether the exchange goes on."""
        if self._answered:
            # A second answer to one request: whatever it is, nobody asked for it.
            self._keep_alive = False
            if self._payload is None:
                self._fail(invalid("a second answer to one request"))
        elif message.version.major != 1:
            self._fail(invalid("the answer's HTTP version is neither 1.0 nor 1.1"))
        elif message.code >= 200:
            self._answered = True
            self._payload = payload
            self._has_length = not message.chunked
            self._keep_alive = not (message.should_close or self._may_switch)
            if message.chunked:
                # The parser would show the last trailer of this answer as the first field of the next one.
                self._reads_bodies = False
            if self._origin.watchful:
                self._origin.answered(self, message.code)
            exchange.on_head(message)
        elif message.code == 101:
            if self._may_switch and behind is not None:
                if self._origin.watchful:
                    self._origin.answered(self, message.code)
                exchange.on_switch(message, behind)
            else:
                self._fail(invalid("the answer switches protocols, which was not asked for, or not to which"))
        else:
            self._heard = 0
            exchange.on_informational(message)
        return self.exchange is exchange

    def _count_head(self, data: bytes, messages: Sequence[_Answer]) -> None:
        """Bytes of a head that is incomplete, behind the informational ones that are not."""
        behind = self._behind_heads(data, messages)
        self._head_end = self._head_end or HeadEnd()
        self._head_end.pass_by(data[behind:])
        self._heard += len(data)
        if self._heard > HEAD_BYTES:
            self._fail(invalid(f"the answer's head is longer than {HEAD_BYTES} bytes"))

    def _behind_heads(self, data: bytes, messages: Sequence[_Answer]) -> int:
        """The place behind the heads that end in these data, the final one's at last; the data's end if unknown."""
        behind = 0
        for message, _ in messages:
            behind = (self._head_end or HeadEnd()).find(data, behind)
            self._head_end = None
            if behind < 0:
                return len(data)
            if message.code >= 200:
                break
        return behind

    def _trailers_came(self, exchange: UpstreamExchange, walk: ChunkedWalk, size: int, *, complete: bool) -> bool:
        """Compare the walk with the parser's reading; whether the exchange goes on."""
        self._content += size
        if walk.fault is not None or walk.content != self._content or walk.complete != complete:
            self._fail(invalid(f"the answer's body can be read in two ways ({walk.fault or 'its end'})"))
        elif complete:
            self._walk = None
            exchange.on_trailers(walk.lines(self._trailers))
        return self.exchange is exchange

    def _deliver(self, exchange: UpstreamExchange, payload: StreamReader) -> None:
        if self._held:
            return
        data = payload.read_nowait()
        walk = self._walk
        if walk is not None and not self._trailers_came(exchange, walk, len(data), complete=payload.is_eof()):
            return
        if data:
            exchange.on_data(data)
        if self.exchange is not exchange:
            return
        if payload.is_eof():
            self._payload = None
            self.served += 1
            if self._request_sent:
                self._end(exchange)
            else:
                self._answer_ends_early(exchange)
        else:
            self._set_deadline()
            exchange.on_pause()

    def _set_deadline(self) -> None:
        """Wait for the upstream where it is its turn: to take what was written, or to answer a request that is sent."""
        waits = self._waits
        if not self.writable:
            self.deadline = self._now() + waits.idle
        elif self._held or not self._request_sent:
            self.deadline = NEVER
        else:
            self.deadline = self._now() + (waits.idle if self._answered else waits.first_byte)

    def _answer_ends_early(self, exchange: UpstreamExchange) -> None:
        """The answer is complete, the request is not: an upstream that keeps its connection gets the rest of it."""
        if self._keep_alive and self.usable and self._nothing_follows():
            self._set_deadline()
            exchange.on_answered()
        else:
            self._end(exchange)

    def _end(self, exchange: UpstreamExchange) -> None:
        """Nothing more goes either way. The connection serves again if both sides have said all, and nothing more."""
        self.exchange = None
        self.deadline = NEVER
        if self._held:
            self._held = False
            if not self._parts:
                self._transport.resume_reading()
        if self._keep_alive and self._request_sent and self.writable and self.usable and self._nothing_follows():
            self._origin.release(self)
        else:
            self.deadline = self._now() + self._waits.idle  # for the upstream to take what is left
            self._transport.close()
        exchange.on_end()

    def _nothing_follows(self) -> bool:
        """Whether nothing has come of a further answer (a response that was smuggled in)."""
        if self._parts:
            return False
        try:
            clean = self._parser is not None and self._parser.feed_eof() is None
        except Exception:  # noqa: BLE001 - the border to the parser: it began to read something
            clean = False
        return clean

    def _end_by_close(self, parser: HttpResponseParser, payload: StreamReader) -> None:
        """The upstream closed within an answer: its end where it is framed so (RFC 9112 §6.3), else a loss."""
        self._keep_alive = False
        try:
            parser.feed_eof()
        except Exception as error:  # noqa: BLE001 - the border to the parser: the body is incomplete
            self._fail(invalid(f"the connection ended within the answer's body ({type(error).__name__})"))
            return
        self._held = False
        if payload.is_eof() and self.exchange is not None:
            self._deliver(self.exchange, payload)
        elif self.exchange is not None:
            self._fail(invalid("the connection ended within the answer's body"))

    def _fail(self, failure: UpstreamFailure) -> None:
        exchange, self.exchange = self.exchange, None
        self.deadline = NEVER
        self._transport.abort()
        if exchange is None:
            return
        if self._answered and self._payload is None:
            # It has answered: whether it takes the rest of the request is its own affair.
            exchange.on_end()
        else:
            self._origin.failed(self, failure)
            exchange.on_failure(failure)
