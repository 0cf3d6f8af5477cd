"""Workers that die, are replaced, and end, while clients ask."""

import asyncio
import json
import os
import re
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from .fleet import Fleet, Load, alive, ask, children, command, counted, ready, running, until_dead, write


def lines(fleet: Fleet) -> list[str]:
    """The access log, every line of it a whole record."""
    text = fleet.log.read_text()
    assert text.endswith("\n")
    assert all(set(json.loads(line)) >= {"request_id", "status"} for line in text.splitlines())
    return text.splitlines()


def restarted(status: dict[str, Any], times: int) -> bool:
    """So many workers have died, and as many others are ready."""
    return status["worker_restarts"] == times and ready(status)


async def test_workers_share_the_load_and_are_shown_as_one(fleet: Fleet) -> None:
    load = Load(fleet.port)
    async with load.going():
        await load.more(200)
        busy = await fleet.workers()
        await load.more(200)
    assert load.failures == []
    assert len({worker["pid"] for worker in busy}) == 2
    assert all(worker["connections"] > 0 for worker in busy)
    status = await fleet.until(lambda status: status["connections"] == 0)
    assert counted(status) == load.answered == sum(status["durations"])
    metrics = (await fleet.operator("/metrics"))[1]
    assert f'status="200"}} {float(load.answered)}' in metrics
    assert 'scopegate_workers{state="ready"} 2.0' in metrics
    assert await fleet.operator("/readyz") == (200, "ready\n")

    pids = children(fleet.process.pid)
    assert pids == {worker["pid"] for worker in busy}
    fleet.signal(signal.SIGTERM)
    assert await fleet.ended() == 0
    assert not any(map(alive, pids))
    assert len(lines(fleet)) == load.answered


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_worker_that_dies_takes_along_only_what_it_had_in_flight(file: Path, workers: int) -> None:
    async with running(file, workers) as fleet:
        load = Load(fleet.port)
        fleet.file.write_text("listen: [\n")  # what is restarted is what was in force
        async with load.going():
            await load.more(100)
            for deaths, wait in enumerate(("0.1", "0.2"), 1):
                before, failed = await fleet.status(), len(load.failures)
                victim = before["workers"][0]["pid"]
                os.kill(victim, signal.SIGKILL)
                await load.more(50)
                after = await fleet.until(partial(restarted, times=deaths))
                lost = len(load.failures)
                await load.more(100)
                assert lost == len(load.failures) <= failed + load.clients
                assert victim not in {worker["pid"] for worker in after["workers"]}
                assert counted(after) >= counted(before)
                await fleet.said(f"worker 1: pid {victim} ended (killed by SIGKILL); another starts in {wait} s")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_reload_loses_no_request(file: Path, api_port: int, workers: int) -> None:
    async with running(file, workers) as fleet:
        load = Load(fleet.port)
        async with load.going():
            await load.more(100)
            before = await fleet.status()
            write(fleet.file, api_port, token_cache=1)
            fleet.signal(signal.SIGHUP)
            await fleet.until(partial(ready, generation=2))
            await load.more(100)
            fleet.signal(signal.SIGUSR2)
            after = await fleet.until(partial(ready, generation=3))
            await load.more(100)
        assert load.failures == []
        assert after["config_rev"] != before["config_rev"]
        assert counted(after) >= counted(before)
        assert await fleet.counted() == load.answered
        fleet.signal(signal.SIGTERM)
        await fleet.ended()
        assert len(lines(fleet)) == load.answered


async def test_one_worker_writes_its_log_to_the_supervisors_standard_output(file: Path, api_port: int) -> None:
    write(file, api_port, access_log="-")
    async with running(file, workers=1, stdout=asyncio.subprocess.PIPE) as fleet:
        assert fleet.process.stdout is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
        assert await ask(reader, writer)
        writer.close()
        fleet.signal(signal.SIGTERM)
        assert await fleet.ended() == 0
        written = (await fleet.process.stdout.read()).splitlines()
    assert [json.loads(line)["status"] for line in written] == [200]


