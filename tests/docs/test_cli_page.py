"""docs/cli.md is what the commands' help makes of it."""

import subprocess
import sys
from pathlib import Path

from .cli_page import page
from .pages import read

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    # In a process of its own: click keeps a command's first --help option, and other tests call commands in other ways.
    command = [sys.executable, "-m", "tests.docs.cli_page"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert read("cli.md") == made.stdout, "write it anew: .venv/bin/python -m tests.docs.cli_page > docs/cli.md"


def test_the_page_has_subcommands_and_no_colours() -> None:
    text = page()
    assert "## scopegate issuer hash-secret" in text
    assert "\x1b" not in text
    assert all(len(line) <= 120 for line in text.splitlines())
