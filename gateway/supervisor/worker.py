"""One child process, as it sees itself: `python -m gateway.supervisor.worker CONTROL [LISTENING]`.

Both arguments are numbers of inherited descriptors. With a listening socket the process is a worker, without one it
runs the embedded issuers. It ends when its supervisor says so, by SIGTERM, and when the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Protocol

import uvloop

from gateway.admin.snapshot import Snapshot
from gateway.app import Gateway, Share, calm_collector
from gateway.embedded import embedded_issuers
from gateway.plan import Plan
from gateway.starting import AddressError, StartError
from gateway.supervisor.channel import Build, Channel, Order, planned
from gateway.supervisor.snapshots import pack

log = logging.getLogger(__name__)


class Service(Protocol):
    """What a child runs. `Gateway` is one."""

    async def start(self) -> None:
        """Serve; StartError where that can't be."""
        ...

    async def drain(self) -> None:
        """End, requests in flight first."""
        ...

    async def retire(self) -> None:
        """End after another has taken over."""
        ...

    def close_idle(self) -> None:
        """End a retirement sooner."""
        ...

    def reopen_log(self) -> None:
        """The access log was moved away."""
        ...

    def build(self, plan: Plan) -> Callable[[], Awaitable[None]]:
        """Build other rules aside; what is returned puts them in force."""
        ...

    def snapshot(self) -> Snapshot | None:
        """Figures, where there are any."""
        ...


class EmbeddedIssuers:
    """All issuers that a configuration embeds."""

    def __init__(self, plan: Plan, log_key: bytes) -> None:
        self._plan = plan
        self._log_key = plan.log_key or log_key
        self._running = AsyncExitStack()
        self._reopen: Callable[[], None] | None = None

    async def start(self) -> None:
        """Serve; StartError where that can't be."""
        embedded = embedded_issuers(self._plan.embedded, self._log_key)
        self._reopen = await self._running.enter_async_context(embedded)

    async def drain(self) -> None:
        """End, requests in flight first."""
        await self._running.aclose()

    retire = drain

    def close_idle(self) -> None:
        """They wait for no one."""

    def reopen_log(self) -> None:
        """The files of what they log were moved away."""
        if self._reopen is not None:
            self._reopen()

    def build(self, plan: Plan) -> Callable[[], Awaitable[None]]:  # noqa: ARG002 - a gateway's signature
        """They have no rules, and take their files anew by themselves."""

        async def take() -> None:
            pass

        return take

    def snapshot(self) -> None:
        """They keep no figures."""


def main() -> None:
    """Be a child of the supervisor."""
    control, *listening = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are for the supervisor, which says what follows
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(control, listening[0] if listening else None))


async def serve(control: socket.socket, listening: socket.socket | None) -> None:
    """Be what the first message orders, until told to end."""
    channel = await Channel.over(control)
    order = await channel.receive()
    if order is not None and order["kind"] == "order":
        log_format = f"%(asctime)s %(levelname)s {order['name']}: %(message)s"
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=log_format)
        try:
            service = _service(order, listening)
            await service.start()
        except StartError as error:
            channel.send({"kind": "failed", "message": str(error), "address": isinstance(error, AddressError)})
        else:
            calm_collector()
            channel.send({"kind": "ready"})
            await _Following(channel, service).run()
    await channel.end()


def _service(order: Order, listening: socket.socket | None) -> Service:
    plan, log_key = planned(order), bytes.fromhex(order["log_key"])
    if listening is None:
        return EmbeddedIssuers(plan, log_key)
    return Gateway(plan, share=Share(listening, log_key, order["replays"], order["rates"]))


class _Following:
    """Does what the supervisor says until the service has ended."""

    def __init__(self, channel: Channel, service: Service) -> None:
        self._channel = channel
        self._service = service
        self._retire: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._built: dict[int, Callable[[], Awaitable[None]]] = {}

    async def run(self) -> None:
        """Serve, end, and send the last figures."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        listening = asyncio.create_task(self._listen())
        if await self._retire:
            await self._service.retire()
        else:
            await self._service.drain()
        listening.cancel()
        await asyncio.wait([listening])
        self._tell()

    async def _listen(self) -> None:
        """It goes on while the service drains, so that its figures stay known."""
        while (message := await self._channel.receive()) is not None:
            match message["kind"]:
                case "snapshot?":
                    self._tell()
                case "reopen":
                    self._service.reopen_log()
                case "build":
                    self._answer(message["number"], await self._build(message))
                case "swap":
                    await self._built.pop(message["number"])()
                    self._answer(message["number"], None)
                case "drain":
                    self._end(retire=message["retire"])
                case _:
                    raise AssertionError(f"no message for a child: {message['kind']}")
        self._end()

    async def _build(self, message: Build) -> str | None:
        """Only the newest rules are kept; returns why there are none. In a thread: many routes take a while."""
        self._built.clear()
        try:
            take = await asyncio.to_thread(lambda: self._service.build(planned(message)))
            self._built[message["number"]] = take
        except Exception as error:
            log.exception("rules could not be built: those in force stay")
            return f"{type(error).__name__}: {error}"
        return None

    def _answer(self, number: int, error: str | None) -> None:
        self._channel.send({"kind": "done", "number": number, "error": error})

    def _end(self, *, retire: bool = False) -> None:
        if not self._retire.done():
            self._retire.set_result(retire)
        elif not retire:
            self._service.close_idle()

    def _tell(self) -> None:
        if (snapshot := self._service.snapshot()) is not None:
            self._channel.send({"kind": "snapshot", "snapshot": pack(snapshot)})


if __name__ == "__main__":
    main()
