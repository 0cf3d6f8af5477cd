"""A configuration that changes while clients ask: what is swapped, what is replaced, and what is refused."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.stamps import Stamp, stamps
from gateway.supervisor.watch import Standstill, watch

from .fleet import Fleet, Load, ask, ended, ready, running, write

BROKEN = "listen: [\n"


def in_force(status: dict[str, Any]) -> set[tuple[int, str]]:
    """Generation and revision of every worker."""
    return {(worker["generation"], worker["config_rev"]) for worker in status["workers"]}


async def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `scopegate reload`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "reload", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
def unwatched(file: Path, api_port: int) -> Path:
    write(file, api_port, reload={"watch": False})
    return file


async def test_rules_are_swapped_within_the_workers_and_kept_connections_stay(unwatched: Path, api_port: int) -> None:
    async with running(unwatched) as fleet:
        load = Load(fleet.port)
        async with load.going():
            await load.more(100)
            before = await fleet.status()
            write(unwatched, api_port, realm="renewed", reload={"watch": False})
            fleet.signal(signal.SIGHUP)
            after = await fleet.until(ended(1))
            await load.more(100)
        assert load.failures == []
        assert before["reload"]["outcomes"] == {"swapped": 0, "replaced": 0, "unchanged": 0, "refused": 0}
        assert after["reload"]["outcomes"]["swapped"] == 1
        assert after["reload"]["in_force_since"] > before["reload"]["in_force_since"]
        assert in_force(before) == {(1, before["config_rev"])} != in_force(after) == {(1, after["config_rev"])}
        assert {worker["pid"] for worker in after["workers"]} == {worker["pid"] for worker in before["workers"]}
        await fleet.said(f"configuration {after['config_rev']} is in force in every worker; generation 1 stays")


async def test_a_worker_that_dies_after_a_swap_comes_back_with_the_swapped_rules(
    unwatched: Path, api_port: int
) -> None:
    async with running(unwatched, workers=1) as fleet:
        write(unwatched, api_port, routes=[{"id": "other", "path": "/other", "public": True, "upstream": "api"}])
        fleet.signal(signal.SIGHUP)
        status = await fleet.until(ended(1))
        fleet.file.write_text(BROKEN)
        worker = status["workers"][0]["pid"]
        os.kill(worker, signal.SIGKILL)
        await fleet.until(lambda status: status["worker_restarts"] == 1 and ready(status))
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
        assert await ask(reader, writer, "/other")
        writer.close()


async def test_scopegate_reload_waits_for_what_comes_of_it(unwatched: Path, api_port: int) -> None:
    async with running(unwatched) as fleet:
        at = ("--admin", f"127.0.0.1:{fleet.admin_port}", "-c", str(unwatched))
        first = (await fleet.status())["config_rev"]
        fleet.file.write_text(BROKEN)
        code, out, err = await command(*at)
        assert (code, out) == (1, "")
        assert f"{unwatched}:2:1: not YAML" in err
        assert f"refused: configuration {first} stays in force" in err
        refused = await fleet.status()
        assert refused["reload"]["errors"] == err.splitlines()[:-1]
        assert in_force(refused) == {(1, first)}
        assert "scopegate_reload_healthy 0.0" in (await fleet.operator("/metrics"))[1]

        write(unwatched, api_port, realm="renewed", reload={"watch": False})
        code, out, err = await command(*at)
        now = (await fleet.status())["config_rev"]
        assert (code, out, err) == (0, f"configuration {now} is in force\n", "")
        assert now != first

        with socket.create_server(("127.0.0.1", 0)) as free:
            moved = free.getsockname()[1]
        write(unwatched, api_port, admin=f"127.0.0.1:{moved}", reload={"watch": False})
        code, out, _ = await command(*at, "--json")
        fleet.admin_port = moved
        status = await fleet.until(lambda status: ready(status, generation=2))
        assert (code, json.loads(out)) == (0, {"ok": True, "config_rev": status["config_rev"], "errors": []})


async def test_a_reload_that_would_open_a_door_is_refused_by_choice(unwatched: Path, api_port: int) -> None:
    choice = {"watch": False, "newly_allowed": "refuse"}
    write(unwatched, api_port, reload=choice)
    async with running(unwatched, workers=1) as fleet:
        door = {"id": "door", "path": "/door", "methods": ["GET"], "public": True, "upstream": "api"}
        write(unwatched, api_port, routes=[door], reload={"watch": False})
        code, _, err = await command("--admin", f"127.0.0.1:{fleet.admin_port}", "-c", str(unwatched))
        assert (code, err.splitlines()[0]) == (1, "newly allowed, GET: such as GET /door without a token")
        assert (await fleet.status())["reload"]["outcomes"]["refused"] == 1


async def test_scopegate_reload_says_where_nobody_answers(unwatched: Path, api_port: int) -> None:
    write(unwatched, api_port, admin="127.0.0.1:1")
    code, out, err = await command("-c", str(unwatched))
    assert (code, out) == (4, "")
    assert "nobody answers at 127.0.0.1:1" in err


async def test_a_link_that_leads_elsewhere_is_seen_as_in_a_kubernetes_volume(tmp_path: Path, api_port: int) -> None:
    volume = tmp_path / "volume"
    for name, realm in (("..one", "one"), ("..two", "two")):
        (volume / name).mkdir(parents=True)
        write(volume / name / "gateway.yaml", api_port, realm=realm, access_log=str(tmp_path / "access.jsonl"))
    (volume / "..data").symlink_to("..one")
    (volume / "gateway.yaml").symlink_to("..data/gateway.yaml")
    async with running(volume / "gateway.yaml", workers=1) as fleet:
        before = await fleet.status()
        (volume / "..new").symlink_to("..two")
        (volume / "..new").rename(volume / "..data")
        after = await fleet.until(ended(1))
        assert after["config_rev"] != before["config_rev"]
        assert after["reload"]["outcomes"]["swapped"] == 1


async def test_an_included_file_is_watched_and_so_is_one_that_appears(file: Path, api_port: int) -> None:
    folder = file.parent / "routes"
    folder.mkdir()
    (folder / "1.yaml").write_text("routes: [{id: one, path: /one, public: true, upstream: api}]")
    write(file, api_port, routes=[{"include": "routes/*.yaml"}])
    async with running(file, workers=1) as fleet:
        (fleet.file.parent / "routes" / "2.yaml").write_text("routes: [{id: x, path: /x, public: true, upstream: api}]")
        first = await fleet.until(ended(1))
        (fleet.file.parent / "routes" / "1.yaml").write_text("routes: [{id: y, path: /y, public: true, upstream: api}]")
        second = await fleet.until(ended(2))
        assert second["reload"]["outcomes"]["swapped"] == 2
        assert second["config_rev"] != first["config_rev"]
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
        assert await ask(reader, writer, "/x")
        assert await ask(reader, writer, "/y")
        writer.close()


async def test_a_watched_file_is_taken_mended_and_left_alone_as_it_changes(fleet: Fleet, api_port: int) -> None:
    text = fleet.file.read_text()
    first = (await fleet.status())["config_rev"]
    fleet.file.write_text(BROKEN)
    refused = await fleet.until(ended(1))
    assert refused["reload"]["errors"]
    assert in_force(refused) == {(1, first)}
    fleet.file.write_text(text)
    mended = await fleet.until(ended(2))
    assert (mended["reload"]["errors"], mended["reload"]["outcomes"]["unchanged"]) == ([], 1)
    secret = fleet.file.parent / "secret"
    secret.write_text("one")
    write(fleet.file, api_port, log_hash_key=f"${{file:{secret}}}")
    await fleet.until(ended(3))
    secret.write_text("another")
    status = await fleet.until(lambda status: ended(4)(status) and ready(status, generation=3))
    assert status["reload"]["outcomes"]["replaced"] == 2


CHANGED: dict[Path, Stamp] = {Path("a"): (2, 2, 2, 2)}
BEFORE: dict[Path, Stamp] = {Path("a"): (1, 1, 1, 1)}
GONE: dict[Path, Stamp] = {Path("a"): None}


@pytest.mark.parametrize(
    ("looks", "due"),
    [
        ([BEFORE, BEFORE, BEFORE], [False, False, False]),
        ([BEFORE, CHANGED, CHANGED, CHANGED], [False, False, True, False]),
        ([BEFORE, GONE, CHANGED, CHANGED], [False, False, False, True]),
        ([CHANGED, BEFORE, CHANGED, BEFORE], [False, False, False, False]),
        ([CHANGED, CHANGED, GONE, GONE], [False, True, False, True]),
    ],
)
def test_files_are_taken_when_they_have_changed_and_stand_still(
    looks: list[dict[Path, Stamp]], due: list[bool]
) -> None:
    standstill = Standstill()
    assert [standstill.is_due(BEFORE, look) for look in looks] == due


async def test_a_watch_reloads_once_a_change(tmp_path: Path) -> None:
    file, reloads, known = tmp_path / "a", asyncio.Queue[str](), dict[Path, Stamp]()
    file.write_text("one")
    known.update(stamps([file]))

    async def reload() -> None:
        known.update(stamps([file]))
        reloads.put_nowait(file.read_text())

    watching = asyncio.create_task(watch(lambda: known, reload, interval=0.001))
    for text in ("two", "three"):
        file.write_text(text)
        async with asyncio.timeout(20):
            assert await reloads.get() == text
    watching.cancel()
    assert reloads.empty()
