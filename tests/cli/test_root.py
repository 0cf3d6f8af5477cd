import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from gateway import __version__
from gateway.cli import COMMANDS, Root, main

HEAVY = ("aiohttp", "cryptography", "pydantic", "sqlalchemy", "jwt")


def test_help_lists_every_command_with_its_short_line() -> None:
    result = CliRunner().invoke(main, ["--help"], terminal_width=120)
    assert result.exit_code == 0
    for name, line in COMMANDS.items():
        assert name in result.output
        assert line in result.output


def test_help_lists_the_commands_in_the_order_in_which_one_meets_them() -> None:
    assert main.list_commands(click.Context(main)) == list(COMMANDS)


def test_version_is_the_packages() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, f"scopegate, version {__version__}\n")


@pytest.mark.parametrize("arguments", [["lgos"], ["--verzion"], ["logs", "--stauts", "404"]])
def test_a_mistyped_name_is_a_usage_error_that_names_the_right_one(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
    assert result.stdout == ""


def test_a_command_is_found_in_its_module() -> None:
    result = CliRunner().invoke(main, ["logs", "--help"])
    assert result.exit_code == 0
    assert "--follow" in result.output


@pytest.mark.parametrize("arguments", [["--help"], ["logs", "--help"], ["issuer", "--help"]])
def test_help_does_not_wait_for_the_proxys_imports(arguments: list[str]) -> None:
    code = f"import sys; from gateway.cli import main; main({arguments}, standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = done.stdout.splitlines()[-1].split()
    assert not {name for name in imported if name.split(".")[0] in HEAVY}


def interrupted(error: type[BaseException]) -> Root:
    """Return a root with one command that ends as if by the error."""
    root = Root(name="scopegate")

    @root.command("work")
    def work() -> None:
        raise error

    return root


def test_ctrl_c_is_exit_130_and_says_nothing() -> None:
    result = CliRunner().invoke(interrupted(KeyboardInterrupt), ["work"])
    assert (result.exit_code, result.output) == (130, "")


def test_a_reader_that_has_gone_is_exit_141_and_says_nothing() -> None:
    result = CliRunner().invoke(interrupted(BrokenPipeError), ["work"])
    assert (result.exit_code, result.output) == (141, "")


def test_a_pipe_that_nobody_reads_leaves_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--help"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.stderr == b""


def test_no_color_is_honoured() -> None:
    environment = {**os.environ, "FORCE_COLOR": "1", "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-m", "gateway", "--help"], capture_output=True, env=environment, check=True)
    assert b"\x1b[3" not in done.stdout
