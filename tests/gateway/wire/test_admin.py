"""The operator's listener."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .gate import Gate
from .raw_client import RawClient, request
from .raw_upstream import OK, Visit


async def metrics(gate: Gate) -> dict[str, float]:
    """Each sample of the metrics page by its name and labels."""
    text = (await gate.operator("/metrics")).body.decode()
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_health_and_readiness(gate: Gate) -> None:
    for path, body in (("/healthz", b"ok\n"), ("/readyz", b"ready\n")):
        answer = await gate.operator(path)
        assert (answer.status, answer.body) == (200, body)


async def test_metrics_count_what_happened(gate: Gate) -> None:
    bearer = gate.bearer()
    for raw in (
        request("GET /admin/x", bearer),
        request("GET /admin/x", bearer),
        request("GET /admin/x"),
        request("GET /nowhere"),
    ):
        await gate.ask(raw)
    samples = await metrics(gate)
    assert samples["scopegate_requests_total decision=allow reason= route=admin status=200"] == 2
    assert samples["scopegate_requests_total decision=deny reason=token_missing route=admin status=401"] == 1
    assert samples["scopegate_requests_total decision=deny reason=no_route route= status=404"] == 1
    assert samples["scopegate_request_duration_seconds_count"] == 4
    assert samples["scopegate_request_duration_seconds_bucket le=+Inf"] == 4
    assert samples["scopegate_token_checks_total source=verification"] == 1
    assert samples["scopegate_token_checks_total source=cache"] == 1
    assert samples["scopegate_issuer_keys issuer=main"] == 3
    assert samples["scopegate_upstream_connections state=idle upstream=api"] == 1
    assert samples["scopegate_ready"] == 1


async def test_the_status_tells_the_same_as_json(gate: Gate) -> None:
    await gate.ask(request("GET /admin/x"))
    status = await gate.status()
    assert status["requests"] == [
        {"route": "admin", "decision": "deny", "reason": "token_missing", "status": 401, "count": 1}
    ]
    assert status["started_at"] == "2027-01-15T08:00:00.000Z"
    assert (status["ready"], status["config_rev"]) == (True, "test")
    assert [issuer["kids"] for issuer in status["issuers"]] == [["rsa", "ec", "ec384"], ["rsa"]]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:9901"]
)
async def test_a_name_that_was_made_to_point_here_is_refused(gate: Gate, host: str) -> None:
    for path in ("/metrics", "/status.json", "/healthz", "/nowhere"):
        assert (await gate.operator(path, host)).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:9901", "[::1]:9901", "10.1.2.3"])
async def test_an_address_and_localhost_are_taken(gate: Gate, host: str) -> None:
    assert (await gate.operator("/healthz", host)).status == 200


@pytest.mark.parametrize("path", ["/metrics", "/status.json", "/healthz", "/readyz", "/reload"])
async def test_nothing_of_it_is_on_the_clients_port(gate: Gate, path: str) -> None:
    assert (await gate.ask(request(f"GET {path}"))).status == 404
    assert not gate.upstream.visits


async def test_no_route_is_on_the_operators_port(gate: Gate) -> None:
    assert (await gate.operator("/public/x")).status == 404


async def test_a_drain_lets_what_is_in_flight_finish_and_takes_nothing_new(gate: Gate) -> None:
    finish = asyncio.Event()

    async def play(visit: Visit) -> None:
        await finish.wait()
        await visit.send(OK)

    gate.upstream.play = play
    admin = RawClient(gate.gateway.admin_port)
    async with gate.connect() as busy, gate.connect() as idle, gate.connect() as half, admin:
        await busy.send(request("GET /public/x"))
        await half.send(request("GET /public/half")[:20])
        await gate.upstream.visited()
        await gate.until(lambda status: status["connections"] == 3)
        draining = asyncio.create_task(gate.gateway.drain())
        assert await idle.rest() == b""
        unready = await admin.ask(request("GET /readyz", host="Host: localhost"))
        assert (unready.status, unready.body) == (503, b"not ready\n")
        assert (await admin.ask(request("GET /healthz", host="Host: localhost"))).status == 200
        with pytest.raises(ConnectionRefusedError):
            await gate.connect().__aenter__()
        finish.set()
        answer = await busy.answer()
        assert (answer.body, answer["Connection"]) == (b"ok", "close")
        assert await busy.rest() == b""
        assert (await half.ask(request("GET /public/half")[20:]))["Connection"] == "close"
        await draining
    gate.stopped = True


async def test_what_does_not_finish_in_time_is_cut_off_and_recorded(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        await visit.gone()

    gate.upstream.play = play
    async with gate.connect() as client:
        await client.send(request("GET /public/x"))
        await gate.upstream.visited()
        await gate.gateway.close()
        assert await client.rest() == b""
    assert (await gate.record())["status"] == 499
    gate.stopped = True
