"""An issuer's feed of revocations."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from aiohttp import web

from .minting import ISSUER, NOW
from .patience import eventually


@dataclass
class Feed:
    """A feed that a test writes."""

    url: str = ""
    entries: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    answered: list[int] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        tag = f'"{sha256(repr(self.entries).encode()).hexdigest()[:16]}"'
        unchanged = request.headers.get("If-None-Match") == tag and self.status == 200
        self.answered.append(304 if unchanged else self.status)
        if unchanged:
            return web.Response(status=304, headers={"ETag": tag})
        document = {"cursor": tag, "revocations": self.entries}
        return web.json_response(document, status=self.status, headers={"ETag": tag})

    async def asked_again(self) -> None:
        before = len(self.answered)
        await eventually(lambda: len(self.answered) > before + 1)

    def revoke(self, kind: str, **members: object) -> None:
        self.entries.append({"kind": kind, "until": NOW + 600} | members)


def hashed(identifier: str) -> str:
    return sha256(f"{ISSUER}\0{identifier}".encode()).hexdigest()


@asynccontextmanager
async def serving() -> AsyncIterator[Feed]:
    """A feed with nothing in it yet."""
    feed = Feed()
    runner = web.ServerRunner(web.Server(feed.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    feed.url = f"{site.name}/revocations"
    yield feed
    await runner.cleanup()
