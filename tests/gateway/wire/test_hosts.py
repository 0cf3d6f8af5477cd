"""Routes of one host are open at no other, over real connections."""

import json

from .conftest import Start
from .raw_client import RawClient

ROUTES = [
    {"id": "internal", "host": "*.internal.example", "path": "/x", "public": True, "upstream": "api"},
    {"id": "api", "host": ["api.example", "[::1]"], "path": "/{rest...}", "scopes": ["admin"], "upstream": "api"},
    {"id": "any", "path": "/{id:int}", "scopes": ["jobs.read"], "upstream": "api"},
]


async def outcome(client: RawClient, host: str, path: str, *fields: str) -> str:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    answer = await client.ask("\r\n".join(lines).encode())
    return "" if answer.status == 200 else str(json.loads(answer.body)["reason"])


async def test_each_request_of_a_connection_is_judged_by_its_own_host(start: Start) -> None:
    gate = await start(routes=ROUTES)
    good = gate.bearer()
    expected = [
        ("a.internal.example", "/x", ""),
        ("api.example", "/x", ""),
        ("API.Example.:8443", "/x", ""),
        ("a.internal.example", "/7", "scope_insufficient"),
        ("internal.example", "/x", "no_route"),
        ("api.example", "/7", ""),
        ("other.example", "/7", "scope_insufficient"),
        ("other.example", "/seven", "no_route"),
        ("[0::1]", "/seven", ""),
        ("a.internal.example.attacker.example", "/x", "no_route"),
    ]
    async with gate.connect() as client:
        for _ in range(2):
            for host, path, why in expected:
                assert (host, path, await outcome(client, host, path, good)) == (host, path, why)
        assert await outcome(client, "a.internal.example", "/x") == ""
        assert await outcome(client, "api.example", "/x") == "token_missing"
    records = await gate.records(2 * len(expected) + 2)
    assert [record["route"] for record in records[:4]] == ["internal", "api", "api", "any"]
    assert len(gate.upstream.visits) == 2 * sum(not why for *_, why in expected) + 1


async def test_another_host_than_the_field_says_opens_nothing(start: Start) -> None:
    gate = await start(routes=ROUTES[:1])
    async with gate.connect() as client:
        for field in ("X-Forwarded-Host: a.internal.example", "X-Host: a.internal.example"):
            assert await outcome(client, "outside.example", "/x", field) == "no_route"
        answer = await client.ask(b"GET /x HTTP/1.0\r\n\r\n")
        assert answer.status == 404
    async with gate.connect() as client:
        twice = b"GET /x HTTP/1.1\r\nHost: outside.example\r\nHost: a.internal.example\r\n\r\n"
        assert (await client.ask(twice)).status == 400
    assert gate.upstream.visits == []
