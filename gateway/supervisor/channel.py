"""What supervisor and child say to each other: a line of JSON a message, over a socket pair that no one else has.

The supervisor sends order, snapshot?, drain, reopen, build and swap; the child ready or failed, snapshot and done.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Literal, TypedDict

import orjson

from gateway.plan import Plan

MOST_BYTES = 64 << 20
"""Of one message: the plan or the figures of very many routes."""

END_SECONDS = 5.0
"""How long the other end may take to hang up."""


class Order(TypedDict):
    """The first message: what the child shall be. It may hold secrets, which is why no argument carries it."""

    kind: Literal["order"]
    name: str
    plan: str
    log_key: str
    replays: str
    rates: str


class Ask(TypedDict):
    """Asks for a snapshot, or for the access log to be opened anew."""

    kind: Literal["snapshot?", "reopen"]


class Drain(TypedDict):
    """Ends the child; one that retires lets clients learn of it first."""

    kind: Literal["drain"]
    retire: bool


class Build(TypedDict):
    """Asks a worker to build other rules aside; `number` tells this from earlier ones."""

    kind: Literal["build"]
    number: int
    plan: str


class Swap(TypedDict):
    """Puts the rules in force that were built under this number."""

    kind: Literal["swap"]
    number: int


class Done(TypedDict):
    """The answer to `build` or `swap`: done, or why not."""

    kind: Literal["done"]
    number: int
    error: str | None


class Ready(TypedDict):
    """The child serves."""

    kind: Literal["ready"]


class Failed(TypedDict):
    """The child can't start; whether an address or a file is at fault."""

    kind: Literal["failed"]
    message: str
    address: bool


class Figures(TypedDict):
    """A snapshot, as `snapshots.pack` makes it."""

    kind: Literal["snapshot"]
    snapshot: dict[str, object]


def written(plan: Plan) -> str:
    """A plan as an order carries it."""
    return b64encode(pickle.dumps(plan)).decode()


def planned(order: Order | Build) -> Plan:
    """The plan that a message carries."""
    plan = pickle.loads(b64decode(order["plan"]))  # noqa: S301 - only our supervisor can write to the other end
    if not isinstance(plan, Plan):
        raise TypeError(f"no plan, but {type(plan).__name__}")
    return plan


Message = Order | Ask | Drain | Build | Swap | Done | Ready | Failed | Figures


class Channel:
    """One end of the socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """Speak over this end, which is the channel's own from now on."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=MOST_BYTES))

    def send(self, message: Message) -> None:
        """Say something; lost where the other end is gone, which `receive` tells."""
        if not self._writer.is_closing():
            self._writer.write(orjson.dumps(message) + b"\n")

    async def receive(self) -> Message | None:
        """The next message; None when the other end is gone."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):
            return None
        if not line.endswith(b"\n"):
            return None
        message: Message = orjson.loads(line)
        return message

    async def end(self) -> None:
        """Send what waits, and hang up once the other end has: for the one that speaks last.

        Were it gone while the other one still asks, that question would fail, and take with it what was not read yet.
        """
        if not self._writer.is_closing():
            self._writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while await self.receive() is not None:
                    pass
        await self.close()

    async def close(self) -> None:
        """Send what waits, and hang up."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return
