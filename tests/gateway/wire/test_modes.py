"""Modes over HTTP: in shadow nothing is refused for a rule, in grace some pass for a while, and all is recorded."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.prove.difference import Change, compare
from gateway.prove.verdicts import Request, Verdict
from gateway.prove.words import claims_at

from .asked import OPAQUE, asking, http, says
from .conftest import Start
from .gate import Gate
from .minting import NOW, OTHER_ISSUER, authorization, claims, ec_key, mint, rsa_key
from .raw_client import request
from .raw_upstream import Play, RawUpstream, Visit, replies
from .test_early_answers import early
from .test_proofs import BOUND, jkt, proof
from .test_websocket import HANDSHAKE, agreed, switch
from .test_witnesses import policy

IDENTITY = ("X-Client-Id", "X-Token-Subject", "X-Token-Scopes", "X-Token-Issuer")
SHADOW: dict[str, Any] = {"id": "run", "path": "/jobs/{job}", "scopes": ["jobs.run"], "upstream": "api"} | {
    "mode": "shadow"
}
UNTIL = "2027-01-15T09:00:00Z"
"""An hour after NOW."""
GRACE = SHADOW | {"mode": f"grace until {UNTIL}", "grace_clients": {"main": ["nightly-batch"]}}
OF_MAIN = {"issuers": ["main"]}


def of(**changes: Any) -> str:
    return mint(claims(**changes))


async def ask(gate: Gate, *fields: str, line: str = "GET /jobs/7") -> tuple[int, str | None]:
    """Status, and the reason of a refusal."""
    answer = await gate.ask(request(line, *fields))
    return answer.status, json.loads(answer.body)["reason"] if answer.status >= 400 else None


def told(gate: Gate) -> list[str]:
    """The four identity fields, as the upstream got them last."""
    return [value for name in IDENTITY for value in gate.upstream.last.fields(name)]


NOBODY = [""] * 4
BATCH = ["nightly-batch", "batch", "admin", "https://issuer.example"]
TWICE = (authorization(of()), authorization(of()))


@pytest.mark.parametrize(
    ("demands", "fields", "reason", "identity"),
    [
        ({}, (), "token_missing", NOBODY),
        ({}, ("Authorization: Basic eA==",), "token_missing", NOBODY),
        ({}, ("Authorization: Bearer x",), "token_malformed", NOBODY),
        ({}, (authorization(of(exp=NOW - 1)),), "token_expired", NOBODY),
        ({}, (authorization(mint(claims(), rsa_key("another"))),), "signature_invalid", NOBODY),
        ({}, (authorization(mint(claims(), kid="invented")),), "key_unknown", NOBODY),
        ({}, (authorization(of(aud="another")),), "audience_mismatch", NOBODY),
        ({}, (authorization(of()),), "scope_insufficient", BATCH),
        ({"clients": {"main": ["other"]}}, (authorization(of()),), "claim_condition_failed", BATCH),
        ({"issuers": ["other"]}, (authorization(of()),), "issuer_untrusted", BATCH),
        ({"networks": ["10.0.0.0/8"]}, (authorization(of()),), "network_not_allowed", BATCH),
        ({"hours": {"times": "00:00-00:01", "days": ["mon"]}}, (authorization(of()),), "outside_hours", BATCH),
        ({"acr": ["gold"]}, (authorization(of()),), "authentication_insufficient", BATCH),
        ({"require_proof": "dpop"}, (authorization(of()),), "proof_invalid", BATCH),
        ({}, (authorization(of(cnf={"jkt": jkt(ec_key())})),), "proof_invalid", NOBODY),
    ],
)
async def test_in_shadow_a_refusal_is_recorded_and_the_request_goes_on_as_whom_it_was_verified(
    start: Start, demands: dict[str, Any], fields: tuple[str, ...], reason: str, identity: list[str]
) -> None:
    gate = await start(routes=[SHADOW | demands])
    assert await ask(gate, *fields) == (200, None)
    record = await gate.record()
    assert (record["decision"], record["reason"], record["mode"], record["route"]) == ("allow", None, "shadow", "run")
    assert record["would_deny"] == reason
    assert record["detail"]
    assert told(gate) == identity
    assert gate.upstream.last.fields("Authorization") == gate.upstream.last.fields("DPoP") == []


@pytest.mark.parametrize(
    ("line", "fields", "refused"),
    [
        ("GET /jobs/7", TWICE, (400, "request_malformed")),
        ("GET /jobs/7/../8", (), (400, "target_invalid")),
        ("GET /other", (), (404, "no_route")),
        ("DELETE /jobs/7", (), (405, "method_not_allowed")),
    ],
)
async def test_in_shadow_it_is_refused_what_no_rule_of_the_route_is_about(
    start: Start, line: str, fields: tuple[str, ...], refused: tuple[int, str]
) -> None:
    gate = await start(routes=[SHADOW | {"methods": ["GET"]}])
    assert await ask(gate, *fields, line=line) == refused
    assert not gate.upstream.visits
    assert (await gate.record())["would_deny"] is None


async def test_who_satisfies_a_route_in_shadow_is_recorded_as_allowed_and_no_more(start: Start) -> None:
    gate = await start(routes=[SHADOW])
    assert await ask(gate, authorization(of(scope="jobs.run"))) == (200, None)
    record = await gate.record()
    assert (record["decision"], record["would_deny"], record["detail"], record["scopes_missing"]) == (
        *("allow", None, None),
        [],
    )


async def test_the_record_names_the_scopes_that_would_be_missing_and_the_figures_count_it(start: Start) -> None:
    gate = await start(routes=[SHADOW])
    for _ in range(2):
        assert await ask(gate, authorization(of())) == (200, None)
    first, _ = await gate.records(2)
    assert (first["scopes_missing"], first["client_id"]) == (["jobs.run"], "nightly-batch")
    assert first["detail"] == "scopes: expected jobs.run, found admin"
    assert (await gate.status())["would_deny"] == [{"route": "run", "reason": "scope_insufficient", "count": 2}]
    metrics = (await gate.operator("/metrics")).body.decode()
    assert 'scopegate_would_deny_total{reason="scope_insufficient",route="run"} 2.0' in metrics


async def test_a_token_that_was_let_pass_unverified_is_verified_anew_each_time(start: Start) -> None:
    enforced = SHADOW | {"id": "strict", "path": "/strict", "mode": "enforce"}
    gate = await start(routes=[SHADOW, enforced])
    forged = authorization(mint(claims(scope="jobs.run"), rsa_key("another")))
    async with gate.connect() as client:
        for _ in range(3):
            assert (await client.ask(request("GET /jobs/7", forged))).status == 200
            assert told(gate) == NOBODY
        assert (await client.ask(request("GET /strict", forged))).status == 401
    records = await gate.records(4)
    assert [record["would_deny"] for record in records] == [*["signature_invalid"] * 3, None]
    assert [record["cache_hit"] for record in records] == [False] * 4
    assert (await gate.status())["cached_tokens"] == 0


async def test_an_unbound_token_under_the_scheme_of_bound_ones_is_refused_alike_on_a_kept_connection(
    start: Start,
) -> None:
    gate = await start(routes=[SHADOW])
    fields = (f"Authorization: DPoP {of(scope='jobs.run')}", "DPoP: x")
    async with gate.connect() as client:
        for _ in range(3):
            assert (await client.ask(request("GET /jobs/7", *fields))).status == 200
    assert [record["would_deny"] for record in await gate.records(3)] == ["proof_invalid"] * 3


async def test_a_replayed_proof_names_nobody_to_the_upstream_and_its_client_in_the_record(start: Start) -> None:
    gate = await start(routes=[SHADOW | {"path": "/any/x", "scopes": ["admin"]}])
    fields = (f"Authorization: DPoP {BOUND}", f"DPoP: {proof(BOUND)}")
    for identity in (BATCH, NOBODY):
        assert (await gate.ask(request("GET /any/x", *fields, host="Host: api"))).status == 200
        assert told(gate) == identity
    last = (await gate.records(2))[-1]
    assert (last["would_deny"], last["client_id"]) == ("proof_invalid", "nightly-batch")


async def test_claims_of_a_bound_token_without_its_proof_are_not_told_to_the_upstream(start: Start) -> None:
    gate = await start(routes=[SHADOW | {"claim_fields": {"X-Who": "sub"}}])
    for changes, who in (({}, "batch"), ({"cnf": {"jkt": jkt(ec_key())}}, "")):
        assert await ask(gate, authorization(of(**changes))) == (200, None)
        assert gate.upstream.last.fields("X-Who") == [who]
    assert await ask(gate, authorization(of(exp=NOW - 1)), "X-Who: me") == (200, None)
    assert gate.upstream.last.fields("X-Who") == [""]


async def test_a_websocket_is_opened_in_shadow_and_in_grace(start: Start, upstream: RawUpstream) -> None:
    upstream.play = switch
    takes = {"websocket": True}
    gate = await start(routes=[SHADOW | takes, GRACE | takes | {"id": "graceful", "path": "/graceful"}])
    for line, fields, warned in (
        ("GET /jobs/7", (), 0),
        ("GET /jobs/7", (authorization(of(exp=NOW - 1)),), 0),
        ("GET /graceful", (authorization(of()),), 1),
    ):
        async with gate.connect() as client:
            await client.send(request(line, *fields, *HANDSHAKE))
            answer = await agreed(gate, client)
            assert len(answer.all("Warning")) == warned
    reasons = [record["would_deny"] for record in await gate.records(3)]
    assert reasons == ["token_missing", "token_expired", "scope_insufficient"]


async def test_in_shadow_a_request_goes_on_though_its_issuers_keys_cannot_be_had(start: Start) -> None:
    gate = await start(routes=[SHADOW | OF_MAIN], issuer={"jwks_file": None, "jwks_uri": "http://127.0.0.1:1/keys"})
    async with gate.connect() as client:
        for _ in range(2):
            asked = request("POST /jobs/7", authorization(of()), "Content-Length: 5", body=b"hello")
            assert (await client.ask(asked)).status == 200
            assert gate.upstream.last.body == b"hello"
    assert [record["would_deny"] for record in await gate.records(2)] == ["keys_unavailable"] * 2
    assert told(gate) == NOBODY


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (says(active=False), "token_revoked"),
        (replies(http({}, "500 No")), "introspection_unavailable"),
        (says(scope="jobs"), "scope_insufficient"),
    ],
)
async def test_in_shadow_an_issuer_is_asked_about_a_token_and_what_comes_of_it_is_recorded(
    start: Start, issuer: RawUpstream, play: Play, reason: str
) -> None:
    issuer.play = play
    gate = await start(**asking(issuer), routes=[SHADOW | OF_MAIN])
    async with gate.connect() as client:
        for _ in range(2):
            asked = request("POST /jobs/7", f"Authorization: Bearer {OPAQUE}", "Content-Length: 5", body=b"hello")
            assert (await client.ask(asked)).status == 200
            assert gate.upstream.last.body == b"hello"
    assert [record["would_deny"] for record in await gate.records(2)] == [reason] * 2
    assert told(gate) == (NOBODY if reason != "scope_insufficient" else [*BATCH[:2], "jobs", BATCH[3]])


async def test_in_shadow_a_request_goes_on_though_its_issuers_answer_is_out_of_date_at_once(
    start: Start, issuer: RawUpstream
) -> None:
    gate = await start(**asking(issuer), routes=[SHADOW | OF_MAIN])

    async def slowly(visit: Visit) -> None:
        gate.clock.now += 3600
        await says(exp=gate.clock.now + 3600)(visit)

    issuer.play = slowly
    assert await ask(gate, f"Authorization: Bearer {OPAQUE}") == (200, None)
    assert (await gate.record())["would_deny"] == "introspection_unavailable"
    assert told(gate) == NOBODY


CHUNKED = b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "body"), [(["Content-Length: 7"], b"abcdefg"), (["Transfer-Encoding: chunked"], CHUNKED)]
)
async def test_in_shadow_a_larger_body_is_taken_and_in_grace_it_is_not(
    start: Start, fields: list[str], body: bytes
) -> None:
    bound = {"max_body": 5}
    routes = [SHADOW | bound, GRACE | bound | {"id": "graceful", "path": "/graceful"}]
    gate = await start(routes=routes)
    good = authorization(of(scope="jobs.run"))
    assert (await gate.ask(request("POST /jobs/7", good, *fields, body=body))).status == 200
    assert gate.upstream.last.body == b"abcdefg"
    assert (await gate.ask(request("POST /graceful", authorization(of()), *fields, body=body))).status == 413
    passed, refused = await gate.records(2)
    assert (passed["decision"], passed["would_deny"], passed["bytes_in"]) == ("allow", "body_too_large", 7)
    assert (refused["decision"], refused["reason"], refused["would_deny"]) == ("deny", "body_too_large", None)


async def test_the_first_refusal_is_the_one_that_is_recorded_in_shadow(start: Start) -> None:
    gate = await start(routes=[SHADOW | {"max_body": 1}])
    assert (await gate.ask(request("POST /jobs/7", "Content-Length: 5", body=b"hello"))).status == 200
    assert (await gate.record())["would_deny"] == "token_missing"


async def test_what_fails_at_the_upstream_fails_in_shadow_and_the_record_has_both(start: Start) -> None:
    gate = await start(routes=[SHADOW], upstream={"url": "http://127.0.0.1:1"})
    assert await ask(gate) == (502, "upstream_unreachable")
    record = await gate.record()
    assert (record["decision"], record["reason"], record["would_deny"]) == (
        *("allow", "upstream_unreachable"),
        "token_missing",
    )


async def test_a_client_in_grace_passes_with_a_warning_until_the_date_and_is_refused_from_then_on(start: Start) -> None:
    gate = await start(routes=[GRACE])
    lacking = request("GET /jobs/7", authorization(of(exp=NOW + 9000)))
    gate.clock.now = NOW + 3599.5
    passed = await gate.ask(lacking)
    said = f'299 - "refused from {UNTIL} on: scope_insufficient, missing jobs.run"'
    assert (passed.status, passed["Warning"]) == (200, said)
    assert told(gate) == BATCH
    gate.clock.now = NOW + 3600
    refused = await gate.ask(lacking)
    assert (refused.status, refused.all("Warning")) == (403, [])
    first, last = await gate.records(2)
    assert (first["mode"], first["decision"], first["would_deny"]) == ("grace", "allow", "scope_insufficient")
    assert (last["mode"], last["decision"], last["reason"]) == ("grace", "deny", "scope_insufficient")


@pytest.mark.parametrize(
    ("token", "refused"),
    [
        (of(client_id="another"), (403, "scope_insufficient")),
        (of(client_id=None), (403, "scope_insufficient")),
        (of(exp=NOW - 1), (401, "token_expired")),
        (mint(claims(), rsa_key("another")), (401, "signature_invalid")),
        (of(cnf={"jkt": jkt(ec_key())}), (401, "proof_invalid")),
        (
            mint(claims(iss=OTHER_ISSUER), rsa_key("other")),
            (403, "scope_insufficient"),
        ),
    ],
)
async def test_nobody_else_is_in_grace_and_no_token_that_is_not_good(
    start: Start, token: str, refused: tuple[int, str]
) -> None:
    gate = await start(routes=[GRACE])
    assert await ask(gate, authorization(token)) == refused
    assert not gate.upstream.visits


async def test_who_satisfies_a_route_in_grace_gets_no_warning(start: Start) -> None:
    gate = await start(routes=[GRACE])
    async with gate.connect() as client:
        for scope, warned in (("admin", 1), ("jobs.run", 0), ("admin", 1)):
            answer = await client.ask(request("GET /jobs/7", authorization(of(scope=scope))))
            assert len(answer.all("Warning")) == warned


async def test_a_proof_that_is_demanded_anew_is_not_missed_in_grace(start: Start) -> None:
    gate = await start(routes=[GRACE | {"require_proof": "dpop"}])
    answer = await gate.ask(request("GET /jobs/7", authorization(of(scope="jobs.run"))))
    assert (answer.status, answer["Warning"]) == (200, f'299 - "refused from {UNTIL} on: proof_invalid"')


async def test_the_warning_stands_beside_that_of_the_upstream(start: Start, upstream: RawUpstream) -> None:
    upstream.play = replies(b'HTTP/1.1 200 OK\r\nWarning: 199 - "own"\r\nContent-Length: 0\r\n\r\n')
    gate = await start(routes=[GRACE])
    answer = await gate.ask(request("GET /jobs/7", authorization(of())))
    assert [each[:3] for each in answer.all("Warning")] == ["199", "299"]


async def test_the_warning_is_given_though_the_upstream_fails(start: Start) -> None:
    gate = await start(routes=[GRACE], upstream={"url": "http://127.0.0.1:1"})
    answer = await gate.ask(request("GET /jobs/7", authorization(of())))
    assert (answer.status, answer["Warning"][:3]) == (502, "299")


async def test_what_would_be_refused_anyway_counts_against_no_rate(start: Start) -> None:
    once = {"rate_limits": [{"limit": "1/hour", "by": "client"}]}
    gate = await start(routes=[SHADOW | OF_MAIN | once])
    for scope in ("admin", "admin", "jobs.run", "jobs.run"):
        assert await ask(gate, authorization(of(scope=scope))) == (200, None)
    reasons = [record["would_deny"] for record in await gate.records(4)]
    assert reasons == ["scope_insufficient", "scope_insufficient", None, "rate_limited"]


async def test_every_witness_of_a_grace_is_answered_as_it_says_when_it_says(start: Start, tmp_path: Path) -> None:
    longer = GRACE | {"mode": "grace until 2027-03-01", "grace_clients": {"main": ["nightly-batch", "old"]}}
    plain = {key: value for key, value in GRACE.items() if key not in {"mode", "grace_clients"}}
    found = compare(policy([plain]), policy([GRACE])), compare(policy([GRACE]), policy([longer]))
    gates = [
        await start(routes=[route], access_log=str(tmp_path / f"{index}.jsonl"))
        for index, route in enumerate((plain, GRACE, longer))
    ]
    for index, difference in enumerate(found):
        assert difference.unproven == ()
        assert {finding.change for finding in difference.findings} == {Change.ALLOWED}
        for finding in difference.findings:
            for gate, said in zip(gates[index : index + 2], (finding.before, finding.after), strict=True):
                await answers_at(gate, finding.witness, said)


async def answers_at(gate: Gate, witness: Request, said: Verdict) -> None:
    caller = witness.caller
    gate.clock.now = caller.at
    token = mint(claims_at(caller, caller.at))
    answer = await gate.ask(request(f"{witness.method} {witness.target}", authorization(token)))
    assert answer.status == (200 if said.allowed else 403)
    assert bool(answer.all("Warning")) is (said.would_deny is not None)


@pytest.mark.parametrize(("mode", "kept"), [(GRACE, None), (SHADOW, "scope_insufficient")])
async def test_a_body_that_grows_too_large_behind_an_early_answer_is_a_refusal_in_grace_and_none_in_shadow(
    start: Start, upstream: RawUpstream, mode: dict[str, Any], kept: str | None
) -> None:
    upstream.play = early(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    gate = await start(routes=[mode | {"max_body": 5}])
    async with gate.connect() as client:
        await client.send(
            request("POST /jobs/7", authorization(of()), "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n")
        )
        assert (await client.answer()).status == 200
        await client.send(b"5\r\nworld\r\n0\r\n\r\n")
        record = await gate.record()
    decision = ("deny", "body_too_large") if kept is None else ("allow", None)
    assert (record["decision"], record["reason"], record["would_deny"]) == (*decision, kept)
