"""What the operator is shown, as plain values of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IssuerSnapshot:
    """An issuer's keys; times in seconds since the epoch, None for never."""

    name: str
    issuer: str
    kids: tuple[str, ...]
    skipped_keys: tuple[str, ...]
    fetched_at: float | None
    attempted_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class UpstreamSnapshot:
    """An upstream's connections."""

    name: str
    authority: str
    open: int
    idle: int
    connecting: int
    waiting: int


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One of several worker processes.

    Attributes:
        worker: its place, from 1.
        pid: None while no process is in that place.
        generation: counts the configurations that were put in force.
        state: starting, ready, draining, unresponsive (no answer in time) or down (about to be restarted).
        started_at: seconds since the epoch, None while down.
        connections: client connections.
    """

    worker: int
    pid: int | None
    generation: int
    state: str
    started_at: float | None
    connections: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The gateway at one moment.

    Attributes:
        version: of the software.
        config_rev: of the configuration in force.
        started_at: seconds since the epoch.
        ready: whether new requests are welcome.
        connections: client connections.
        cached_tokens: verified tokens that are remembered.
        requests: how many, by (route, decision, reason, status); "" stands for none.
        duration_bounds: upper bounds of the histogram's buckets, in seconds.
        durations: requests in each bucket, and beyond the last.
        duration_sum: of all requests, in seconds.
        tokens_verified: whose signature was checked.
        tokens_recalled: that had been verified before.
        retries: requests that were sent again.
        aborted: answers that did not reach the client whole.
        log_written: lines of the access log.
        log_dropped: lines that were lost.
        log_error: why the log can't be written, None while it can.
        workers: one by one; empty where one process does all.
        worker_restarts: workers that died and were replaced.
    """

    version: str
    config_rev: str
    started_at: float
    ready: bool
    connections: int
    cached_tokens: int
    requests: Mapping[tuple[str, str, str, int], int]
    duration_bounds: tuple[float, ...]
    durations: tuple[int, ...]
    duration_sum: float
    tokens_verified: int
    tokens_recalled: int
    retries: int
    aborted: int
    log_written: int
    log_dropped: int
    log_error: str | None
    issuers: tuple[IssuerSnapshot, ...]
    upstreams: tuple[UpstreamSnapshot, ...]
    workers: tuple[WorkerSnapshot, ...] = ()
    worker_restarts: int = 0
