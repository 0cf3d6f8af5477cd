"""What `scopegate explain` shows: nothing secret, nothing that a terminal obeys, and colours only where they fit."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from gateway.cli.check import examine
from gateway.config.gateway_file import GatewayConfig
from gateway.explain.grounds import lay
from gateway.explain.judging import judge_request
from gateway.explain.reading import Request
from gateway.explain.telling import tell
from gateway.explain.view import show

from .explain_case import NOW, STRANGER, run, token


@pytest.mark.parametrize("path", ["/jobs", "/jobs/a", "/nowhere", "/healthz"])
@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("sent", [token(), token(STRANGER), token(exp=1), "secret-opaque-token"])
def test_the_token_is_never_in_the_output(config: Path, path: str, form: list[str], sent: str) -> None:
    output = run(config, "GET", path, "--token-file", "-", *form, stdin=sent).output
    for part in sent.split("."):
        assert part not in output


HOSTILE = "\x1b[31m\x07\u2028\u202e[bold]"


@pytest.mark.parametrize(
    "claims",
    [
        {"client_id": HOSTILE},
        {"aud": HOSTILE},
        {"iss": HOSTILE},
        {"exp": HOSTILE},
        {"nbf": {HOSTILE: HOSTILE}},
        {"scope": HOSTILE},
    ],
)
def test_claims_reach_the_terminal_escaped_only(config: Path, claims: dict[str, Any]) -> None:
    for sent in (["--claims", json.dumps(claims)], ["--token-file", token(headers={"kid": HOSTILE})]):
        output = run(config, "GET", "/jobs", sent[0], "-", stdin=sent[1]).output
        assert all(char.isprintable() or char == "\n" for char in output)


@pytest.mark.parametrize("path", [f"/{HOSTILE}", f"/jobs?{HOSTILE}", "/\udcff", "/\u00e9 x"])
def test_a_path_reaches_the_terminal_escaped_only(config: Path, path: str) -> None:
    result = run(config, "GET", path)
    assert result.exit_code == 1
    assert all(char.isprintable() or char == "\n" for char in result.output)


def test_a_querys_values_are_not_shown(config: Path) -> None:
    result = run(config, "GET", "/jobs?access_token=hush&state=x")
    assert "query: access_token, state" in result.stdout
    assert "hush" not in result.stdout


# The view


async def shown(config: Path, *, color: bool, terminal: bool = True) -> str:
    examined = examine(config, {})
    assert isinstance(examined, GatewayConfig)
    findings = await judge_request(
        lay(config, examined, {}), Request("GET", "/jobs", (("Host", "a"),), token(exp=1).encode()), NOW
    )
    assert not hasattr(findings, "detail")
    console = Console(
        file=io.StringIO(), force_terminal=terminal, color_system="standard", width=80, no_color=not color
    )
    show(console, tell(findings))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_a_terminal_gets_colours_within_its_width(config: Path) -> None:
    output = await shown(config, color=True)
    assert "\x1b[1;31m✗ \x1b[0m\x1b[1mverify" in output
    assert all(len(Text.from_ansi(line).plain.rstrip()) <= 80 for line in output.splitlines())


async def test_without_colours_there_is_none(config: Path) -> None:
    output = await shown(config, color=False)
    assert "31m" not in output
    assert "32m" not in output


async def test_what_is_no_terminal_gets_plain_lines_that_are_not_folded(config: Path) -> None:
    output = await shown(config, color=True, terminal=False)
    assert "\x1b" not in output
    assert any(len(line) > 80 for line in output.splitlines())
    assert not any(line.endswith(" ") for line in output.splitlines())
