"""How often one caller may call, over HTTP."""

import asyncio
import json
from typing import Any

import pytest

from .conftest import Start
from .gate import Gate
from .minting import NOW, OTHER_ISSUER, claims, mint, rsa_key
from .patience import eventually
from .raw_client import Answer, request
from .raw_upstream import OK, Visit
from .test_swap import swap

BEGIN = NOW // 3600 * 3600.0
"""When windows of all lengths up to an hour begin."""


def limited(by: str, limit: str = "3/minute", **changes: Any) -> dict[str, Any]:
    limits = [{"limit": limit, "by": by}]
    return {"id": "jobs", "path": "/jobs", "scopes": ["jobs.read"], "upstream": "api", "rate_limits": limits} | changes


PUBLIC = {"id": "open", "path": "/open", "public": True, "upstream": "api"}
OTHERS: list[dict[str, Any]] = [{"id": "admin", "path": "/admin", "scopes": ["admin"], "upstream": "api"}]


def at_the_hour(gate: Gate, seconds: float = 0.0) -> Gate:
    gate.clock.now = BEGIN + seconds
    return gate


def of(**changes: Any) -> str:
    return mint(claims(**({"scope": "jobs.read admin", "exp": BEGIN + 7200, "iat": BEGIN} | changes)))


async def ask(gate: Gate, line: str = "GET /jobs", token: str | None = None, *fields: str) -> Answer:
    return await gate.ask(request(line, gate.bearer(of() if token is None else token), *fields))


async def statuses(gate: Gate, times: int, line: str = "GET /jobs", token: str | None = None) -> list[int]:
    return [(await ask(gate, line, token)).status for _ in range(times)]


async def test_a_client_that_calls_too_often_is_refused_until_there_is_room_again(start: Start) -> None:
    gate = at_the_hour(await start(routes=[limited("client"), *OTHERS]), 20)
    assert await statuses(gate, 3) == [200] * 3
    refused = await ask(gate)
    assert refused.status == 429
    assert refused["Retry-After"] == "41"
    assert "WWW-Authenticate" not in refused
    problem = json.loads(refused.body)
    assert (problem["reason"], problem["title"]) == ("rate_limited", "Too many requests")
    assert len(gate.upstream.visits) == 3
    assert await statuses(gate, 1, "GET /admin") == [200]
    gate.clock.now += 40
    assert await statuses(gate, 1) == [429]
    gate.clock.now += 1
    assert await statuses(gate, 2) == [200, 429]
    record = (await gate.records(8))[3]
    assert {key: record[key] for key in ("decision", "reason", "route", "client_id", "upstream")} == {
        "decision": "deny",
        "reason": "rate_limited",
        "route": "jobs",
        "client_id": "nightly-batch",
        "upstream": None,
    }
    assert record["detail"] == (
        "rate limit: expected at most 3/minute by client, "
        "found all of it used by client main/nightly-batch, for 41 s more"
    )
    assert 'reason="rate_limited"' in (await gate.operator("/metrics")).body.decode()


async def test_a_kept_connection_is_counted_request_by_request(start: Start) -> None:
    gate = at_the_hour(await start(routes=[limited("client")]))
    line = gate.bearer(of())
    async with gate.connect() as client:
        assert [(await client.ask(request("GET /jobs", line))).status for _ in range(5)] == [200, 200, 200, 429, 429]


async def test_what_is_refused_for_another_reason_does_not_count(start: Start) -> None:
    gate = at_the_hour(await start(routes=[limited("client", max_body=4, methods=["GET", "POST"])]))
    assert await statuses(gate, 5, token=of(scope="jobs")) == [403] * 5
    assert await statuses(gate, 5, token=of(exp=BEGIN)) == [401] * 5
    assert await statuses(gate, 5, "GET /other") == [404] * 5
    too_much = request("POST /jobs", gate.bearer(of()), "Content-Length: 5") + b"12345"
    assert [(await gate.ask(too_much)).status for _ in range(5)] == [413] * 5
    assert await statuses(gate, 4) == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("by", "alike", "other"),
    [
        ("client", {"sub": "another"}, {"client_id": "reports"}),
        ("subject", {"client_id": "another"}, {"sub": "another"}),
    ],
)
async def test_one_is_counted_by_what_the_verified_token_says(
    start: Start, by: str, alike: dict[str, Any], other: dict[str, Any]
) -> None:
    gate = at_the_hour(await start(routes=[limited(by)]))
    assert await statuses(gate, 2) == [200] * 2
    assert await statuses(gate, 2, token=of(**alike)) == [200, 429]
    assert await statuses(gate, 4, token=of(**other)) == [200, 200, 200, 429]
    namesake = mint(
        claims(iss=OTHER_ISSUER, scope="jobs.read", exp=BEGIN + 7200, iat=BEGIN), key=rsa_key("other"), kid="rsa"
    )
    assert await statuses(gate, 4, token=namesake) == [200, 200, 200, 429]


