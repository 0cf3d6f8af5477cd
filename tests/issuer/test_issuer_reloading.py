"""A changed issuer.yaml is taken while the server runs."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.issuer.reading import read_settings
from gateway.issuer.reloading import SettingsWatch
from gateway.issuer.running import RunningIssuer
from gateway.issuer.secrets import hash_secret
from gateway.issuer.settings import IssuerSettings

from .issuer_case import BATCH, CHEAP, FORM, TEXT, basic

ROOT = Path(__file__).parents[2]
FORM_BODY = b"grant_type=client_credentials"
NEW = f'  new: {{type: trusted, roles: [operator], secret: "{hash_secret("new", CHEAP)}"}}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "issuer.yaml"
    path.write_text(TEXT.replace("var/issuer.db", str(tmp_path / "issuer.db")))
    return path


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def append(file: Path, text: str) -> None:
    with file.open("a") as stream:
        stream.write(text)


@asynccontextmanager
async def watched(file: Path, environ: dict[str, str] | None = None) -> AsyncIterator[tuple[SettingsWatch, str]]:
    """A running issuer, what watches its file, and the address of its token endpoint."""
    reading = read_settings(file, environ or {})
    assert isinstance(reading.outcome, IssuerSettings), reading.outcome
    async with RunningIssuer(reading.outcome, base=file.parent) as running:
        url = f"http://{running.address}/oauth2/v1/token"
        yield SettingsWatch(file, reading, running, environ or {}), url


async def ask(url: str, credentials: dict[str, str], **parameters: str) -> tuple[int, str]:
    """The status, and the scope or the error."""
    form = {"grant_type": "client_credentials"} | parameters
    async with aiohttp.ClientSession() as http, http.post(url, data=form, headers=credentials) as answer:
        document = await answer.json()
        return answer.status, document.get("scope") or document["error"]


async def test_a_new_client_new_roles_and_new_resources_are_taken(file: Path) -> None:
    async with watched(file) as (watch, url):
        assert await ask(url, basic("new", "new")) == (401, "invalid_client")
        append(file, NEW)
        change(file, "operator: [jobs.run, jobs.read]", "operator: [jobs.run, jobs.purge]")
        change(file, "jobs.run: Run jobs", "jobs.run: Run jobs\n    jobs.purge: Purge jobs")
        await watch.refresh()
        assert await ask(url, basic("new", "new")) == (200, "jobs.run jobs.purge")
        assert await ask(url, BATCH) == (200, "jobs.run jobs.purge")
        async with (
            aiohttp.ClientSession() as http,
            http.get(url.replace("/oauth2/v1/token", "/.well-known/oauth-authorization-server")) as answer,
        ):
            assert "jobs.purge" in (await answer.json())["scopes_supported"]


async def test_a_client_that_is_gone_is_refused_though_its_secret_was_verified_a_moment_ago(file: Path) -> None:
    async with watched(file) as (watch, url):
        assert (await ask(url, BATCH))[0] == 200
        change(file, "  nightly-batch:", "  daily-batch:")
        await watch.refresh()
        assert await ask(url, BATCH) == (401, "invalid_client")


async def test_failures_are_remembered_across_a_change(file: Path) -> None:
    async with watched(file) as (watch, url):
        for _ in range(10):
            assert (await ask(url, basic("nightly-batch", "guess")))[0] == 401
        append(file, NEW)
        await watch.refresh()
        assert (await ask(url, BATCH))[0] == 429
        assert (await ask(url, basic("new", "new")))[0] == 200


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("[reports.read]", "[reports.raed]", "issuer.yaml:15:13: roles.analyst[0]: "),
        ("clients:", "clients: [", "not YAML"),
        ("  signer: {", "  signer: {certificate: none.crt, ", "clients.signer.certificate: "),
    ],
)
async def test_an_error_is_logged_once_with_its_place_and_the_settings_in_force_stay(
    file: Path, caplog: pytest.LogCaptureFixture, old: str, new: str, place: str
) -> None:
    async with watched(file) as (watch, url):
        append(file, NEW)
        change(file, old, new)
        for _ in range(3):
            await watch.refresh()
        assert (await ask(url, BATCH))[0] == 200
        assert await ask(url, basic("new", "new")) == (401, "invalid_client")
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert place in record.getMessage()
        assert "the settings in force stay" in record.getMessage()
        change(file, new, old)
        await watch.refresh()
        assert (await ask(url, basic("new", "new")))[0] == 200


async def test_a_file_that_is_gone_changes_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with watched(file) as (watch, url):
        await asyncio.to_thread(file.unlink)
        for _ in range(3):
            await watch.refresh()
        assert (await ask(url, BATCH))[0] == 200
        assert [record.getMessage().count("cannot be read") for record in caplog.records] == [1]


async def test_what_needs_a_restart_is_named_and_stays_as_it_was(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with watched(file) as (watch, url):
        change(file, "listen: 127.0.0.1:0", "listen: 127.0.0.1:1")
        change(file, "issuer: https://issuer.example", "issuer: https://other.example")
        change(file, "issuer.db", "other.db")
        append(file, NEW)
        with caplog.at_level(logging.INFO):
            await watch.refresh()
        assert (await ask(url, basic("new", "new")))[0] == 200
        (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert "what changed in listen, issuer, state takes effect at the next start" in warning
        async with (
            aiohttp.ClientSession() as http,
            http.get(url.replace("/oauth2/v1/token", "/.well-known/oauth-authorization-server")) as answer,
        ):
            assert (await answer.json())["issuer"] == "https://issuer.example"
        caplog.clear()
        append(file, "# nothing new\n")
        await watch.refresh()
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert not (file.parent / "other.db").exists()


async def test_a_request_in_flight_finishes_under_the_settings_that_it_began_with(file: Path) -> None:
    async with watched(file) as (watch, url):
        host, port = re.findall(r"//(.+):(\d+)/", url)[0]
        reader, writer = await asyncio.open_connection(host, port)
        head = (
            f"POST /oauth2/v1/token HTTP/1.1\r\nHost: x\r\nAuthorization: {BATCH['Authorization']}\r\n"
            f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {len(FORM_BODY)}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        writer.write(head.encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        change(file, "  nightly-batch:", "  daily-batch:")
        await watch.refresh()
        writer.write(FORM_BODY)
        assert b" 200 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert (await ask(url, BATCH))[0] == 401


async def test_a_secret_that_comes_from_a_file_is_taken_when_that_file_changes(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(hash_secret("first", CHEAP))
    append(file, NEW.replace(NEW.split('"')[1], f"${{file:{secret}}}"))
    async with watched(file) as (watch, url):
        assert (await ask(url, basic("new", "first")))[0] == 200
        secret.write_text(hash_secret("second", CHEAP))
        await watch.refresh()
        assert (await ask(url, basic("new", "first")))[0] == 401
        assert (await ask(url, basic("new", "second")))[0] == 200


async def test_an_unchanged_file_is_read_again_by_force_only(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gateway.issuer.reloading")
    environ = {"OPERATOR": "operator"}
    change(file, "roles: [operator], secret", 'roles: ["${OPERATOR}"], secret')
    async with watched(file, environ) as (watch, url):
        environ["OPERATOR"] = "sharer"
        await watch.refresh()
        assert await ask(url, BATCH) == (200, "jobs.read jobs.run")
        assert not [record for record in caplog.records if record.name == "gateway.issuer.reloading"]
        await watch.refresh(force=True)
        assert (await ask(url, BATCH, resource="https://maintenance.example")) == (200, "shared")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def started(command: list[str], folder: Path, listens: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that has said where it listens."""
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, said(process, listens)
        finally:
            process.terminate()
            process.communicate()


