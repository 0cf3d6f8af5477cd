"""`scopegate issuer hash-secret`: what the file keeps of a client's secret."""

import sys
from typing import BinaryIO

import click
from rich_click import RichCommand

from gateway.client.secret_file import parse_secret
from gateway.issuer.secrets import hash_secret as hashed


@click.command("hash-secret", cls=RichCommand)
@click.option(
    "--secret-file",
    type=click.File("rb"),
    default=None,
    help='The file that holds the secret; "-" is standard input. [default: standard input]',
)
def hash_secret(secret_file: BinaryIO | None) -> None:
    """Hash a client's secret, for `secret:` in issuer.yaml.

    On a terminal it asks for the secret and does not show it. The hash goes to standard output.
    """
    try:
        if secret_file is None and sys.stdin.isatty():
            raw = click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True).encode()
        else:
            raw = (secret_file or sys.stdin.buffer).read()
        secret = parse_secret(raw)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    click.echo(hashed(secret))