async def test_several_limits_hold_together_and_the_longest_wait_is_told(start: Start) -> None:
    limits = [{"limit": "2/second", "by": "client"}, {"limit": "3/hour", "by": "subject"}]
    gate = at_the_hour(await start(routes=[limited("client", rate_limits=limits)]))
    assert await statuses(gate, 3) == [200, 200, 429]
    gate.clock.now += 5
    assert await statuses(gate, 1) == [200]
    refused = await ask(gate)
    assert (refused.status, refused["Retry-After"]) == (429, "3596")


BY_ADDRESS = PUBLIC | {"rate_limits": [{"limit": "2/minute", "by": "address"}]}


async def from_(gate: Gate, address: str) -> int:
    """Ask with an address that a proxy might tell of."""
    return (await gate.ask(request("GET /open", f"X-Forwarded-For: {address}"))).status


async def test_an_address_is_that_of_the_connection_whatever_the_client_says(start: Start) -> None:
    gate = at_the_hour(await start(routes=[BY_ADDRESS]))
    assert [await from_(gate, f"192.0.2.{last}") for last in (1, 2, 3)] == [200, 200, 429]


async def test_an_address_is_the_one_that_a_trusted_proxy_tells(start: Start) -> None:
    gate = at_the_hour(await start(routes=[BY_ADDRESS], trusted_proxies=["127.0.0.0/8"]))
    assert [await from_(gate, "192.0.2.1") for _ in range(3)] == [200, 200, 429]
    assert await from_(gate, "192.0.2.2") == 200
    assert [await from_(gate, f"2001:db8::{last}") for last in (1, 2, 3)] == [200, 200, 429]


async def test_callers_whose_address_a_trusted_proxy_does_not_tell_are_counted_together(start: Start) -> None:
    gate = at_the_hour(await start(routes=[BY_ADDRESS], trusted_proxies=["127.0.0.0/8"]))
    told = ("unknown", "192.0.2.1, _hidden", "nowhere")
    assert [await from_(gate, each) for each in told] == [200, 200, 429]
    assert [await from_(gate, f"192.0.2.1:{port}") for port in (1, 2, 3)] == [200, 200, 429]
    refused = (await gate.records(6))[2]
    assert "callers whose address is not known" in refused["detail"]


async def test_counts_outlive_a_swap_of_the_rules(start: Start) -> None:
    gate = at_the_hour(await start(routes=[limited("client"), *OTHERS]))
    assert await statuses(gate, 2) == [200] * 2
    await swap(gate, routes=OTHERS)
    assert await statuses(gate, 1) == [404]
    await swap(gate, "back", routes=[*OTHERS, limited("client")])
    assert await statuses(gate, 2) == [200, 429]
    await swap(gate, "more", routes=[limited("client", "5/minute")])
    assert await statuses(gate, 6) == [200] * 5 + [429]


async def test_limits_that_a_swap_brings_hold_at_once(start: Start) -> None:
    gate = at_the_hour(await start(routes=[limited("client", rate_limits=[])]))
    assert await statuses(gate, 9) == [200] * 9
    await swap(gate, routes=[limited("client")])
    assert await statuses(gate, 4) == [200, 200, 200, 429]


async def test_requests_at_the_same_time_get_no_more_than_the_limit(start: Start) -> None:
    may_answer = asyncio.Event()

    async def late(visit: Visit) -> None:
        await may_answer.wait()
        await visit.send(OK)

    gate = at_the_hour(await start(routes=[limited("client")]))
    gate.upstream.play = late
    asked = [asyncio.create_task(ask(gate)) for _ in range(8)]
    await eventually(lambda: sum(task.done() for task in asked) == 5)
    assert [task.result().status for task in asked if task.done()] == [429] * 5
    may_answer.set()
    assert sorted([answer.status for answer in await asyncio.gather(*asked)]) == [200] * 3 + [429] * 5


async def test_a_shadowed_limit_lets_pass_and_tells(start: Start) -> None:
    gate = at_the_hour(await start(routes=[limited("client", mode="shadow")]))
    assert await statuses(gate, 5) == [200] * 5
    assert await statuses(gate, 3, token=of(scope="x")) == [200] * 3
    told = [(record["decision"], record["would_deny"]) for record in await gate.records(8)]
    assert told == [
        *[("allow", None)] * 3,
        *[("allow", "rate_limited")] * 2,
        *[("allow", "scope_insufficient")] * 3,
    ]


async def test_a_limit_holds_for_whom_a_grace_lets_pass(start: Start) -> None:
    route = limited(
        "client", mode="grace until 2100-01-01", grace_clients={"main": ["nightly-batch"]}, issuers=["main"]
    )
    gate = at_the_hour(await start(routes=[route]))
    assert await statuses(gate, 4, token=of(scope="x")) == [200, 200, 200, 429]


async def test_a_count_that_fails_is_no_pass(start: Start) -> None:
    gate = at_the_hour(await start(routes=[limited("client"), *OTHERS]))
    gate.gateway._proxy.rules.counts.close()
    assert await statuses(gate, 2) == [500] * 2
    assert not gate.upstream.visits
    assert await statuses(gate, 1, "GET /admin") == [200]
