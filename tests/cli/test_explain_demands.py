"""`scopegate explain` on what routes demand beyond plain scopes: each demand with expected and found."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm

from gateway.cli.explain import explain

AT = "2027-01-15T08:00:00Z"
"""A Friday."""

KEYS = {"keys": [ECAlgorithm.to_jwk(generate_private_key(SECP256R1()).public_key(), as_dict=True)]}
Route = dict[str, Any]


def write(base: Path, routes: list[Route], **changes: Any) -> Path:
    """A gateway's file as JSON, which is YAML."""
    (base / "keys.json").write_text(json.dumps(KEYS))
    issuers = {
        name: {"issuer": f"https://{name}.example", "audience": "api", "jwks_file": "keys.json"}
        for name in ("main", "other")
    }
    whole: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "issuers": issuers,
        "upstreams": {"api": {"url": "http://127.0.0.1:9"}},
        "routes": routes,
    }
    file = base / "gateway.yaml"
    file.write_text(json.dumps(whole | changes))
    return file


def explained(
    file: Path, line: str, claims: dict[str, Any] | None = None, *options: str, now: str = AT
) -> dict[str, Any]:
    """What explain says of a request, with claims of `main` unless they say otherwise."""
    given = [] if claims is None else ["--claims", "-"]
    sent = None if claims is None else json.dumps({"iss": "https://main.example"} | claims)
    arguments = [*line.split(), "-c", str(file), "--json", "--now", now, *given, *options]
    result = CliRunner().invoke(explain, arguments, input=sent)
    assert result.exit_code in {0, 1}, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def step(found: dict[str, Any], name: str) -> dict[str, Any]:
    wanted: dict[str, Any] = next(step for step in found["steps"] if step["name"] == name)
    return wanted


