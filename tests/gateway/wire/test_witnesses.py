"""A witness does what it claims when it is sent: to a gateway with the old rules, and to one with the new.

It is sent at its time, by the gateway's clock; and from its address: one of this machine, or as a trusted proxy tells.
"""

import json
import random
from base64 import b64decode
from hashlib import sha256
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from gateway import build
from gateway.client.client_keys import ClientKey
from gateway.client.dpop_proof import DpopKey
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.policy.routes import RouteTable
from gateway.prove.difference import Change, Difference, compare
from gateway.prove.proofs import Kind, prove
from gateway.prove.replay import Replayed, replay
from gateway.prove.verdicts import NOW as ANY_TIME, Caller, Policy, Request, Verdict, verdict
from gateway.prove.words import claims_at

from .conftest import Start
from .gate import Gate, configuration
from .minting import ISSUER, NOW, base64url, mint, rsa_key
from .raw_client import Answer, request

NOWHERE = Path("/nowhere")
TO_API = {"upstream": "api"}
USUAL: dict[str, Any] = {"scopes": ["read"]} | TO_API
PROXY = "127.0.0.1"
BEHIND: dict[str, Any] = {"trusted_proxies": [f"{PROXY}/32"], "proofs": {"certificate_field": True}}
"""What comes from there is believed about its client's address and certificate."""
CERTIFICATE = "AAAA"
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
    USUAL | {"id": "near", "path": "/near", "networks": ["127.0.0.0/30", "2001:db8::/64"]},
    USUAL | {"id": "office", "path": "/office", "hours": {"times": ["08:00-18:00"], "days": ["mon", "tue"]}},
    {"id": "lobby", "path": "/lobby", "public": True, "networks": ["10.0.0.0/8"], "hours": "22:00-06:00"} | TO_API,
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
    "near": {"networks": ["127.0.0.0/29", "2001:db8::/65"]},
    "office": {"hours": {"times": ["08:00-17:00"], "days": ["mon", "tue", "wed"]}},
    "lobby": {"networks": ["10.0.0.0/9", "192.0.2.0/24"], "hours": "23:00-07:00"},
    "tried": {"mode": "enforce"},
    "eased": {"mode": "shadow"},
}
NEW = [route | CHANGES[route["id"]] for route in OLD]


def policy(routes: list[dict[str, Any]]) -> Policy:
    config = parse(configuration(9, routes=routes, **BEHIND), "gateway.yaml", {})
    assert isinstance(config, GatewayConfig), "\n".join(map(str, config))
    plan = build.plan(config, NOWHERE, "test")
    return Policy(RouteTable(plan.routes), tuple(issuer.terms for issuer in plan.issuers.values()))


def moment(witness: Request) -> float:
    """When it is sent: at its time, or at any where it has none."""
    return NOW if witness.caller.at == ANY_TIME else witness.caller.at


def is_here(address: str) -> bool:
    """Whether a connection can come from there."""
    return ip_address(address) in ip_network("127.0.0.0/8") and address != "127.0.0.0"


def sent(witness: Request) -> bytes:
    """The request with a token that is signed, and the proof that the token is its sender's."""
    caller = witness.caller
    fields = [] if caller.payload is None else bearing(witness, claims_at(caller, moment(witness)))
    fields += [f"{name}: {value}" for name, value in witness.fields]
    if caller.address and not comes_by_itself(caller):
        fields.append(f"X-Forwarded-For: {caller.address}")
    return request(f"{witness.method} {witness.target}", *fields, host=f"Host: {witness.host}")


