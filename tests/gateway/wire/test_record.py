"""The access record: one line a request, exactly the contract's members, and nothing that was not verified."""

import json
import re
from pathlib import Path

import pytest

from .conftest import Start
from .gate import MEMBERS, Gate
from .minting import AUDIENCE, ISSUER, NOW, claims, mint, rsa_key
from .patience import eventually
from .raw_client import request
from .raw_upstream import OK, Visit

CONTRACT = """
v ts request_id trace_id mode config_rev client_ip peer_ip method host path route query_keys http_version user_agent
bytes_in bytes_out issuer client_id sub aud jti_hash kid alg token_exp token_kind scopes_required scopes_granted
scopes_missing decision reason would_deny status upstream upstream_status retries ms_total ms_verify ms_upstream
cache_hit aborted detail
"""


def test_a_record_has_the_members_of_the_contract() -> None:
    assert set(CONTRACT.split()) == MEMBERS


async def test_an_allowed_request_is_told_whole(gate: Gate) -> None:
    raw = request(
        "POST /admin/x?b=secret&a=1", gate.bearer(), "User-Agent: batch/1", "Content-Length: 5", body=b"hello"
    )
    answer = await gate.ask(raw)
    record = await gate.record()
    ms = {name: record.pop(name) for name in ("ms_total", "ms_verify", "ms_upstream")}
    assert 0 < ms["ms_verify"] < ms["ms_total"]
    assert 0 < ms["ms_upstream"] < ms["ms_total"]
    assert re.fullmatch(r"[0-9a-f]{32}", record.pop("jti_hash"))
    assert record == {
        "v": 1, "ts": "2027-01-15T08:00:00.000Z", "request_id": answer["X-Request-Id"],
        "trace_id": answer["X-Request-Id"], "mode": "enforce", "config_rev": "test", "client_ip": "127.0.0.1",
        "peer_ip": "127.0.0.1", "method": "POST", "host": "gate.example", "path": "/admin/x", "route": "admin",
        "query_keys": ["b", "a"], "http_version": "1.1", "user_agent": "batch/1", "bytes_in": 5, "bytes_out": 2,
        "issuer": ISSUER, "client_id": "nightly-batch", "sub": "batch", "aud": [AUDIENCE], "kid": "rsa", "alg": "RS256",
        "token_exp": NOW + 600, "token_kind": "jwt", "scopes_required": ["admin"], "scopes_granted": ["admin"],
        "scopes_missing": [], "decision": "allow", "reason": None, "would_deny": None, "status": 200, "upstream": "api",
        "upstream_status": 200, "retries": 0, "cache_hit": False, "aborted": False, "detail": None,
    }  # fmt: skip


IDENTITY = ("issuer", "client_id", "sub", "jti_hash", "kid", "alg", "token_exp", "token_kind")


@pytest.mark.parametrize(
    "token",
    [
        mint(key=rsa_key("evil")),
        mint(claims(exp=NOW - 1)),
        mint(claims(aud="x")),
        mint(claims(iss="https://evil.example")),
    ],
    ids=["signature", "expired", "audience", "issuer"],
)
async def test_a_token_that_was_not_verified_names_nobody(gate: Gate, token: str) -> None:
    assert (await gate.ask(request("GET /admin/x", gate.bearer(token)))).status == 401
    record = await gate.record()
    assert {name: record[name] for name in IDENTITY} == dict.fromkeys(IDENTITY)
    assert (record["decision"], record["aud"], record["scopes_granted"]) == ("deny", [], [])
    assert (record["scopes_required"], record["route"], record["upstream"]) == (["admin"], "admin", None)


async def test_a_verified_caller_who_is_refused_is_named(gate: Gate) -> None:
    assert (await gate.ask(request("GET /jobs/7", gate.bearer()))).status == 403
    record = await gate.record()
    assert (record["client_id"], record["reason"]) == ("nightly-batch", "scope_insufficient")
    assert (record["scopes_required"], record["scopes_granted"], record["scopes_missing"]) == (
        ["jobs.read"], ["admin"], ["jobs.read"],
    )  # fmt: skip


async def test_what_is_no_request_is_recorded_as_such(gate: Gate) -> None:
    assert (await gate.ask(b"\x00\x01\x02\r\n\r\n")).status == 400
    record = await gate.record()
    assert (record["method"], record["path"], record["reason"]) == (None, None, "request_malformed")


async def test_no_secret_of_a_request_is_in_any_output(gate: Gate) -> None:
    gate.secrets += ["s3cr3t-cookie", "s3cr3t-body", "s3cr3t-query", "s3cr3t-basic", "s3cr3t-answer"]

    async def play(visit: Visit) -> None:
        await visit.read_body()
        await visit.send(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=upstream\r\n\r\n"))

    gate.upstream.play = play
    for target in ("/public/x", "/admin/x", "/nowhere"):
        raw = request(
            f"POST {target}?q=s3cr3t-query&s3cr3t-query", "Cookie: s=s3cr3t-cookie",
            "Authorization: Basic s3cr3t-basic", "Content-Length: 11", body=b"s3cr3t-body",
        )  # fmt: skip
        await gate.ask(raw)
    assert len(await gate.records(3)) == 3


async def test_the_jti_is_hashed_with_a_key(start: Start) -> None:
    gate = await start(log_hash_key="k1")
    await gate.ask(request("GET /admin/x", gate.bearer()))
    await gate.ask(request("GET /admin/y", gate.bearer(payload=claims(scope="admin other"))))
    await gate.ask(request("GET /admin/z", gate.bearer(payload=claims(jti=None))))
    first, second, third = await gate.records(3)
    assert first["jti_hash"] == second["jti_hash"]
    assert "c0ffee" not in first["jti_hash"]
    assert third["jti_hash"] is None


async def test_a_log_that_was_moved_away_is_begun_anew(gate: Gate, tmp_path: Path) -> None:
    await gate.ask(request("GET /public/1"))
    await gate.records(1)
    gate.log.rename(tmp_path / "access.jsonl.1")
    await gate.ask(request("GET /public/2"))
    gate.gateway.reopen_log()
    await gate.ask(request("GET /public/3"))

    def paths() -> list[str]:
        files = [file for file in (tmp_path / "access.jsonl.1", gate.log) if file.exists()]
        return [json.loads(line)["path"] for file in files for line in file.read_bytes().splitlines()]

    await eventually(lambda: paths() == ["/public/1", "/public/2", "/public/3"])
    assert gate.log.exists()
    gate.answers.clear()
    gate.reads_all = False


async def test_a_full_disk_loses_lines_and_says_so_while_requests_go_on(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    gate = await start(access_log="/dev/full")
    for _ in range(3):
        assert (await gate.ask(request("GET /public/x"))).status == 200
    status = await gate.until(lambda status: status["log_dropped"] == 3)
    assert (status["log_written"], status["log_error"]) == (0, "No space left on device")
    assert "access log /dev/full: No space left on device" in caplog.text
    gate.answers.clear()
