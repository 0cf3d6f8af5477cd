"""What is in force: a configuration, and what the supervisor itself holds open for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.admin.server import AdminServer
from gateway.app import BadFileError
from gateway.config import ConfigError, read_file
from gateway.config.gateway_file import GatewayConfig


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the gateway's file said at one moment; children get this text, even if the file has changed since."""

    file: Path
    text: str
    revision: str
    config: GatewayConfig


Read = Callable[[], Configuration | list[ConfigError]]
"""Reads and checks the configuration."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A configuration in force, with what the supervisor itself holds open for it.

    Attributes:
        number: counts them, from 1.
        configuration: what its children run.
        sockets: one for each worker.
        admin: the operators' listener.
        admin_port: its port.
        issuers: the texts of the embedded issuers' files, by name: a change there restarts them.
    """

    number: int
    configuration: Configuration
    sockets: Sequence[socket.socket]
    admin: AdminServer
    admin_port: int
    issuers: dict[str, str]

    @property
    def config(self) -> GatewayConfig:
        """The configuration's content."""
        return self.configuration.config


def issuer_texts(configuration: Configuration) -> dict[str, str]:
    """The texts of the embedded issuers' files; StartError where one can't be read."""
    texts = {}
    for name, issuer in configuration.config.issuers.items():
        if issuer.embedded is None:
            continue
        path = configuration.file.parent / issuer.embedded
        text = read_file(path, str(path))
        if isinstance(text, ConfigError):
            raise BadFileError(str(text))
        texts[name] = text
    return texts
