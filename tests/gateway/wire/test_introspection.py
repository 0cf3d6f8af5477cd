"""Opaque tokens: their issuer is asked, over real sockets, however it behaves (RFC 7662)."""

import asyncio
import base64
import json
import logging
from urllib.parse import parse_qs

import pytest

from .asked import JSON, OPAQUE, SECRET, active, asking, http, says, tried
from .conftest import Start
from .minting import AUDIENCE, ISSUER, NOW, claims, mint
from .patience import eventually
from .raw_client import request
from .raw_upstream import RawUpstream, Visit, replies


async def test_an_active_token_enters_as_whom_the_issuer_names(start: Start, issuer: RawUpstream) -> None:
    gate = await start(**asking(issuer))
    gate.secrets += [OPAQUE, SECRET]
    assert (await tried(gate)).status == 200
    assert gate.upstream.last.fields("X-Client-Id") == ["nightly-batch"]
    assert gate.upstream.last.fields("X-Token-Issuer") == [ISSUER]
    form = parse_qs(issuer.last.body.decode())
    assert form == {"token": [OPAQUE], "token_type_hint": ["access_token"]}
    pair = base64.b64encode(f"gateway:{SECRET}".encode()).decode()
    assert issuer.last.fields("Authorization") == [f"Basic {pair}"]
    record = await gate.record()
    assert (record["token_kind"], record["client_id"], record["sub"]) == ("opaque", "nightly-batch", "batch")
    assert (record["alg"], record["kid"], record["cache_hit"]) == (None, None, False)
    assert len(record["jti_hash"]) == 32


async def test_it_is_asked_once_while_its_word_counts_and_never_past_exp(start: Start, issuer: RawUpstream) -> None:
    gate = await start(**asking(issuer, cache={"for": "1h"}))
    async with gate.connect() as client:
        for number in range(3):
            field = f"Authorization: Bearer {OPAQUE}"
            assert (await client.ask(request(f"GET /admin/{number}", field))).status == 200
    assert len(issuer.visits) == 1
    assert [record["cache_hit"] for record in await gate.records(3)] == [False, True, True]
    gate.clock.now = NOW + 600
    answer = await tried(gate)
    assert (answer.status, json.loads(answer.body)["reason"]) == (401, "token_expired")


async def test_it_is_asked_again_when_its_word_is_old(start: Start, issuer: RawUpstream) -> None:
    gate = await start(**asking(issuer, cache={"for": "10s"}))
    assert (await tried(gate)).status == 200
    issuer.play = replies(http({"active": False}))
    gate.clock.now = NOW + 9
    assert (await tried(gate)).status == 200
    gate.clock.now = NOW + 11
    assert (await tried(gate)).status == 401


async def test_many_requests_with_one_token_are_one_question(start: Start, issuer: RawUpstream) -> None:
    gate = await start(**asking(issuer))
    held = asyncio.Event()

    async def play(visit: Visit) -> None:
        await held.wait()
        await says()(visit)

    issuer.play = play
    asked = [asyncio.create_task(tried(gate)) for _ in range(20)]
    await eventually(lambda: issuer.visits)
    held.set()
    assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
    assert len(issuer.visits) == 1


@pytest.mark.parametrize(
    ("document", "status", "reason"),
    [
        ({"active": False}, 401, "token_revoked"),
        ({"active": False, **claims()}, 401, "token_revoked"),
        (active(aud="https://other.example"), 401, "audience_mismatch"),
        (active(aud=None), 401, "claim_invalid"),
        (active(exp=NOW - 1), 401, "token_expired"),
        (active(exp=None), 401, "claim_invalid"),
        (active(exp=str(NOW + 60)), 401, "claim_invalid"),
        (active(nbf=NOW + 60), 401, "token_not_yet_valid"),
        (active(iss="https://other.example"), 401, "issuer_untrusted"),
        (active(scope="jobs.read"), 403, "scope_insufficient"),
        (active(scope="administrator"), 403, "scope_insufficient"),
        (active(cnf={"jkt": "A" * 43}), 401, "proof_invalid"),
        (active(cnf={"x5t#S256": "A" * 43}), 401, "proof_invalid"),
        (active(cnf={"kid": "x"}), 401, "proof_invalid"),
        ({"active": "true", **claims()}, 503, "introspection_unavailable"),
        ({"active": 1, **claims()}, 503, "introspection_unavailable"),
        (claims(), 503, "introspection_unavailable"),
        ([], 503, "introspection_unavailable"),
    ],
)
async def test_the_answer_is_judged_on_the_issuers_terms(
    start: Start, issuer: RawUpstream, document: object, status: int, reason: str
) -> None:
    issuer.play = replies(http(document))
    gate = await start(**asking(issuer))
    answer = await tried(gate)
    assert (answer.status, json.loads(answer.body)["reason"]) == (status, reason)
    assert not gate.upstream.visits


