"""Whom an upstream's connection deals with: its exchange, and where it belongs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aiohttp.http_parser import RawResponseMessage

from gateway.policy.model import RouteTimeouts
from gateway.upstream.failure import UpstreamFailure

if TYPE_CHECKING:
    from gateway.upstream.connection import UpstreamConnection


class UpstreamExchange(Protocol):
    """One request and its answer, as the upstream's connection sees it."""

    def on_informational(self, message: RawResponseMessage) -> None:
        """A 1xx answer has come; the final one is still to come (RFC 9110 §15.2)."""
        ...

    def on_switch(self, message: RawResponseMessage, behind: bytes) -> None:
        """The upstream switches protocols, as `may_switch` allowed; bytes of the new one may have come already."""
        ...

    def on_head(self, message: RawResponseMessage) -> None:
        """The final answer's head has come."""
        ...

    def on_data(self, data: bytes) -> None:
        """Some of the answer's body has come."""
        ...

    def on_pause(self) -> None:
        """No more of the answer is at hand now."""
        ...

    def on_trailers(self, trailers: bytes) -> None:
        """The trailers that `read_trailers` asked for, as field lines; the end of the answer follows."""
        ...

    def on_answered(self) -> None:
        """The answer is complete, the request is not; the upstream goes on taking it, and `on_end` follows."""
        ...

    def on_end(self) -> None:
        """The answer is complete, and the upstream takes no more of the request."""
        ...

    def on_failure(self, failure: UpstreamFailure) -> None:
        """There will be no (more) answer."""
        ...

    def on_upstream_blocked(self) -> None:
        """The upstream takes no more of the request for now."""
        ...

    def on_upstream_ready(self) -> None:
        """The upstream takes more again."""
        ...


class Waits(NamedTuple):
    """How long an upstream may keep an exchange waiting.

    Attributes:
        first_byte: seconds from the last byte sent to the first of the answer.
        idle: seconds between two parts of the answer, and for it to take what is sent.
    """

    first_byte: float
    idle: float

    def on(self, timeouts: RouteTimeouts) -> Waits:
        """The same where a route says otherwise."""
        first_byte, idle, _ = timeouts
        return Waits(self.first_byte if first_byte is None else first_byte, self.idle if idle is None else idle)


class Origin(Protocol):
    """Where a connection belongs."""

    loop: asyncio.AbstractEventLoop
    waits: Waits
    host_line: bytes
    watchful: bool
    """Whether it wants to know of answers."""

    def opened(self, connection: UpstreamConnection) -> None:
        """Enter a connection."""
        ...

    def closed(self, connection: UpstreamConnection) -> None:
        """Remove a connection."""
        ...

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection that may serve another request."""
        ...

    def answered(self, connection: UpstreamConnection, status: int) -> None:
        """The head of a final answer has come."""
        ...

    def failed(self, connection: UpstreamConnection, failure: UpstreamFailure) -> None:
        """A request got no (whole) answer."""
        ...
