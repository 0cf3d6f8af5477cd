"""Options that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

GATEWAY_FILE = Path("config/gateway.yaml")

Command = TypeVar("Command", bound=Callable[..., object])


def config_option(what: str, *, default: Path = GATEWAY_FILE, parameter: str = "file") -> Callable[[Command], Command]:
    """`-c`, `--config`: the file that a command works by.

    Args:
        what: it is to this command, for the help.
        default: where it is unless given.
        parameter: of the function that takes it.
    """
    return click.option(
        "-c",
        "--config",
        parameter,
        type=click.Path(path_type=Path),
        default=default,
        show_default=True,
        help=what,
    )