def bearing(witness: Request, payload: dict[str, object]) -> list[str]:
    """The token where the caller puts it, bound to the key whose holder the caller is."""
    caller, issuer = witness.caller, rsa_key("other") if payload["iss"] != ISSUER else None
    if "dpop" in caller.proofs:
        key = DpopKey(ClientKey(generate_private_key(SECP256R1()), "ES256"))
        token = mint(payload | {"cnf": {"jkt": key.thumbprint}}, key=issuer)
        url = f"{witness.origin.replace('https', 'http')}{witness.target}"
        proof = key.proof(witness.method, url, moment(witness), access_token=token)
        return [*placed(witness, token, "DPoP"), f"DPoP: {proof}"]
    if "mtls" in caller.proofs:
        thumbprint = base64url(sha256(b64decode(CERTIFICATE)).digest())
        token = mint(payload | {"cnf": {"x5t#S256": thumbprint}}, key=issuer)
        return [*placed(witness, token), f"Client-Cert: :{CERTIFICATE}:"]
    return placed(witness, mint(payload, key=issuer))


def placed(witness: Request, token: str, scheme: str = "Bearer") -> list[str]:
    place = witness.caller.place
    if place is None:
        return [f"Authorization: {scheme} {token}"]
    if place.kind == "header":
        return [f"{place.name}: {token}"]
    return [f"Cookie: {place.name}={token}", f"Origin: http://{witness.host}"]


def comes_by_itself(caller: Caller) -> bool:
    """Whether it connects from its own address; or a proxy tells of that, and of its certificate."""
    return bool(caller.address) and is_here(caller.address) and "mtls" not in caller.proofs


async def ask(gate: Gate, witness: Request) -> Answer:
    gate.clock.now = moment(witness)
    caller = witness.caller
    return await gate.ask(sent(witness), caller.address if comes_by_itself(caller) else PROXY)


async def answers_as(gate: Gate, witness: Request, said: Verdict) -> None:
    answer = await ask(gate, witness)
    assert (answer.status == 200) is said.allowed, (witness, said, answer)
    if not said.allowed:
        assert json.loads(answer.body)["reason"] == str(said), (witness, answer)


async def test_every_witness_of_a_difference_is_answered_as_it_says(start: Start, tmp_path: Path) -> None:
    found = compare(policy(OLD), policy(NEW))
    assert found.unproven == ()
    told = {route.id for finding in found.findings for route in (finding.before.route, finding.after.route) if route}
    assert told == set(CHANGES)
    assert {finding.change for finding in found.findings} == {Change.ALLOWED, Change.REFUSED}
    await answer_as(start, tmp_path, OLD, NEW)


async def answer_as(
    start: Start, folder: Path, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> Difference:
    """Send each witness of a difference to both."""
    found = compare(policy(before), policy(after))
    old = await start(routes=before, access_log=str(folder / "old.jsonl"), **BEHIND)
    new = await start(routes=after, access_log=str(folder / "new.jsonl"), **BEHIND)
    for finding in found.findings:
        await answers_as(old, finding.witness, finding.before)
        await answers_as(new, finding.witness, finding.after)
    return found


async def test_what_a_gateway_recorded_comes_out_the_same_under_its_own_rules(start: Start) -> None:
    found = compare(policy(NEW), policy(OLD))
    old = await start(routes=OLD, **BEHIND)
    for finding in found.findings:
        await answers_as(old, finding.witness, finding.after)
    records = await old.records(len(found.findings))
    moments = [moment(finding.witness) for finding in found.findings]
    outcomes = [replay(policy(OLD), record, at).replayed for record, at in zip(records, moments, strict=True)]
    assert set(outcomes) <= {Replayed.SAME, Replayed.UNCLEAR}
    assert Replayed.SAME in outcomes


ABOUT_ROUTES = {Kind.UNREACHABLE, Kind.OPEN_METHODS}
"""Of which a witness shows where it goes, and not who may send it."""

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
    USUAL | {"id": "day", "path": "/{x}/n", "methods": ["GET"], "hours": "08:00-18:00"},
    USUAL | {"id": "inside", "path": "/n/{y}", "methods": ["GET"], "networks": ["127.0.0.8/30"]},
]


async def test_every_witness_of_a_doubt_is_answered_as_it_says(start: Start) -> None:
    found = prove(policy(DOUBTFUL))
    assert {doubt.kind for doubt in found.doubts} == {*Kind} - WITHOUT_A_WITNESS
    gate = await start(routes=DOUBTFUL, **BEHIND)
    for doubt in found.doubts:
        assert doubt.witness is not None
        await answers_as(gate, doubt.witness, verdict(policy(DOUBTFUL), doubt.witness))
        if doubt.kind in {Kind.PUBLIC_BELOW, Kind.READ_OTHERWISE}:
            assert verdict(policy(DOUBTFUL), doubt.witness).allowed


