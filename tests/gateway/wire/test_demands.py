"""What routes demand beyond plain scopes, over HTTP: who enters, who does not, and what the record says of it."""

import json
from typing import Any

import pytest

from .asked import OPAQUE, asking, says, tried
from .conftest import Start
from .gate import Gate
from .minting import AUDIENCE, ISSUER, NOW, OTHER_ISSUER, claims, mint, rsa_key
from .raw_client import request
from .raw_upstream import RawUpstream

DENYING: list[dict[str, Any]] = [
    {"id": "hole", "path": "/admin/keys/{rest...}", "deny": True},
    {"id": "admin", "path": "/admin/{rest...}", "scopes": ["admin"], "upstream": "api"},
]


async def ask(gate: Gate, line: str, token: str | None = None, *fields: str) -> tuple[int, str | None]:
    """Status, and the reason of a refusal."""
    answer = await gate.ask(request(line, *([] if token is None else [gate.bearer(token)]), *fields))
    return answer.status, json.loads(answer.body)["reason"] if answer.status >= 400 else None


def of(**changes: Any) -> str:
    return mint(claims(**changes))


@pytest.mark.parametrize("line", ["GET /admin/keys/", "DELETE /admin/keys/1"])
async def test_a_route_that_denies_lets_nobody_in_and_the_wide_one_below_goes_on(start: Start, line: str) -> None:
    gate = await start(routes=DENYING)
    assert await ask(gate, line, of(scope="admin")) == (403, "route_denied")
    assert await ask(gate, line) == (403, "route_denied")
    assert not gate.upstream.visits
    assert await ask(gate, "GET /admin/users", of(scope="admin")) == (200, None)
    refused = (await gate.records(3))[0]
    assert (refused["route"], refused["decision"], refused["client_id"]) == ("hole", "deny", None)
    assert refused["detail"] == "deny: expected nobody, found a request"


async def test_a_route_narrows_the_audiences_of_its_issuers(start: Start) -> None:
    routes = [
        {"id": "batch", "path": "/batch", "scopes": ["admin"], "audiences": ["batch"], "upstream": "api"},
        {"id": "all", "path": "/all", "scopes": ["admin"], "upstream": "api"},
    ]
    issuers = {"main": {"issuer": ISSUER, "audience": [AUDIENCE, "batch"], "jwks_file": "keys.json"}}
    gate = await start(routes=routes, issuers=issuers)
    for aud, status in ((AUDIENCE, 401), ([AUDIENCE, "batch"], 200), ("batch", 200), ("other", 401)):
        refused = (status, "audience_mismatch" if status == 401 else None)
        assert await ask(gate, "GET /batch", of(scope="admin", aud=aud)) == refused
    assert await ask(gate, "GET /all", of(scope="admin", aud=AUDIENCE)) == (200, None)
    assert len(gate.upstream.visits) == 3
    records = await gate.records(5)
    assert records[0]["detail"] == f"route audiences: expected batch, found {AUDIENCE}"
    assert [record["client_id"] for record in records] == [*["nightly-batch"] * 3, None, "nightly-batch"]


CONDITIONAL: list[dict[str, Any]] = [
    {
        "id": "tenants",
        "path": "/tenants/{tenant}/jobs",
        "scopes": ["jobs.read"],
        "claims": {"tenant": "{tenant}", "realm_access.roles": ["operator", "auditor"]},
        "allow_in_path": ["encoded_slash", "path_parameters"],
        "upstream": "api",
    },
    {"id": "some", "path": "/some", "clients": {"main": ["nightly-batch"]}, "upstream": "api"},
]
ACME = {"tenant": "acme", "realm_access": {"roles": ["operator"]}, "scope": "jobs.read"}


@pytest.mark.parametrize(
    ("path", "changes", "expected"),
    [
        ("/tenants/acme/jobs", {}, (200, None)),
        ("/tenants/acme/jobs?tenant=globex", {}, (200, None)),
        ("/tenants/acme/jobs", {"tenant": ["globex", "acme"]}, (200, None)),
        ("/tenants/7/jobs", {"tenant": 7}, (200, None)),
        ("/tenants/a%20b/jobs", {"tenant": "a b"}, (200, None)),
        ("/tenants/globex/jobs", {}, (403, "claim_condition_failed")),
        ("/tenants/ACME/jobs", {}, (403, "claim_condition_failed")),
        ("/tenants/acme;x=1/jobs", {}, (403, "claim_condition_failed")),
        ("/tenants/acme%2Fx/jobs", {}, (403, "claim_condition_failed")),
        ("/tenants/%FF/jobs", {"tenant": ["\ufffd", "null"]}, (403, "claim_condition_failed")),
        ("/tenants/acme/jobs", {"tenant": None}, (403, "claim_condition_failed")),
        ("/tenants/acme/jobs", {"tenant": {"acme": True}}, (403, "claim_condition_failed")),
        ("/tenants/acme/jobs", {"realm_access": {"roles": "guest"}}, (403, "claim_condition_failed")),
        ("/tenants/acme/jobs", {"scope": "jobs"}, (403, "scope_insufficient")),
    ],
)
async def test_claims_have_to_be_what_the_route_and_its_path_say(
    start: Start, path: str, changes: dict[str, Any], expected: tuple[int, str | None]
) -> None:
    gate = await start(routes=CONDITIONAL)
    assert await ask(gate, f"GET {path}", of(**(ACME | changes))) == expected


