"""What a route changes on the way to its upstream, and what stays as it came."""

import asyncio
import json
from typing import Any

import pytest

from .asked import OPAQUE, asking, says
from .conftest import Start
from .minting import claims, mint, rsa_key
from .raw_client import request
from .raw_upstream import OK, Play, RawUpstream, Visit
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


# Claims in fields

TELLING: dict[str, Any] = {"claim_fields": {"X-Tenant": "tenant", "X-Roles": "realm_access.roles"}}
TOLD = [
    USUAL | TELLING | {"id": "told", "path": "/told/{rest...}"},
    USUAL | TELLING | MOVES | {"id": "moved", "path": "/m/told", "token_from": {"header": "X-Api-Token"}},
    USUAL | TELLING | {"id": "socket", "path": "/ws", "websocket": True},
    USUAL | {"id": "usual", "path": "/usual"},
]
FORGED = ("X-Tenant: root", "x_tenant: root", "X.TENANT: root", "X-Roles: root", "X-Roles: root", "X-Tenants: mine")


def of(**changes: Any) -> str:
    return mint(claims(**changes))


@pytest.mark.parametrize(
    ("payload", "tenant", "roles"),
    [
        ({"tenant": "acme", "realm_access": {"roles": ["a", "b,c"]}}, "acme", "a,b%2Cc"),
        ({}, "", ""),
        ({"tenant": 7, "realm_access": {"roles": True}}, "7", "true"),
        ({"tenant": {"id": 7}, "realm_access.roles": "own"}, "", "own"),
        (
            {"tenant": "a\r\nX-Client-Id: root\r\n\r\nGET / HTTP/1.1"},
            "a%0D%0AX-Client-Id: root%0D%0A%0D%0AGET / HTTP/1.1",
            "",
        ),
    ],
)
async def test_the_upstream_learns_claims_and_nothing_that_the_client_says_of_them(
    start: Start, payload: dict[str, Any], tenant: str, roles: str
) -> None:
    gate = await start(routes=TOLD)
    async with gate.connect() as client:
        for _ in range(2):
            answer = await client.ask(
                request("GET /told/x", gate.bearer(of(**payload)), *FORGED, "Connection: X-Tenant")
            )
            assert answer.status == 200
    for visit in gate.upstream.visits:
        assert (visit.fields("X-Tenant"), visit.fields("X-Roles")) == ([tenant], [roles])
        assert not {"x_tenant", "x.tenant"} & set(visit.names)
        assert (visit.fields("X-Tenants"), visit.fields("X-Client-Id")) == (["mine"], ["nightly-batch"])
    assert not gate.upstream.stray


async def test_each_token_and_route_of_a_connection_has_its_own_fields(start: Start) -> None:
    gate = await start(routes=TOLD)
    asks = [
        request("GET /told/x", gate.bearer(of(tenant="one"))),
        request("GET /told/x", gate.bearer(of(tenant="two"))),
        request("GET /usual", gate.bearer(of(tenant="two")), "X-Tenant: mine"),
        request("GET /told/y", gate.bearer(of())),
    ]
    async with gate.connect() as client:
        assert [(await client.ask(ask)).status for ask in asks] == [200, 200, 200, 200]
    assert [visit.fields("X-Tenant") for visit in gate.upstream.visits] == [["one"], ["two"], ["mine"], [""]]


async def test_all_that_a_route_changes_is_changed_together(start: Start) -> None:
    gate = await start(routes=TOLD)
    token = of(tenant="acme")
    assert (await gate.ask(request("GET /m/told?x", f"X-Api-Token: {token}", *FORGED))).status == 200
    visit = gate.upstream.last
    assert (visit.line, visit.fields("X-Forwarded-Prefix")) == (b"GET /v2/told?x HTTP/1.1", ["/m"])
    assert (visit.fields("X-Tenant"), visit.fields("X-Api-Token")) == (["acme"], [])


