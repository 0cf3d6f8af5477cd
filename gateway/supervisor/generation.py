"""What is in force: a plan, and what the supervisor itself holds open for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.admin.server import AdminServer
from gateway.config import ConfigError, read_file
from gateway.plan import Plan
from gateway.starting import BadFileError

Read = Callable[[], Plan | list[ConfigError]]
"""Reads and checks the configuration."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A plan in force, with what the supervisor itself holds open for it.

    Attributes:
        number: counts them, from 1.
        plan: what its children run, even if the configuration's file has changed since.
        sockets: one for each worker.
        admin: the operators' listener.
        admin_port: its port.
        issuers: the texts of the embedded issuers' files, by name: a change there restarts them.
    """

    number: int
    plan: Plan
    sockets: Sequence[socket.socket]
    admin: AdminServer
    admin_port: int
    issuers: dict[str, str]


def issuer_texts(plan: Plan) -> dict[str, str]:
    """The texts of the embedded issuers' files; StartError where one can't be read."""
    texts = {}
    for name, path in plan.embedded.items():
        text = read_file(path, str(path))
        if isinstance(text, ConfigError):
            raise BadFileError(str(text))
        texts[name] = text
    return texts
