"""What one worker holds: it is handed its plan, and imports nothing of what reads configurations."""

import asyncio
import pickle
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from gateway import build
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.plan import Plan
from gateway.stamps import Reading
from gateway.supervisor.channel import written
from gateway.supervisor.supervisor import Supervisor

from .fleet import ask, children, ready, running, write
from .minting import issuer, token

READERS = {"pydantic", "pydantic_core", "yaml", "gateway.config", "gateway.cli", "click", "rich"}
OTHERS = {"limits", "sqlalchemy", "gateway.issuer", "prometheus_client", "aiohttp.web", "gateway.admin.server"}
SUPERVISION = {"gateway.supervisor.supervisor", "gateway.supervisor.child"}
IMPORTED = re.compile(r"import time: +[0-9]+ \| +[0-9]+ \| +(\S+)")

MOST_BYTES = 60 << 20
TOKENS, CONNECTIONS = 3_000, 32


@pytest.fixture
def key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


@pytest.fixture
def strict(file: Path, api_port: int, key: EllipticCurvePrivateKey) -> Path:
    """A gateway's file that demands a token."""
    route = {"id": "read", "path": "/{rest...}", "scopes": ["read"], "upstream": "api"}
    write(file, api_port, issuers={"one": issuer(file.parent, key)}, routes=[route], log_hash_key="of the log")
    return file


def planned_by(file: Path) -> Plan:
    config = parse(file.read_text(), str(file))
    assert isinstance(config, GatewayConfig)
    return build.plan(config, file.parent, "rev")


async def test_a_worker_imports_nothing_that_reads_configurations_or_supervises(
    strict: Path, key: EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # each import of a child is a line on standard error
    supervisor = Supervisor(lambda: Reading(planned_by(strict), {}), workers=1)
    await supervisor.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", supervisor.port)
        assert await ask(reader, writer, token=token(key))
        writer.close()
        assert (await supervisor.snapshot()).tokens_verified == 1
    finally:
        await supervisor.stop()
    imported = set(IMPORTED.findall(capfd.readouterr().err))
    assert {"gateway.app", "gateway.plan", "aiohttp.http_parser"} <= imported
    assert imported & (READERS | OTHERS | SUPERVISION) == set()


def test_a_plan_survives_its_way_to_a_worker_and_shows_no_secret(strict: Path) -> None:
    plan = planned_by(strict)
    assert pickle.loads(b64decode(written(plan))) == plan
    assert plan.log_key is not None
    assert repr(plan.log_key) not in repr(plan)


@pytest.mark.slow
async def test_a_warm_worker_takes_less_than_60_mib(strict: Path, key: EllipticCurvePrivateKey) -> None:
    tokens = iter([token(key, number) for number in range(TOKENS)])

    async def client(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for one in tokens:
            assert await ask(reader, writer, token=one)
        writer.close()

    async with running(strict, workers=1) as fleet:
        async with asyncio.timeout(60):
            await asyncio.gather(*(client(fleet.port) for _ in range(CONNECTIONS)))
        status: dict[str, Any] = await fleet.until(ready)
        assert status["cached_tokens"] == TOKENS
        [pid] = children(fleet.process.pid)
        statm = Path(f"/proc/{pid}/status").read_text()  # noqa: ASYNC240 - no file, but the kernel's answer
    assert int(statm.partition("VmRSS:")[2].split()[0]) << 10 < MOST_BYTES
