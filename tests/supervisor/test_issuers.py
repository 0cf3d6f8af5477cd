"""Embedded issuers beside several workers."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .fleet import Fleet, children, ready, running, write

AUDIENCE = "https://api.example"
SECRET = "nightly-batch-secret"
HASH = "scrypt:16384:8:1:_vOUAswlgQO_pp5g1Jdg-A:KbhVZzhzIxzWP9EKLFOZRzywNUxv2DemM1wLmETKMR8"


def write_with_issuer(file: Path, api: int, **changes: Any) -> str:
    """The gateway's file and its issuer's; returns where the issuer is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    issuer = {
        "listen": address,
        "issuer": f"http://{address}",
        "state": str(file.parent / "issuer.db"),
        "resources": {AUDIENCE: {"read": "Read"}},
        "roles": {"reader": ["read"]},
        "clients": {"batch": {"type": "trusted", "roles": ["reader"], "secret": HASH}},
    }
    (file.parent / "issuer.yaml").write_text(json.dumps(issuer))
    trusted = {"issuer": f"http://{address}", "embedded": "issuer.yaml", "audience": AUDIENCE}
    route = {"id": "read", "path": "/{rest...}", "scopes": ["read"], "upstream": "api"}
    write(file, api, issuers={"local": trusted}, routes=[route], **changes)
    return f"http://{address}"


async def token(issuer: str) -> str:
    form = {"grant_type": "client_credentials"}
    credentials = {"Authorization": aiohttp.encode_basic_auth("batch", SECRET)}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{issuer}/oauth2/v1/token", data=form, headers=credentials) as answer,
    ):
        document: dict[str, Any] = await answer.json()
        return str(document["access_token"])


async def ask_often(fleet: Fleet, bearer: str, times: int = 12) -> list[int]:
    """Each time on a connection of its own, so that every worker has some."""
    statuses = []
    for _ in range(times):
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {bearer}"}) as http,
            http.get(f"http://127.0.0.1:{fleet.port}/x") as answer,
        ):
            statuses.append(answer.status)
    return statuses


async def issuers_pid(fleet: Fleet) -> int:
    (pid,) = children(fleet.process.pid) - {worker["pid"] for worker in await fleet.workers()}
    return pid


@pytest.mark.slow
async def test_issuers_run_once_and_all_workers_hash_a_token_alike_across_restarts(file: Path, api_port: int) -> None:
    issuer = write_with_issuer(file, api_port)
    async with running(file) as fleet:
        bearer = await token(issuer)
        pid = await issuers_pid(fleet)
        assert set(await ask_often(fleet, bearer)) == {200}
        status = await fleet.until(lambda status: status["connections"] == 0)
        assert status["cached_tokens"] == status["tokens_verified"] == 2
        assert [issuer["error"] for issuer in status["issuers"]] == [None]

        fleet.signal(signal.SIGUSR2)
        await fleet.until(lambda status: ready(status, generation=2))
        assert await issuers_pid(fleet) == pid
        assert set(await ask_often(fleet, bearer)) == {200}

        os.kill(pid, signal.SIGKILL)
        await fleet.said(f"embedded issuers: pid {pid} ended (killed by SIGKILL)")
        with_dead_issuer = await ask_often(fleet, bearer)
        fresh = children(fleet.process.pid) - {worker["pid"] for worker in await fleet.workers()}
        assert pid not in fresh
        assert set(with_dead_issuer) == {200}
    records = [json.loads(line) for line in fleet.log.read_text().splitlines()]
    assert len(records) == 36
    assert len({record["jti_hash"] for record in records}) == 1


@pytest.mark.slow
async def test_a_reload_restarts_issuers_only_for_what_needs_it(file: Path, api_port: int) -> None:
    issuer = write_with_issuer(file, api_port, reload={"watch": False})
    async with running(file) as fleet:
        bearer = await token(issuer)
        pid = await issuers_pid(fleet)
        own = file.parent / "issuer.yaml"
        own.write_text(json.dumps(json.loads(own.read_text()) | {"token_lifetime": "5m"}))
        await fleet.said("issuer.yaml is in force anew")
        fleet.signal(signal.SIGHUP)
        await fleet.said("generation 1 stays")
        assert await issuers_pid(fleet) == pid

        log = {"issuance_log": str(file.parent / "issuance.jsonl")}
        own.write_text(json.dumps(json.loads(own.read_text()) | log))
        await fleet.said("what changed in issuance_log takes effect at the next start")
        fleet.signal(signal.SIGHUP)
        await fleet.until(lambda status: status["reload"]["outcomes"]["swapped"] == 2)
        assert await issuers_pid(fleet) != pid
        assert set(await ask_often(fleet, bearer)) == {200}
        assert set(await ask_often(fleet, await token(issuer))) == {200}


@pytest.mark.slow
async def test_every_worker_refuses_a_token_that_was_revoked_by_command(file: Path, api_port: int) -> None:
    issuer = write_with_issuer(file, api_port)
    async with running(file) as fleet:
        bearer = await token(issuer)
        assert set(await ask_often(fleet, bearer)) == {200}
        own = str(file.parent / "issuer.yaml")
        command = [sys.executable, "-m", "gateway", "issuer", "revoke", "-c", own, "--client", "batch"]
        process = await asyncio.create_subprocess_exec(*command)
        assert await process.wait() == 0
        await fleet.until(lambda status: status["issuers"][0]["revocations"]["count"] == 1)
        while set(await ask_often(fleet, bearer)) != {401}:  # noqa: ASYNC110 - until the other worker knows
            await asyncio.sleep(0.05)
    last = json.loads(fleet.log.read_text().splitlines()[-1])
    assert last["reason"] == "token_revoked"


@pytest.mark.slow
async def test_the_issuance_log_shows_the_hashes_of_the_access_log_and_is_opened_anew_with_it(
    file: Path, api_port: int
) -> None:
    issuer = write_with_issuer(file, api_port)
    own, log = file.parent / "issuer.yaml", file.parent / "issuance.jsonl"
    own.write_text(json.dumps(json.loads(own.read_text()) | {"issuance_log": str(log)}))
    async with running(file) as fleet:
        assert set(await ask_often(fleet, await token(issuer))) == {200}
        while not log.read_bytes():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        moved = log.rename(log.with_suffix(".1"))
        fleet.signal(signal.SIGUSR1)
        while not (log.exists() and log.read_bytes()):
            await token(issuer)
    [issued, *_] = [json.loads(line) for line in moved.read_text().splitlines()]
    used = [json.loads(line) for line in fleet.log.read_text().splitlines()]
    assert {record["jti_hash"] for record in used} == {issued["jti_hash"]}