def facts(found: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """What became of each demand: mark, found, expected."""
    return {fact["name"]: (fact["mark"], fact["found"], fact["expected"]) for fact in step(found, "decide")["facts"]}


def advice(found: dict[str, Any]) -> str:
    return "\n".join("\n".join([change["do"], *change["instead"]]) for change in found["changes"])


@pytest.mark.parametrize("claims", [None, {"scope": "admin"}])
def test_a_route_that_denies_is_named_with_what_else_there_is(tmp_path: Path, claims: dict[str, Any] | None) -> None:
    routes: list[Route] = [
        {"id": "hole", "path": "/admin/keys", "deny": True},
        {"id": "users", "path": "/admin/users", "scopes": ["admin"], "upstream": "api"},
    ]
    found = explained(write(tmp_path, routes), "GET /admin/keys", claims)
    assert (found["verdict"]["status"], found["verdict"]["reason"]) == (403, "route_denied")
    assert step(found, "decide")["mark"] == "failed"
    assert step(found, "take")["summary"] == "nothing to do: the route denies everyone"
    assert "remove deny: true from route hole" in advice(found)
    assert "/admin/users (users)" in advice(found)


@pytest.mark.parametrize(
    ("aud", "mark", "found"),
    [
        (None, "ok", "batch"),
        ("batch", "ok", "batch"),
        (["api", "batch"], "ok", "api batch"),
        ("api", "failed", "api"),
    ],
)
def test_the_audience_that_a_route_takes_is_told_and_assumed(
    tmp_path: Path, aud: object, mark: str, found: str
) -> None:
    issuers = {"main": {"issuer": "https://main.example", "audience": ["api", "batch"], "jwks_file": "keys.json"}}
    routes: list[Route] = [
        {"id": "r", "path": "/r", "scopes": ["read"], "audiences": ["batch"], "upstream": "api"},
        {"id": "all", "path": "/all", "scopes": ["read"], "upstream": "api"},
    ]
    file = write(tmp_path, routes, issuers=issuers)
    told = explained(file, "GET /r", {"scope": "read"} | ({} if aud is None else {"aud": aud}))
    assert facts(told)["route audiences"] == (mark, found, "batch")
    assert told["assumed"] == ["exp is in one hour"] if aud else ["aud is batch", "exp is in one hour"]
    if mark == "failed":
        assert told["verdict"]["reason"] == "audience_mismatch"
        assert facts(told)["scopes"][0] == "not_reached"
        assert advice(told) == f"request the audience batch (found api)\nchange audiences of route r in {file}"
    assert "route audiences" not in facts(explained(file, "GET /all", {"scope": "read"}))


def test_without_an_audience_all_routes_are_listed_that_some_audience_opens(tmp_path: Path) -> None:
    issuers = {"main": {"issuer": "https://main.example", "audience": ["api", "batch"], "jwks_file": "keys.json"}}
    routes: list[Route] = [
        {"id": name, "path": f"/{name}", "clients": ["me"], "audiences": [name], "upstream": "api"}
        for name in ("api", "batch")
    ]
    file = write(tmp_path, routes, issuers=issuers)
    for claims, listed in (({}, ["api", "batch"]), ({"aud": "batch"}, ["batch"])):
        told = CliRunner().invoke(
            explain, ["--list", "-c", str(file), "--json", "--claims", "-"], json.dumps({"client_id": "me"} | claims)
        )
        assert [entry["route"] for entry in json.loads(told.stdout)] == listed


CONDITIONAL: list[Route] = [
    {
        "id": "tenants",
        "path": "/tenants/{tenant}",
        "scopes": {"any": ["jobs.read", "jobs.admin"]},
        "clients": {"main": ["batch", "nightly"]},
        "claims": {"tenant": "{tenant}", "level": [1, 2]},
        "upstream": "api",
    }
]


def test_each_condition_is_told_with_expected_and_found(tmp_path: Path) -> None:
    file = write(tmp_path, CONDITIONAL)
    claims = {"client_id": "batch", "tenant": "acme", "level": 3, "scope": "jobs.read"}
    found = explained(file, "GET /tenants/globex", claims)
    assert found["verdict"]["reason"] == "claim_condition_failed"
    assert facts(found) == {
        "route issuers": ("ok", "main", "main or other"),
        "client": ("ok", "batch", "batch or nightly"),
        "claim tenant": ("failed", "acme", "globex (the path's {tenant})"),
        "claim level": ("failed", "3", "1 or 2"),
        "scopes": ("not_reached", "jobs.read", "one of jobs.read jobs.admin"),
    }
    told = [change["do"] for change in found["changes"]]
    assert told == [
        "use a token with the claim tenant: expected globex (the path's {tenant}), found acme",
        "use a token with the claim level: expected 1 or 2, found 3",
    ]
    assert f"change claims.level of route tenants in {file}" in advice(found)


def test_conditions_that_hold_are_told_as_such_and_scopes_are_looked_at_then(tmp_path: Path) -> None:
    claims = {"client_id": "nightly", "tenant": ["acme"], "level": 2}
    found = explained(write(tmp_path, CONDITIONAL), "GET /tenants/acme", claims)
    assert found["verdict"]["reason"] == "scope_insufficient"
    marks = {name: mark for name, (mark, _, _) in facts(found).items()}
    assert marks == {
        "route issuers": "ok",
        "client": "ok",
        "claim tenant": "ok",
        "claim level": "ok",
        "scopes": "failed",
        "missing": "failed",
    }
    assert advice(found) == "ask the issuer https://main.example for scope jobs.read"


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ({"client_id": "x"}, "add x to the clients of route tenants"),
        ({}, "call as batch or nightly (found none)"),
        ({"iss": "https://other.example", "client_id": "batch"}, "call as none of other (found batch)"),
    ],
)
def test_a_client_that_may_not_enter_is_told_who_may(tmp_path: Path, client: Route, expected: str) -> None:
    found = explained(write(tmp_path, CONDITIONAL), "GET /tenants/acme", {"tenant": "acme", "level": 1, **client})
    assert found["verdict"]["reason"] == "claim_condition_failed"
    assert expected in advice(found)


def test_an_expired_token_whose_claims_would_fail_next_needs_both_changes(tmp_path: Path) -> None:
    claims = {"client_id": "batch", "tenant": "acme", "level": 1, "exp": 1}
    told = advice(explained(write(tmp_path, CONDITIONAL), "GET /tenants/globex", claims))
    assert "get a new token" in told
    assert "the claim tenant: expected globex" in told


def test_where_no_scope_is_demanded_none_is_spoken_of(tmp_path: Path) -> None:
    routes: list[Route] = [{"id": "a", "path": "/a", "clients": {"main": ["batch"]}, "upstream": "api"}]
    file = write(tmp_path, routes)
    assert "get a token from https://main.example" in advice(explained(file, "GET /a"))
    found = explained(file, "GET /a", {"client_id": "batch"})
    assert found["allowed"]
    assert set(facts(found)) == {"route issuers", "client"}


NESTED: list[Route] = [
    {
        "id": "a",
        "path": "/a",
        "scopes": {"any": ["admin", {"all": ["jobs.read", "jobs.run"]}]},
        "scope_match": "hierarchic",
        "upstream": "api",
    }
]


