"""How the tests type what a page shows: in a shell beside a running `scopegate demo`, on free ports."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .pages import ROOT

PORTS = ("8080", "8081", "8090", "9000", "9901", "9911")
PATIENCE = 60.0
_VARIABLES = "TOKEN GATEWAY PATH"


def moved(text: str, ports: dict[str, str]) -> str:
    return re.sub(rf"(127\.0\.0\.1:)({'|'.join(PORTS)})\b", lambda found: found[1] + ports[found[2]], text)


class Terminal:
    """A second terminal beside the demo: a shell that keeps its variables from block to block.

    `welcome` is what the demo said when it ran.
    """

    def __init__(self, folder: Path, ports: dict[str, str], welcome: str) -> None:
        self._folder = folder
        self.ports = ports
        self.welcome = welcome

    def run(self, block: str) -> subprocess.CompletedProcess[str]:
        """Type a block, up to the first command that fails; all that it prints is in `stdout`.

        Earlier blocks are not run again: their variables are kept in a file.
        """
        keep = f"trap 'declare -p {_VARIABLES} 2>/dev/null > .variables || true' EXIT"
        script = f"exec 2>&1\n[ ! -f .variables ] || . ./.variables\n{keep}\n{moved(block, self.ports)}\n"
        return subprocess.run(
            ["bash", "-e"],
            input=script,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def type(self, block: str) -> str:
        """Type a block; what it prints."""
        return self.run(block).stdout


@contextmanager
def terminal_beside_demo(folder: Path) -> Iterator[Terminal]:
    """A terminal in a folder with the files of the demo and the program, while the demo runs there."""
    ports = free_ports()
    (folder / "config").mkdir()
    for name in ("gateway.yaml", "issuer.yaml"):
        text = (ROOT / "config" / name).read_text(encoding="utf-8")
        (folder / "config" / name).write_text(moved(text, ports), encoding="utf-8")
    program = folder / ".venv" / "bin" / "scopegate"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gateway "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    with demo(folder, program) as welcome:
        yield Terminal(folder, ports, welcome)


def free_ports() -> dict[str, str]:
    """A free port in place of each that the pages take."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = {port: str(one.getsockname()[1]) for port, one in zip(PORTS, taken, strict=True)}
    for one in taken:
        one.close()
    return ports


@contextmanager
def demo(folder: Path, program: Path) -> Iterator[str]:
    """`make demo` without the set-up; what it says when it runs."""
    with subprocess.Popen(
        [str(program), "demo"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "COLUMNS": "80"},
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "as it comes" in line:
                break
        assert "Scopegate runs" in "".join(said), "".join(said)
        try:
            yield "".join(said)
        finally:
            process.terminate()
            process.communicate()
