"""The parts that need no process."""

import asyncio
import dataclasses
import socket
from typing import cast

import orjson
import pytest
from hypothesis import given, strategies as st

from gateway.access.writer import whole_lines
from gateway.admin.snapshot import IntrospectionSnapshot, IssuerSnapshot, Snapshot, TlsSnapshot, UpstreamSnapshot
from gateway.host_port import HostPort
from gateway.starting import AddressError
from gateway.supervisor.child import Child
from gateway.supervisor.place import BackOff, Place
from gateway.supervisor.snapshots import SUMMED, combine, nothing, pack, past, remains, unpack
from gateway.supervisor.sockets import listen

ISSUER = IssuerSnapshot("local", "https://issuer.example", ("a",), (), 1000.0, 1000.0, None)
UPSTREAM = UpstreamSnapshot("api", "api:80", open=3, idle=2, connecting=1, waiting=4)
ONE = Snapshot(
    version="1",
    config_rev="abc",
    started_at=5.0,
    ready=True,
    connections=2,
    cached_tokens=3,
    requests={("read", "allow", "", 200): 7, ("", "deny", "no_route", 404): 1},
    duration_bounds=(0.1, 1.0),
    durations=(5, 2, 1),
    duration_sum=1.5,
    tokens_verified=4,
    tokens_recalled=5,
    retries=6,
    aborted=7,
    log_written=8,
    log_dropped=9,
    log_error="No space left on device",
    issuers=(ISSUER,),
    upstreams=(UPSTREAM,),
    would_deny={("read", "scope_insufficient"): 3},
)
OF_THE_WHOLE = {
    "version",
    "config_rev",
    "started_at",
    "ready",
    "duration_bounds",
    "workers",
    "worker_restarts",
    "reload",
}
COMBINED_OTHERWISE = {
    *("requests", "durations", "log_error", "tls", "issuers", "upstreams", "credentials"),
    "would_deny",
}


def test_a_snapshot_survives_its_way_through_json() -> None:
    assert unpack(orjson.loads(orjson.dumps(pack(ONE)))) == ONE


def test_every_figure_is_combined_in_a_way_that_was_decided() -> None:
    names = {field.name for field in dataclasses.fields(Snapshot)}
    assert names == {*SUMMED, *OF_THE_WHOLE, *COMBINED_OTHERWISE}


def test_figures_of_all_workers_are_summed() -> None:
    own = remains(dataclasses.replace(ONE, config_rev="whole"))
    both = combine(own, [ONE, ONE])
    assert both.requests == {("read", "allow", "", 200): 21, ("", "deny", "no_route", 404): 3}
    assert both.would_deny == {("read", "scope_insufficient"): 9}
    assert both.durations == (15, 6, 3)
    assert (both.connections, both.cached_tokens) == (4, 6)
    assert (both.duration_sum, both.log_written, both.log_dropped) == (4.5, 24, 27)
    assert (both.config_rev, both.log_error) == ("whole", ONE.log_error)
    assert both.issuers == (ISSUER,)
    assert both.upstreams == (UpstreamSnapshot("api", "api:80", open=6, idle=4, connecting=2, waiting=8),)


def test_an_issuer_is_shown_as_the_worker_sees_it_that_is_worst_off() -> None:
    stale = dataclasses.replace(ISSUER, fetched_at=900.0)
    failing = dataclasses.replace(ISSUER, error="no answer")
    workers = [dataclasses.replace(ONE, issuers=(issuer,)) for issuer in (ISSUER, stale, failing)]
    assert combine(ONE, workers[:2]).issuers == (stale,)
    assert combine(ONE, workers).issuers == (failing,)