async def test_a_websocket_bears_the_claims_of_its_token(start: Start) -> None:
    gate = await start(routes=TOLD)
    gate.upstream.play = echo
    async with gate.connect() as client:
        await client.send(request("GET /ws", gate.bearer(of(tenant="acme")), *HANDSHAKE, *FORGED))
        await agreed(gate, client)
    assert gate.upstream.last.fields("X-Tenant") == ["acme"]


@pytest.mark.parametrize("path", ["/told/x", "/usual"])
async def test_no_trailer_says_what_claims_are_to_say(start: Start, path: str) -> None:
    gate = await start(routes=TOLD)
    names = "X-Tenant, x_tenant, X.Roles, X-Sum"
    trailers = b"X-Tenant: root\r\nx_tenant: root\r\nX.Roles: root\r\nX-Sum: 1\r\n"
    body = b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n"
    fields = (gate.bearer(), "Transfer-Encoding: chunked", f"Trailer: {names}")
    async with gate.connect() as client:
        assert (await client.ask(request(f"POST {path}", *fields, body=body))).status == 200
    visit = gate.upstream.last
    kept = path == "/told/x"
    assert visit.fields("Trailer") == ["x-sum"] if kept else [names.lower()]
    assert visit.trailers == ([b"X-Sum: 1"] if kept else trailers.splitlines())


async def test_claims_that_new_rules_name_are_told_of_tokens_that_were_verified_before(start: Start) -> None:
    gate = await start(routes=[USUAL | {"id": "told", "path": "/told/{rest...}"}])
    ask = request("GET /told/x", gate.bearer(of(tenant="acme")), "X-Tenant: mine")
    async with gate.connect() as client:
        await client.ask(ask)
        await swap(gate, routes=TOLD)
        await client.ask(ask)
    assert [visit.fields("X-Tenant") for visit in gate.upstream.visits] == [["mine"], ["acme"]]


async def test_who_is_let_in_without_a_good_token_has_empty_fields(start: Start) -> None:
    gate = await start(routes=[USUAL | TELLING | {"id": "told", "path": "/told/{rest...}", "mode": "shadow"}])
    other = gate.bearer(mint(claims(tenant="acme"), rsa_key("strange")))
    for fields in ([], [other], [gate.bearer(of(tenant="acme", scope="none"))]):
        assert (await gate.ask(request("GET /told/x", *fields, *FORGED))).status == 200
    assert [visit.fields("X-Tenant") for visit in gate.upstream.visits] == [[""], [""], ["acme"]]


async def test_claims_of_an_opaque_token_are_those_that_its_issuer_tells(start: Start, issuer: RawUpstream) -> None:
    issuer.play = says(tenant=["a", "b"])
    gate = await start(routes=TOLD, **asking(issuer))
    assert (await gate.ask(request("GET /told/x", f"Authorization: Bearer {OPAQUE}"))).status == 200
    assert gate.upstream.last.fields("X-Tenant") == ["a,b"]


async def test_a_body_that_came_while_its_token_was_asked_about_brings_no_such_trailer(
    start: Start, issuer: RawUpstream
) -> None:
    issuer.play = says(tenant="acme")
    gate = await start(routes=TOLD, **asking(issuer))
    body = b"3\r\nabc\r\n0\r\nX-Tenant: root\r\nX-Sum: 1\r\n\r\n"
    fields = (f"Authorization: Bearer {OPAQUE}", "Transfer-Encoding: chunked", "Trailer: X-Tenant, X-Sum")
    assert (await gate.ask(request("POST /told/x", *fields, body=body))).status == 200
    visit = gate.upstream.last
    assert (visit.fields("X-Tenant"), visit.fields("Trailer"), visit.trailers) == (["acme"], ["x-sum"], [b"X-Sum: 1"])
    assert visit.body == b"abc"


# Times

SHORT, LONG = "150ms", "1h"
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"


