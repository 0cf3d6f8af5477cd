"""`scopegate schema`: the JSON Schema of a configuration file, for editors."""

from typing import Any

import click
from rich_click import RichCommand

from gateway.config.rule_tests import CasesFile
from gateway.config.schema import schema as schema_of, schema_text


@click.command(cls=RichCommand)
@click.option("--issuer", "of", flag_value="issuer", help="Of the embedded authorization server's file, issuer.yaml.")
@click.option("--tests", "of", flag_value="tests", help="Of a file of cases, gateway.tests.yaml.")
def schema(*, of: str | None) -> None:
    """Print the JSON Schema of the configuration.

    An editor that reads a line `# yaml-language-server: $schema=gateway.schema.json` at the top of the file
    completes the keys and explains each.
    """
    if of == "tests":
        found = schema_of(CasesFile, "Cases that test Scopegate's rules")
    else:
        found = _issuer() if of == "issuer" else schema_of()
    click.echo(schema_text(found), nl=False)


def _issuer() -> dict[str, Any]:
    from gateway.issuer.settings import IssuerSettings  # noqa: PLC0415 - the gateway's own schema does not need it

    return schema_of(IssuerSettings, "Scopegate authorization server configuration")