async def test_a_known_token_on_a_kept_connection_is_compared_with_each_path_anew(start: Start) -> None:
    gate = await start(routes=CONDITIONAL)
    line = gate.bearer(of(**ACME))
    paths = ["acme", "globex", "acme", "acme", "initech"]
    async with gate.connect() as client:
        statuses = [(await client.ask(request(f"GET /tenants/{tenant}/jobs", line))).status for tenant in paths]
    assert statuses == [200, 403, 200, 200, 403]


async def test_the_refusal_says_nothing_of_the_condition_and_the_record_all(start: Start) -> None:
    gate = await start(routes=CONDITIONAL)
    answer = await gate.ask(request("GET /tenants/globex/jobs", gate.bearer(of(**ACME))))
    (challenge,) = answer.all("WWW-Authenticate")
    assert challenge.startswith('Bearer realm="scopegate", error="insufficient_scope"')
    assert challenge.endswith(', scope="jobs.read"')
    assert b"acme" not in answer.body
    record = await gate.record()
    assert (record["reason"], record["client_id"]) == ("claim_condition_failed", "nightly-batch")
    assert record["detail"] == "conditions: expected tenant globex (the path's {tenant}), found tenant acme"


async def test_what_an_issuer_answers_of_an_opaque_token_is_compared_and_remembered_likewise(
    start: Start, issuer: RawUpstream
) -> None:
    issuer.play = says(**ACME)
    routes = [route | {"issuers": ["main"]} for route in CONDITIONAL]
    gate = await start(routes=routes, **asking(issuer))
    gate.secrets.append(OPAQUE)
    targets = [f"/tenants/{tenant}/jobs" for tenant in ("acme", "globex", "acme")]
    assert [(await tried(gate, target=target)).status for target in targets] == [200, 403, 200]
    assert len(issuer.visits) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (200, None)),
        ({"scope": None}, (200, None)),
        ({"client_id": "other"}, (403, "claim_condition_failed")),
        ({"client_id": None, "sub": "nightly-batch"}, (403, "claim_condition_failed")),
    ],
)
async def test_only_the_clients_that_a_route_lists_enter(
    start: Start, changes: dict[str, Any], expected: tuple[int, str | None]
) -> None:
    gate = await start(routes=CONDITIONAL)
    assert await ask(gate, "GET /some", of(**changes)) == expected


async def test_another_issuers_client_of_the_same_name_stays_out(start: Start) -> None:
    gate = await start(routes=CONDITIONAL)
    token = mint(claims(iss=OTHER_ISSUER), key=rsa_key("other"))
    assert await ask(gate, "GET /some", token) == (403, "claim_condition_failed")


SCOPED: list[dict[str, Any]] = [
    {"id": "nested", "path": "/nested", "scopes": {"any": ["admin", {"all": ["a.read", "b"]}]}, "upstream": "api"},
    {"id": "below", "path": "/below", "scopes": ["a.read"], "scope_match": "hierarchic", "upstream": "api"},
    {"id": "stars", "path": "/stars", "scopes": ["a.read"], "scope_match": "wildcard", "upstream": "api"},
    {"id": "exact", "path": "/exact", "scopes": ["a.read"], "upstream": "api"},
]


@pytest.mark.parametrize(
    ("path", "scope", "missing"),
    [
        ("/nested", "admin", None),
        ("/nested", "b a.read", None),
        ("/nested", "a.read", ["admin", "b"]),
        ("/nested", "a b", ["admin", "a.read"]),
        ("/below", "a", None),
        ("/below", "a.*", ["a.read"]),
        ("/stars", "a.*", None),
        ("/stars", "a", ["a.read"]),
        ("/stars", "*", ["a.read"]),
        ("/exact", "a a.*", ["a.read"]),
    ],
)
async def test_scopes_are_nested_and_grant_others_as_the_route_says(
    start: Start, path: str, scope: str, missing: list[str] | None
) -> None:
    gate = await start(routes=SCOPED)
    answer = await gate.ask(request(f"GET {path}", gate.bearer(of(scope=scope))))
    assert answer.status == (200 if missing is None else 403)
    assert missing is None or json.loads(answer.body)["scopes_missing"] == missing


