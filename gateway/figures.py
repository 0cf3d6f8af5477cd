"""What an operator is shown of a running gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from gateway import __version__
from gateway.access.writer import AccessLog
from gateway.admin.snapshot import (
    CredentialsSnapshot,
    IntrospectionSnapshot,
    IssuerSnapshot,
    RevocationsSnapshot,
    Snapshot,
    TargetSnapshot,
    TlsSnapshot,
    UpstreamSnapshot,
)
from gateway.client.token_source import TokenSource
from gateway.downstream.certificate import ServerTls
from gateway.downstream.listener import Listener
from gateway.plan import IssuerPlan
from gateway.recorder import BUCKETS, Counters, Recorder
from gateway.rules import Rules
from gateway.tokens.revocations import RevocationFeed
from gateway.upstream.pool import Upstream


@dataclass(frozen=True, slots=True)
class Figures:
    """Where the figures are.

    Attributes:
        issuers: as they were planned, by name.
        feeds: of revocations, by the issuer's name.
        credentials: tokens of the gateway's own, by name.
        clock: seconds since the epoch.
        started_at: likewise.
    """

    rules: Rules
    counters: Counters
    recorder: Recorder
    access_log: AccessLog
    listener: Listener
    tls: ServerTls | None
    issuers: Mapping[str, IssuerPlan]
    feeds: Mapping[str, RevocationFeed]
    credentials: Mapping[str, TokenSource]
    clock: Callable[[], float]
    started_at: float

    def snapshot(self, *, ready: bool) -> Snapshot:
        """All of them at this moment."""
        self.recorder.flush()
        counters, access_log = self.counters, self.access_log
        return Snapshot(
            version=__version__,
            config_rev=self.rules.revision,
            started_at=self.started_at,
            ready=ready,
            connections=self.listener.connections,
            in_flight=self.recorder.in_flight,
            cached_tokens=len(self.rules.verifier),
            requests=dict(counters.requests),
            would_deny=dict(counters.would_deny),
            duration_bounds=BUCKETS,
            durations=tuple(counters.durations),
            duration_sum=counters.seconds,
            tokens_verified=counters.verified,
            tokens_recalled=counters.recalled,
            retries=counters.retries,
            aborted=counters.aborted,
            log_written=access_log.written,
            log_dropped=access_log.dropped,
            log_error=access_log.error,
            tls=None if self.tls is None else _tls(self.tls),
            issuers=tuple(self._issuer(name, issuer) for name, issuer in self.issuers.items()),
            credentials=tuple(CredentialsSnapshot(**asdict(source.status)) for source in self.credentials.values()),
            upstreams=tuple(_upstream(upstream, self.clock()) for upstream in self.rules.upstreams.values()),
        )

    def _issuer(self, name: str, issuer: IssuerPlan) -> IssuerSnapshot:
        status = self.rules.keys[name].status
        told = self.feeds[name].status if name in self.feeds else None
        return IssuerSnapshot(
            name=name,
            issuer=issuer.terms.issuer,
            kids=status.kids,
            skipped_keys=status.skipped,
            fetched_at=status.fetched_at,
            attempted_at=status.attempted_at,
            error=status.error,
            revocations=None if told is None else RevocationsSnapshot(told.count, told.answered_at, told.error),
            refresh_at=status.refresh_at,
            unknown_keys=status.unknown_keys,
            clock_ahead=status.clock_ahead,
            clock_ahead_by_tokens=self.rules.verifier.clock_ahead(name, self.clock()),
            unknown_keys_per_minute=status.unknown_keys_per_minute,
            introspection=self._introspection(name),
        )

    def _introspection(self, name: str) -> IntrospectionSnapshot | None:
        introspector = self.rules.introspectors.get(name)
        if introspector is None:
            return None
        recalled = self.counters.opaque_recalled[name]
        return IntrospectionSnapshot(**asdict(introspector.status), recalled=recalled)


def _tls(tls: ServerTls) -> TlsSnapshot:
    return TlsSnapshot(tls.loaded_at, tls.expires_at, tls.error, tls.failures, tls.last_failure)


def _upstream(upstream: Upstream, now: float) -> UpstreamSnapshot:
    """An upstream's figures; what its targets tell in seconds from the present becomes a time since the epoch."""
    return UpstreamSnapshot(
        name=upstream.settings.name,
        authority=upstream.settings.authority,
        **upstream.figures,
        targets=tuple(
            TargetSnapshot(
                authority=state.authority,
                open=state.open,
                idle=state.idle,
                outstanding=state.outstanding,
                healthy=state.healthy,
                ejected_until=None if state.ejected_for is None else now + state.ejected_for,
                last_error=state.last_error,
                failed_at=None if state.failed_ago is None else now - state.failed_ago,
            )
            for state in (target.state for target in upstream.targets)
        ),
    )
