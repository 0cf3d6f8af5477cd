"""Figures of all workers as one, and their way from process to process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.admin.snapshot import (
    CredentialsSnapshot,
    IntrospectionSnapshot,
    IssuerSnapshot,
    Snapshot,
    TargetSnapshot,
    TlsSnapshot,
    UpstreamSnapshot,
)
from gateway.recorder import BUCKETS

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SUMMED = (
    *("connections", "in_flight", "cached_tokens"),
    *("duration_sum", "tokens_verified", "tokens_recalled", "retries", "aborted", "log_written", "log_dropped"),
)
"""Figures that are numbers; a worker's first three end with it, the others stay."""

KEYED = ("requests", "would_deny")
"""Figures that are counted by a key of several words."""


def pack(snapshot: Snapshot) -> dict[str, object]:
    """A snapshot as JSON knows it: keys that are tuples become lists."""
    packed = asdict(snapshot)
    for name in KEYED:
        packed[name] = [[list(key), count] for key, count in getattr(snapshot, name).items()]
    return packed


def unpack(packed: dict[str, object]) -> Snapshot:
    """What `pack` made, after its way through JSON.

    Raises:
        ValueError: it is no snapshot.
    """
    return _adapter().validate_python(packed | {name: _counts(packed, name) for name in KEYED})


def _counts(packed: dict[str, object], name: str) -> dict[tuple[object, ...], object]:
    counts = packed[name]
    if not isinstance(counts, list):
        raise TypeError(f"{name} are no list")
    return {tuple(key): count for key, count in counts}


@cache
def _adapter() -> TypeAdapter[Snapshot]:
    # Imported late: every worker packs, the supervisor alone unpacks.
    from pydantic import TypeAdapter  # noqa: PLC0415 - see above

    return TypeAdapter(Snapshot)


def nothing(started_at: float) -> Snapshot:
    """The figures before any worker has counted."""
    return Snapshot(
        version=__version__,
        config_rev="",
        started_at=started_at,
        ready=False,
        connections=0,
        cached_tokens=0,
        requests={},
        duration_bounds=BUCKETS,
        durations=(0,) * (len(BUCKETS) + 1),
        duration_sum=0.0,
        tokens_verified=0,
        tokens_recalled=0,
        retries=0,
        aborted=0,
        log_written=0,
        log_dropped=0,
        log_error=None,
        issuers=(),
        upstreams=(),
    )


def remains(snapshot: Snapshot) -> Snapshot:
    """What stays of a worker that has ended: its counters, so that none of the sums goes down."""
    tls = snapshot.tls and replace(snapshot.tls, error=None, last_failure=None)
    ended = replace(snapshot, ready=False, connections=0, in_flight=0, cached_tokens=0, log_error=None, tls=tls)
    return replace(ended, issuers=tuple(map(_counted, snapshot.issuers)), upstreams=())


def _counted(issuer: IssuerSnapshot) -> IssuerSnapshot:
    """What a worker counted of an issuer, and nothing of how it is."""
    asked = issuer.introspection and replace(issuer.introspection, answered_at=None, error=None)
    return IssuerSnapshot(
        issuer.name,
        issuer.issuer,
        (),
        (),
        fetched_at=None,
        attempted_at=None,
        error=None,
        unknown_keys=issuer.unknown_keys,
        introspection=asked,
    )


def past(earlier: Snapshot, ended: Snapshot) -> Snapshot:
    """What remains of the workers that have ended earlier and of one more."""
    left = remains(ended)
    return replace(combine(earlier, [left]), issuers=_worst((*earlier.issuers, *left.issuers)))


def combine(own: Snapshot, others: Sequence[Snapshot]) -> Snapshot:
    """All figures as one.

    Args:
        own: says what no sum can: version, revision, start, readiness, workers; its figures are part of the sums.
        others: of workers, those of the present configuration first.
    """
    every = [own, *others]
    requests: Counter[tuple[str, str, str, int]] = Counter()
    would_deny: Counter[tuple[str, str]] = Counter()
    for snapshot in every:
        requests.update(snapshot.requests)
        would_deny.update(snapshot.would_deny)
    sums = {name: sum(getattr(snapshot, name) for snapshot in every) for name in SUMMED}
    return replace(
        own,
        requests=dict(requests),
        would_deny=dict(would_deny),
        durations=tuple(map(sum, zip_longest(*(snapshot.durations for snapshot in every), fillvalue=0))),
        log_error=next((snapshot.log_error for snapshot in every if snapshot.log_error is not None), None),
        tls=_tls(own, others),
        issuers=_with_past(_worst(issuer for snapshot in others for issuer in snapshot.issuers), own.issuers),
        credentials=_worst_credentials(each for snapshot in others for each in snapshot.credentials),
        upstreams=_summed(upstream for snapshot in others for upstream in snapshot.upstreams),
        **sums,
    )


def _tls(own: Snapshot, others: Sequence[Snapshot]) -> TlsSnapshot | None:
    """The state of the worker that looked last, but for the error of any, and the failures of all."""
    each = [snapshot.tls for snapshot in (own, *others) if snapshot.tls is not None]
    if not any(snapshot.tls for snapshot in others):
        return None if others else own.tls
    return replace(
        max(each, key=lambda tls: tls.loaded_at),
        error=next((tls.error for tls in each if tls.error is not None), None),
        handshake_failures=sum(tls.handshake_failures for tls in each),
        last_failure=next((tls.last_failure for tls in reversed(each) if tls.last_failure is not None), None),
    )


