"""Routes are told apart by the fields that the upstream reads, over real connections."""

import json

import pytest

from .conftest import Start
from .minting import claims
from .raw_client import RawClient, request

USUAL = {"path": "/jobs/{job}", "upstream": "api"}
ROUTES = [
    USUAL | {"id": "two", "fields": {"X-Version": "2", "X-Beta": False}, "scopes": ["admin"]},
    USUAL | {"id": "beta", "fields": {"X-Beta": ["on", "yes"]}, "scopes": ["nobody"]},
    USUAL | {"id": "agent", "fields": {"User-Agent": "cron"}, "public": True},
    USUAL | {"id": "other", "path": "/other", "public": True},
]


async def reason(client: RawClient, raw: bytes) -> str:
    """Why a request was refused; "" where it was not."""
    answer = await client.ask(raw)
    return "" if answer.status == 200 else str(json.loads(answer.body)["reason"])


async def test_each_request_of_a_connection_takes_the_route_of_its_own_fields(start: Start) -> None:
    gate = await start(routes=ROUTES)
    good, poor = gate.bearer(), gate.bearer(payload=claims(scope="other"))
    expected = [
        (("X-Version: 2", good), "two", ""),
        (("X-Version: 2", good), "two", ""),
        (("X-Version: 2", poor), "two", "scope_insufficient"),
        (("X-Version: 2", good), "two", ""),
        (("X-Version: 3", good), None, "no_route"),
        (("x-version: 2", good), "two", ""),
        (("X-Version: 2", "X-Beta: on", good), "beta", "scope_insufficient"),
        (("X-Version: 2", "X-Beta: off", good), None, "no_route"),
        (("User-Agent: cron", good), "agent", ""),
        (("User-Agent: cron", "X-Beta: off"), "agent", ""),
        (("User-Agent: cron/2", good), None, "no_route"),
        (("X-Version: 2", "Connection: x-version", good), None, "no_route"),
        (("X-Version: 2", "X-Beta: on", "Connection: X-Beta", good), "two", ""),
        ((good,), None, "no_route"),
        (("X-Version: 2",), "two", "token_missing"),
    ]
    async with gate.connect() as client:
        for fields, _, why in expected:
            assert (fields[:-1], await reason(client, request("GET /jobs/7", *fields))) == (fields[:-1], why)
        assert await reason(client, request("GET /jobs/8", "X-Version: 2", good)) == ""
        assert await reason(client, request("GET /other", "X-Version: 2", good)) == ""
    records = await gate.records(len(expected) + 2)
    assert [record["route"] for record in records] == [*(route for _, route, _ in expected), "two", "other"]
    assert len(gate.upstream.visits) == sum(not why for *_, why in expected) + 2


@pytest.mark.parametrize(
    "fields",
    [
        ("X-Version: 2", "X-Version: 3"),
        ("X-Version: 2", "x-version: 2"),
        ("X_Version: 2",),
        ("X-Version: 2", "X.Version: 3"),
        ("X-Version: 2", "X_Beta: on"),
        ("X-Version: 2", "x.BETA:"),
        ("X-Version: 2\xa0",),
        ("X-Version: 2", "X-Beta: on\x85"),
    ],
)
async def test_a_field_that_the_upstream_may_read_otherwise_opens_nothing(
    start: Start, fields: tuple[str, ...]
) -> None:
    gate = await start(routes=ROUTES)
    async with gate.connect() as client:
        assert await reason(client, request("GET /jobs/7", *fields, gate.bearer())) == "request_malformed"
    async with gate.connect() as client:
        assert await reason(client, request("GET /other", *fields, gate.bearer())) == ""
    assert len(gate.upstream.visits) == 1
    assert [record["route"] for record in await gate.records(2)] == [None, "other"]


async def test_what_routes_look_at_does_not_go_on_as_a_trailer(start: Start) -> None:
    gate = await start(routes=ROUTES)
    trailers = b"X-Version: 2\r\nx_beta: on\r\nX-Sum: 1\r\n"
    body = b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n"
    announced = ("Transfer-Encoding: chunked", "Trailer: X-Version, x_beta, X-Sum")
    async with gate.connect() as client:
        assert await reason(client, request("POST /other", *announced, body=body)) == ""
    (visit,) = gate.upstream.visits
    assert await visit.read_body() == b"abc"
    assert (visit.fields("Trailer"), visit.trailers) == (["x-sum"], [b"X-Sum: 1"])


async def test_a_refusal_for_its_fields_names_them_to_the_operator_and_their_values_to_nobody(start: Start) -> None:
    gate = await start(routes=ROUTES)
    answer = await gate.ask(request("GET /jobs/7", "X-Version: a-private-value"))
    assert answer.status == 404
    assert b"X-Version" not in answer.body
    record = await gate.record()
    assert record["detail"] == "no route takes this path with these fields: X-Version, X-Beta, User-Agent"
