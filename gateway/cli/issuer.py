"""`scopegate issuer`: operate the embedded authorization server. A command NAME is in the module `issuer_NAME`."""

from collections.abc import Mapping
from typing import Final

import click
from rich_click import RichGroup

from gateway.cli import LazyCommand

COMMANDS: Final[Mapping[str, str]] = {
    "run": "Run the authorization server alone, until SIGINT or SIGTERM.",
    "check": "Check the authorization server's file and report every error in it.",
    "client": "Add client applications to the authorization server's file, and look at them.",
    "keys": "Look at the keys that sign tokens, and replace them.",
    "revoke": "Revoke tokens: gateways refuse them from then on.",
    "hash-secret": "Hash a client's secret, for `secret:` in issuer.yaml.",
}


@click.group(
    cls=RichGroup,
    commands={name: LazyCommand(name, line, f"issuer_{name.replace('-', '_')}") for name, line in COMMANDS.items()},
)
def issuer() -> None:
    """Operate the embedded authorization server: it issues tokens for the client_credentials grant."""
