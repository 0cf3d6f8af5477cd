"""`scopegate issuer` and `scopegate token`, as a user runs them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from gateway.cli.decoded_token import in_words
from gateway.cli.issuer import issuer
from gateway.cli.token import token
from gateway.issuer.running import RunningIssuer
from gateway.issuer.secrets import ScryptCost, hash_secret, verify_secret
from gateway.issuer.settings import IssuerSettings, parse

TEXT = f"""
listen: 127.0.0.1:0
issuer: http://127.0.0.1:1
state: issuer.db
resources: {{"https://maintenance.example": {{jobs.read: Read}}}}
roles: {{auditor: [jobs.read]}}
clients:
  reader: {{type: trusted, roles: [auditor], secret: "{hash_secret("hunter2", ScryptCost(n=16, r=1))}"}}
"""


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """A token endpoint in a thread of its own: the commands start event loops themselves."""
    settings = parse(TEXT, "issuer.yaml", {})
    assert isinstance(settings, IssuerSettings)
    running, loop = RunningIssuer(settings, state=tmp_path / "issuer.db"), asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(running.start(), loop).result()
    yield f"http://{running.address}/oauth2/v1/token"
    asyncio.run_coroutine_threadsafe(running.close(), loop).result()
    asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def obtain(*arguments: str, secret: str = "hunter2\n") -> Result:
    common = ["--client-id", "reader", "--client-secret-file", "-"]
    return CliRunner().invoke(token, [*common, *arguments], input=secret)


def test_the_token_alone_goes_to_standard_output(endpoint: str) -> None:
    result = obtain("--token-endpoint", endpoint)
    assert result.exit_code == 0
    assert result.stdout.count(".") == 2
    assert result.stderr == ""


def test_the_answer_can_be_had_as_json(endpoint: str) -> None:
    answer = json.loads(obtain("--token-endpoint", endpoint, "--json", "--scope", "jobs.read").stdout)
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}


def test_a_token_can_be_decoded_with_its_times_in_words(endpoint: str) -> None:
    result = obtain("--token-endpoint", endpoint, "--decode")
    assert "at+jwt" in result.stdout
    assert "https://maintenance.example" in result.stdout
    assert "not verified" in result.stderr
    claims = json.loads(obtain("--token-endpoint", endpoint, "--decode", "--json").stdout)["claims"]
    assert claims["sub"] == "reader"


@pytest.mark.parametrize(
    ("arguments", "secret", "code", "words"),
    [
        (["--token-endpoint", "ENDPOINT"], "wrong", 1, "invalid_client"),
        (["--token-endpoint", "ENDPOINT", "--scope", "a b", "--scope", "c"], "hunter2", 1, "invalid_scope"),
        (["--token-endpoint", "ENDPOINT", "--resource", "https://x.example"], "hunter2", 1, "invalid_target"),
        ([], "hunter2", 2, "Give --issuer, or --token-endpoint"),
        (["--token-endpoint", "http://issuer.example/"], "hunter2", 2, "use https"),
        (["--token-endpoint", "ENDPOINT"], "", 2, "secret is empty"),
        (["--token-endpoint", "http://127.0.0.1:1/"], "hunter2", 4, "Connection refused"),
        (["--issuer", "http://127.0.0.1:1"], "hunter2", 4, "Connection refused"),
        (["--issuer", "BASE"], "hunter2", 4, "write it exactly so"),
    ],
)
def test_a_failure_has_its_exit_code_and_says_why(
    endpoint: str, arguments: list[str], secret: str, code: int, words: str
) -> None:
    urls = {"ENDPOINT": endpoint, "BASE": endpoint.removesuffix("/oauth2/v1/token")}
    result = obtain(*(urls.get(argument, argument) for argument in arguments), secret=secret)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (1000, "1970-01-01T00:16:40Z, now"),
        (1001, "1970-01-01T00:16:41Z, in 1 second"),
        (1000 + 7200, "1970-01-01T02:16:40Z, in 2 hours"),
        (880, "1970-01-01T00:14:40Z, 2 minutes ago"),
        (1e300, "(no date)"),
        (float("nan"), "(no date)"),
    ],
)
def test_times_are_told_in_words(moment: float, words: str) -> None:
    assert in_words(moment, now=1000) == words


@pytest.mark.parametrize("raw", ["hunter2", "hunter2\n"])
def test_hash_secret_prints_a_hash_of_standard_input(raw: str) -> None:
    result = CliRunner().invoke(issuer, ["hash-secret"], input=raw)
    assert verify_secret("hunter2", result.stdout.strip())
    assert "hunter2" not in result.output


def test_hash_secret_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    result = CliRunner().invoke(issuer, ["hash-secret", "--secret-file", str(tmp_path / "secret")])
    assert verify_secret("hunter2", result.stdout.strip())


@pytest.mark.parametrize("arguments", [["hash-secret"], ["hash-secret", "hunter2"]])
def test_hash_secret_takes_no_empty_secret_and_none_as_argument(arguments: list[str]) -> None:
    assert CliRunner().invoke(issuer, arguments, input="\n").exit_code == 2


def test_a_bad_file_is_told_in_full_with_exit_code_3(tmp_path: Path) -> None:
    file = tmp_path / "issuer.yaml"
    file.write_text(TEXT.replace("[jobs.read]", "[jobs.raed]").replace("[auditor]", "[auditr]"))
    result = CliRunner().invoke(issuer, ["run", "-c", str(file)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (3, 2)
    missing = CliRunner().invoke(issuer, ["run", "-c", str(tmp_path / "none.yaml")])
    assert missing.exit_code == 3
    assert "none.yaml" in missing.stderr


def test_a_state_file_that_cannot_be_used_is_told_with_exit_code_3(tmp_path: Path) -> None:
    file = tmp_path / "issuer.yaml"
    file.write_text(TEXT.replace("state: issuer.db", f"state: {tmp_path}"))
    result = CliRunner().invoke(issuer, ["run", "-c", str(file)])
    assert result.exit_code == 3
    assert "Is a directory" in result.stderr


def test_a_port_in_use_is_one_line_with_exit_code_4(tmp_path: Path) -> None:
    file = tmp_path / "issuer.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = TEXT.replace("127.0.0.1:0", f"127.0.0.1:{port}")
        file.write_text(text.replace("issuer.db", str(tmp_path / "issuer.db")))
        result = CliRunner().invoke(issuer, ["run", "-c", str(file)])
    assert result.exit_code == 4
    assert result.stderr == f"cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_issuer_runs_until_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "issuer.yaml").write_text(TEXT)
    command = [sys.executable, "-c", "from gateway.cli.issuer import issuer; issuer()", "run", "-c", "issuer.yaml"]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listens on http://127.0.0.1:" in process.stderr.readline()
        process.send_signal(number)
        assert process.wait() == 0
        assert process.stderr.read() == ""


def test_sigusr1_has_the_issuer_open_its_log_anew(tmp_path: Path) -> None:
    log = tmp_path / "issuance.jsonl"
    (tmp_path / "issuer.yaml").write_text(f"{TEXT}issuance_log: issuance.jsonl\n")
    command = [sys.executable, "-c", "from gateway.cli.issuer import issuer; issuer()", "run", "-c", "issuer.yaml"]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        for moved in (False, True):
            if moved:
                log.rename(log.with_suffix(".1"))
                process.send_signal(signal.SIGUSR1)
            assert obtain("--token-endpoint", f"{address}/oauth2/v1/token").exit_code == 0
            while not (log.exists() and log.read_bytes().endswith(b"\n")):
                time.sleep(0.01)
        process.terminate()
    assert [len(file.read_bytes().splitlines()) for file in (log.with_suffix(".1"), log)] == [1, 1]
