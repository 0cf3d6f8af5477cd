"""The README's commands do what it says, typed as they stand beside a running `scopegate demo`."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .pages import ROOT, examples, sections

PORTS = ("8080", "8081", "9000", "9901")
STATUS = re.compile(r"^HTTP/1\.1 (\d+)", re.MULTILINE)
PATIENCE = 30.0


def blocks(title: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start = text.index(f"## {title}\n")
    section = text[start:].partition("\n## ")[0]
    assert title in sections(text, 2)
    return [block for block in examples(section, "sh") if "make demo" not in block]


@contextmanager
def free_ports() -> Iterator[dict[str, str]]:
    """A free port in place of each that the demo takes."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = {port: str(one.getsockname()[1]) for port, one in zip(PORTS, taken, strict=True)}
    for one in taken:
        one.close()
    yield ports


def moved(text: str, ports: dict[str, str]) -> str:
    return re.sub(rf"(127\.0\.0\.1:)({'|'.join(PORTS)})\b", lambda found: found[1] + ports[found[2]], text)


class Terminal:
    """A second terminal beside the demo: a shell that keeps its variables from block to block."""

    def __init__(self, folder: Path, ports: dict[str, str]) -> None:
        self._folder = folder
        self._ports = ports

    def type(self, block: str) -> str:
        """Type a block; what it prints. Earlier blocks are not run again: their variables are kept in a file."""
        keep = "declare -p TOKEN 2>/dev/null > .variables || true"
        script = f"exec 2>&1\n[ -f .variables ] && . ./.variables\n{moved(block, self._ports)}\n{keep}\n"
        done = subprocess.run(
            ["bash"], input=script, cwd=self._folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return done.stdout


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("readme")
    with free_ports() as ports:
        (folder / "config").mkdir()
        for name in ("gateway.yaml", "issuer.yaml"):
            text = (ROOT / "config" / name).read_text(encoding="utf-8")
            (folder / "config" / name).write_text(moved(text, ports), encoding="utf-8")
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        script = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gateway "$@"\n'
        (programs / "scopegate").write_text(script, encoding="utf-8")
        (programs / "scopegate").chmod(0o755)
        with demo(folder):
            yield Terminal(folder, ports)


@contextmanager
def demo(folder: Path) -> Iterator[None]:
    """`make demo` without the set-up."""
    command = [str(folder / ".venv" / "bin" / "scopegate"), "demo"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "as it comes" in line:
                break
        assert "Scopegate runs" in "".join(said), "".join(said)
        try:
            yield
        finally:
            process.terminate()
            process.communicate()


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
