"""`scopegate explain` of opaque tokens: what their issuer tells, and which check failed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from gateway.cli.explain import explain

NOW = 1_800_000_000
TOKEN = "an-opaque-token-that-is-never-shown"
ACTIVE: dict[str, Any] = {"active": True, "aud": "api", "exp": NOW + 60, "client_id": "batch", "scope": "read"}


def write(folder: Path, port: int = 1) -> Path:
    introspection = {"credentials": "own", "endpoint": f"http://127.0.0.1:{port}/introspect", "jwt_tokens": "refuse"}
    issuer = {"issuer": f"http://127.0.0.1:{port}", "audience": "api", "introspection": introspection}
    document = {
        "access_log": "-",
        "issuers": {"main": issuer},
        "credentials": {"own": {"issuer": issuer["issuer"], "client_id": "gateway", "client_secret": "s"}},
        "upstreams": {"api": {"url": "http://127.0.0.1:9"}},
        "routes": [{"id": "read", "path": "/jobs", "scopes": ["read"], "upstream": "api"}],
    }
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(document))
    return file


def run(file: Path, *options: str) -> Result:
    when = ["--now", "2027-01-15T08:00:00Z"]
    arguments = ["GET", "/jobs", "-c", str(file), "--token-file", "-", *when, *options]
    return CliRunner().invoke(explain, arguments, input=TOKEN)


def told(file: Path, answer: dict[str, Any]) -> dict[str, Any]:
    path = file.parent / "answer.json"
    path.write_text(json.dumps(answer))
    result = run(file, "--introspection", str(path), "--json")
    assert TOKEN not in result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def failed(found: dict[str, Any]) -> list[str]:
    return [fact["name"] for step in found["steps"] for fact in step["facts"] if fact["mark"] == "failed"]


@pytest.mark.parametrize(
    ("answer", "reason", "check"),
    [
        (ACTIVE, None, []),
        ({"active": False}, "token_revoked", ["activity"]),
        (ACTIVE | {"iss": "https://other.example"}, "issuer_untrusted", ["issuer"]),
        (ACTIVE | {"aud": "api-2"}, "audience_mismatch", ["audience"]),
        (ACTIVE | {"exp": NOW - 1}, "token_expired", ["expiry"]),
        (ACTIVE | {"nbf": NOW + 60, "iat": NOW}, "token_not_yet_valid", ["begin"]),
        (ACTIVE | {"exp": "soon"}, "claim_invalid", ["claims"]),
        (ACTIVE | {"cnf": {"kid": "x"}}, "proof_invalid", ["binding"]),
        (ACTIVE | {"scope": "write"}, "scope_insufficient", ["scopes", "missing"]),
    ],
)
def test_the_check_that_failed_is_named(
    tmp_path: Path, answer: dict[str, Any], reason: str | None, check: list[str]
) -> None:
    found = told(write(tmp_path), answer)
    assert found["verdict"]["reason"] == reason
    assert failed(found) == check
    assert found["changes"] or reason is None
    facts = {fact["name"]: fact["found"] for step in found["steps"] for fact in step["facts"]}
    assert facts["kind"] == "opaque: main is asked"
    assert facts["form"].endswith("told by the answer in the file")


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[tuple[Path, dict[str, Any]]]:
    """An endpoint that answers what a test puts there, and the gateway's file."""
    answers: dict[str, Any] = {"document": ACTIVE, "status": 200}

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path != "/introspect":
            return web.json_response({}, status=404)
        return web.json_response(answers["document"], status=answers["status"])

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield write(tmp_path, runner.addresses[0][1]), answers
    await runner.cleanup()


async def test_the_issuer_is_asked_unless_its_answer_is_given(issuer: tuple[Path, dict[str, Any]]) -> None:
    file, answers = issuer
    result = await asyncio.to_thread(run, file)
    assert result.exit_code == 0
    assert "told by its introspection endpoint" in result.stdout
    answers["document"] = {"active": False}
    result = await asyncio.to_thread(run, file)
    assert result.exit_code == 1
    assert "401 token_revoked" in result.stdout
    assert TOKEN not in result.output


async def test_no_answer_is_one_line_and_exit_4(issuer: tuple[Path, dict[str, Any]]) -> None:
    file, answers = issuer
    answers["status"] = 401
    result = await asyncio.to_thread(run, file)
    assert result.exit_code == 4
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "introspection_unavailable" in result.stderr
    assert "own credentials" in result.stderr


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"active": "true"}'])
def test_what_is_no_answer_is_wrong_usage(tmp_path: Path, content: str) -> None:
    arguments = ["GET", "/jobs", "-c", str(write(tmp_path)), "--introspection", "-"]
    assert CliRunner().invoke(explain, arguments, input=content).exit_code == 2
