"""Pages of other origins: preflights that the gateway answers, and what answers and refusals tell a browser."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.prove.difference import Change, compare
from gateway.prove.replay import Replayed, replay

from .conftest import Start
from .gate import Gate
from .minting import NOW, claims, rsa_key
from .raw_client import Answer, request
from .raw_upstream import OK, RawUpstream, Visit, replies
from .test_swap import swap
from .test_websocket import HANDSHAKE, agreement
from .test_witnesses import policy

APP, EVIL = "https://app.example", "https://evil.example"
PAGE, STRANGE = f"Origin: {APP}", f"Origin: {EVIL}"
CORS: dict[str, Any] = {"origins": [APP], "headers": ["Authorization", "X-Job"], "expose": ["ETag"], "max_age": "90s"}
WITH_COOKIES = CORS | {"headers": [], "credentials": True}
USUAL: dict[str, Any] = {"scopes": ["admin"], "upstream": "api"}
ROUTES: list[dict[str, Any]] = [
    USUAL | {"id": "read", "path": "/jobs/{job}", "methods": ["GET", "HEAD"], "cors": CORS},
    USUAL | {"id": "run", "path": "/jobs/{job}", "methods": ["POST"], "cors": CORS, "max_body": "4B"},
    USUAL | {"id": "wipe", "path": "/jobs/{job}", "methods": ["DELETE"]},
    USUAL | {"id": "cookie", "path": "/cookie", "token_from": {"cookie": "tok"}, "cors": WITH_COOKIES},
    {"id": "all", "path": "/all", "public": True, "upstream": "api", "cors": {"origins": "*"}},
    {"id": "own", "path": "/own", "public": True, "upstream": "api"},
    USUAL | {"id": "gone", "path": "/gone", "upstream": "gone", "cors": CORS},
    USUAL | {"id": "socket", "path": "/socket", "websocket": True, "cors": CORS},
]
UPSTREAM_SAYS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\nETag: x\r\n"
    b"Vary: Accept\r\naccess-control-allow-credentials: true\r\nAccess-Control-Expose-Headers: Secret\r\n\r\nok"
)
ALLOW = "Access-Control-Allow-Origin"


@pytest.fixture
async def gate(start: Start, upstream: RawUpstream) -> Gate:
    addresses = {"api": upstream.port, "gone": 1}
    upstreams = {name: {"url": f"http://127.0.0.1:{port}"} for name, port in addresses.items()}
    return await start(routes=ROUTES, upstreams=upstreams)


def preflight(method: str, path: str, *fields: str, origin: str = PAGE) -> bytes:
    return request(f"OPTIONS {path}", origin, f"Access-Control-Request-Method: {method}", *fields)


def of_cors(answer: Answer) -> dict[str, str]:
    """What an answer tells the browser, Vary included; no field of it twice."""
    told = [(name, value) for name, value in answer.fields if name.lower().startswith(("access-control-", "vary"))]
    assert len({name.lower() for name, _ in told}) == len(told)
    return dict(told)


def reason(answer: Answer) -> str:
    found: str = json.loads(answer.body)["reason"]
    return found


VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
READABLE = {ALLOW: APP, "Access-Control-Expose-Headers": "ETag", "Vary": "Origin"}


async def test_a_preflight_is_answered_without_a_token_and_without_the_upstream(gate: Gate) -> None:
    answer = await gate.ask(
        preflight("POST", "/jobs/x?secret=1", "Access-Control-Request-Headers: authorization,x-job")
    )
    assert (answer.status, answer.reason) == (204, "No Content")
    assert of_cors(answer) == {
        ALLOW: APP, "Access-Control-Allow-Methods": "GET, HEAD, POST",
        "Access-Control-Allow-Headers": "Authorization, X-Job", "Access-Control-Max-Age": "90", "Vary": VARY,
    }  # fmt: skip
    assert "Content-Length" not in answer
    assert "Date" in answer
    record = await gate.record()
    assert (record["method"], record["route"], record["decision"], record["reason"], record["status"]) == (
        "OPTIONS", "run", "allow", None, 204,
    )  # fmt: skip
    assert (record["upstream"], record["issuer"], record["cache_hit"], record["bytes_out"]) == (None, None, None, 0)
    assert gate.upstream.visits == []


async def test_where_cookies_go_the_preflight_says_so_and_anybody_is_told_a_star(gate: Gate) -> None:
    with_cookies = of_cors(await gate.ask(preflight("PUT", "/cookie")))
    assert (with_cookies[ALLOW], with_cookies["Access-Control-Allow-Credentials"]) == (APP, "true")
    anybody = of_cors(await gate.ask(preflight("PUT", "/all", origin="Origin: null")))
    assert (anybody[ALLOW], anybody["Access-Control-Max-Age"]) == ("*", "600")
    assert "Access-Control-Allow-Credentials" not in anybody


@pytest.mark.parametrize(
    ("raw", "hint", "detail"),
    [
        (
            preflight("POST", "/jobs/x", origin=STRANGE),
            "this origin",
            f"preflight origin: expected {APP}, found {EVIL}",
        ),
        (preflight("POST", "/jobs/x", origin="Origin: null"), "this origin", "found null"),
        (
            preflight("POST", "/jobs/x", "Access-Control-Request-Headers: authorization,x-evil"),
            "the field x-evil",
            "preflight headers: expected Authorization, X-Job, found x-evil",
        ),
    ],
)
async def test_a_preflight_for_what_is_not_listed_is_refused_and_told_nothing(
    gate: Gate, raw: bytes, hint: str, detail: str
) -> None:
    answer = await gate.ask(raw)
    assert (answer.status, reason(answer)) == (403, "origin_untrusted")
    assert hint in json.loads(answer.body)["hint"]
    assert of_cors(answer) == {"Vary": VARY}
    assert "WWW-Authenticate" not in answer
    record = await gate.record()
    assert (record["route"], record["decision"], record["reason"]) == ("run", "deny", "origin_untrusted")
    assert detail in record["detail"]
    assert gate.upstream.visits == []


async def test_private_networks_are_opened_to_no_page(gate: Gate) -> None:
    answer = await gate.ask(preflight("POST", "/jobs/x", "Access-Control-Request-Private-Network: true"))
    assert answer.status == 204
    assert not any("private" in name.lower() or "local" in name.lower() for name, _ in answer.fields)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (preflight("DELETE", "/jobs/x"), (405, "method_not_allowed")),
        (preflight("PATCH", "/jobs/x"), (405, "method_not_allowed")),
        (preflight("post", "/jobs/x"), (405, "method_not_allowed")),
        (preflight("GET", "/nowhere"), (404, "no_route")),
        (preflight("GET", "/jobs/..%2fx"), (400, "target_invalid")),
        (preflight("PUT", "/gone", PAGE), (401, "token_missing")),
        (preflight("PUT", "/gone", "Access-Control-Request-Method: PUT"), (401, "token_missing")),
        (preflight("PUT", "/gone", "Connection: Origin"), (401, "token_missing")),
        (preflight("PUT", "/gone", "Connection: Access-Control-Request-Method"), (401, "token_missing")),
        (request("OPTIONS /gone", PAGE), (401, "token_missing")),
        (request("POST /jobs/x", PAGE, "Access-Control-Request-Method: POST"), (401, "token_missing")),
    ],
)
async def test_what_is_no_preflight_of_such_a_route_is_judged_as_ever(
    gate: Gate, raw: bytes, expected: tuple[int, str]
) -> None:
    answer = await gate.ask(raw)
    assert (answer.status, reason(answer)) == expected
    assert gate.upstream.visits == []


async def test_an_upstream_answers_the_preflights_of_a_route_that_says_nothing_of_pages(gate: Gate) -> None:
    gate.upstream.play = replies(b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\n\r\n")
    assert of_cors(await gate.ask(preflight("PUT", "/own"))) == {ALLOW: "*"}
    assert gate.upstream.last.line == b"OPTIONS /own HTTP/1.1"


async def test_preflights_and_requests_take_turns_on_a_connection(gate: Gate) -> None:
    asking, sending = preflight("GET", "/jobs/x"), request("GET /jobs/x", PAGE, gate.bearer())
    async with gate.connect() as client:
        answers = [await client.ask(raw) for raw in (asking, asking, sending, sending, asking, sending)]
    assert [answer.status for answer in answers] == [204, 204, 200, 200, 204, 200]
    assert len(gate.upstream.visits) == 3
    await gate.records(6)


async def test_a_preflight_with_a_body_does_not_make_a_request_of_it(gate: Gate) -> None:
    smuggled = request("GET /all")
    raw = preflight("GET", "/jobs/x", f"Content-Length: {len(smuggled)}") + smuggled
    async with gate.connect() as client:
        assert (await client.ask(raw)).status == 204
        assert (await client.ask(request("GET /all"))).status == 200
    assert len(gate.upstream.visits) == 1
    await gate.records(2)


# Answers


async def test_an_answer_tells_pages_of_a_listed_origin_what_they_may_read_whatever_the_upstream_says(
    gate: Gate,
) -> None:
    gate.upstream.play = replies(UPSTREAM_SAYS)
    for _ in range(2):
        answer = await gate.ask(request("GET /jobs/x", PAGE, gate.bearer()))
        assert answer.body == b"ok"
        assert answer.all("Vary") == ["Accept", "Origin"]
        assert (answer.all(ALLOW), answer["Access-Control-Expose-Headers"], answer["ETag"]) == ([APP], "ETag", "x")
        assert "Access-Control-Allow-Credentials" not in answer
    assert gate.upstream.last.fields("Origin") == [APP]


@pytest.mark.parametrize("fields", [[STRANGE], ["Origin: null"], [PAGE, PAGE], [], ["Origin: https://app.example:443"]])
async def test_an_answer_tells_other_pages_nothing(gate: Gate, fields: list[str]) -> None:
    gate.upstream.play = replies(UPSTREAM_SAYS)
    answer = await gate.ask(request("GET /jobs/x", *fields, gate.bearer()))
    assert answer.status == 200
    assert not [name for name, _ in answer.fields if name.lower().startswith("access-control-")]
    assert answer.all("Vary") == ["Accept", "Origin"]


async def test_answers_for_everybody_are_alike_for_everybody(gate: Gate) -> None:
    gate.upstream.play = replies(UPSTREAM_SAYS)
    for fields in ([], [PAGE], [STRANGE]):
        answer = await gate.ask(request("GET /all", *fields))
        assert of_cors(answer) == {ALLOW: "*", "Vary": "Accept"}


async def test_a_route_that_says_nothing_of_pages_leaves_the_upstream_s_word(gate: Gate) -> None:
    gate.upstream.play = replies(UPSTREAM_SAYS)
    answer = await gate.ask(request("GET /own", STRANGE))
    assert (answer[ALLOW], answer["Access-Control-Expose-Headers"], answer["Vary"]) == ("*", "Secret", "Accept")


async def test_streams_without_a_length_and_not_modified_tell_it_too(gate: Gate) -> None:
    gate.upstream.play = replies(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    chunked = await gate.ask(request("GET /jobs/x", PAGE, gate.bearer()))
    assert (of_cors(chunked), chunked.body) == (READABLE, b"ok")
    gate.upstream.play = replies(b"HTTP/1.1 304 Not Modified\r\n\r\n")
    assert of_cors(await gate.ask(request("GET /jobs/x", PAGE, gate.bearer()))) == READABLE


# Refusals


async def hang_up(visit: Visit) -> None:
    visit.close()


async def test_a_page_may_read_why_it_is_refused(gate: Gate) -> None:
    forged = gate.bearer(key=rsa_key("evil"))
    asked = {
        401: request("GET /jobs/x", PAGE),
        403: request("GET /jobs/x", PAGE, gate.bearer(payload=claims(scope="other"))),
        413: request("POST /jobs/x", PAGE, gate.bearer(), "Content-Length: 5", body=b"12345"),
        502: request("GET /gone", PAGE, gate.bearer()),
    }
    for status, raw in asked.items():
        answer = await gate.ask(raw)
        assert (answer.status, of_cors(answer)) == (status, READABLE)
    assert (await gate.ask(request("GET /jobs/x", PAGE, forged)))[ALLOW] == APP
    gate.upstream.play = hang_up
    failed = await gate.ask(request("POST /jobs/x", PAGE, gate.bearer(), "Content-Length: 1", body=b"1"))
    assert (failed.status, of_cors(failed)) == (502, READABLE)


async def test_a_refusal_tells_other_pages_nothing(gate: Gate) -> None:
    answer = await gate.ask(request("GET /jobs/x", STRANGE))
    assert (answer.status, of_cors(answer)) == (401, {"Vary": "Origin"})


async def test_a_cookie_s_token_changes_nothing_from_another_origin_though_its_pages_may_read(gate: Gate) -> None:
    token = gate.bearer().partition("Bearer ")[2]
    cookie = f"Cookie: tok={token}"
    read = await gate.ask(request("GET /cookie", PAGE, cookie))
    assert (read.status, read[ALLOW], read["Access-Control-Allow-Credentials"]) == (200, APP, "true")
    changed = await gate.ask(request("POST /cookie", PAGE, cookie))
    assert (changed.status, reason(changed), changed[ALLOW]) == (403, "origin_untrusted", APP)
    assert len(gate.upstream.visits) == 1


async def test_a_page_may_read_that_it_asks_too_often_and_its_preflights_count_nothing(start: Start) -> None:
    gate = await start(routes=[ROUTES[0] | {"rate_limits": [{"limit": "1/hour", "by": "client"}]}])
    for _ in range(3):
        assert (await gate.ask(preflight("GET", "/jobs/x"))).status == 204
    answers = [await gate.ask(request("GET /jobs/x", PAGE, gate.bearer())) for _ in range(2)]
    assert [(answer.status, of_cors(answer)) for answer in answers] == [(200, READABLE), (429, READABLE)]
    assert "Retry-After" in answers[1]


async def test_keys_that_cannot_be_had_are_told_to_the_page(start: Start) -> None:
    gate = await start(routes=ROUTES[:1], issuer={"jwks_file": None, "jwks_uri": "http://127.0.0.1:1/jwks"})
    answer = await gate.ask(request("GET /jobs/x", PAGE, gate.bearer()))
    assert (answer.status, of_cors(answer)) == (503, READABLE)


# WebSockets, shadow, reload


async def test_a_websocket_has_no_preflight_and_its_agreement_no_word_for_pages(gate: Gate) -> None:
    async def agree(visit: Visit) -> None:
        await visit.send(agreement())
        visit.close()

    gate.upstream.play, gate.reads_all = agree, False
    async with gate.connect() as client:
        await client.send(request("GET /socket", STRANGE, gate.bearer(), *HANDSHAKE))
        answer = await client.next()
        assert answer.status == 101
        assert ALLOW not in answer
        assert await client.rest() == b""


async def test_a_shadow_route_refuses_preflights_all_the_same(start: Start) -> None:
    gate = await start(routes=[route | {"mode": "shadow"} for route in ROUTES[:1]])
    assert (await gate.ask(preflight("GET", "/jobs/x", origin=STRANGE))).status == 403
    assert (await gate.ask(preflight("GET", "/jobs/x"))).status == 204
    assert gate.upstream.visits == []
    passed = await gate.ask(request("GET /jobs/x", PAGE))
    assert (passed.status, of_cors(passed)) == (200, READABLE)
    await gate.records(3)


async def test_swapped_rules_answer_the_next_preflight_and_an_answer_keeps_those_that_it_began_with(
    start: Start,
) -> None:
    gate = await start(routes=ROUTES[:1])
    may_answer = asyncio.Event()

    async def late(visit: Visit) -> None:
        await may_answer.wait()
        await visit.send(OK)

    gate.upstream.play = late
    async with gate.connect() as client, gate.connect() as other:
        await client.send(request("GET /jobs/x", PAGE, gate.bearer()))
        await gate.upstream.visited()
        await swap(gate, routes=[route | {"cors": CORS | {"origins": [EVIL]}} for route in ROUTES[:1]])
        assert (await other.ask(preflight("GET", "/jobs/x"))).status == 403
        assert (await other.ask(preflight("GET", "/jobs/x", origin=STRANGE)))[ALLOW] == EVIL
        may_answer.set()
        assert of_cors(await client.answer()) == READABLE


# Proofs


async def test_every_witness_of_what_changes_for_pages_is_answered_as_it_says(start: Start, tmp_path: Path) -> None:
    wider = CORS | {"origins": [EVIL], "headers": ["Authorization", "X-Other"]}
    changed = [ROUTES[0] | {"cors": wider}, ROUTES[1], ROUTES[2] | {"cors": CORS}]
    found = compare(policy(ROUTES[:3]), policy(changed))
    assert {finding.change for finding in found.findings} == {Change.ALLOWED, Change.REFUSED}
    old, new = await start(routes=ROUTES[:3]), await start(routes=changed, access_log=str(tmp_path / "new.jsonl"))
    for finding in found.findings:
        fields = [f"{name}: {value}" for name, value in finding.witness.fields]
        for gate, said in ((old, finding.before), (new, finding.after)):
            answer = await gate.ask(request(f"OPTIONS {finding.witness.target}", *fields))
            assert (answer.status == 204) is said.allowed
            assert said.allowed or reason(answer) == str(said)
    assert old.upstream.visits == []
    outcomes = [replay(policy(ROUTES[:3]), record, NOW).replayed for record in await old.records(len(found.findings))]
    assert set(outcomes) <= {Replayed.LEFT_OUT, Replayed.SAME}
