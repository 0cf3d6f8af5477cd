"""A request's chunked body beside the parser: where it ends in the raw bytes, and what trails it.

The parser hands no trailers out, and would show the last one as the first field of the connection's next request. So it
has to be known whether there were any, and what follows them goes to a new parser.
"""

from __future__ import annotations

from aiohttp.http_parser import RawRequestMessage

from gateway.policy.fields import spelling
from gateway.policy.trailers import ChunkedWalk, HeadEnd, announced

BEHIND = 1 << 18
"""Bytes of pipelined requests that are kept at most while their client sends on."""

UNKNOWN = -1
"""The place of a message that begins somewhere in bytes that are not at hand any more."""


class ChunkedBody:
    """One chunked body.

    Args:
        message: the request's head.
        limit: bytes of its trailers.

    Attributes:
        announced: the names of its trailers that may go on.
    """

    def __init__(self, message: RawRequestMessage, limit: int) -> None:
        self.announced = announced(message.raw_headers)
        self._walk = ChunkedWalk(limit)
        self._delivered = 0

    def feed(self, data: bytes, at: int = 0) -> int:
        """Walk on from a place in the data; returns the place of the next message, or UNKNOWN."""
        end = self._walk.feed(data, at)
        return end if self._walk.complete else UNKNOWN

    def disagreement(self, size: int, *, complete: bool) -> str | None:
        """Why the parser's reading, so many bytes of content more, is another one; None where it is the same."""
        walk = self._walk
        self._delivered += size
        if walk.fault is None and (walk.content != self._delivered or walk.complete != complete):
            return "the body can be read in two ways"
        return walk.fault

    def keep_back(self, names: frozenset[str]) -> None:
        """Let no trailers go on that some server would take for one of these; names as `fields.spelling` gives them."""
        self.announced = tuple(name for name in self.announced if spelling(name.decode("latin-1")) not in names)

    @property
    def has_trailers(self) -> bool:
        """Whether anything came behind the last chunk."""
        return bool(self._walk.trailers)

    @property
    def trailers(self) -> bytes:
        """Those that were announced and may go on, as field lines."""
        return self._walk.lines(self.announced)


def next_place(last: RawRequestMessage | None, block: bytes, start: int) -> tuple[bytes, int]:
    """Where the message behind the last one begins in a block of raw bytes, UNKNOWN where that can't be said.

    Args:
        last: which began at `start`; None where the next one does.
        block: bytes of one message after the other.
        start: a place in the block.

    Returns:
        The block, without what lies far behind, and the place.
    """
    if last is not None and start != UNKNOWN:
        behind = HeadEnd().find(block, start)
        start = behind + int(last.headers.get("Content-Length", "0"))
        if behind == UNKNOWN or last.chunked or start > len(block):
            start = UNKNOWN
    if len(block) <= BEHIND:
        return block, start
    return (block[-BEHIND // 2 :], UNKNOWN) if start == UNKNOWN else (block[start:], 0)
