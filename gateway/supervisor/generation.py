"""What is in force: a plan, and what the supervisor itself holds open for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.admin.server import AdminServer
from gateway.config import ConfigError, read_file, read_yaml
from gateway.issuer.restart import NEED_A_RESTART
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
        issuers: what the files of embedded issuers say that needs a restart when it changes, by name; they take the
            rest anew by themselves.
    """

    number: int
    plan: Plan
    sockets: Sequence[socket.socket]
    admin: AdminServer
    admin_port: int
    issuers: dict[str, dict[str, Any]]


def issuer_keys(plan: Plan) -> dict[str, dict[str, Any]]:
    """What the files of embedded issuers say that needs a restart; StartError where one can't be read."""
    return {name: {"embedded": path} | _keys(path) for name, path in plan.embedded.items()}


def _keys(path: Path) -> dict[str, Any]:
    text = read_file(path, str(path))
    document = [text] if isinstance(text, ConfigError) else read_yaml(text, str(path))
    if isinstance(document, list):
        raise BadFileError("\n".join(map(str, document)))
    return {key: document.data.get(key) for key in NEED_A_RESTART}