BOUNDED: list[dict[str, Any]] = [
    {"id": "near", "path": "/near", "scopes": ["a"], "networks": ["127.0.0.0/8"], "upstream": "api"},
    {"id": "far", "path": "/far", "scopes": ["a"], "networks": ["203.0.113.0/24"], "upstream": "api"},
    {"id": "open", "path": "/open", "public": True, "networks": ["203.0.113.0/24"], "upstream": "api"},
    {"id": "day", "path": "/day", "scopes": ["a"], "hours": "08:00-18:00", "upstream": "api"},
    {"id": "shut", "path": "/shut", "public": True, "hours": "18:00-08:00", "upstream": "api"},
]
FAR, NEAR = "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.1"


@pytest.mark.parametrize(
    ("trusted", "path", "fields", "expected"),
    [
        ([], "/near", [], (200, None)),
        ([], "/near", [FAR], (200, None)),
        ([], "/far", [], (403, "network_not_allowed")),
        ([], "/far", [FAR], (403, "network_not_allowed")),
        ([], "/open", [FAR], (403, "network_not_allowed")),
        (["127.0.0.1/32"], "/near", [FAR], (403, "network_not_allowed")),
        (["127.0.0.1/32"], "/near", [], (200, None)),
        (["127.0.0.1/32"], "/far", [FAR], (200, None)),
        (["127.0.0.1/32"], "/far", [NEAR], (403, "network_not_allowed")),
        (["127.0.0.1/32"], "/far", [FAR, NEAR], (403, "network_not_allowed")),
        (["127.0.0.1/32"], "/far", [NEAR, FAR], (200, None)),
        (["127.0.0.1/32"], "/far", ["X-Forwarded-For: 203.0.113.9, x"], (403, "network_not_allowed")),
        (["127.0.0.1/32"], "/far", [f"{FAR}:4711"], (200, None)),
        (["127.0.0.1/32"], "/near", [f"{FAR}:4711"], (403, "network_not_allowed")),
        (["127.0.0.1/32"], "/near", ["X-Forwarded-For: unknown"], (403, "network_not_allowed")),
        (["127.0.0.1/32"], "/near", [FAR, "X-Forwarded-For: _hidden"], (403, "network_not_allowed")),
        (["127.0.0.1/32"], "/open", [FAR], (200, None)),
    ],
)
async def test_the_clients_network_counts_and_only_a_trusted_proxy_may_tell_it(
    start: Start, trusted: list[str], path: str, fields: list[str], expected: tuple[int, str | None]
) -> None:
    gate = await start(routes=BOUNDED, trusted_proxies=trusted)
    token = None if path == "/open" else of(scope="a")
    assert await ask(gate, f"GET {path}", token, *fields) == expected


async def test_one_kept_connection_of_a_proxy_carries_clients_of_several_networks(start: Start) -> None:
    gate = await start(routes=BOUNDED, trusted_proxies=["127.0.0.1/32"])
    line = gate.bearer(of(scope="a"))
    async with gate.connect() as client:
        statuses = [(await client.ask(request("GET /far", line, sent))).status for sent in (FAR, FAR, NEAR, FAR, NEAR)]
    assert statuses == [200, 200, 403, 200, 403]


async def test_a_route_takes_requests_at_its_hours_and_a_known_token_makes_no_difference(start: Start) -> None:
    gate = await start(routes=BOUNDED)  # NOW is 08:00 UTC
    line = gate.bearer(of(scope="a", exp=NOW + 86400))
    async with gate.connect() as client:
        assert (await client.ask(request("GET /day", line))).status == 200
        assert (await client.ask(request("GET /shut"))).status == 403
        gate.clock.now = NOW + 10 * 3600 - 1
        assert (await client.ask(request("GET /day", line))).status == 200
        gate.clock.now = NOW + 10 * 3600
        late = await client.ask(request("GET /day", line))
        assert (await client.ask(request("GET /shut"))).status == 200
    assert (late.status, json.loads(late.body)["reason"]) == (403, "outside_hours")
    assert not late.all("WWW-Authenticate")
    refused = (await gate.records(5))[3]
    assert (refused["client_id"], refused["detail"]) == (
        "nightly-batch",
        "hours: expected 08:00-18:00 (UTC), found Fri 18:00 UTC",
    )


async def test_a_stranger_learns_nothing_of_networks_and_hours_without_a_token(start: Start) -> None:
    gate = await start(routes=BOUNDED)
    assert await ask(gate, "GET /far") == (401, "token_missing")
