"""Servers that answer what a test tells them to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NOW = 1_800_000_000.0


@dataclass
class Peer:
    """A server that answers what it is told to, and keeps what it was asked.

    Attributes:
        answers: by path; one that is a list is given in its order, its last one for ever.
    """

    url: str = ""
    answers: dict[str, list[web.Response]] = field(default_factory=dict)
    seen: list[tuple[str, Mapping[str, str], Mapping[str, Any]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, request.headers.copy(), await request.post()))
        answers = self.answers.get(request.path, [web.Response(status=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def tells(self, path: str, document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.answers.setdefault(path, []).append(web.json_response(document, status=status, headers=headers))


@asynccontextmanager
async def a_peer() -> AsyncIterator[Peer]:
    peer = Peer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", peer.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    peer.url = f"http://{host}:{port}"
    yield peer
    await runner.cleanup()


@asynccontextmanager
async def raw_server(answer: bytes, *, then: asyncio.Event | None = None) -> AsyncIterator[str]:
    """A server that reads a request's head and writes these bytes, whatever they are; its URL.

    Without `then` it closes the connection; with it, it first waits for that.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if then is not None:
                await then.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        if then is not None:
            then.set()
        server.close()
        await server.wait_closed()
