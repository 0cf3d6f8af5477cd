"""The Dockerfile's form: what it copies exists, it runs as nobody special, and it holds no secret."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()


def instructions() -> list[tuple[str, str]]:
    """Word and arguments of each instruction, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def of(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def copied() -> list[str]:
    """What comes from the repository."""
    sources = [shlex.split(rest)[:-1] for rest in of("COPY") if not rest.startswith("--from=")]
    return [source for group in sources for source in group]


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists_and_is_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in IGNORED


def test_everything_that_the_package_is_built_from_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *wheel["packages"],
        *(path.split("/")[0] for path in wheel.get("force-include", {})),
    }
    assert needed <= set(copied())


def test_it_is_built_in_two_stages_of_which_only_the_installation_remains() -> None:
    assert [base.split()[0] for base in of("FROM")] == ["python:3.11-slim", "python:3.11-slim"]
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.findall(r"^COPY (.*)$", last, re.MULTILINE) == ["--from=build /opt/scopegate /opt/scopegate"]


def test_versions_are_those_that_were_tested() -> None:
    assert any("--constraint" in run for run in of("RUN"))


@pytest.mark.parametrize("word", ["ENTRYPOINT", "CMD", "RUN"])
def test_commands_are_in_exec_form(word: str) -> None:
    assert of(word)
    assert all(isinstance(json.loads(rest), list) for rest in of(word))


def test_it_does_not_run_as_root() -> None:
    (user,) = of("USER")
    assert user.partition(":")[0].isdecimal()
    assert int(user.partition(":")[0]) > 0


def test_the_health_check_is_in_exec_form_and_asks_the_admin_listener() -> None:
    (check,) = of("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "/opt/scopegate/bin/python"
    compile(command[2], "health check", "exec")
    assert "http://127.0.0.1:9901/healthz" in command[2]


def test_it_holds_no_secret() -> None:
    assert not of("ARG")
    assert all(
        name in {"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"} for rest in of("ENV") for name in rest.split()
    )
