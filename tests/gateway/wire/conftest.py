"""A gateway between a raw client and a raw upstream, in uvloop as in production."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import uvloop

from .asked import says
from .feed import Feed, serving
from .gate import PUBLISHED, Gate, running
from .raw_upstream import RawUpstream


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_loops: also run in the standard library's event loop")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What runs in production; and where the loops may differ, the standard library's, too."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.get_closest_marker("both_loops") is not None:
        loops["asyncio"] = asyncio.new_event_loop
    return loops


class Start(Protocol):
    """Start a gateway; what is given replaces parts of its configuration."""

    def __call__(self, *, keys: Mapping[str, Any] = PUBLISHED, **changes: Any) -> Awaitable[Gate]: ...


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with RawUpstream() as upstream:
        yield upstream


@pytest.fixture
async def issuer() -> AsyncIterator[RawUpstream]:
    """An issuer's introspection endpoint, which calls every token active."""
    async with RawUpstream(says()) as issuer:
        yield issuer


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    """An issuer's feed of revocations, which is empty."""
    async with serving() as feed:
        yield feed


@pytest.fixture
async def start(tmp_path: Path, upstream: RawUpstream) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(*, keys: Mapping[str, Any] = PUBLISHED, **changes: Any) -> Gate:
            return await stack.enter_async_context(running(tmp_path, upstream, keys, **changes))

        yield start


@pytest.fixture
async def gate(start: Start) -> Gate:
    return await start()
