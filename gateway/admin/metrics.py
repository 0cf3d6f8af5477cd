"""A snapshot as metrics in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.admin.snapshot import ReloadSnapshot, Snapshot, TlsSnapshot

WORKER_STATES = ("starting", "ready", "draining", "unresponsive", "down")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _OneSnapshot(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from _requests(self._snapshot)
        yield from _tokens(self._snapshot)
        yield from _issuers(self._snapshot)
        yield _credentials(self._snapshot)
        yield from _upstreams(self._snapshot)
        yield from _process(self._snapshot)
        if self._snapshot.tls is not None:
            yield from _tls(self._snapshot.tls)
        if self._snapshot.workers:
            yield from _workers(self._snapshot)
        if self._snapshot.reload is not None:
            yield from _reloads(self._snapshot.reload)


def render(snapshot: Snapshot) -> bytes:
    """The metrics of one moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_OneSnapshot(snapshot))
    return generate_latest(registry)


def _requests(snapshot: Snapshot) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "scopegate_requests",
        "Requests, by route, decision, reason and status; none is the empty string.",
        labels=("route", "decision", "reason", "status"),
    )
    for (route, decision, reason, status), count in sorted(snapshot.requests.items()):
        requests.add_metric((route, decision, reason, str(status)), count)
    yield requests
    would_deny = CounterMetricFamily(
        "scopegate_would_deny",
        "Requests that were let pass though their route refuses them, by route and reason.",
        labels=("route", "reason"),
    )
    for names, count in sorted(snapshot.would_deny.items()):
        would_deny.add_metric(names, count)
    yield would_deny
    durations = HistogramMetricFamily("scopegate_request_duration_seconds", "From a request's head to its record.")
    bounds = [*(f"{bound:g}" for bound in snapshot.duration_bounds), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(snapshot.durations)), strict=True))
    durations.add_metric((), buckets, snapshot.duration_sum)
    yield durations
    yield CounterMetricFamily("scopegate_retries", "Requests that were sent again.", value=snapshot.retries)
    yield CounterMetricFamily(
        "scopegate_aborted", "Answers that did not reach the client whole.", value=snapshot.aborted
    )


def _tokens(snapshot: Snapshot) -> Iterator[Metric]:
    checks = CounterMetricFamily("scopegate_token_checks", "Tokens looked at, by source.", labels=("source",))
    checks.add_metric(("verification",), snapshot.tokens_verified)
    checks.add_metric(("cache",), snapshot.tokens_recalled)
    yield checks
    yield GaugeMetricFamily("scopegate_cached_tokens", "Verified tokens remembered.", value=snapshot.cached_tokens)


def _issuers(snapshot: Snapshot) -> Iterator[Metric]:
    yield from _keys(snapshot)
    yield from _revocations(snapshot)
    yield from _introspection(snapshot)


def _keys(snapshot: Snapshot) -> Iterator[Metric]:
    keys = GaugeMetricFamily("scopegate_issuer_keys", "Usable keys at hand.", labels=("issuer",))
    fetched = GaugeMetricFamily(
        "scopegate_issuer_keys_fetched_timestamp_seconds", "When keys were last fetched well.", labels=("issuer",)
    )
    refresh = GaugeMetricFamily(
        "scopegate_issuer_keys_refresh_timestamp_seconds", "When keys are fetched next.", labels=("issuer",)
    )
    healthy = GaugeMetricFamily(
        "scopegate_issuer_keys_healthy", "1 when the last fetch of keys went well.", labels=("issuer",)
    )
    unknown = CounterMetricFamily(
        "scopegate_issuer_unknown_keys", "Tokens that named a key not at hand.", labels=("issuer",)
    )
    ahead = GaugeMetricFamily(
        "scopegate_issuer_clock_ahead_seconds", "By how much the issuer's clock is ahead.", labels=("issuer",)
    )
    by_tokens = GaugeMetricFamily(
        "scopegate_issuer_clock_ahead_by_tokens_seconds",
        "By how much the issuer's clock is ahead, by its freshest token.",
        labels=("issuer",),
    )
    for issuer in snapshot.issuers:
        keys.add_metric((issuer.name,), len(issuer.kids))
        fetched.add_metric((issuer.name,), issuer.fetched_at or 0)
        healthy.add_metric((issuer.name,), issuer.error is None and issuer.fetched_at is not None)
        unknown.add_metric((issuer.name,), issuer.unknown_keys)
        if issuer.refresh_at is not None:
            refresh.add_metric((issuer.name,), issuer.refresh_at)
        if issuer.clock_ahead is not None:
            ahead.add_metric((issuer.name,), issuer.clock_ahead)
        if issuer.clock_ahead_by_tokens is not None:
            by_tokens.add_metric((issuer.name,), issuer.clock_ahead_by_tokens)
    yield from (keys, fetched, refresh, healthy, unknown, ahead, by_tokens)