@pytest.mark.parametrize(
    "answer",
    [
        http({"error": "server_error"}, "500 Internal Server Error"),
        http({"error": "invalid_client"}, "401 Unauthorized"),
        http({"error": "forbidden"}, "403 Forbidden"),
        http({"active": False}, "400 Bad Request"),
        http(b"<html>", "200 OK", "text/html"),
        http(b"{", "200 OK"),
        http(b'{"active": false, "active": true}'),
        http({"active": True} | claims(), "200 OK", "text/plain"),
        http({"active": True, "padding": "x" * (1 << 17)} | claims()),
        http(active(), "302 Found", JSON, "Location: http://127.0.0.1:1/elsewhere"),
        b"",
        b"nonsense\r\n\r\n",
    ],
)
async def test_a_fault_of_the_issuer_is_503_and_never_401(start: Start, issuer: RawUpstream, answer: bytes) -> None:
    issuer.play = replies(answer, close=not answer)
    gate = await start(**asking(issuer))
    refused = await tried(gate)
    assert (refused.status, json.loads(refused.body)["reason"]) == (503, "introspection_unavailable")
    assert refused["Retry-After"]
    assert not gate.upstream.visits
    status = await gate.status()
    assert status["issuers"][0]["introspection"]["failed"] == 1
    assert status["issuers"][0]["introspection"]["error"]


async def test_an_issuer_that_does_not_answer_in_time_is_503(start: Start, issuer: RawUpstream) -> None:
    async def silent(visit: Visit) -> None:
        await visit.gone()

    issuer.play = silent
    gate = await start(**asking(issuer, timeout="50ms"))
    assert (await tried(gate)).status == 503


