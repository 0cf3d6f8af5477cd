"""`scopegate explain` with an embedded issuer, whose roles and clients are known."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from .explain_case import KEY, advice, key_set, run, run_json, token, with_claims, with_token, write_local


@pytest.mark.parametrize(
    ("method", "path", "client", "scope", "changes"),
    [
        (
            "POST",
            "/jobs",
            "nightly",
            "jobs.read",
            ["request scope jobs.run (the client nightly has it by role operator)"],
        ),
        (
            "POST",
            "/jobs",
            "nightly",
            "",
            ["request the scopes jobs.read jobs.run (the client nightly has them by role operator)"],
        ),
        ("GET", "/either", "nightly", "", ["request scope jobs.run (the client nightly has it by role operator)"]),
        (
            "DELETE",
            "/jobs",
            "nightly",
            "jobs.read",
            ["grant role administrator to nightly in {issuer} (it gives jobs.admin)"],
        ),
        ("GET", "/spare", "nightly", "", ["add scope jobs.spare to a role of nightly in {issuer}: no role gives it"]),
        (
            "GET",
            "/unheard",
            "nightly",
            "",
            ["define scope jobs.unheard at https://api.example in {issuer}, and give it to a role of nightly"],
        ),
        ("GET", "/jobs", "unheard-of", "", ["ask the issuer http://127.0.0.1:1 for scope jobs.read"]),
    ],
)
def test_with_an_embedded_issuer_the_change_names_client_and_role(
    local: Path, *, method: str, path: str, client: str, scope: str, changes: list[str]
) -> None:
    found = with_claims(local, method, path, {"client_id": client, "scope": scope})
    issuer = local.parent / "issuer.yaml"
    assert [change["do"] for change in found["changes"]] == [change.format(issuer=issuer) for change in changes]


def test_a_missing_token_is_had_with_a_command(local: Path) -> None:
    found = run_json(local, "POST", "/jobs")
    command = "--client-id nightly --client-secret-file FILE --scope jobs.read --scope jobs.run"
    assert command in advice(found)


@pytest.mark.parametrize("case", ["a token", "no token"])
def test_an_issuer_that_cannot_be_reached_is_one_line_and_exit_4(local: Path, case: str) -> None:
    sent = token(iss="http://127.0.0.1:1")
    result = run(local, "GET", "/jobs", *(["--token-file", "-"] if case == "a token" else []), stdin=sent)
    if case == "no token":
        assert result.exit_code == 1
        return
    assert result.exit_code == 4
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "keys_unavailable" in result.stderr


async def test_keys_are_fetched_once_from_the_issuer(tmp_path: Path) -> None:
    fetched = []

    async def answer(request: web.BaseRequest) -> web.Response:
        fetched.append(request.path)
        if request.path.startswith("/.well-known"):
            return web.json_response({"issuer": url, "jwks_uri": f"{url}/jwks"})
        return web.json_response(key_set(KEY))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    url = f"http://127.0.0.1:{port}"
    file = write_local(tmp_path, port)
    good, lost = token(iss=url), token(iss=url, headers={"kid": "gone"})
    allowed, refused = [await asyncio.to_thread(with_token, file, "GET", "/jobs", sent) for sent in (good, lost)]
    await runner.cleanup()
    assert allowed["allowed"]
    assert refused["verdict"]["reason"] == "key_unknown"
    assert fetched.count("/jwks") == 2
