"""The admin listener: `/healthz`, `/readyz`, `/metrics`, `/status.json`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.access.record import timestamp
from gateway.admin import metrics
from gateway.admin.snapshot import Snapshot

Take = Callable[[], Snapshot | Awaitable[Snapshot]]
"""Takes a snapshot, at once or after asking other processes."""

_Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminServer:
    """Serves snapshots to operators.

    Args:
        take: takes a snapshot.
        host: address to listen on.
        port: 0 lets the system choose.
        ready: whether new requests are welcome, known at once; by default the snapshot says so.
    """

    def __init__(self, take: Take, host: str, port: int, *, ready: Callable[[], bool] | None = None) -> None:
        self._take = take
        self._ready = ready
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: the address can't be had.
        """
        self._runner = web.AppRunner(self._application(), access_log=None, keepalive_timeout=30)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_only_by_address(self._host)])
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/status.json", self._status)
        return application

    async def _snapshot(self) -> Snapshot:
        taken = self._take()
        return taken if isinstance(taken, Snapshot) else await taken

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = (await self._snapshot()).ready if self._ready is None else self._ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=metrics.render(await self._snapshot()), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def _status(self, _: web.Request) -> web.Response:
        body = orjson.dumps(status(await self._snapshot()), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        return web.Response(body=body, content_type="application/json")


_TIMES: dict[str, tuple[str, ...]] = {
    "workers": ("started_at",),
    "credentials": ("obtained_at", "expires_at", "retry_at"),
    "issuers": ("fetched_at", "attempted_at", "refresh_at"),
}
"""Members of a snapshot's lists that are times."""


def status(snapshot: Snapshot) -> dict[str, object]:
    """A snapshot as JSON: times in RFC 3339, requests as a list."""
    shown = asdict(snapshot)
    shown["requests"] = [
        {"route": route or None, "decision": decision, "reason": reason or None, "status": code, "count": count}
        for (route, decision, reason, code), count in sorted(snapshot.requests.items())
    ]
    shown["would_deny"] = [
        {"route": route, "reason": reason, "count": count}
        for (route, reason), count in sorted(snapshot.would_deny.items())
    ]
    _tell_times(shown, ("started_at",))
    _tell_times(shown["tls"], ("loaded_at", "expires_at"))
    _tell_times(shown["reload"], ("ended_at", "in_force_since"))
    for name, times in _TIMES.items():
        for one in shown[name]:
            _tell_times(one, times)
    for target in (target for upstream in shown["upstreams"] for target in upstream["targets"]):
        _tell_times(target, ("ejected_until", "failed_at"))
    for issuer in shown["issuers"]:
        _tell_times(issuer["revocations"], ("answered_at",))
        _tell_times(issuer["introspection"], ("answered_at",))
    return shown


def _tell_times(section: dict[str, Any] | None, names: Iterable[str]) -> None:
    """Write times as text; a section that is not there has none."""
    for name in names if section is not None else ():
        if section is not None and section[name] is not None:
            section[name] = timestamp(section[name])


def _only_by_address(host: str) -> Middleware:
    """Refuse requests that name another host: a web page whose name resolves to this machine (DNS rebinding)."""

    @web.middleware
    async def check(request: web.Request, handler: _Handle) -> web.StreamResponse:
        named = request.url.host or ""
        if named not in {"localhost", host} and not _is_address(named):
            return web.Response(status=421, text="this listener is reached by its address or as localhost\n")
        return await handler(request)

    return check


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