@pytest.mark.parametrize(
    ("scope", "reason", "told"),
    [
        ("jobs", None, ""),
        ("jobs.read", "scope_insufficient", "ask the issuer https://main.example for scope admin"),
        ("x", "scope_insufficient", "ask the issuer https://main.example for scope admin"),
    ],
)
def test_nested_scopes_are_told_in_words_with_the_fewest_that_help(
    tmp_path: Path, scope: str, reason: str | None, told: str
) -> None:
    found = explained(write(tmp_path, NESTED), "GET /a", {"scope": scope})
    assert found["verdict"]["reason"] == reason
    assert found["scopes"]["demanded"] == "one of admin (all of jobs.read jobs.run), or a scope above"
    assert advice(found) == told


BOUNDED: list[Route] = [
    {
        "id": "a",
        "path": "/a",
        "scopes": ["jobs.read"],
        "networks": ["10.0.0.0/8"],
        "hours": {"times": "09:00-17:00", "days": ["thu", "fri"], "zone": "Europe/Berlin"},
        "upstream": "api",
    },
    {"id": "open", "path": "/open", "public": True, "networks": ["10.0.0.0/8"], "upstream": "api"},
]


def test_network_and_hours_are_told_with_what_was_found(tmp_path: Path) -> None:
    found = explained(write(tmp_path, BOUNDED), "GET /a", {"scope": "jobs.read"}, "--peer", "10.0.0.9")
    assert found["allowed"]
    assert facts(found)["network"] == ("ok", "10.0.0.9", "10.0.0.0/8")
    assert facts(found)["hours"] == ("ok", "Fri 09:00 CET", "09:00-17:00 thu, fri (Europe/Berlin)")


@pytest.mark.parametrize(
    ("options", "now", "reason", "told"),
    [
        ([], AT, "network_not_allowed", "call from 10.0.0.0/8 (found no address that is known)"),
        ([], AT, "network_not_allowed", "say who connects with --peer"),
        (["--peer", "192.0.2.1"], AT, "network_not_allowed", "add the client's network to the networks of route a"),
        (["--peer", "10.0.0.1"], "2027-01-15T07:59:59Z", "outside_hours", "(found Fri 08:59 CET)"),
        (["--peer", "10.0.0.1"], "2027-01-16T08:00:00Z", "outside_hours", "change hours of route a"),
    ],
)
def test_a_request_from_elsewhere_or_at_another_time_is_told_so(
    tmp_path: Path, options: list[str], now: str, reason: str, told: str
) -> None:
    found = explained(write(tmp_path, BOUNDED), "GET /a", {"scope": "jobs.read"}, *options, now=now)
    assert found["verdict"]["reason"] == reason
    assert told in advice(found)
    assert facts(found)["scopes"][0] == "not_reached"


def test_a_trusted_proxy_tells_the_clients_address_here_too(tmp_path: Path) -> None:
    file = write(tmp_path, BOUNDED, trusted_proxies=["192.0.2.0/24"])
    sent = ["--header", "X-Forwarded-For: 10.0.0.5"]
    assert explained(file, "GET /open", None, "--peer", "192.0.2.1", *sent)["allowed"]
    elsewhere = explained(file, "GET /open", None, "--peer", "198.51.100.1", *sent)
    assert (step(elsewhere, "decide")["mark"], elsewhere["verdict"]["status"]) == ("failed", 403)
    assert facts(elsewhere) == {"network": ("failed", "198.51.100.1", "10.0.0.0/8")}


def test_an_address_that_a_trusted_proxy_does_not_tell_is_told_as_not_known(tmp_path: Path) -> None:
    file = write(tmp_path, BOUNDED, trusted_proxies=["10.0.0.0/8"])
    found = explained(file, "GET /open", None, "--peer", "10.0.0.1", "--header", "X-Forwarded-For: 10.0.0.5, unknown")
    assert facts(found) == {"network": ("failed", "no address that is known", "10.0.0.0/8")}
    assert "let the proxy write the client's address, and nothing else, into X-Forwarded-For" in advice(found)
    ported = explained(file, "GET /open", None, "--peer", "10.0.0.1", "--header", "X-Forwarded-For: 192.0.2.1:4711")
    assert facts(ported) == {"network": ("failed", "192.0.2.1", "10.0.0.0/8")}


def test_a_token_that_has_expired_and_comes_from_elsewhere_needs_both_changes(tmp_path: Path) -> None:
    claims = {"scope": "jobs.read", "exp": 1}
    told = advice(explained(write(tmp_path, BOUNDED), "GET /a", claims, "--peer", "192.0.2.1"))
    assert "get a new token" in told
    assert "call from 10.0.0.0/8" in told
