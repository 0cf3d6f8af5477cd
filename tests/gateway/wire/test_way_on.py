"""What a route changes on the way to its upstream, and what stays as it came."""

import json
from typing import Any

import pytest

from .conftest import Start
from .raw_client import request
from .test_swap import swap
from .test_websocket import HANDSHAKE, agreed, echo

USUAL: dict[str, Any] = {"scopes": ["admin"], "upstream": "api"}
MOVES: dict[str, Any] = {"rewrite": {"prefix": "/m", "to": "/v2"}}
REWRITTEN = [
    USUAL | MOVES | {"id": "moved", "path": "/m/jobs/{job}"},
    USUAL | MOVES | {"id": "bare", "path": "/m"},
    USUAL | MOVES | {"id": "odd", "path": "/m/odd/{rest...}", "allow_in_path": ["encoded_slash", "empty_segments"]},
    USUAL | MOVES | {"id": "socket", "path": "/m/ws", "websocket": True},
    USUAL | MOVES | {"id": "field", "path": "/m/field", "token_from": {"header": "X-Api-Token"}},
    USUAL | {"id": "removed", "path": "/gone/{rest...}", "rewrite": {"prefix": "/gone", "to": "/"}},
    USUAL | {"id": "escaped", "path": "/a(b/{rest...}", "rewrite": {"prefix": "/a(b", "to": "/c"}},
    {"id": "added", "path": "/open/{x}", "public": True, "upstream": "api", "rewrite": {"prefix": "/", "to": "/base"}},
    USUAL | {"id": "usual", "path": "/usual/{rest...}"},
]


@pytest.mark.parametrize(
    ("asked", "sent", "prefix"),
    [
        ("/m/jobs/7", "/v2/jobs/7", ["/m"]),
        ("/m/jobs/a%2Cb%20c?x=/m/&y=%2F", "/v2/jobs/a%2Cb%20c?x=/m/&y=%2F", ["/m"]),
        ("/m", "/v2", ["/m"]),
        ("/m?x", "/v2?x", ["/m"]),
        ("/m/odd/a%2Fb//c", "/v2/odd/a%2Fb//c", ["/m"]),
        ("/gone/", "/", ["/gone"]),
        ("/gone/?a=b", "/?a=b", ["/gone"]),
        ("/gone/gone/x", "/gone/x", ["/gone"]),
        ("/a%28b/x%28", "/c/x%28", ["/a(b"]),
        ("/a(b/x", "/c/x", ["/a(b"]),
        ("/open/7", "/base/open/7", []),
        ("/usual/m/x", "/usual/m/x", []),
    ],
)
async def test_the_beginning_goes_on_otherwise_and_the_record_has_what_was_asked(
    start: Start, asked: str, sent: str, prefix: list[str]
) -> None:
    gate = await start(routes=REWRITTEN)
    forged = ("X-Forwarded-Prefix: /evil", "X_Forwarded_Prefix: /evil")
    assert (await gate.ask(request(f"GET {asked}", gate.bearer(), *forged))).status == 200
    visit = gate.upstream.last
    assert visit.line == f"GET {sent} HTTP/1.1".encode()
    assert visit.fields("X-Forwarded-Prefix") == prefix
    assert "x_forwarded_prefix" not in visit.names
    assert (await gate.record())["path"] == asked.partition("?")[0]


async def test_each_request_of_a_connection_goes_where_its_own_route_leads(start: Start) -> None:
    gate = await start(routes=REWRITTEN)
    bearer, lines = gate.bearer(), ["/m/jobs/1", "/m/jobs/1", "/m/jobs/2", "/usual/x", "/m/jobs/2", "/gone/m/jobs/1"]
    async with gate.connect() as client:
        for line in lines:
            assert (await client.ask(request(f"GET {line}", bearer))).status == 200
    sent = [visit.line.split()[1].decode() for visit in gate.upstream.visits]
    assert sent == ["/v2/jobs/1", "/v2/jobs/1", "/v2/jobs/2", "/usual/x", "/v2/jobs/2", "/m/jobs/1"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/m/jobs/7/", "no_route"),
        ("/m%2Fjobs/7", "target_invalid"),
        ("/m/jobs/..", "target_invalid"),
        ("/gone//host/x", "target_invalid"),
        ("/v2/jobs/7", "no_route"),
        ("//m/jobs/7", "target_invalid"),
    ],
)
async def test_what_no_route_takes_does_not_go_on_in_another_way(start: Start, path: str, reason: str) -> None:
    gate = await start(routes=REWRITTEN)
    answer = await gate.ask(request(f"GET {path}", gate.bearer()))
    assert json.loads(answer.body)["reason"] == reason
    assert not gate.upstream.visits


async def test_a_token_in_a_field_stays_here_where_the_path_goes_on_otherwise(start: Start) -> None:
    gate = await start(routes=REWRITTEN)
    token = gate.bearer().removeprefix("Authorization: Bearer ")
    assert (await gate.ask(request("GET /m/field", f"X-Api-Token: {token}", "A: 1"))).status == 200
    assert (gate.upstream.last.line, gate.upstream.last.fields("A")) == (b"GET /v2/field HTTP/1.1", ["1"])
    assert gate.upstream.last.fields("X-Api-Token") == []


async def test_a_websocket_is_asked_for_where_the_route_leads(start: Start) -> None:
    gate = await start(routes=REWRITTEN)
    gate.upstream.play = echo
    async with gate.connect() as client:
        await client.send(request("GET /m/ws?x=1", gate.bearer(), *HANDSHAKE))
        await agreed(gate, client)
        await client.send(b"frames")
        assert await client.reader.readexactly(6) == b"frames"
        client.writer.write_eof()
        await client.rest()
    assert gate.upstream.last.line == b"GET /v2/ws?x=1 HTTP/1.1"


async def test_new_rules_lead_a_kept_connection_elsewhere(start: Start) -> None:
    gate = await start(routes=REWRITTEN)
    ask = request("GET /m/jobs/7", gate.bearer())
    async with gate.connect() as client:
        await client.ask(ask)
        await swap(gate, routes=[USUAL | {"id": "moved", "path": "/m/{rest...}"}])
        await client.ask(ask)
        await swap(gate, routes=[USUAL | MOVES | {"id": "moved", "path": "/m/{rest...}"}])
        await client.ask(ask)
    sent = [visit.line.split()[1] for visit in gate.upstream.visits]
    assert sent == [b"/v2/jobs/7", b"/m/jobs/7", b"/v2/jobs/7"]
