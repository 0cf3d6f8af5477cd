"""`scopegate issuer keys`, as an operator runs it, and the passphrase's file."""

import asyncio
import json
import time
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner, Result

from gateway.cli.issuer import issuer
from gateway.issuer.errors import StateError
from gateway.issuer.key_times import MOST_KEYS, Plan
from gateway.issuer.passphrase import read_passphrase
from gateway.issuer.rotation import Rotation
from gateway.issuer.running import RunningIssuer
from gateway.issuer.settings import IssuerSettings, parse
from gateway.issuer.state import IssuerState

from .issuer_case import TEXT

PATIENCE = 20.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "issuer.yaml"
    file.write_text(TEXT.replace("var/issuer.db", f"{tmp_path}/issuer.db\nsigning_algorithm: ES256"))
    return file


@pytest.fixture
def kid(file: Path) -> str:
    """The key of a server that has run before."""
    return start(file)


def start(file: Path, passphrase: bytes | None = None) -> str:
    with closing(IssuerState.open(f"{file.parent}/issuer.db", time.time, passphrase)) as state:
        return Rotation(state, said(file).key_plan, time.time).step()[0].key.kid


def said(file: Path) -> IssuerSettings:
    settings = parse(file.read_text(), str(file), {})
    assert isinstance(settings, IssuerSettings), settings
    return settings


def run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(issuer, ["keys", *arguments, "-c", str(file)])


def test_the_list_tells_which_key_signs_and_which_is_next(file: Path, kid: str) -> None:
    following = run(file, "rotate").stdout.split()[0]
    result = run(file, "list")
    assert (result.exit_code, result.stderr) == (0, "")
    signs, waits = result.stdout.splitlines()
    assert signs.startswith(f"{kid}  ES256  signing until 20")
    assert waits.startswith(f"{following}  ES256  next: signs from 20")
    assert waits.endswith(("in 10 minutes", "in 9 minutes"))
    assert run(file, "rotate", "--now").exit_code == 0
    before, now = run(file, "list").stdout.splitlines()
    assert before.startswith(f"{kid}  ES256  retired: published until 20")
    assert now.startswith(f"{following}  ES256  signing since 20")


def test_the_list_is_json_for_programs(file: Path, kid: str) -> None:
    following = json.loads(run(file, "rotate", "--json").stdout)
    signs, waits = json.loads(run(file, "list", "--json").stdout)
    assert (signs["kid"], signs["algorithm"], signs["status"]) == (kid, "ES256", "signing")
    assert waits == following
    assert waits.keys() == {"kid", "algorithm", "status", "created_at", "signs_from", "retired_at", "expires_at"}
    assert (waits["status"], waits["retired_at"], waits["expires_at"]) == ("next", None, None)
    assert signs["retired_at"] == waits["signs_from"]
    assert signs["created_at"] < signs["retired_at"] < signs["expires_at"]


def test_a_second_rotation_says_that_one_is_under_way(file: Path, kid: str) -> None:
    first, second = run(file, "rotate"), run(file, "rotate")
    assert (first.stderr, second.stderr) == ("", "a next key was waiting already, so no other was made\n")
    assert first.stdout.split()[0] == second.stdout.split()[0] != kid
    assert second.exit_code == 0


def test_one_key_too_many_is_refused_with_the_way_out(file: Path, kid: str) -> None:
    with closing(IssuerState.open(f"{file.parent}/issuer.db", time.time)) as state:
        rotation = Rotation(state, Plan("ES256", None, 600.0, 3600.0), time.time)
        for _ in range(MOST_KEYS - 1):
            rotation.rotate(at_once=True)
    result = run(file, "rotate")
    assert result.exit_code == 1
    assert "`scopegate issuer keys list` says when" in result.stderr


@pytest.mark.parametrize("command", ["list", "rotate"])
def test_no_state_is_made_where_there_is_none(file: Path, command: str) -> None:
    result = run(file, command)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "issuer.db: there is no state: start the server once" in result.stderr
    assert not (file.parent / "issuer.db").exists()


def test_a_file_that_is_not_right_is_told_with_its_place(file: Path) -> None:
    file.write_text(file.read_text() + "rotation: {evry: 1d}\n")
    result = run(file, "list")
    assert result.exit_code == 3
    assert "rotation.evry: unknown key" in result.stderr


def test_a_rotation_needs_the_passphrase_of_the_keys_that_are_there(file: Path) -> None:
    kid = start(file, b"correct horse")
    assert run(file, "list").exit_code == 0, "the list shows no key"
    refused = run(file, "rotate")
    assert refused.exit_code == 3
    assert f"the signing key {kid} is encrypted, and there is no passphrase" in refused.stderr
    (file.parent / "passphrase").write_text("correct horse\n")
    (file.parent / "passphrase").chmod(0o640)
    file.write_text(file.read_text() + "passphrase_file: passphrase\n")
    assert run(file, "rotate").exit_code == 0
    assert (file.parent / "issuer.db").read_bytes().count(b"BEGIN ENCRYPTED PRIVATE KEY") == 2


async def test_a_running_server_publishes_the_key_that_the_command_made(file: Path) -> None:
    async with RunningIssuer(said(file)) as running, aiohttp.ClientSession() as http:

        async def published() -> list[str]:
            async with http.get(f"http://{running.address}/oauth2/v1/jwks") as answer:
                assert answer.headers["Cache-Control"] == "public, max-age=300"
                return [key["kid"] for key in (await answer.json())["keys"]]

        before = await published()
        result = await asyncio.to_thread(run, file, "rotate", "--json")
        following = json.loads(result.stdout)["kid"]
        async with asyncio.timeout(PATIENCE):
            while await published() != [*before, following]:  # noqa: ASYNC110 - it has to be asked
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (b"secret\n", 0o644, "every user of this machine may use the passphrase: chmod o-rwx"),
        (b"secret\n", 0o602, "every user of this machine may use the passphrase: chmod o-rwx"),
        (b"\n", 0o600, "the passphrase is empty: write a passphrase alone into it"),
        (b"one\ntwo\n", 0o600, "the passphrase has more than one line"),
        (b"\xff\n", 0o600, "the passphrase is not UTF-8 text"),
        (b"x" * ((64 << 10) + 1), 0o600, "the passphrase is longer than 64 KiB"),
    ],
)
def test_a_file_that_is_no_passphrase_is_named_with_the_remedy(
    tmp_path: Path, text: bytes, mode: int, words: str
) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(text)
    path.chmod(mode)
    with pytest.raises(StateError, match=f"passphrase: {words}"):
        read_passphrase(path)


def test_a_passphrase_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="the passphrase cannot be read: no such file or directory"):
        read_passphrase(tmp_path / "none")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
def test_a_passphrase_may_be_shared_with_a_group(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "passphrase"
    path.write_text("correct horse\n")
    path.chmod(mode)
    assert read_passphrase(path) == b"correct horse"


@pytest.mark.parametrize(
    ("rotation", "words"),
    [
        ("{every: 10m, publish_ahead: 10m}", "must be longer than publish_ahead"),
        ("{every: 1m, publish_ahead: 1s}", "must be at least 82s"),
    ],
)
def test_a_rotation_that_cannot_be_kept_up_is_a_fault_of_the_file(file: Path, rotation: str, words: str) -> None:
    (fault,) = parse(f"{file.read_text()}rotation: {rotation}\n", "issuer.yaml", {})
    assert f"rotation.every: {words}" in str(fault)