def timed(*, first_byte: str | None = None, idle: str | None = None, total: str | None = None) -> list[dict[str, Any]]:
    """A route with times of its own beside one without."""
    named = {"first_byte": first_byte, "idle": idle, "total": total}
    timeouts = {name: value for name, value in named.items() if value is not None}
    return [
        {"id": "own", "path": "/own", "public": True, "upstream": "api", "timeouts": timeouts},
        {"id": "usual", "path": "/usual", "public": True, "upstream": "api"},
    ]


def tardy(begin: bytes, rest: bytes) -> tuple[Play, asyncio.Event]:
    """An upstream that begins to answer, and goes on when it is told to, unless the gateway has left."""
    may_go_on = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.send(begin)
        await may_go_on.wait()
        await visit.send(rest)

    return play, may_go_on


TARDY = [
    pytest.param({"first_byte": SHORT}, {"first_byte_timeout": LONG}, b"", OK, id="first_byte"),
    pytest.param({"idle": SHORT}, {"idle_timeout": LONG}, BEGUN, b"lf", id="idle"),
    pytest.param({"total": SHORT}, {"total_timeout": LONG}, BEGUN, b"lf", id="total"),
    pytest.param({"total": SHORT}, {}, BEGUN, b"lf", id="total alone"),
]


@pytest.mark.parametrize(("own", "usual", "begin", "rest"), TARDY)
async def test_a_route_waits_less_long_than_its_upstream_says(
    start: Start, own: dict[str, str], usual: dict[str, str], begin: bytes, rest: bytes
) -> None:
    """The request on the other route has waited longer by then, and is answered all the same."""
    gate = await start(routes=timed(**own), upstream=usual)
    gate.upstream.play, may_go_on = tardy(begin, rest)
    async with gate.connect() as other, gate.connect() as client:
        await other.send(request("GET /usual"))
        await gate.upstream.visited()
        cut_off = await client.ask(request("GET /own"))
        may_go_on.set()
        answer = await other.answer()
    assert (answer.status, answer.whole) == (200, True)
    assert (cut_off.status, cut_off.whole) == ((200, False) if begin else (504, True))
    reasons = {record["route"]: record["reason"] for record in await gate.records(2)}
    assert reasons == {"own": "upstream_timeout", "usual": None}


@pytest.mark.parametrize(("own", "usual", "begin", "rest"), TARDY[:3])
async def test_a_route_waits_longer_than_its_upstream_says(
    start: Start, own: dict[str, str], usual: dict[str, str], begin: bytes, rest: bytes
) -> None:
    (mine,), (its,) = own, usual
    gate = await start(routes=timed(**{mine: LONG}), upstream={its: SHORT})
    gate.upstream.play, may_go_on = tardy(begin, rest)
    async with gate.connect() as other, gate.connect() as client:
        await client.send(request("GET /own"))
        await gate.upstream.visited()
        cut_off = await other.ask(request("GET /usual"))
        may_go_on.set()
        answer = await client.answer()
    assert (answer.status, answer.whole) == (200, True)
    assert (cut_off.status, cut_off.whole) == ((200, False) if begin else (504, True))


async def test_a_connection_that_served_one_route_waits_as_the_next_one_says(start: Start) -> None:
    gate = await start(routes=timed(first_byte=LONG), upstream={"first_byte_timeout": SHORT, "max_connections": 1})
    async with gate.connect() as client:
        assert (await client.ask(request("GET /own"))).status == 200
        gate.upstream.play, may_go_on = tardy(b"", OK)
        assert (await client.ask(request("GET /usual"))).status == 504
        may_go_on.set()
    assert gate.upstream.connections == 1


async def test_the_times_of_a_route_can_be_swapped(start: Start) -> None:
    gate = await start(routes=timed(first_byte=LONG))
    gate.upstream.play, may_go_on = tardy(b"", OK)
    async with gate.connect() as client:
        await client.send(request("GET /own"))
        await gate.upstream.visited()
        await swap(gate, routes=timed(first_byte=SHORT))
        assert (await gate.ask(request("GET /own"))).status == 504
        may_go_on.set()
        assert (await client.answer()).status == 200