async def test_remembered_tokens_enter_while_the_issuer_is_down_and_one_line_tells_of_it(
    start: Start, issuer: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    gate = await start(**asking(issuer))
    assert (await tried(gate)).status == 200
    issuer.play = replies(http({}, "500 Internal Server Error"))
    with caplog.at_level(logging.INFO):
        for number in range(5):
            assert (await tried(gate, f"unknown-{number}")).status == 503
            assert (await tried(gate)).status == 200
        issuer.play = says()
        assert (await tried(gate, "unknown-6")).status == 200
    told = [record.message for record in caplog.records if "asked about tokens" in record.message]
    assert len(told) == 2
    assert "500" in told[0]


async def test_a_refused_token_is_refused_again_without_a_question_for_a_while(
    start: Start, issuer: RawUpstream
) -> None:
    issuer.play = replies(http({"active": False}))
    gate = await start(**asking(issuer, cache={"negative_for": "5s"}))
    for _ in range(3):
        assert (await tried(gate)).status == 401
    assert len(issuer.visits) == 1
    gate.clock.now = NOW + 6
    assert (await tried(gate)).status == 401
    assert len(issuer.visits) == 2


async def test_a_flood_of_invented_tokens_is_bounded_and_keeps_out_nobody_who_was_in(
    start: Start, issuer: RawUpstream
) -> None:
    gate = await start(**asking(issuer, max_requests=4, cache={"for": "1s"}))
    assert (await tried(gate)).status == 200
    held = asyncio.Event()
    issuer.visits.clear()

    async def play(visit: Visit) -> None:
        is_good = OPAQUE.encode() in await visit.read_body()
        if not is_good:
            await held.wait()
        await replies(http(active() if is_good else {"active": False}))(visit)

    issuer.play = play
    flood = [asyncio.create_task(tried(gate, f"invented-{number}")) for number in range(40)]
    await eventually(lambda: len(gate.answers) >= 37)
    assert len(issuer.visits) == 3
    gate.clock.now = NOW + 2
    assert (await tried(gate)).status == 200
    held.set()
    statuses = [answer.status for answer in await asyncio.gather(*flood)]
    assert sorted(statuses) == [401] * 3 + [503] * 37
    assert (await gate.status())["issuers"][0]["introspection"]["crowded"] == 37


async def test_a_jwt_is_verified_and_not_asked_about(start: Start, issuer: RawUpstream) -> None:
    gate = await start(**asking(issuer))
    assert (await gate.ask(request("GET /admin/x", gate.bearer()))).status == 200
    assert (await tried(gate, mint(alg="RS256")[:-4])).status == 401
    assert not issuer.visits


@pytest.mark.parametrize(("choice", "status", "questions"), [("ask", 200, 1), ("refuse", 401, 0)])
async def test_jwts_are_asked_about_or_refused_by_choice(
    start: Start, issuer: RawUpstream, choice: str, status: int, questions: int
) -> None:
    changes = asking(issuer, jwt_tokens=choice)
    gate = await start(**changes | {"issuer": changes["issuer"] | {"jwks_file": None}})
    assert (await gate.ask(request("GET /admin/x", gate.bearer()))).status == status
    assert len(issuer.visits) == questions
    assert (await tried(gate)).status == 200
    assert (await gate.status())["issuers"][0]["kids"] == []


async def test_a_route_of_another_issuer_does_not_ask(start: Start, issuer: RawUpstream) -> None:
    gate = await start(**asking(issuer))
    answer = await tried(gate, target="/partner")
    assert (answer.status, json.loads(answer.body)["reason"]) == (401, "token_malformed")
    assert not issuer.visits


@pytest.mark.parametrize("token", ["ümlaut", "a b", "a" * 9000, "a=b", '{"signatures":[]}', "%00"])
async def test_what_is_no_token_is_not_asked_about(start: Start, issuer: RawUpstream, token: str) -> None:
    gate = await start(**asking(issuer))
    assert (await gate.ask(request("GET /admin/x", f"Authorization: Bearer {token}"))).status in {400, 401}
    assert not issuer.visits


async def test_the_gateway_may_authenticate_with_a_token(start: Start, issuer: RawUpstream) -> None:
    token = {"access_token": "own-token", "token_type": "Bearer", "expires_in": 3600}
    async with RawUpstream(replies(http(token))) as login:
        own = {"token_endpoint": f"http://127.0.0.1:{login.port}/token"}
        gate = await start(**asking(issuer, own, present="token"))
        assert (await tried(gate)).status == 200
        assert issuer.last.fields("Authorization") == ["Bearer own-token"]


async def test_metrics_and_status_tell_of_it(start: Start, issuer: RawUpstream) -> None:
    gate = await start(**asking(issuer))
    for _ in range(3):
        assert (await tried(gate)).status == 200
    await gate.records(3)
    told = (await gate.status())["issuers"][0]["introspection"]
    assert (told["asked"], told["failed"], told["recalled"], told["error"]) == (1, 0, 2, None)
    metrics = (await gate.operator("/metrics")).body.decode()
    assert 'scopegate_introspection_requests_total{issuer="main"} 1.0' in metrics
    assert 'scopegate_introspection_tokens_total{issuer="main",outcome="recalled"} 2.0' in metrics
    assert 'scopegate_introspection_healthy{issuer="main"} 1.0' in metrics


async def test_two_issuers_tell_of_one_token_each_on_its_own_routes(start: Start, issuer: RawUpstream) -> None:
    async with RawUpstream(says(iss=None, client_id="other-client")) as second:
        changes = asking(issuer)
        main = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": "keys.json"} | changes["issuer"]
        endpoint = f"http://127.0.0.1:{second.port}/introspect"
        introspection = {"endpoint": endpoint, "credentials": "own", "jwt_tokens": "refuse"}
        other = {"issuer": "https://other.example", "audience": AUDIENCE, "introspection": introspection}
        routes = [
            {"id": name, "path": f"/{name}", "issuers": [name], "scopes": ["admin"], "upstream": "api"}
            for name in ("main", "other")
        ]
        gate = await start(credentials=changes["credentials"], issuers={"main": main, "other": other}, routes=routes)
        async with gate.connect() as client:
            for name in ("main", "other", "main", "other"):
                assert (await client.ask(request(f"GET /{name}", f"Authorization: Bearer {OPAQUE}"))).status == 200
        found = [visit.fields("X-Client-Id") for visit in gate.upstream.visits]
        assert found == [["nightly-batch"], ["other-client"]] * 2
        assert (len(issuer.visits), len(second.visits)) == (1, 1)
