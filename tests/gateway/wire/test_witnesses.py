"""A witness does what it claims when it is sent: to a gateway with the old rules, and to one with the new."""

import json
from pathlib import Path
from typing import Any

from gateway import build
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.policy.routes import RouteTable
from gateway.prove.difference import Change, compare
from gateway.prove.proofs import Kind, prove
from gateway.prove.replay import Replayed, replay
from gateway.prove.verdicts import Policy, Request, Verdict, verdict
from gateway.prove.words import claims_at

from .conftest import Start
from .gate import Gate, configuration
from .minting import NOW, authorization, mint, rsa_key
from .raw_client import request

NOWHERE = Path("/nowhere")
USUAL: dict[str, Any] = {"scopes": ["read"], "upstream": "api"}
OLD = [
    USUAL | {"id": "number", "path": "/jobs/{job:int}", "methods": ["GET"]},
    USUAL | {"id": "named", "path": "/jobs/{name:[a-z]+}", "methods": ["GET"], "scopes": {"any": ["read", "run"]}},
    USUAL | {"id": "field", "path": "/field", "token_from": {"header": "X-Api-Token"}},
    USUAL | {"id": "cookie", "path": "/cookie", "token_from": {"cookie": "tok"}},
    USUAL | {"id": "step", "path": "/step", "acr": ["gold"], "max_age": "1h"},
    USUAL | {"id": "odd", "path": "/odd/{rest...}", "allow_in_path": ["path_parameters"]},
    USUAL | {"id": "partner", "path": "/partner", "issuers": ["other"]},
    USUAL | {"id": "host", "path": "/host", "host": ["a.example", "*.b.example"]},
    {"id": "open", "path": "/open", "public": True, "upstream": "api"},
    USUAL | {"id": "told", "path": "/told", "fields": {"X-Version": "2", "X-Beta": False}},
    USUAL | {"id": "apart", "path": "/told", "fields": {"X-Beta": "on"}, "scopes": ["write"]},
    USUAL | {"id": "tried", "path": "/tried", "mode": "shadow"},
    USUAL | {"id": "eased", "path": "/eased"},
]
CHANGES: dict[str, dict[str, Any]] = {
    "number": {"path": "/jobs/{job:[0-9.]+}", "methods": ["GET", "POST"]},
    "named": {"scopes": ["run"]},
    "field": {"scopes": ["write"]},
    "cookie": {"scopes": {"any": ["read", "write"]}},
    "step": {"acr": ["gold", "silver"], "max_age": "2h"},
    "odd": {"allow_in_path": ["encoded_slash", "empty_segments"]},
    "partner": {"issuers": ["other", "main"]},
    "host": {"host": ["*.a.example", "*.b.example", "b.example"]},
    "open": {"public": False, "scopes": ["read"]},
    "told": {"fields": {"X-Version": ["2", "3"]}},
    "apart": {"fields": {"X-Beta": True}, "scopes": ["write"]},
    "tried": {"mode": "enforce"},
    "eased": {"mode": "shadow"},
}
NEW = [route | CHANGES[route["id"]] for route in OLD]


def policy(routes: list[dict[str, Any]]) -> Policy:
    config = parse(configuration(9, routes=routes), "gateway.yaml", {})
    assert isinstance(config, GatewayConfig), "\n".join(map(str, config))
    plan = build.plan(config, NOWHERE, "test")
    return Policy(RouteTable(plan.routes), tuple(issuer.terms for issuer in plan.issuers.values()))


def sent(witness: Request) -> bytes:
    """The request with a token that is signed."""
    caller, fields = witness.caller, []
    if caller.payload is not None:
        other = caller.payload["iss"] != "https://issuer.example"
        token = mint(claims_at(caller, NOW), key=rsa_key("other") if other else None)
        if caller.place is None:
            fields = [authorization(token)]
        elif caller.place.kind == "header":
            fields = [f"{caller.place.name}: {token}"]
        else:
            fields = [f"Cookie: {caller.place.name}={token}", f"Origin: http://{witness.host}"]
    fields += [f"{name}: {value}" for name, value in witness.fields]
    return request(f"{witness.method} {witness.target}", *fields, host=f"Host: {witness.host}")


async def answers_as(gate: Gate, witness: Request, said: Verdict) -> None:
    answer = await gate.ask(sent(witness))
    assert (answer.status == 200) is said.allowed, (witness, said, answer)
    if not said.allowed:
        assert json.loads(answer.body)["reason"] == str(said), (witness, answer)


async def test_every_witness_of_a_difference_is_answered_as_it_says(start: Start, tmp_path: Path) -> None:
    found = compare(policy(OLD), policy(NEW))
    assert found.unproven == ()
    told = {route.id for finding in found.findings for route in (finding.before.route, finding.after.route) if route}
    assert told == set(CHANGES)
    assert {finding.change for finding in found.findings} == {Change.ALLOWED, Change.REFUSED}
    old, new = await start(routes=OLD), await start(routes=NEW, access_log=str(tmp_path / "new.jsonl"))
    for finding in found.findings:
        await answers_as(old, finding.witness, finding.before)
        await answers_as(new, finding.witness, finding.after)


async def test_what_a_gateway_recorded_comes_out_the_same_under_its_own_rules(start: Start) -> None:
    found = compare(policy(NEW), policy(OLD))
    old = await start(routes=OLD)
    for finding in found.findings:
        await answers_as(old, finding.witness, finding.after)
    records = await old.records(len(found.findings))
    outcomes = [replay(policy(OLD), record, NOW).replayed for record in records]
    assert set(outcomes) <= {Replayed.SAME, Replayed.UNCLEAR}
    assert Replayed.SAME in outcomes


WITHOUT_A_WITNESS = {Kind.UNREACHABLE, Kind.NEVER_GRANTED, Kind.SHADOW, Kind.GRACE_OVER}
DOUBTFUL = [
    USUAL | {"id": "log", "path": "/{kind}/log", "methods": ["GET"]},
    USUAL | {"id": "job", "path": "/jobs/{what}", "methods": ["GET"], "scopes": ["jobs"]},
    {"id": "status", "path": "/admin/status", "public": True, "methods": ["GET"], "upstream": "api"},
    USUAL | {"id": "keys", "path": "/files/keys", "methods": ["GET"], "scopes": ["admin"]},
    USUAL | {"id": "files", "path": "/files/{name}", "methods": ["GET"], "allow_in_path": ["path_parameters"]},
    USUAL | {"id": "admin", "path": "/admin/{rest...}"},
    USUAL | {"id": "version", "path": "/v", "methods": ["GET"], "fields": {"X-Version": "2"}},
    USUAL | {"id": "beta", "path": "/v", "methods": ["GET"], "fields": {"X-Beta": True}, "scopes": ["beta"]},
]


async def test_every_witness_of_a_doubt_is_answered_as_it_says(start: Start) -> None:
    found = prove(policy(DOUBTFUL))
    assert {doubt.kind for doubt in found.doubts} == {*Kind} - WITHOUT_A_WITNESS
    gate = await start(routes=DOUBTFUL)
    for doubt in found.doubts:
        assert doubt.witness is not None
        await answers_as(gate, doubt.witness, verdict(policy(DOUBTFUL), doubt.witness))
        if doubt.kind in {Kind.PUBLIC_BELOW, Kind.READ_OTHERWISE}:
            assert verdict(policy(DOUBTFUL), doubt.witness).allowed
