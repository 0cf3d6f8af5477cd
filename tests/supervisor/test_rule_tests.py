"""Cases in the gateway's own file: a gateway starts only with rules that satisfy them, and takes no others."""

import asyncio
import signal
import sys
from pathlib import Path

from .fleet import ask, running, write

CASES = ["GET /public/x none -> allow open", "GET /secret none -> no_route"]
OPENED = [
    {"id": "open", "path": "/public/{rest...}", "public": True, "upstream": "api"},
    {"id": "opened", "path": "/secret", "public": True, "upstream": "api"},
]


async def test_a_reload_that_fails_a_case_is_refused_and_the_rules_stay(file: Path, api_port: int) -> None:
    write(file, api_port, tests=CASES, reload={"watch": False})
    async with running(file, workers=1) as fleet:
        first = (await fleet.status())["config_rev"]
        write(file, api_port, tests=CASES, routes=OPENED, reload={"watch": False})
        fleet.signal(signal.SIGHUP)
        await fleet.said("tests[1]: fails (GET /secret with no token -> no_route)")
        status = await fleet.until(lambda status: status["reload"]["ended"] == 1)
        assert status["config_rev"] == first
        assert status["reload"]["outcomes"]["refused"] == 1
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
        assert await ask(reader, writer, "/public/x")
        writer.close()


async def test_a_gateway_does_not_start_with_rules_that_fail_a_case(file: Path, api_port: int) -> None:
    write(file, api_port, tests=CASES, routes=OPENED)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run", "-c", str(file)), stderr=asyncio.subprocess.PIPE, cwd=file.parent
    )
    _, said = await process.communicate()
    assert process.returncode == 3
    assert said.decode().count("\n") == 1
    assert "found allow by opened" in said.decode()
