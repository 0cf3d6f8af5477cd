"""One client connection on aiohttp's C request parser: one exchange at a time, in the order of arrival.

Everything happens inside the socket's callbacks; there is no task and no future per request. aiohttp's own
RequestHandler is not used: it sends no 100 (Continue), has no deadline for heads and bodies, and alone costs as much
as the whole journey of a request.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import cast

from aiohttp.http_exceptions import InvalidURLError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gateway.deadlines import NEVER, Deadlines
from gateway.downstream.chunked import UNKNOWN, ChunkedBody, next_place
from gateway.downstream.parties import ClientExchange, ClientService, Registry
from gateway.parsing import PARSED_AT_ONCE, UNBOUNDED
from gateway.policy.denial import Denial, Reason
from gateway.policy.trailers import HeadEnd

LINGER_SECONDS = 2.0
"""How long what a client still sends is thrown away after a final answer: a reset would overtake the answer."""

FAREWELL_SECONDS = 5.0
"""How long an idle client may take to agree to the end of TLS: many look at a connection only when they need it."""

LINGER_BYTES = 1 << 20
"""How much of it."""

_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: the connection is reset, where a plain end would pass for the end of the answer."""

BODY_PROGRESS = 1 << 16
"""Bytes of a body that have to come within `body_timeout`."""

_END_OF_HEAD = b"\r\n\r\n"

REQUESTS_IN_A_ROW = 16
"""Pipelined requests that are answered before other connections get a turn."""