def _revocations(snapshot: Snapshot) -> Iterator[Metric]:
    """Of the issuers that have a feed."""
    count = GaugeMetricFamily("scopegate_issuer_revocations", "Revocations in force.", labels=("issuer",))
    answered = GaugeMetricFamily(
        "scopegate_issuer_revocations_answered_timestamp_seconds",
        "When the issuer's feed of revocations last answered.",
        labels=("issuer",),
    )
    healthy = GaugeMetricFamily(
        "scopegate_issuer_revocations_healthy", "1 when that feed answered well when last asked.", labels=("issuer",)
    )
    for issuer in snapshot.issuers:
        if (told := issuer.revocations) is not None:
            count.add_metric((issuer.name,), told.count)
            answered.add_metric((issuer.name,), told.answered_at or 0)
            healthy.add_metric((issuer.name,), told.error is None and told.answered_at is not None)
    yield from (count, answered, healthy)


def _introspection(snapshot: Snapshot) -> Iterator[Metric]:
    """Of the issuers that are asked about tokens."""
    tokens = CounterMetricFamily(
        "scopegate_introspection_tokens",
        "Tokens that the issuer is asked about, by what came of it.",
        labels=("issuer", "outcome"),
    )
    requests = CounterMetricFamily(
        "scopegate_introspection_requests", "Questions that were sent to the issuer.", labels=("issuer",)
    )
    answered = GaugeMetricFamily(
        "scopegate_introspection_answered_timestamp_seconds", "When the issuer last answered.", labels=("issuer",)
    )
    healthy = GaugeMetricFamily(
        "scopegate_introspection_healthy", "1 unless the last question brought nothing.", labels=("issuer",)
    )
    for issuer in snapshot.issuers:
        if (told := issuer.introspection) is not None:
            requests.add_metric((issuer.name,), told.asked)
            for outcome in ("recalled", "inactive", "failed", "crowded"):
                tokens.add_metric((issuer.name, outcome), getattr(told, outcome))
            answered.add_metric((issuer.name,), told.answered_at or 0)
            healthy.add_metric((issuer.name,), told.error is None)
    yield from (requests, tokens, answered, healthy)


def _credentials(snapshot: Snapshot) -> Metric:
    healthy = GaugeMetricFamily(
        "scopegate_credentials_healthy", "1 when a token was obtained when last asked for.", labels=("credentials",)
    )
    for credentials in snapshot.credentials:
        healthy.add_metric((credentials.name,), credentials.error is None and credentials.obtained_at is not None)
    return healthy


def _upstreams(snapshot: Snapshot) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "scopegate_upstream_connections", "Connections, by state.", labels=("upstream", "state")
    )
    waiting = GaugeMetricFamily(
        "scopegate_upstream_waiting", "Requests that wait for a connection.", labels=("upstream",)
    )
    for upstream in snapshot.upstreams:
        connections.add_metric((upstream.name, "idle"), upstream.idle)
        connections.add_metric((upstream.name, "busy"), upstream.open - upstream.idle)
        connections.add_metric((upstream.name, "connecting"), upstream.connecting)
        waiting.add_metric((upstream.name,), upstream.waiting)
    yield from (connections, waiting)
    yield from _targets(snapshot)


