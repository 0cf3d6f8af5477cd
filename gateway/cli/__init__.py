"""The command `scopegate`: the root, and what every command shares.

One module a command: `gateway.cli.NAME` holds a click object called NAME. The modules are imported when their command
is called, so that `scopegate --help` and `scopegate logs` don't wait for the proxy's imports.

Exit codes: 0 yes or done, 1 no (refused, findings, nothing found), 2 usage, 3 bad configuration, 4 cannot reach;
130 after Ctrl-C and 141 when the reader of a pipe has gone, as a shell reports these signals.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Any, Final

import click
from rich_click import RichCommand, RichGroup

from gateway import __version__

INTERRUPTED: Final = 130
READER_GONE: Final = 141

# The short lines stand here, not in the modules: to list them must not cost an import.
COMMANDS: Final[Mapping[str, str]] = {
    "run": "Run the gateway.",
    "reload": "Have the running gateway take its configuration anew.",
    "check": "Check a configuration and report every error in it.",
    "test": "Test the rules: cases of who asks for what, and what has to come of it.",
    "diff": "Tell which requests a change of the rules lets in or keeps out.",
    "replay": "Tell which past requests other rules would have answered differently.",
    "import": "Write routes from a description of the API.",
    "explain": "Explain the decision on a request, step by step.",
    "token": "Obtain a token from an issuer.",
    "logs": "Search, follow and summarise the access log.",
    "schema": "Print the JSON Schema of the configuration.",
    "issuer": "Operate the embedded authorization server.",
    "demo": "Try it: issuer, sample API and gateway in one terminal.",
}


def identifier(name: str) -> str:
    """What a command is called in Python: `hash_secret` for hash-secret, `import_` for import."""
    plain = name.replace("-", "_")
    return f"{plain}_" if iskeyword(plain) else plain


class LazyCommand(RichCommand):
    """A name and a short help line that stand for a command until it is called; `module` is below this package."""

    def __init__(self, name: str, line: str, module: str) -> None:
        super().__init__(name=name, help=line)
        self._module = module

    def load(self) -> click.Command:
        """Import the command's module and return its click object."""
        module, attribute = import_module(f"{__name__}.{self._module}"), identifier(str(self.name))
        command = getattr(module, attribute)
        assert isinstance(command, click.Command), f"{module.__name__}.{attribute} is no click command"  # noqa: S101 - a bug of ours, not an input
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand over to the real command: what click invokes is the context's command, no longer this one."""
        return self.load().make_context(info_name, args, parent, **extra)


class Root(RichGroup):
    """The root group: translates the ends of a process that no command should have to think of."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which a newcomer meets them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C and a closed pipe end it quietly, with the exit code of their signal."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise click.exceptions.Exit(READER_GONE) from None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a process of its own: flush while a closed pipe can still be met quietly."""
        try:
            return self.main(*args, **kwargs)
        finally:
            _flush_or_discard()


def _flush_or_discard() -> None:
    """Flush standard output; a reader that has gone gets the rest into nowhere, not a message at interpreter exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@click.group(
    cls=Root,
    commands={name: LazyCommand(name, line, identifier(name)) for name, line in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="scopegate")
def main() -> None:
    """Let a request pass when its bearer token carries the scopes that the route demands, and say why when it does not.

    Data goes to standard output, notes to standard error. NO_COLOR is honoured.
    """
