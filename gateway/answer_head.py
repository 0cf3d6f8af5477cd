"""The head of an answer towards a client: its status line, what frames it, and the connection's own fields."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp.http_parser import RawResponseMessage

from gateway.policy.denial import Denial
from gateway.policy.headers import ResponseHead, read_response
from gateway.upstream.connection import UpstreamConnection

CHUNKED = b"Transfer-Encoding: chunked\r\n"
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


def answer_head(status: int, reason: bytes, fields: bytes, connection: bytes, request_id: str) -> bytes:
    """A final answer's head.

    Args:
        status: its code.
        reason: its phrase; the usual one where there is none.
        fields: those that go on and those of framing, as field lines.
        connection: the Connection field line, if there is one.
        request_id: of the request.
    """
    return b"HTTP/1.1 %d %b\r\n%b%bX-Request-Id: %b\r\n\r\n" % (
        status,
        reason or _PHRASES.get(status, b""),
        fields,
        connection,
        request_id.encode(),
    )


def informational_head(status: int, fields: bytes) -> bytes:
    """The head of a 1xx answer."""
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, _PHRASES.get(status, b""), fields)


def read_answer(message: RawResponseMessage, connection: UpstreamConnection | None) -> ResponseHead | Denial:
    """Read an answer's fields; the same ones as in the connection's last answer need not be read again."""
    if connection is None:
        return read_response(message.raw_headers)
    if message.raw_headers != connection.familiar_fields:
        connection.familiar_fields = message.raw_headers
        connection.familiar_head = read_response(message.raw_headers)
    return connection.familiar_head


@lru_cache(maxsize=4)
def http_date(second: int) -> bytes:
    """Seconds since the epoch as an HTTP date (RFC 9110 §5.6.7)."""
    return formatdate(second, usegmt=True).encode()
