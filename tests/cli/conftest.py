"""The gateways that `scopegate explain` is asked about."""

from pathlib import Path

import pytest

from .explain_case import write_gateway, write_local


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_gateway(tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return write_local(tmp_path)