DEMANDS: dict[str, list[Any]] = {
    "methods": [["GET"], ["GET", "POST"], ["POST"]],
    "host": ["a.example", "*.a.example", ["b.example", "a.example"]],
    "fields": [{"X-V": "1"}, {"X-V": ["1", "2"]}, {"X-V": False, "X-D": True}, {"X-D": True}],
    "networks": [["127.0.0.0/29"], ["127.0.0.4/30", "10.0.0.0/8"], ["2001:db8::/32"]],
    "hours": ["08:00-18:00", {"times": ["22:00-06:00", "12:00-13:00"], "days": ["mon", "fri"]}],
    "scopes": [["a"], ["a", "b"], {"any": ["a", "b"]}, {"any": ["b", {"all": ["a", "c"]}]}],
    "scope_match": ["hierarchic", "wildcard"],
    "issuers": [["main"], ["other"], ["main", "other"]],
    "clients": [{"main": ["me"]}, {"main": ["me", "you"]}],
    "claims": [{"tenant": "x"}, {"tenant": ["x", "y"], "level": 1}],
    "require_proof": ["dpop", "mtls"],
    "acr": [["gold"], ["gold", "silver"]],
    "max_age": ["1h", "2h"],
    "token_from": [{"header": "X-Api-Token"}, {"cookie": "tok"}],
    "allow_in_path": [["path_parameters"], ["encoded_slash", "empty_segments"]],
}
PATHS = ["/a", "/{x}", "/a/{x:int}", "/{x}/b", "/a/{rest...}", "/{x:[a-c]+}/b", "/"]


def any_route(dice: random.Random, name: str) -> dict[str, Any]:
    """A route with some demands of every kind."""
    demands = {key: dice.choice(values) for key, values in DEMANDS.items() if dice.random() < 0.25}
    route = USUAL | {"id": name, "path": dice.choice(PATHS)} | demands
    if dice.random() < 0.2:
        of_tokens = {
            "scopes",
            "scope_match",
            "issuers",
            "clients",
            "claims",
            "acr",
            "max_age",
            "token_from",
            "require_proof",
        }
        route = {key: value for key, value in route.items() if key not in of_tokens} | {"public": True}
    elif "main" not in route.get("issuers", ["main"]):
        route.pop("clients", None)
    return route


def any_table(dice: random.Random, routes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Most of these routes, some of them others, in any order; without those that would never match."""
    found: list[dict[str, Any]] = []
    for route in dice.sample(routes, len(routes)):
        added = [*found, any_route(dice, route["id"]) if dice.random() < 0.4 else route]
        if isinstance(parse(configuration(9, routes=added), "gateway.yaml", {}), GatewayConfig):
            found = added
    return found


ONCE_WRONG = (87, 239)
"""Tables about which something was told that was not so."""


@pytest.mark.parametrize("seed", [*range(6), *ONCE_WRONG])
async def test_every_witness_about_any_two_tables_is_answered_as_it_says(
    start: Start, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    routes = [any_route(dice, f"r{number}") for number in range(7)]
    before, after = any_table(dice, routes), any_table(dice, routes)
    assert (await answer_as(start, tmp_path, before, after)).findings
    gate = await start(routes=after, access_log=str(tmp_path / "doubts.jsonl"), **BEHIND)
    told = [(doubt.kind, doubt.witness) for doubt in prove(policy(after)).doubts if doubt.witness is not None]
    said = [verdict(policy(after), witness) for _, witness in told]
    for (kind, witness), each in zip(told, said, strict=True):
        await (ask(gate, witness) if kind in ABOUT_ROUTES else answers_as(gate, witness, each))
    records = await gate.records(len(told))
    assert [record["route"] for record in records] == [each.route and each.route.id for each in said]
