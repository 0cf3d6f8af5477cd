"""Rules that are swapped while the gateway runs."""

import asyncio
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from gateway import build
from gateway.assembly import SWAPPED, can_be_swapped
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.plan import Plan

from .gate import ROUTES, Gate, configuration, in_haste
from .raw_client import request
from .raw_upstream import OK, Visit

CLOSED = [route for route in ROUTES if route["id"] != "open"]
STRICTER = [route | {"scopes": ["root"]} if route["id"] == "admin" else route for route in ROUTES]


def planned(folder: Path, revision: str = "next", **changes: Any) -> Plan:
    config = parse(configuration(9, **changes), "gateway.yaml", {})
    assert isinstance(config, GatewayConfig), config
    return build.plan(config, folder, revision)


async def swap(gate: Gate, revision: str = "next", **changes: Any) -> None:
    config = parse(configuration(gate.upstream.port, access_log=str(gate.log), **changes), "gateway.yaml", {})
    assert isinstance(config, GatewayConfig), config
    await gate.gateway.build(in_haste(build.plan(config, gate.log.parent, revision)))()


async def test_a_kept_connection_is_judged_by_the_new_rules_at_its_next_request(gate: Gate) -> None:
    ask = request("GET /admin/x", gate.bearer())
    async with gate.connect() as client:
        assert [(await client.ask(ask)).status for _ in range(2)] == [200, 200]
        await swap(gate, routes=STRICTER)
        assert (await client.ask(ask)).status == 403
        await swap(gate, "after", routes=ROUTES)
        assert (await client.ask(ask)).status == 200
    records = await gate.records(4)
    assert [record["config_rev"] for record in records] == ["test", "test", "next", "after"]
    assert (await gate.status())["config_rev"] == "after"


async def test_a_request_in_flight_finishes_under_the_rules_that_it_began_with(gate: Gate) -> None:
    may_answer = asyncio.Event()

    async def late(visit: Visit) -> None:
        await may_answer.wait()
        await visit.send(OK)

    gate.upstream.play = late
    async with gate.connect() as client, gate.connect() as other:
        await client.send(request("GET /public/x"))
        await gate.upstream.visited()
        await swap(gate, routes=CLOSED)
        assert (await other.ask(request("GET /public/x"))).status == 404
        may_answer.set()
        assert (await client.answer()).status == 200
        assert (await client.ask(request("GET /public/x"))).status == 404
    by_status = {record["status"]: record["config_rev"] for record in await gate.records(3)}
    assert by_status == {200: "test", 404: "next"}


async def test_tokens_are_verified_anew_after_a_swap_by_what_their_issuer_says_now(gate: Gate) -> None:
    ask = request("GET /admin/x", gate.bearer())
    async with gate.connect() as client:
        assert [(await client.ask(ask)).status for _ in range(2)] == [200, 200]
        await swap(gate)
        assert (await gate.status())["cached_tokens"] == 0
        assert (await client.ask(ask)).status == 200
        assert (await gate.status())["tokens_verified"] == 2
        await swap(gate, issuer={"audience": "https://another.example"})
        answer = await client.ask(ask)
    assert (answer.status, b"audience_mismatch" in answer.body) == (401, True)


async def test_connections_to_the_upstream_stay(gate: Gate) -> None:
    async with gate.connect() as client:
        for _ in range(3):
            assert (await client.ask(request("GET /public/x"))).status == 200
            await swap(gate, realm="renewed")
        assert 'realm="renewed"' in (await client.ask(request("GET /admin/x")))["WWW-Authenticate"]
    assert gate.upstream.connections == 1


@pytest.mark.parametrize("part", sorted({field.name for field in fields(Plan)} - SWAPPED))
def test_what_is_not_known_to_be_swapped_needs_new_workers(part: str, tmp_path: Path) -> None:
    before = planned(tmp_path)
    changed: Any = {} if part == "issuers" else object()
    assert not can_be_swapped(before, replace(before, **{part: changed}))


@pytest.mark.parametrize(
    ("changes", "swapped"),
    [
        ({}, True),
        ({"routes": CLOSED}, True),
        ({"realm": "other"}, True),
        ({"public_url": "https://api.example"}, True),
        ({"proofs": {"nonces": True}}, True),
        ({"trusted_proxies": ["10.0.0.0/8"]}, True),
        ({"drain_timeout": "1s"}, True),
        ({"reload": {"watch": False}}, True),
        ({"issuer": {"leeway": "5s"}}, True),
        ({"issuer": {"jwks_file": "other.json"}}, False),
        ({"upstream": {"max_connections": 7}}, False),
        ({"token_cache": 7}, False),
        ({"limits": {"requests": 7}}, False),
        ({"log_hash_key": "secret"}, False),
    ],
)
def test_what_can_be_swapped(changes: dict[str, Any], *, swapped: bool, tmp_path: Path) -> None:
    assert can_be_swapped(planned(tmp_path), planned(tmp_path, "other", **changes)) is swapped


async def test_a_gateway_refuses_a_plan_that_it_cannot_swap(gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a gateway of its own"):
        gate.gateway.build(planned(tmp_path, token_cache=7))
