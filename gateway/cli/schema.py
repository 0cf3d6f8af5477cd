"""`scopegate schema`: the JSON Schema of the gateway's file, for editors."""

import click
from rich_click import RichCommand

from gateway.config.schema import schema_text


@click.command(cls=RichCommand)
def schema() -> None:
    """Print the JSON Schema of the configuration.

    An editor that reads a line `# yaml-language-server: $schema=gateway.schema.json` at the top of the file
    completes the keys and explains each.
    """
    click.echo(schema_text(), nl=False)