async def test_a_broken_configuration_changes_nothing(fleet: Fleet, api_port: int) -> None:
    before = await fleet.status()
    fleet.file.write_text("listen: [\n")
    fleet.signal(signal.SIGHUP)
    await fleet.said("the new configuration is refused: the one in force stays")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        write(fleet.file, api_port, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        fleet.signal(signal.SIGHUP)
        await fleet.said("cannot be listened on: Address already in use")
    write(fleet.file, api_port, access_log="/proc/no/such.jsonl")
    fleet.signal(signal.SIGHUP)
    await fleet.said("access_log: /proc/no/such.jsonl cannot be written")
    after = await fleet.until(ready)
    assert (after["workers"], after["config_rev"]) == (before["workers"], before["config_rev"])


@pytest.mark.slow
async def test_a_reload_moves_the_listeners(fleet: Fleet, api_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        client, operator = one.getsockname()[1], other.getsockname()[1]
    write(fleet.file, api_port, listen=f"127.0.0.1:{client}", admin=f"127.0.0.1:{operator}")
    fleet.signal(signal.SIGHUP)
    await fleet.said("generation 2 is in force")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", fleet.admin_port)
    fleet.admin_port = operator
    await fleet.until(lambda status: ready(status, generation=2))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", fleet.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", client)
    assert await ask(reader, writer)
    writer.close()


@pytest.mark.slow
async def test_a_kept_connection_learns_of_the_reload_from_its_next_answer(fleet: Fleet) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
    assert await ask(reader, writer)
    fleet.signal(signal.SIGUSR2)
    await fleet.said("generation 2 is in force")
    states = {(worker["state"], worker["generation"]) for worker in await fleet.workers()}
    assert states == {("draining", 1), ("ready", 2)}
    assert not await ask(reader, writer)
    assert await reader.read() == b""
    writer.close()
    await fleet.until(lambda status: ready(status, generation=2))


async def test_workers_end_with_their_supervisor(fleet: Fleet) -> None:
    pids = children(fleet.process.pid)
    fleet.process.kill()
    await fleet.ended()
    await until_dead(*pids)


@pytest.mark.slow
async def test_a_second_interrupt_does_not_wait_for_requests_in_flight(fleet: Fleet) -> None:
    pids = children(fleet.process.pid)
    _, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
    writer.write(b"GET /public/slow HTTP/1.1\r\nHost: api\r\n\r\n")
    await fleet.until(lambda status: status["upstreams"][0]["open"] == 1)
    fleet.signal(signal.SIGINT)
    await fleet.said("draining")
    assert (await fleet.operator("/readyz"))[0] == 503
    fleet.signal(signal.SIGINT)
    assert await fleet.ended() == 130
    assert not any(map(alive, pids))
    writer.close()


@pytest.mark.slow
async def test_a_worker_that_does_not_answer_is_shown_so(fleet: Fleet) -> None:
    stuck = (await fleet.workers())[0]["pid"]
    os.kill(stuck, signal.SIGSTOP)
    try:
        states = [worker["state"] for worker in await fleet.workers()]
        assert (await fleet.operator("/readyz"))[0] == 200
    finally:
        os.kill(stuck, signal.SIGCONT)
    assert states == ["unresponsive", "ready"]
    await fleet.until(ready)


@pytest.mark.slow
async def test_the_log_is_opened_anew_by_every_worker(fleet: Fleet) -> None:
    load = Load(fleet.port)
    moved = fleet.log.with_suffix(".1")
    async with load.going():
        await load.more(100)
        fleet.log.rename(moved)
        fleet.signal(signal.SIGUSR1)
        await load.more(300)
    fleet.signal(signal.SIGTERM)
    await fleet.ended()
    assert load.failures == []
    assert len(moved.read_text().splitlines()) + len(lines(fleet)) == load.answered
    assert fleet.log.stat().st_size > 0


@pytest.mark.slow
async def test_lines_of_several_workers_do_not_mix_on_a_pipe(file: Path, api_port: int) -> None:
    write(file, api_port, access_log="-")
    async with running(file, stdout=asyncio.subprocess.PIPE) as fleet:
        assert fleet.process.stdout is not None
        load = Load(fleet.port, clients=16)
        reading = asyncio.create_task(fleet.process.stdout.read())
        async with load.going():
            await load.more(1000)
        fleet.signal(signal.SIGTERM)
        written = [json.loads(line) for line in (await reading).splitlines()]
    assert len({record["request_id"] for record in written}) == len(written) == load.answered


async def refused(folder: Path, api_port: int, **changes: object) -> str:
    """What a start says that fails, with its exit code."""
    folder.mkdir()  # noqa: ASYNC240 - a test may block
    file = folder / "gateway.yaml"
    write(file, api_port, **changes)
    process = await asyncio.create_subprocess_exec(*command(file, 2), stderr=asyncio.subprocess.PIPE)
    said = (await process.communicate())[1].decode()
    return f"{said}exit {process.returncode}"


async def test_what_cannot_start_says_why_and_with_which_exit_code(tmp_path: Path, api_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        busy, no_log = await asyncio.gather(
            refused(tmp_path / "busy", api_port, listen=address),
            refused(tmp_path / "no_log", api_port, access_log="/proc/no/such.jsonl"),
        )
    assert busy == f"listen: {address} cannot be listened on: Address already in use\nexit 4"
    assert re.fullmatch(r"access_log: /proc/no/such.jsonl cannot be written: .*\nexit 3", no_log)
