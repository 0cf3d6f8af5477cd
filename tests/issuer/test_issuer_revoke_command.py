"""`scopegate issuer revoke`, as an operator runs it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.issuer import issuer
from gateway.issuer.key_times import KeyTimes
from gateway.issuer.revocations import Revocation, Revocations
from gateway.issuer.rotation import Rotation
from gateway.issuer.state import IssuerState

from .issuer_case import TEXT, settings


@pytest.fixture
def file(tmp_path: Path, where: str) -> Path:
    """A server's file, whose state is there; its keys are of the kind that takes no time to make."""
    file = tmp_path / "issuer.yaml"
    file.write_text(TEXT.replace("var/issuer.db", where) + "signing_algorithm: ES256\n")
    return file


@pytest.fixture
def state(file: Path, where: str) -> Iterator[IssuerState]:
    state = IssuerState.open(where, time.time)
    Rotation(state, settings(file.read_text()).key_plan, time.time).step()
    yield state
    state.close()


def run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(issuer, ["revoke", "-c", str(file), *arguments])


def revoked(state: IssuerState) -> list[Revocation]:
    return list(Revocations(state, time.time).current())


def key(file: Path, state: IssuerState) -> KeyTimes:
    [only] = Rotation(state, settings(file.read_text()).key_plan, time.time).times()
    return only


def test_several_are_revoked_together(file: Path, state: IssuerState) -> None:
    before = time.time()
    result = run(file, "--jti", "one", "--client", "nightly-batch", "--jti=-two", "--jti", "one")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "revoked the token one",
        "revoked the token -two",
        "revoked all tokens so far of the client nightly-batch",
    ]
    found = revoked(state)
    assert [(one.kind, one.value) for one in found] == [("jti", "one"), ("jti", "-two"), ("client", "nightly-batch")]
    assert [one.before is None for one in found] == [True, True, False]
    assert found[2].before is not None
    assert before < found[2].before <= time.time() + 1
    assert all(one.until >= before + 86_400 for one in found)


def test_json_tells_what_was_revoked_and_until_when_that_matters(file: Path, state: IssuerState) -> None:
    kid = key(file, state).kid
    result = run(file, "--key", kid, "--client", "everything", "--json")
    client, signed = json.loads(result.stdout)["revoked"]
    assert (client["kind"], client["value"], signed["kind"], signed["value"]) == ("client", "everything", "key", kid)
    assert client["before"] < client["until"]
    assert signed["before"] is None


def test_a_revoked_key_is_gone_and_another_one_signs(file: Path, state: IssuerState) -> None:
    old = key(file, state)
    assert run(file, "--key", old.kid).exit_code == 0
    new = key(file, state)
    assert new.kid != old.kid
    assert new.status(time.time()) == "signing"


def test_a_key_that_is_not_there_is_an_error_and_nothing_is_revoked(file: Path, state: IssuerState) -> None:
    before = key(file, state)
    result = run(file, "--jti", "one", "--key", before.kid, "--key", "other")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == ("there is no key other, and nothing was revoked: scopegate issuer keys list shows them\n")
    assert revoked(state) == []
    assert key(file, state) == before


def test_a_client_that_is_not_in_the_file_is_revoked_with_a_note(file: Path, state: IssuerState) -> None:
    result = run(file, "--client", "gone")
    assert result.exit_code == 0
    assert result.stderr == f"note: {file} has no client 'gone'; tokens that it may still have are revoked\n"
    assert [one.value for one in revoked(state)] == ["gone"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "Say what to revoke: --jti, --client or --key."),
        (["--jti", ""], "it must have 1 to 1000 printable characters"),
        (["--client", "a\nb"], "it must have 1 to 1000 printable characters"),
        (["--jti", "x" * 1001], "it must have 1 to 1000 printable characters"),
        (["one"], "unexpected extra argument"),
    ],
)
def test_a_command_that_says_too_little_or_nonsense_is_a_matter_of_usage(
    file: Path, state: IssuerState, arguments: list[str], why: str
) -> None:
    result = run(file, *arguments)
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.replace("│", " ").split())
    assert revoked(state) == []


def test_a_bad_file_is_told_like_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "issuer.yaml"
    file.write_text("listn: 127.0.0.1:0")
    result = run(file, "--jti", "one")
    assert result.exit_code == 3
    assert "listn: unknown key" in result.stderr


def test_a_state_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "issuer.yaml"
    file.write_text(TEXT.replace("var/issuer.db", str(tmp_path / "nowhere.db")))
    result = run(file, "--jti", "one")
    assert result.exit_code == 3
    assert "there is no state" in result.stderr
    assert not (tmp_path / "nowhere.db").exists()
