"""docs/cli.md, made from the commands' own help: python -m tests.docs.cli_page > docs/cli.md."""

import sys
from collections.abc import Iterator

import click

from gateway.cli import LazyCommand, main

WIDTH = 100
HEAD = """\
# The command line

Made from `--help`, so it says what the commands say. Data goes to standard output, notes to standard error.

| exit code | meaning |
|---|---|
| 0 | yes, or done |
| 1 | no: refused, findings, nothing found |
| 2 | wrong usage |
| 3 | bad configuration |
| 4 | cannot reach: an issuer, a file, an address to listen on |

A token or a secret comes from a file or from standard input, never from an argument: others on the machine can see
arguments.
"""


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Each command's name and help, this one first, without colours and at a fixed width."""
    formatter = click.HelpFormatter(width=WIDTH)
    click.Command.format_usage(command, context, formatter)
    click.Command.format_help_text(command, context, formatter)
    click.Command.format_options(command, context, formatter)
    if isinstance(command, click.Group):
        click.Group.format_commands(command, context, formatter)
    yield context.command_path, formatter.getvalue().strip()
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        found = command.get_command(context, name) if isinstance(command, click.Group) else None
        inner = found.load() if isinstance(found, LazyCommand) else found
        if inner is not None:
            yield from commands(inner, click.Context(inner, info_name=name, parent=context))


def page() -> str:
    """The whole page."""
    root = click.Context(main, info_name="scopegate", help_option_names=["-h", "--help"])
    parts = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in commands(main, root)]
    return "\n".join([HEAD, *parts])


if __name__ == "__main__":
    sys.stdout.write(page())
