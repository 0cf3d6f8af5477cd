"""What is in force: a plan, and what the supervisor itself holds open for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.admin.server import AdminServer
from gateway.config import ConfigError, read_file, read_yaml
from gateway.issuer.restart import NEED_A_RESTART
from gateway.plan import Plan
from gateway.stamps import Reading
from gateway.starting import BadFileError
from gateway.supervisor.named_files import digests

PlanReading = Reading[Plan | list[ConfigError]]
"""What a configuration said: a plan, or every error in it and in the files that it names."""

Read = Callable[[], PlanReading]
"""Reads and checks the configuration."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a configuration comes to.

    Attributes:
        plan: what children run, even if the configuration's file has changed since.
        files: what is in the files that workers read, as `named_files.digests` tells it.
        issuers: what the files of embedded issuers say that needs a restart when it changes, by name; they take the
            rest anew by themselves.
    """

    plan: Plan
    files: Mapping[Path, bytes | None]
    issuers: Mapping[str, dict[str, Any]]

    @classmethod
    def of(cls, plan: Plan) -> Content:
        """Look into the files that a plan names; StartError where an embedded issuer's can't be read."""
        return cls(plan, digests(plan), issuer_keys(plan))


@dataclass(frozen=True, slots=True)
class Generation:
    """A plan in force, with what the supervisor itself holds open for it.

    Attributes:
        number: counts them, from 1; rules that are swapped within the workers begin no new one.
        content: of the configuration.
        sockets: one for each worker.
        admin: the operators' listener.
        admin_port: its port.
    """

    number: int
    content: Content
    sockets: Sequence[socket.socket]
    admin: AdminServer
    admin_port: int

    @property
    def plan(self) -> Plan:
        """What its children run."""
        return self.content.plan


def issuer_keys(plan: Plan) -> dict[str, dict[str, Any]]:
    """What the files of embedded issuers say that needs a restart; StartError where one can't be read."""
    return {name: {"embedded": path} | _keys(path) for name, path in plan.embedded.items()}


def _keys(path: Path) -> dict[str, Any]:
    text = read_file(path, str(path))
    document = [text] if isinstance(text, ConfigError) else read_yaml(text, str(path))
    if isinstance(document, list):
        raise BadFileError("\n".join(map(str, document)))
    return {key: document.data.get(key) for key in NEED_A_RESTART}
