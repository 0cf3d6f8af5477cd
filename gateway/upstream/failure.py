"""What can go wrong with an upstream, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.policy.denial import Reason


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """Why an upstream gave no (or no whole) answer.

    Attributes:
        reason: upstream_unreachable, upstream_invalid, upstream_timeout or upstream_busy.
        detail: for the gateway's log.
        stale: whether a connection that had served before died without a byte of an answer: the upstream closed it
            while the request was under way, so the request was most likely never read.
    """

    reason: Reason
    detail: str
    stale: bool = False


def unreachable(detail: str, *, stale: bool = False) -> UpstreamFailure:
    """No connection, or one that ended before the answer began."""
    return UpstreamFailure(Reason.UPSTREAM_UNREACHABLE, detail, stale)


def invalid(detail: str) -> UpstreamFailure:
    """An answer that is no HTTP, or ends too early."""
    return UpstreamFailure(Reason.UPSTREAM_INVALID, detail)


def timed_out(detail: str) -> UpstreamFailure:
    """No answer, or no more of it, in time."""
    return UpstreamFailure(Reason.UPSTREAM_TIMEOUT, detail)


def busy(detail: str) -> UpstreamFailure:
    """No connection was free for the request, and none became free in time; nothing was sent."""
    return UpstreamFailure(Reason.UPSTREAM_BUSY, detail)