def said(process: subprocess.Popen[str], pattern: str) -> str:
    """Wait for a line on standard error; the group of the pattern in it."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"it ended without saying {pattern}")


RUN = [sys.executable, "-m", "gateway"]


@pytest.mark.parametrize("by_signal", [False, True], ids=["by itself", "on SIGHUP"])
async def test_scopegate_issuer_run_takes_a_changed_file(file: Path, tmp_path: Path, *, by_signal: bool) -> None:
    with started([*RUN, "issuer", "run", "-c", str(file)], tmp_path, r"listens on (\S+)") as (process, url):
        append(file, NEW)
        if by_signal:
            process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(said, process, r"(issuer\.yaml) is in force")
        assert (await ask(f"{url}/oauth2/v1/token", basic("new", "new")))[0] == 200


async def test_an_issuer_inside_of_scopegate_run_takes_a_changed_file(file: Path, tmp_path: Path) -> None:
    port = free_port()
    change(file, "127.0.0.1:0", f"127.0.0.1:{port}")
    issuer = {"issuer": "http://127.0.0.1:1", "embedded": "issuer.yaml", "audience": "https://maintenance.example"}
    change(file, "https://issuer.example", "http://127.0.0.1:1")
    config = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "access_log": str(tmp_path / "access.jsonl"),
        "issuers": {"local": issuer},
        "upstreams": {"api": {"url": "http://127.0.0.1:1"}},
        "routes": [{"id": "all", "path": "/{rest...}", "scopes": ["jobs.read"], "upstream": "api"}],
    }
    (tmp_path / "gateway.yaml").write_text(json.dumps(config))
    command = [*RUN, "run", "-c", "gateway.yaml", "--workers", "1"]
    with started(command, tmp_path, r"clients on port (\d+)") as (process, _):
        append(file, NEW)
        await asyncio.to_thread(said, process, r"(issuer\.yaml) is in force")
        assert (await ask(f"http://127.0.0.1:{port}/oauth2/v1/token", basic("new", "new")))[0] == 200
