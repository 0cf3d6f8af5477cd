"""Why something can't start, told in one line that names the place."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from typing import TypeVar

from gateway.host_port import HostPort

T = TypeVar("T")


class StartError(Exception):
    """The gateway can't start; the message names the place and what is wrong."""


class BadFileError(StartError):
    """A file that the configuration names can't be used; one line for each fault."""


class AddressError(StartError):
    """An address can't be listened on."""


async def listening(what: str, address: HostPort, start: Awaitable[T]) -> T:
    """Start a listener; an address that can't be had becomes one line that names it."""
    try:
        return await start
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise AddressError(f"{what}: {address} cannot be listened on: {reason}") from error
