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
