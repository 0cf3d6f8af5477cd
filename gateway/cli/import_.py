"""`scopegate import`: routes from a description of the API. A command NAME is in the module `import_NAME`."""

from collections.abc import Mapping
from typing import Final

import click
from rich_click import RichGroup

from gateway.cli import LazyCommand

COMMANDS: Final[Mapping[str, str]] = {
    "openapi": "Write routes from an OpenAPI file, or tell where the two have drifted apart.",
}


@click.group(
    "import",
    cls=RichGroup,
    commands={name: LazyCommand(name, line, f"import_{name}") for name, line in COMMANDS.items()},
)
def import_() -> None:
    """Write routes from a description of the API."""
