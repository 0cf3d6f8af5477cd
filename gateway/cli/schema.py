"""`scopegate schema`: the JSON Schema of a configuration file, for editors."""

from typing import Any

import click
from rich_click import RichCommand

from gateway.config.schema import schema as schema_of, schema_text


@click.command(cls=RichCommand)
@click.option("--issuer", is_flag=True, help="Of the embedded authorization server's file, issuer.yaml.")
def schema(*, issuer: bool) -> None:
    """Print the JSON Schema of the configuration.

    An editor that reads a line `# yaml-language-server: $schema=gateway.schema.json` at the top of the file
    completes the keys and explains each.
    """
    click.echo(schema_text(_issuer() if issuer else schema_of()), nl=False)


def _issuer() -> dict[str, Any]:
    from gateway.issuer.settings import IssuerSettings  # noqa: PLC0415 - the gateway's own schema does not need it

    return schema_of(IssuerSettings, "Scopegate authorization server configuration")
