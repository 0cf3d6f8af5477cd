"""What an operator is shown of targets: of one process, and of several as one."""

from dataclasses import replace

import orjson
import pytest

from gateway.admin.metrics import render
from gateway.admin.server import status
from gateway.admin.snapshot import TargetSnapshot, UpstreamSnapshot
from gateway.supervisor.snapshots import combine, nothing, pack, unpack

WELL = TargetSnapshot("a:1", open=3, idle=2, outstanding=1)
ILL = TargetSnapshot("a:1", 1, 0, 1, healthy=False, last_error="status 503", failed_at=10.0)
EJECTED = TargetSnapshot("a:1", 0, 0, 0, ejected_until=100.0, last_error="refused", failed_at=5.0)
OTHER = TargetSnapshot("b:1", 1, 1, 0)


def shown(*targets: TargetSnapshot) -> UpstreamSnapshot:
    return UpstreamSnapshot("api", "a:1, b:1", 1, 1, 0, 0, targets)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ((WELL,), (WELL,), (replace(WELL, open=6, idle=4, outstanding=2),)),
        ((WELL,), (ILL,), (replace(ILL, open=4, idle=2, outstanding=2),)),
        ((EJECTED,), (ILL,), (replace(EJECTED, open=1, outstanding=1, healthy=False),)),
        ((WELL, OTHER), (OTHER,), (WELL, replace(OTHER, open=2, idle=2))),
        ((WELL,), (OTHER,), (WELL, OTHER)),
    ],
)
def test_workers_are_shown_as_one_and_targets_by_place(
    one: tuple[TargetSnapshot, ...], other: tuple[TargetSnapshot, ...], together: tuple[TargetSnapshot, ...]
) -> None:
    own = nothing(0.0)
    workers = [replace(own, upstreams=(shown(*targets),)) for targets in (one, other)]
    [upstream] = combine(own, workers).upstreams
    assert upstream.targets == together


def test_targets_survive_their_way_from_worker_to_supervisor() -> None:
    snapshot = replace(nothing(0.0), upstreams=(shown(EJECTED, ILL),))
    assert unpack(orjson.loads(orjson.dumps(pack(snapshot)))) == snapshot


def test_status_shows_times_as_text() -> None:
    document = status(replace(nothing(0.0), upstreams=(shown(EJECTED, OTHER),)))
    upstreams = document["upstreams"]
    assert isinstance(upstreams, list | tuple)
    first, second = upstreams[0]["targets"]
    assert (first["ejected_until"], first["failed_at"]) == ("1970-01-01T00:01:40.000Z", "1970-01-01T00:00:05.000Z")
    assert (second["ejected_until"], second["failed_at"], second["last_error"]) == (None, None, None)


def test_metrics_tell_ill_from_ejected() -> None:
    lines = render(replace(nothing(0.0), upstreams=(shown(EJECTED, replace(ILL, authority="b:1")),))).decode()
    for line in (
        'scopegate_target_healthy{target="a:1",upstream="api"} 1.0',
        'scopegate_target_ejected{target="a:1",upstream="api"} 1.0',
        'scopegate_target_healthy{target="b:1",upstream="api"} 0.0',
        'scopegate_target_ejected{target="b:1",upstream="api"} 0.0',
        'scopegate_target_connections{state="busy",target="b:1",upstream="api"} 1.0',
        'scopegate_target_outstanding{target="b:1",upstream="api"} 1.0',
    ):
        assert line in lines
