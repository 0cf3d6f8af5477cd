"""Trailers: fields behind a chunked body (RFC 9110 §6.5, RFC 9112 §7.1.2), and which of them go on.

aiohttp's parser judges a chunked body, but hands no trailers out. So its raw bytes are walked once more, by as much of
the framing as shows where the body ends; the parser stays the authority, and both have to agree at every step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from gateway.policy.fields import dashed
from gateway.policy.headers import Field, Kind, connection_options, is_field_value, kind_of

_NEVER = frozenset(
    {
        # Framing, routing, and how a message is to be processed: known too late in a trailer (RFC 9110 §6.5.1).
        *(b"content-length", b"transfer-encoding", b"host", b"trailer", b"te", b"connection", b"upgrade"),
        *(b"content-disposition", b"content-encoding", b"content-language", b"content-location", b"content-range"),
        *(b"content-security-policy", b"content-security-policy-report-only", b"content-type"),
        *(b"cache-control", b"expect", b"expires", b"max-forwards", b"pragma", b"prefer", b"priority", b"range"),
        *(b"age", b"date", b"location", b"origin", b"refresh", b"retry-after", b"vary", b"warning"),
        b"strict-transport-security",
        # Credentials, and what asks for them.
        *(b"authentication-control", b"authentication-info", b"cookie", b"cookie2", b"dpop", b"dpop-nonce"),
        *(b"optional-www-authenticate", b"proxy-authentication-info", b"set-cookie", b"set-cookie2"),
        *(b"www-authenticate", b"x-api-key", b"x-auth-token"),
    }
)
_NEVER_PREFIXES = (b"accept", b"access-control-", b"if-", b"proxy-", b"sec-", b"x-forwarded-", b"x-token-")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;|[ \t]*\Z)")


def may_trail(name: bytes) -> bool:
    """Whether a field may stand in a trailer: not what frames, routes, authenticates, identifies, or ends here.

    Spellings that servers read alike (`X_Client_Id`, `Set.Cookie`) are judged alike.
    """
    alike = dashed(name)
    return (
        _TOKEN.match(name) is not None
        and kind_of(name) is Kind.END_TO_END
        and alike not in _NEVER
        and not alike.startswith(_NEVER_PREFIXES)
    )


def announced(fields: Iterable[Field]) -> tuple[bytes, ...]:
    """The names, in lower case, that a head announces as trailers (RFC 9110 §6.6.2), of those that may go on."""
    trailer: list[bytes] = []
    connection: list[bytes] = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"trailer":
            trailer.extend(item.strip(b" \t").lower() for item in value.split(b","))
        elif lower == b"connection":
            connection.append(value)
    hop = connection_options(connection) if trailer else frozenset()
    return tuple(dict.fromkeys(name for name in trailer if name not in hop and may_trail(name)))


def takes_trailers(special: Mapping[Kind, Sequence[bytes]]) -> bool:
    """Whether a client's special fields say that it takes trailers.

    That is `TE: trailers`, said for this connection: Connection names TE, too (RFC 9110 §6.5.1, §10.1.4). Where it does
    not, somebody before this client may have passed TE on without knowing it.
    """
    options = connection_options(special.get(Kind.TE, ()))
    return b"trailers" in options and b"te" in connection_options(special.get(Kind.CONNECTION, ()))


def announcement(names: Sequence[bytes]) -> bytes:
    """The field line that announces trailers; nothing where there are none."""
    return b"Trailer: %b\r\n" % b", ".join(names) if names else b""


class ChunkedWalk:
    """Walks a chunked body's raw bytes, however they are split, and keeps its trailers.

    Args:
        limit: bytes of the trailers together, and of the line of a chunk's size.

    Attributes:
        content: bytes of content so far.
        complete: whether the body has ended.
        fault: why this is no chunked body, None while it may be one.
        trailers: all that came.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = b""  # the beginning of one
        self._left = 0  # of the present chunk
        self._in_trailers = False
        self._behind_chunk = False
        self._size = 0  # of the trailers
        self.content = 0
        self.complete = False
        self.fault: str | None = None
        self.trailers: list[Field] = []

    def feed(self, data: bytes, at: int = 0) -> int:
        """Walk on from a place in the data; returns the place behind the body, or the data's end."""
        end = len(data)
        while at < end and not self.complete and self.fault is None:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                self.content += step
                self._behind_chunk = not self._left
                at += step
            else:
                at = self._walk_line(data, at)
        return at

    def _walk_line(self, data: bytes, at: int) -> int:
        newline = data.find(b"\n", at)
        end = newline + 1 or len(data)
        self._line += data[at:end]
        if len(self._line) + self._size > self._limit + 2:
            self.fault = f"trailers or a chunk's size of more than {self._limit} bytes"
        elif end == newline + 1:
            line, self._line = self._line, b""
            if line.endswith(b"\r\n"):
                self._take_line(line[:-2])
            else:
                self.fault = "a line within a chunked body ends without CR"
        return end

    def _take_line(self, line: bytes) -> None:
        if self._behind_chunk:
            self._behind_chunk = False
            if line:
                self.fault = "a chunk is longer than it says"
        elif not self._in_trailers:
            self._take_size(line)
        elif line:
            self._take_trailer(line)
        else:
            self.complete = True

    def _take_size(self, line: bytes) -> None:
        size = _SIZE.match(line)
        if size is None:
            self.fault = "a chunk's size is no number"
        else:
            self._left = int(size[1], 16)
            self._in_trailers = not self._left

    def _take_trailer(self, line: bytes) -> None:
        self._size += len(line) + 2
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or _TOKEN.match(name) is None or not is_field_value(value):
            self.fault = "a trailer is no field line, or holds a control character"
        else:
            self.trailers.append((name, value))

    def lines(self, names: Sequence[bytes]) -> bytes:
        """The trailers of these lower-case names, as field lines."""
        return b"".join([b"%b: %b\r\n" % field for field in self.trailers if field[0].lower() in names])


class HeadEnd:
    """Finds where a head ends in raw bytes, of which some came before."""

    def __init__(self) -> None:
        self._tail = b""

    def pass_by(self, data: bytes) -> None:
        """Take bytes within the head."""
        self._tail = (self._tail + data if self._tail else data.lstrip(b"\r\n"))[-3:]

    def find(self, data: bytes, at: int = 0) -> int:
        """The place behind the head's end in data that begin within it or before it, -1 where it does not end there."""
        if not self._tail:
            while data[at : at + 1] in {b"\r", b"\n"}:
                at += 1
            found = data.find(b"\r\n\r\n", at)
            return -1 if found < 0 else found + 4
        found = (self._tail + data[at:]).find(b"\r\n\r\n")
        return -1 if found < 0 else at + found + 4 - len(self._tail)
