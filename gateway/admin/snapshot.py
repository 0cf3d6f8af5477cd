"""What the operator is shown, as plain values of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RevocationsSnapshot:
    """What an issuer has revoked.

    Attributes:
        count: revocations in force.
        answered_at: when its feed last answered, in seconds since the epoch, None for never.
        error: why it did not when it was last asked, None where it did.
    """

    count: int
    answered_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class IntrospectionSnapshot:
    """How an issuer answers questions about tokens.

    Attributes:
        asked: questions that were sent.
        failed: that brought nothing.
        crowded: tokens that were not asked about because too many questions were under way.
        inactive: tokens that were refused, those included of which it was remembered.
        recalled: requests whose token was remembered as active.
        answered_at: when a question last brought an answer, in seconds since the epoch, None for never.
        error: why the last question brought nothing, None where it brought an answer.
    """

    asked: int
    failed: int
    crowded: int
    inactive: int
    recalled: int
    answered_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class IssuerSnapshot:
    """An issuer's keys; times in seconds since the epoch, None for never. It may have no feed of revocations.

    Attributes:
        refresh_at: when keys are fetched next.
        unknown_keys: how often a token named a key that the issuer did not publish.
        clock_ahead: seconds by which the issuer's clock is ahead of ours, by the Date of its last answer.
        clock_ahead_by_tokens: the same by the freshest of its tokens lately: never too high; too low if all were old.
        unknown_keys_per_minute: how often within the last minute.
        introspection: how it answers questions about tokens; None where it is not asked.
    """

    name: str
    issuer: str
    kids: tuple[str, ...]
    skipped_keys: tuple[str, ...]
    fetched_at: float | None
    attempted_at: float | None
    error: str | None
    revocations: RevocationsSnapshot | None = None
    refresh_at: float | None = None
    unknown_keys: int = 0
    clock_ahead: float | None = None
    introspection: IntrospectionSnapshot | None = None
    clock_ahead_by_tokens: float | None = None
    unknown_keys_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class CredentialsSnapshot:
    """A token of the gateway's own; times in seconds since the epoch, None for never.

    Attributes:
        name: the key in the configuration.
        obtained_at: when the last token was obtained.
        expires_at: when that expires.
        retry_at: when the next attempt after a failure is due.
        error: why the last attempt failed, None after a good one.
    """

    name: str
    obtained_at: float | None
    expires_at: float | None
    retry_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class TargetSnapshot:
    """One target of an upstream; times in seconds since the epoch, None for never.

    Attributes:
        authority: host, and port where it is not the scheme's own.
        open: connections.
        idle: connections without a request.
        outstanding: requests under way, those whose connection is being made included.
        healthy: what active checks say; true where there are none.
        ejected_until: when a request may try it again, None while its circuit is closed.
        last_error: the last failure, None where there was none.
        failed_at: when that was.
    """

    authority: str
    open: int
    idle: int
    outstanding: int
    healthy: bool = True
    ejected_until: float | None = None
    last_error: str | None = None
    failed_at: float | None = None


@dataclass(frozen=True, slots=True)
class UpstreamSnapshot:
    """An upstream's connections, of all its targets together and of each."""

    name: str
    authority: str
    open: int
    idle: int
    connecting: int
    waiting: int
    targets: tuple[TargetSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsSnapshot:
    """What clients are met with over TLS; times in seconds since the epoch.

    Attributes:
        loaded_at: when the files were last read well.
        expires_at: when the certificate expires.
        error: why newer files could not be taken.
        handshake_failures: connections whose handshake came to nothing.
        last_failure: the newest of them: whose it was, and why.
    """

    loaded_at: float
    expires_at: float
    error: str | None
    handshake_failures: int
    last_failure: str | None


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
        config_rev: of the configuration under which it judges new requests, None while down.
    """

    worker: int
    pid: int | None
    generation: int
    state: str
    started_at: float | None
    connections: int
    config_rev: str | None = None


@dataclass(frozen=True, slots=True)
class ReloadSnapshot:
    """How the configuration was taken anew; times in seconds since the epoch.

    Attributes:
        pid: of the process that takes it.
        pid_started: when that was started, in clock ticks since the system's start, which tells it from others.
        began: reloads that have begun.
        ended: of these, those that are over.
        ended_at: when the last one was, None where there was none.
        in_force_since: when the configuration in force was put in force.
        outcomes: how many came to what: swapped, replaced, unchanged or refused.
        errors: why the last one was refused, line by line; empty where it was not.
    """

    pid: int
    pid_started: int
    began: int
    ended: int
    ended_at: float | None
    in_force_since: float
    outcomes: Mapping[str, int]
    errors: tuple[str, ...]


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
        in_flight: requests that are not over.
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
        tls: None where clients speak plain HTTP.
        workers: one by one; empty where one process does all.
        worker_restarts: workers that died and were replaced.
        credentials: tokens of the gateway's own.
        reload: None where the configuration can't be taken anew.
        would_deny: requests that were let pass though their route refuses them, by (route, reason).
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
    in_flight: int = 0
    tls: TlsSnapshot | None = None
    workers: tuple[WorkerSnapshot, ...] = ()
    worker_restarts: int = 0
    credentials: tuple[CredentialsSnapshot, ...] = ()
    reload: ReloadSnapshot | None = None
    would_deny: Mapping[tuple[str, str], int] = field(default_factory=dict)