def _targets(snapshot: Snapshot) -> Iterator[Metric]:
    labels = ("upstream", "target")
    connections = GaugeMetricFamily(
        "scopegate_target_connections", "Connections to a target, by state.", labels=(*labels, "state")
    )
    outstanding = GaugeMetricFamily("scopegate_target_outstanding", "Requests under way at a target.", labels=labels)
    healthy = GaugeMetricFamily("scopegate_target_healthy", "0 while health checks of a target fail.", labels=labels)
    ejected = GaugeMetricFamily("scopegate_target_ejected", "1 while requests to a target fail.", labels=labels)
    for upstream in snapshot.upstreams:
        for target in upstream.targets:
            names = (upstream.name, target.authority)
            connections.add_metric((*names, "idle"), target.idle)
            connections.add_metric((*names, "busy"), target.open - target.idle)
            outstanding.add_metric(names, target.outstanding)
            healthy.add_metric(names, target.healthy)
            ejected.add_metric(names, target.ejected_until is not None)
    yield from (connections, outstanding, healthy, ejected)


def _process(snapshot: Snapshot) -> Iterator[Metric]:
    info = GaugeMetricFamily("scopegate_info", "What runs; always 1.", labels=("version", "config_rev"))
    info.add_metric((snapshot.version, snapshot.config_rev), 1)
    yield info
    yield GaugeMetricFamily("scopegate_ready", "1 while new requests are welcome.", value=snapshot.ready)
    yield GaugeMetricFamily("scopegate_start_timestamp_seconds", "When it started.", value=snapshot.started_at)
    yield GaugeMetricFamily("scopegate_client_connections", "Open client connections.", value=snapshot.connections)
    yield GaugeMetricFamily("scopegate_requests_in_flight", "Requests that are not over.", value=snapshot.in_flight)
    lines = CounterMetricFamily("scopegate_access_log_lines", "Lines of the access log, by fate.", labels=("fate",))
    lines.add_metric(("written",), snapshot.log_written)
    lines.add_metric(("dropped",), snapshot.log_dropped)
    yield lines


def _tls(tls: TlsSnapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "scopegate_tls_certificate_expiry_timestamp_seconds", "When the certificate expires.", value=tls.expires_at
    )
    yield GaugeMetricFamily(
        "scopegate_tls_certificate_healthy", "1 when its files could be taken as they are.", value=tls.error is None
    )
    yield CounterMetricFamily(
        "scopegate_tls_handshake_failures", "TLS handshakes that came to nothing.", value=tls.handshake_failures
    )


def _workers(snapshot: Snapshot) -> Iterator[Metric]:
    by_state = Counter(worker.state for worker in snapshot.workers)
    workers = GaugeMetricFamily("scopegate_workers", "Worker processes, by state.", labels=("state",))
    for state in WORKER_STATES:
        workers.add_metric((state,), by_state[state])
    yield workers
    yield CounterMetricFamily(
        "scopegate_worker_restarts", "Workers that died and were replaced.", value=snapshot.worker_restarts
    )


def _reloads(reload: ReloadSnapshot) -> Iterator[Metric]:
    reloads = CounterMetricFamily("scopegate_reloads", "Reloads, by what came of them.", labels=("outcome",))
    for outcome, count in reload.outcomes.items():
        reloads.add_metric((outcome,), count)
    yield reloads
    yield GaugeMetricFamily(
        "scopegate_reload_healthy", "1 unless the last reload was refused.", value=not reload.errors
    )
    yield GaugeMetricFamily(
        "scopegate_config_timestamp_seconds",
        "When the configuration in force was put in force.",
        value=reload.in_force_since,
    )
