"""The tutorial's commands, typed in order beside a running `scopegate demo`, print what the page shows."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from .pages import read
from .terminal import Terminal, moved, terminal_beside_demo

_STEP = re.compile(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_EXIT_CODE = re.compile(r"# exit code (\d)$")


class Step(NamedTuple):
    """A block of commands, and what the page shows below it."""

    commands: str
    shown: str

    @property
    def exit_code(self) -> int:
        """What the comment on the last command says, or 0."""
        told = _EXIT_CODE.search(self.commands.rstrip())
        return int(told[1]) if told else 0


def steps() -> list[Step]:
    """All steps but the one of the first terminal."""
    return [Step(*found) for found in _STEP.findall(read("tutorial.md")) if "make demo" not in found[0]]


def pattern(shown: str) -> re.Pattern[str]:
    """Matches the lines in a row; `...` alone on a line is any lines, within a line any characters of it.

    How wide a column is depends on ports and ids, so that runs of spaces are alike.
    """
    lines = [
        r"(?:.*\n)*?" if line == "..." else r"[^\n]*?".join(map(re.escape, line.split("..."))) + r"\n"
        for line in plain(shown).splitlines()
    ]
    return re.compile("^" + "".join(lines), re.MULTILINE)


def plain(text: str) -> str:
    return "".join(re.sub(r"[ \r]+", " ", line).rstrip() + "\n" for line in text.splitlines())


def follow(terminal: Terminal) -> None:
    for step in steps():
        done = terminal.run(step.commands)
        assert done.returncode == step.exit_code, f"{step.commands}{done.stdout}"
        assert pattern(moved(step.shown, terminal.ports)).search(plain(done.stdout)), f"{step.commands}{done.stdout}"


@pytest.mark.timeout(180)  # some thirty commands, each a process of its own
def test_the_tutorial_from_an_openapi_file_to_live_rules(tmp_path: Path) -> None:
    with terminal_beside_demo(tmp_path) as terminal:
        try:
            follow(terminal)
        except BaseException:
            terminal.type('kill "$GATEWAY"')
            raise


def test_each_output_that_the_page_shows_is_compared() -> None:
    compared = [step for step in steps() if step.shown]
    assert len(compared) == read("tutorial.md").count("```text\n") > 0


def test_a_shown_output_matches_nothing_but_its_lines_in_a_row() -> None:
    printed = plain("HTTP/1.1 200 OK\r\nDate: today\r\n\r\nclient   7")
    assert pattern("HTTP/1.1 200 OK\n...\nclient 7\n").search(printed)
    assert pattern("HTTP/1.1 ... OK\nDate: today\n").search(printed)
    assert not pattern("HTTP/1.1 200 OK\nclient 7\n").search(printed)
    assert not pattern("client\n").search(printed)
    assert not pattern("1.1 200 OK\n").search(printed)
