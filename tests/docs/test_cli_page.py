"""docs/cli.md is what the commands' help makes of it."""

from .cli_page import page
from .pages import read


def test_the_page_is_up_to_date() -> None:
    assert read("cli.md") == page(), "write it anew: .venv/bin/python -m tests.docs.cli_page > docs/cli.md"


def test_the_page_has_subcommands_and_no_colours() -> None:
    text = page()
    assert "## scopegate issuer hash-secret" in text
    assert "\x1b" not in text
    assert all(len(line) <= 120 for line in text.splitlines())