def test_of_tls_any_error_is_shown_with_the_failures_of_all() -> None:
    well = TlsSnapshot(loaded_at=2.0, expires_at=9.0, error=None, handshake_failures=3, last_failure="a: b")
    stale = TlsSnapshot(loaded_at=1.0, expires_at=5.0, error="broken", handshake_failures=4, last_failure=None)
    workers = [dataclasses.replace(ONE, tls=tls) for tls in (well, stale)]
    expected = dataclasses.replace(well, error="broken", handshake_failures=7)
    assert combine(ONE, workers).tls == expected
    left = remains(workers[1]).tls
    assert left == dataclasses.replace(stale, error=None)
    assert combine(dataclasses.replace(ONE, tls=stale), [ONE]).tls is None


def test_a_worker_that_has_ended_leaves_its_counters_only() -> None:
    left = remains(ONE)
    assert (left.requests, left.durations, left.log_written) == (ONE.requests, ONE.durations, ONE.log_written)
    assert (left.ready, left.connections, left.cached_tokens, left.upstreams) == (False, 0, 0, ())


def test_what_workers_counted_of_an_issuer_never_goes_down_when_they_end() -> None:
    asked = IntrospectionSnapshot(5, 4, 3, 2, 1, answered_at=9.0, error="no answer")
    worker = dataclasses.replace(
        ONE, issuers=(dataclasses.replace(ISSUER, unknown_keys=7, introspection=asked, error="no answer"),)
    )
    left = past(past(nothing(5.0), worker), worker)
    fresh = IntrospectionSnapshot(1, 1, 1, 1, 1, answered_at=10.0, error=None)
    young = dataclasses.replace(ISSUER, unknown_keys=1, introspection=fresh)
    (issuer,) = combine(left, [dataclasses.replace(ONE, issuers=(young,))]).issuers
    total = IntrospectionSnapshot(11, 9, 7, 5, 3, answered_at=10.0, error=None)
    assert issuer == dataclasses.replace(young, unknown_keys=15, introspection=total)
    assert combine(left, [dataclasses.replace(ONE, issuers=())]).issuers == ()


def test_restarts_come_ever_later_until_a_child_has_lived_long() -> None:
    back_off = BackOff()
    waits = [back_off.after(1.0) for _ in range(9)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert [back_off.after(30.0), back_off.after(0.0)] == [0.1, 0.2]


class Mortal:
    """A child that ends when it is told to."""

    pid = 7

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def gone(self) -> str:
        await self.end.wait()
        return "exit code 1"


async def test_a_place_is_filled_again_even_if_the_first_attempt_fails(caplog: pytest.LogCaptureFixture) -> None:
    first, second, filled = Mortal(), Mortal(), asyncio.Event()
    attempts: list[str] = []

    async def launch() -> Child:
        attempts.append("")
        if len(attempts) == 1:
            raise AddressError("the address is taken")
        filled.set()
        return cast("Child", second)

    place = Place("worker 1", launch)
    assert place.adopt(cast("Child", first)) is None
    first.end.set()
    await filled.wait()
    await asyncio.sleep(0)
    assert place.restarts == 1
    assert cast("object", place.dismiss()) is second
    assert [record.getMessage() for record in caplog.records] == [
        "worker 1: pid 7 ended (exit code 1); another starts in 0.1 s",
        "worker 1: it cannot start: the address is taken; another starts in 0.2 s",
    ]


@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"") + b"\n")), st.integers(1, 30))
def test_parts_of_a_batch_are_whole_lines_and_not_too_long(lines: list[bytes], size: int) -> None:
    parts = list(whole_lines(b"".join(lines), size))
    assert b"".join(parts) == b"".join(lines)
    assert all(part.endswith(b"\n") for part in parts)
    assert all(len(part) <= size or part.count(b"\n") == 1 for part in parts)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_sockets_share_a_port_that_the_system_chose(host: str) -> None:
    sockets = listen(HostPort(host, 0), 3)
    assert len({one.getsockname()[1] for one in sockets}) == 1
    for one in sockets:
        one.close()


def test_a_port_is_not_shared_with_another_program_even_if_it_would() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="already in use"):
            listen(HostPort("127.0.0.1", other.getsockname()[1]), 2)
