"""An API, a gateway's file, and a fleet that runs it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .fleet import Fleet, api, running, write


@pytest.fixture
async def api_port() -> AsyncIterator[int]:
    async with api() as port:
        yield port


@pytest.fixture
def file(tmp_path: Path, api_port: int) -> Path:
    file = tmp_path / "gateway.yaml"
    write(file, api_port)
    return file


@pytest.fixture
async def fleet(file: Path) -> AsyncIterator[Fleet]:
    async with running(file) as fleet:
        yield fleet