def _worst(issuers: Iterable[IssuerSnapshot]) -> tuple[IssuerSnapshot, ...]:
    """Of each issuer the state of the worker that is worst off: with an error, with the oldest keys, least informed.

    What workers counted is added up; and the freshest token that any of them saw tells most of the issuer's clock.
    """
    worst: dict[str, IssuerSnapshot] = {}
    unknown: Counter[str] = Counter()
    lately: Counter[str] = Counter()
    ahead: dict[str, float] = {}
    asked: dict[str, IntrospectionSnapshot | None] = {}
    for issuer in issuers:
        unknown[issuer.name] += issuer.unknown_keys
        lately[issuer.name] += issuer.unknown_keys_per_minute
        if (told := issuer.clock_ahead_by_tokens) is not None:
            ahead[issuer.name] = max(told, ahead.get(issuer.name, told))
        asked[issuer.name] = _sum_of_questions(asked.get(issuer.name), issuer.introspection)
        known = worst.setdefault(issuer.name, issuer)
        if _health(issuer) < _health(known):
            worst[issuer.name] = issuer
    return tuple(
        replace(
            issuer,
            unknown_keys=unknown[name],
            unknown_keys_per_minute=lately[name],
            clock_ahead_by_tokens=ahead.get(name),
            introspection=asked[name],
        )
        for name, issuer in worst.items()
    )


def _with_past(present: Iterable[IssuerSnapshot], ended: Iterable[IssuerSnapshot]) -> tuple[IssuerSnapshot, ...]:
    """The issuers that there are, with what workers counted of them that have ended."""
    counted = {issuer.name: issuer for issuer in ended}
    return tuple(
        replace(
            issuer,
            unknown_keys=issuer.unknown_keys + before.unknown_keys,
            introspection=issuer.introspection and _sum_of_questions(issuer.introspection, before.introspection),
        )
        if (before := counted.get(issuer.name)) is not None
        else issuer
        for issuer in present
    )


def _sum_of_questions(
    one: IntrospectionSnapshot | None, other: IntrospectionSnapshot | None
) -> IntrospectionSnapshot | None:
    """Counts are summed; an error of any worker is shown, and the latest answer."""
    if one is None or other is None:
        return one or other
    counts = ("asked", "failed", "crowded", "inactive", "recalled")
    return IntrospectionSnapshot(
        **{name: getattr(one, name) + getattr(other, name) for name in counts},
        answered_at=max((at for at in (one.answered_at, other.answered_at) if at is not None), default=None),
        error=one.error or other.error,
    )


def _health(issuer: IssuerSnapshot) -> tuple[bool, bool, float, float]:
    told = issuer.revocations
    return (
        issuer.error is None,
        told is None or told.error is None,
        issuer.fetched_at or 0.0,
        0.0 if told is None else told.answered_at or 0.0,
    )


def _worst_credentials(credentials: Iterable[CredentialsSnapshot]) -> tuple[CredentialsSnapshot, ...]:
    """Likewise: with an error, or with the token that expires first."""
    worst: dict[str, CredentialsSnapshot] = {}
    for each in credentials:
        known = worst.setdefault(each.name, each)
        if (each.error is None, each.expires_at or 0.0) < (known.error is None, known.expires_at or 0.0):
            worst[each.name] = each
    return tuple(worst.values())


def _summed(upstreams: Iterable[UpstreamSnapshot]) -> tuple[UpstreamSnapshot, ...]:
    sums: dict[str, UpstreamSnapshot] = {}
    for upstream in upstreams:
        known = sums.get(upstream.name)
        sums[upstream.name] = upstream if known is None else _sum(known, upstream)
    return tuple(sums.values())


def _sum(one: UpstreamSnapshot, other: UpstreamSnapshot) -> UpstreamSnapshot:
    return replace(
        one,
        open=one.open + other.open,
        idle=one.idle + other.idle,
        connecting=one.connecting + other.connecting,
        waiting=one.waiting + other.waiting,
        targets=_summed_targets((*one.targets, *other.targets)),
    )


def _summed_targets(targets: Iterable[TargetSnapshot]) -> tuple[TargetSnapshot, ...]:
    """By place: workers of an earlier configuration may have had others."""
    sums: dict[str, TargetSnapshot] = {}
    for target in targets:
        known = sums.get(target.authority)
        sums[target.authority] = target if known is None else _sum_of_target(known, target)
    return tuple(sums.values())


def _sum_of_target(one: TargetSnapshot, other: TargetSnapshot) -> TargetSnapshot:
    """Connections are summed; of the rest it is shown what the worker sees that is worst off."""
    worse = max(one, other, key=_trouble)
    return replace(
        worse,
        open=one.open + other.open,
        idle=one.idle + other.idle,
        outstanding=one.outstanding + other.outstanding,
        healthy=one.healthy and other.healthy,
    )


def _trouble(target: TargetSnapshot) -> tuple[float, float]:
    return target.ejected_until or 0.0, target.failed_at or 0.0
