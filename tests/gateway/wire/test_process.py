"""`scopegate run` as a process: signals and exit codes."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .gate import configuration, write_keys
from .patience import PATIENCE, eventually
from .raw_client import RawClient, request
from .raw_upstream import OK, RawUpstream, Visit

LISTENS = re.compile(rb"clients on port (\d+), operators on port (\d+)")


@asynccontextmanager
async def scopegate(file: Path, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command; killed if the test leaves it running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "--workers", "1", "-c", str(file),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | environ, cwd=file.parent,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def written(folder: Path, upstream: int, listen: str = "127.0.0.1:0") -> Path:
    write_keys(folder)
    file = folder / "gateway.yaml"
    file.write_text(configuration(upstream, listen=listen))
    return file


async def port_of(process: asyncio.subprocess.Process) -> int:
    """Wait until it listens."""
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while (found := LISTENS.search(line := await process.stderr.readline())) is None:
            assert line, "it ended before it listened"
    return int(found[1])


async def ended(process: asyncio.subprocess.Process) -> tuple[int, list[str]]:
    """Wait for its end: exit code, and the lines on standard error."""
    async with asyncio.timeout(PATIENCE):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode().splitlines()


async def test_sigterm_lets_what_is_in_flight_finish_and_sigusr1_begins_the_log_anew(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    finish = asyncio.Event()
    log = tmp_path / "access.jsonl"

    async def play(visit: Visit) -> None:
        if b"slow" in visit.line:
            await finish.wait()
        await visit.send(OK)

    upstream.play = play
    async with scopegate(written(tmp_path, upstream.port)) as process:
        async with RawClient(await port_of(process)) as client:
            assert (await client.ask(request("GET /public/x"))).status == 200
            await eventually(lambda: log.exists() and log.read_bytes())
            log.rename(tmp_path / "moved")
            process.send_signal(signal.SIGUSR1)
            await client.send(request("GET /public/slow"))
            await upstream.visited(2)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
            assert process.returncode is None
            finish.set()
            answer = await client.answer()
            assert (answer.body, answer["Connection"]) == (b"ok", "close")
        code, _ = await ended(process)
    assert code == 0
    assert (tmp_path / "moved").read_bytes().count(b"\n") == 1
    assert log.read_bytes().count(b"\n") == 1


async def test_a_port_in_use_is_one_line_and_exit_code_4(tmp_path: Path, upstream: RawUpstream) -> None:
    file = written(tmp_path, 9, listen=f"127.0.0.1:{upstream.port}")
    async with scopegate(file) as process:
        code, errors = await ended(process)
    assert code == 4
    assert errors == [f"listen: 127.0.0.1:{upstream.port} cannot be listened on: Address already in use"]


async def test_a_bad_configuration_is_exit_code_3_and_every_fault_a_line(tmp_path: Path) -> None:
    file = written(tmp_path, 9)
    file.write_text(file.read_text().replace('"scopes"', '"scoeps"'))
    async with scopegate(file) as process:
        code, errors = await ended(process)
    assert code == 3
    assert all(error.startswith(f"{file}:1:") for error in errors)
    assert "scopes" in errors[0]


async def test_keys_that_cannot_be_read_are_exit_code_3(tmp_path: Path) -> None:
    file = written(tmp_path, 9)
    (tmp_path / "keys.json").write_text("{}")
    async with scopegate(file) as process:
        code, errors = await ended(process)
    assert (code, len(errors)) == (3, 1)
    assert errors[0].startswith("issuers.main.jwks_file: ")


async def test_without_the_c_parser_it_does_not_start(tmp_path: Path) -> None:
    async with scopegate(written(tmp_path, 9), AIOHTTP_NO_EXTENSIONS="1") as process:
        code, errors = await ended(process)
    assert code == 3
    assert errors == ["aiohttp runs without its C parser: install its wheel and unset AIOHTTP_NO_EXTENSIONS"]