class ClientConnection(asyncio.Protocol):
    """One client connection.

    Attributes:
        exchange: the request that is being answered, None between requests.
        peer: the client's address.
        scheme: http or https.
        client_certificate: the SHA-256 of the client's verified certificate (DER, RFC 8705 §3.1); None without one.
        closing: whether no request will be taken after the present one.
        retiring: whether the next request will be the last; its answer says so (Connection: close).
        forwarding: field lines about the way of requests to here, remembered with the Host that they hold.
        familiar: what the service remembers of the last request.
        shown: what its access record said of that.
        deadline: see `Deadlines`.
    """

    # Many attributes, each read for every request: a dictionary of more than thirty is slow, and larger.
    __slots__ = (
        "_advancing",
        "_alone",
        "_block",
        "_body",
        "_body_due",
        "_body_held",
        "_chunked",
        "_head_bytes",
        "_head_end",
        "_input_broken",
        "_last",
        "_limits",
        "_lingering",
        "_now",
        "_parser",
        "_pipelined",
        "_place",
        "_progress",
        "_reading",
        "_registry",
        "_service",
        "_to_discard",
        "_transport",
        "_turn_is_due",
        "_waiting",
        "_writable",
        "client_certificate",
        "closing",
        "deadline",
        "exchange",
        "familiar",
        "forwarding",
        "peer",
        "retiring",
        "scheme",
        "shown",
    )

    def __init__(self, service: ClientService, registry: Registry) -> None:
        self._service = service
        self._registry = registry
        self._limits = registry.limits
        self._now: Callable[[], float] = registry.loop.time
        self._waiting = True  # for a head
        self._body: StreamReader | None = None  # of the request, while it is incomplete
        self._body_held = False
        self._body_due = NEVER  # when enough of the body has to have come
        self._progress = 0  # bytes of the body since that was set
        self._reading = True
        self._writable = True  # the client takes what we write
        self._head_bytes = 0
        self._block = b""  # bytes that the parser may still hold some of
        self._place = 0  # of the last message in them
        self._last: RawRequestMessage | None = None  # the one there, unless it is the next one
        self._head_end = HeadEnd()
        self._chunked: ChunkedBody | None = None
        self._pipelined = b""
        self._alone = False  # the present request came in one piece, and with nothing behind it
        self._turn_is_due = False
        self._input_broken = False
        self._advancing = False
        self._lingering = False
        self._to_discard = 0
        self.exchange: ClientExchange | None = None
        self.closing = False
        self.retiring = False
        self.deadline = NEVER
        self.peer = ""
        self.scheme = "http"
        self.client_certificate: bytes | None = None
        self.forwarding: tuple[str, bytes] | None = None
        self.familiar: object = None
        self.shown: object = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        peername = transport.get_extra_info("peername")
        self.peer = str(peername[0]) if isinstance(peername, tuple) else ""
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._secured(tls)
        self._parser = self._new_parser()
        if not self._registry.opened(self):
            self._transport.abort()
            return
        self.deadline = self._now() + self._limits.head_timeout

    def _new_parser(self) -> HttpRequestParser:
        return HttpRequestParser(
            self,  # type: ignore[arg-type]  # only its stream's flow control calls it
            self._registry.loop,
            UNBOUNDED,
            max_line_size=self._limits.head_bytes,
            max_field_size=self._limits.head_bytes,
            auto_decompress=False,
            max_msg_queue_size=1,
        )

    def _secured(self, tls: ssl.SSLObject) -> None:
        self.scheme = "https"
        certificate = tls.getpeercert(binary_form=True)
        if certificate is not None:
            self.client_certificate = hashlib.sha256(certificate).digest()

    def data_received(self, data: bytes) -> None:
        """Bytes have come: of a head, of a body, or of the request after the present one."""
        if self._lingering:
            self._discard(len(data))
        elif self._pipelined or self._turn_is_due or not self._takes:
            self._pipelined += data
            self._pause_reading()
        elif len(data) > PARSED_AT_ONCE and self._is_parsed:
            self._pipelined += data
            self._pause_reading()
            self._take_turn()
        else:
            self._feed(data)

    @property
    def _takes(self) -> bool:
        """Whether what comes is of use now."""
        return (self._waiting and self._writable) or (self._body is not None and not self._body.is_eof())

    @property
    def _is_parsed(self) -> bool:
        """Whether what comes costs work for each byte: heads and chunks do, content of a known length does not."""
        return self._body is None or self._chunked is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, or the client will send no more, which means the same here as with other proxies."""
        del exc
        self.closing = True
        self._registry.closed(self)
        self._body = None
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.on_client_gone(None)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._writable = False
        self.deadline = self._now() + self._limits.body_idle_timeout
        if self.exchange is not None:
            self.exchange.on_client_blocked()

    def resume_writing(self) -> None:
        """The client has taken what was written."""
        self._writable = True
        if self.exchange is not None:
            self._set_body_deadline()
            self.exchange.on_client_ready()
        else:
            self._go_on()

    # What the parser's stream calls: it is emptied after every read, so there is nothing to do.

    def pause_reading(self) -> None:
        """The parser's stream holds much."""

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """The parser's stream was read."""

    # What the exchange calls

    def send(self, data: bytes) -> None:
        """Send a part of the answer."""
        self._transport.write(data)

    def hold_body(self) -> None:
        """Deliver no more of the body until `release_body`; the client is slowed down."""
        if self._body is not None:
            self._body_held = True
            self._pause_reading()
            self._set_body_deadline()

    def release_body(self) -> None:
        """Deliver the body again."""
        if self._body_held:
            self._body_held = False
            self._expect_progress()
            self._resume_reading()
            self._deliver_body()

    @property
    def announced(self) -> tuple[bytes, ...]:
        """The names of the request's trailers that may go on, in lower case."""
        return () if self._chunked is None else self._chunked.announced

    def keep_trailers_back(self, names: frozenset[str]) -> None:
        """Of the request's trailers those of such names do not go on, see `ChunkedBody.keep_back`."""
        if self._chunked is not None:
            self._chunked.keep_back(names)

    @property
    def has_body_to_come(self) -> bool:
        """Whether the request's body has not been delivered whole."""
        return self._body is not None

    def finish(self, *, keep_alive: bool) -> None:
        """The answer is complete: go on with the next request, or close when the client can no longer miss it."""
        self.exchange = None
        self._body_held = False
        self.closing = self.closing or not keep_alive
        if self._body is not None and self._body.is_eof():
            self._leave_body(self._body)
        if self._body is None and not self.closing:
            self._await_head()
        elif self._body is None and not self._pipelined and not self._input_broken:
            self._close_when_taken()
        else:
            self._begin_discarding()

    def _close_when_taken(self) -> None:
        self.deadline = self._now() + self._limits.body_idle_timeout
        self._transport.close()

    def end_answers(self) -> bool:
        """Say that nothing is answered after this, though a body still comes; False where that needs a full close."""
        halves = self._transport.can_write_eof()
        if halves:
            self._transport.write_eof()
        return halves

    def abort(self) -> None:
        """End the connection at once, so that what was answered is seen as incomplete."""
        self.exchange = None
        self.closing = True
        self._reset()

    def hand_over(self, receiver: asyncio.BaseProtocol) -> asyncio.Transport:
        """Give the transport to who receives from now on: this is HTTP no more, and this object only its registration.

        Until the connection is lost, which the receiver reports with `connection_lost`.
        """
        self.deadline = NEVER
        self._transport.set_protocol(receiver)
        return self._transport

    def early_data(self) -> bytes:
        """What came behind the head of an upgrade: never a request, whoever it was meant for."""
        early: bytes = self._parser.feed_data(b"")[2]
        early, self._pipelined = early + self._pipelined, b""
        return early

    @property
    def writable(self) -> bool:
        """Whether the client takes what is written."""
        return self._writable

    @property
    def deadlines(self) -> Deadlines:
        """What watches the listener's connections."""
        return self._registry.deadlines

    def drain(self) -> None:
        """Take no further request; the one in flight is answered."""
        self.closing = True
        if self._waiting and self._head_bytes == 0:
            if self.scheme == "https":
                self.deadline = self._now() + FAREWELL_SECONDS
            self._transport.close()

    def expire(self) -> None:
        """A deadline has passed."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.on_client_gone(None)
        self._reset()

    def _reset(self) -> None:
        plain = self._transport.get_extra_info("socket")  # None under TLS that has ended
        if plain is not None and not self._transport.is_closing():
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    # Heads

    def _feed(self, data: bytes) -> bool:
        """Parse; returns whether a request has begun."""
        pipelined = self._block != b""
        if data:
            self._block += data
        try:
            messages = self._parser.feed_data(data)[0]
        except Exception as error:  # noqa: BLE001 - the border to the parser: whatever it raises, this is no HTTP
            self._broken(error)
            return False
        if messages:
            message, payload = messages[0]
            if self._head_bytes + len(self._block) > self._limits.head_bytes and self._is_too_long(message):
                self._reject_long_head()
            else:
                self._begin(message, payload, pipelined=pipelined)
            return True
        if self._waiting:
            self._block, self._place, self._last = b"", 0, None
            if data:
                self._count_head(data)
        else:
            self._block, self._place, self._last = data, UNKNOWN, None
            if self._chunked is not None:
                self._place = self._chunked.feed(data)
            self._deliver_body()
        return False

    def _count_head(self, data: bytes) -> None:
        if not self._head_bytes:
            self.deadline = self._now() + self._limits.head_timeout
            self._head_end = HeadEnd()
        self._head_end.pass_by(data)
        self._head_bytes += len(data)
        if self._head_bytes > self._limits.head_bytes:
            self._reject_long_head()

    def _is_too_long(self, message: RawRequestMessage) -> bool:
        """Whether a head that came in one piece with more behind it is itself too long."""
        size = len(message.path) + sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
        return size > self._limits.head_bytes

    def _reject_long_head(self) -> None:
        self._reject(Denial(Reason.REQUEST_MALFORMED, f"a head of more than {self._limits.head_bytes} bytes"))

    def _begin(self, message: RawRequestMessage, payload: StreamReader, *, pipelined: bool) -> None:
        self._waiting = False
        if pipelined:
            self._block, self._place = next_place(self._last, self._block, self._place)
        self._last = message
        self._body = None
        if payload is EMPTY_PAYLOAD:
            whole = not (pipelined or self._head_bytes)
            self._alone = whole and self._block.find(_END_OF_HEAD) == len(self._block) - len(_END_OF_HEAD)
        else:
            self._alone = False
            self._body = payload
            self._expect_progress()
            self._chunked = self._begin_chunked(message, pipelined=pipelined) if message.chunked else None
        if message.upgrade or message.should_close or self.retiring:
            # The parser takes what follows an upgrade for another protocol; so no request follows in any case.
            self.closing = True
        self.deadline = NEVER
        self._service.receive(self, message)
        if self._body is not None and self._body is payload:
            self._deliver_body()

    def _begin_chunked(self, message: RawRequestMessage, *, pipelined: bool) -> ChunkedBody | None:
        """Walk a chunked body beside the parser; where its place is not known, no request may follow."""
        behind = UNKNOWN
        if self._head_bytes and not pipelined:
            behind = self._head_end.find(self._block)
        elif self._place != UNKNOWN:
            behind = HeadEnd().find(self._block, self._place)
        if behind == UNKNOWN:
            self.closing = True
            return None
        chunked = ChunkedBody(message, self._limits.head_bytes)
        self._place, self._last = chunked.feed(self._block, behind), None
        return chunked

    def _broken(self, error: Exception) -> None:
        reason = Reason.TARGET_INVALID if isinstance(error, InvalidURLError) else Reason.REQUEST_MALFORMED
        self._break_off(Denial(reason, f"the request cannot be parsed ({type(error).__name__})"))

    def _break_off(self, denial: Denial) -> None:
        """The bytes are no HTTP: whatever follows can't be told apart any more."""
        self._body = None
        if self._waiting:
            self._reject(denial)
        elif self.exchange is not None:
            self.closing = self._input_broken = True
            self.exchange.on_client_gone(denial)
        else:
            self._transport.close()

    def _reject(self, denial: Denial) -> None:
        self._waiting = False
        self.closing = self._input_broken = True
        self._service.reject(self, denial)

    def _await_head(self) -> None:
        self._waiting = True
        self._head_bytes = 0
        self._to_discard = 0
        self._parser.message_consumed()
        self._go_on()

    def _go_on(self) -> None:
        """Take the next request, unless the client leaves untaken what it was answered before."""
        if self._waiting and self._writable and not self._transport.is_closing():
            self.deadline = self._now() + self._limits.keep_alive_timeout
            self._advance()

    def _advance(self) -> None:
        """Take requests that came while another was answered: a loop, since each may be answered at once."""
        if self._advancing:
            return
        if self._alone and not self._pipelined:
            # The parser holds nothing, which is the usual case, and need not be asked.
            self._alone, self._block, self._place, self._last = False, b"", 0, None
            self._read_on()
            return
        self._advancing = True
        for _ in range(REQUESTS_IN_A_ROW):
            if not self._feed(self._next_part()) or not self._waiting or not self._writable:
                break
        else:
            self._ask_for_turn()
        self._advancing = False
        self._read_on()

    # Turns

    def _next_part(self) -> bytes:
        """Of what has come, as much as may be taken at once."""
        data = self._pipelined
        if len(data) > PARSED_AT_ONCE and self._is_parsed:
            self._pipelined = data[PARSED_AT_ONCE:]
            return data[:PARSED_AT_ONCE]
        self._pipelined = b""
        return data

    def _ask_for_turn(self) -> None:
        """Go on when other connections had their turn; until then nothing more is read."""
        self._pause_reading()
        if not self._turn_is_due:
            self._turn_is_due = True
            self._registry.loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn_is_due = False
        if self._transport.is_closing():
            return
        if self._lingering:
            size, self._pipelined = len(self._pipelined), b""
            self._discard(size)
            self._resume_reading()
        elif self._waiting:
            if self._writable:
                self._advance()
        elif self._takes and not self._body_held:
            self._feed(self._next_part())
            self._read_on()

    def _read_on(self) -> None:
        """Read on, unless the body is held back, or what was read waits for the end of the present request."""
        if not self._body_held and (self._takes or not self._pipelined) and not self._transport.is_closing():
            self._resume_reading()

    # Bodies

    def _deliver_body(self) -> None:
        body, exchange = self._body, self.exchange
        if body is None or self._body_held:
            return
        data = body.read_nowait()
        self._progress += len(data)
        if self._progress >= BODY_PROGRESS:
            self._expect_progress()
        if self._chunked is not None:
            disagreement = self._chunked.disagreement(len(data), complete=body.is_eof())
            if disagreement is not None:
                self._break_off(Denial(Reason.REQUEST_MALFORMED, disagreement))
                return
        if exchange is None:
            self._discard(len(data))
        elif data:
            exchange.on_body(data)
        if self._body is not body:
            return
        if body.is_eof() and not self._body_held:
            self._body = None
            self._body_complete(exchange)
        else:
            self._set_body_deadline()

    def _body_complete(self, exchange: ClientExchange | None) -> None:
        self._to_discard = 0
        self._set_body_deadline()
        trailers = b"" if self._chunked is None else self._end_chunked(self._chunked)
        if exchange is not None:
            exchange.on_body_end(trailers)
        elif self.closing:
            self._close_when_taken()
        else:
            self._await_head()

    def _leave_body(self, body: StreamReader) -> None:
        """Nobody wants the body, which is complete."""
        self._body = None
        chunked = self._chunked
        if chunked is not None:
            if chunked.disagreement(len(body.read_nowait()), complete=True) is not None:
                self.closing = self._input_broken = True
            self._end_chunked(chunked)

    def _end_chunked(self, chunked: ChunkedBody) -> bytes:
        """The trailers that go on. The parser that saw any sees no other request; a new one gets what follows."""
        self._chunked = None
        if chunked.has_trailers:
            self._parser = self._new_parser()
            self._pipelined = self._block[self._place :] + self._pipelined
            self._block, self._place = b"", 0
        return chunked.trailers

    def _set_body_deadline(self) -> None:
        if self._to_discard:
            return
        waits_for_body = self._body is not None and not self._body_held
        if waits_for_body or not self._writable:
            idle = self._now() + self._limits.body_idle_timeout
            self.deadline = min(idle, self._body_due) if waits_for_body else idle
        else:
            self.deadline = NEVER

    def _expect_progress(self) -> None:
        """From now on, enough of the body has to come in time: a byte now and then is not enough."""
        self._progress = 0
        self._body_due = self._now() + self._limits.body_timeout

    def _begin_discarding(self) -> None:
        """Throw away what the client still sends, up to a bound in bytes and time."""
        self._to_discard = LINGER_BYTES
        self.deadline = self._now() + LINGER_SECONDS
        self._lingering = self.closing
        if self.closing and self._transport.can_write_eof():
            self._transport.write_eof()
        self._resume_reading()

    def _discard(self, size: int) -> None:
        self._to_discard -= size
        if self._to_discard <= 0:
            self._transport.close()

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        """Read on, as soon as what was read has been taken."""
        if self._pipelined or self._turn_is_due:
            self._ask_for_turn()
        elif not self._reading:
            self._reading = True
            self._transport.resume_reading()
