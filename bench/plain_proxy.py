"""The usual proxy that one writes with aiohttp in an afternoon, with verified tokens cached: a yardstick."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from cachetools import LRUCache

from bench.materials import AUDIENCE, ISSUER, SCOPE

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "authorization"}


class PlainProxy:
    """Verifies, checks one scope, forwards, writes one JSON line."""

    def __init__(self, upstream: int, folder: Path) -> None:
        self._upstream = f"http://127.0.0.1:{upstream}"
        keys = json.loads((folder / "jwks.json").read_text())["keys"]
        self._keys = {key["kid"]: jwt.PyJWK(key).key for key in keys}
        self._verified: LRUCache[str, dict[str, Any]] = LRUCache(5_000)
        self._log = (folder / "plain.jsonl").open("a")

    async def connect(self, _: web.Application) -> Any:
        """Hold a client session while the application runs."""
        async with ClientSession(
            connector=TCPConnector(limit=256), cookie_jar=DummyCookieJar(), auto_decompress=False
        ) as self._http:
            yield

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        started = time.perf_counter()
        claims = self._claims(request)
        if claims is None:
            return self._record(request, web.Response(status=401), None, started)
        if SCOPE not in claims["scope"].split():
            return self._record(request, web.Response(status=403), claims, started)
        fields = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        fields["X-Client-Id"] = claims["client_id"]
        async with self._http.request(
            request.method,
            self._upstream + request.raw_path,
            headers=fields,
            data=request.content if request.can_read_body else None,
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        return self._record(request, response, claims, started)

    def _claims(self, request: web.Request) -> dict[str, Any] | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        known = self._verified.get(token)
        if known is not None and known["exp"] > time.time():
            return known
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims: dict[str, Any] = jwt.decode(token, key, ["RS256"], audience=AUDIENCE, issuer=ISSUER)
        except (jwt.InvalidTokenError, KeyError):
            return None
        self._verified[token] = claims
        return claims

    def _record(
        self, request: web.Request, response: web.StreamResponse, claims: dict[str, Any] | None, started: float
    ) -> web.StreamResponse:
        line = {
            "ts": time.time(),
            "method": request.method,
            "path": request.path,
            "status": response.status,
            "client_id": claims and claims["client_id"],
            "ms_total": (time.perf_counter() - started) * 1000,
        }
        self._log.write(json.dumps(line) + "\n")
        return response


async def main(port: int, upstream: int, folder: Path) -> None:
    """Serve until killed."""
    proxy = PlainProxy(upstream, folder)
    application = web.Application(client_max_size=0)
    application.cleanup_ctx.append(proxy.connect)
    application.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
