"""The README's commands do what it says, typed as they stand beside a running `scopegate demo`."""

import re
import time
from collections.abc import Iterator

import pytest

from .pages import ROOT, examples, sections
from .terminal import PATIENCE, Terminal, terminal_beside_demo

STATUS = re.compile(r"^HTTP/1\.1 (\d+)", re.MULTILINE)


def blocks(title: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start = text.index(f"## {title}\n")
    section = text[start:].partition("\n## ")[0]
    assert title in sections(text, 2)
    return [block for block in examples(section, "sh") if "make demo" not in block]


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with terminal_beside_demo(tmp_path_factory.mktemp("readme")) as terminal:
        yield terminal


def expected(block: str) -> list[str]:
    """The status that each `curl -i` of a block shall get: what its comment says, or 200."""
    return [
        (re.findall(r"# (\d{3})$", line) or ["200"])[0] for line in block.splitlines() if line.startswith("curl -i")
    ]


def test_the_first_ten_minutes(terminal: Terminal) -> None:
    typed = blocks("Ten minutes")
    assert len(typed) == 6
    for block in typed:
        printed = terminal.type(block)
        assert STATUS.findall(printed) == expected(block), printed
        assert "rror:" not in printed.replace("error=", "")


def test_what_the_demo_says_to_type_does_what_it_says(terminal: Terminal) -> None:
    said = terminal.welcome.partition("Type in a second terminal\n")[2].partition("The access log")[0]
    done = terminal.run(f'PATH="$PWD/.venv/bin:$PATH"\n{said}')
    assert STATUS.findall(done.stdout) == ["200", "403", "401"], done.stdout
    assert "grant the scope" in done.stdout or "scope jobs.run" in done.stdout, done.stdout
    assert done.returncode == 1  # what is explained last is a refusal


def test_a_jwt_assertion_from_key_to_answered_call(terminal: Terminal) -> None:
    make_key, register, get_token, use_it, by_hand = blocks("Without a secret: a JWT assertion")
    terminal.type(make_key)
    printed = terminal.type(register)
    assert "added to config/issuer.yaml" in printed
    assert re.search(r"^authentication +private_key_jwt", printed, re.MULTILINE), printed
    until_it_is_taken(terminal, get_token)
    for block in (use_it, by_hand):
        printed = terminal.type(block)
        assert STATUS.findall(printed) == ["200"], printed
    assert '"access_token"' in printed


def until_it_is_taken(terminal: Terminal, block: str) -> None:
    """The README says two seconds, and a person takes longer to type on."""
    deadline = time.monotonic() + PATIENCE
    while (printed := terminal.type(block)) and time.monotonic() < deadline:
        assert "invalid_client" in printed, printed
    assert not printed
