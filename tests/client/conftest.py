from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from .peer import Peer, a_peer
from .threads import Loop


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with a_peer() as peer:
        yield peer


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield http


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def threaded_peer(loop: Loop) -> Iterator[Peer]:
    """The same server, for commands."""
    served = a_peer()
    yield loop.run(served.__aenter__())
    loop.run(served.__aexit__(None, None, None))
