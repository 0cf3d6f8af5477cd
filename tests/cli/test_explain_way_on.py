"""`scopegate explain` on what an upstream gets otherwise than it came."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.explain import explain

USUAL: dict[str, Any] = {"id": "jobs", "path": "/m/jobs/{job}", "scopes": ["read"], "upstream": "api"}
REWRITTEN = USUAL | {"rewrite": {"prefix": "/m", "to": "/v2"}}


def asked(folder: Path, route: dict[str, Any], line: str, *options: str, **claims: Any) -> str:
    """What explain says of a request with claims."""
    whole = {
        "issuers": {"main": {"issuer": "https://main.example", "audience": "api"}},
        "upstreams": {"api": {"url": "http://127.0.0.1:9"}},
        "routes": [route],
    }
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(whole))
    arguments = [*line.split(), "-c", str(file), "--claims", "-", *options]
    result = CliRunner().invoke(explain, arguments, input=json.dumps({"scope": "read"} | claims))
    assert result.exit_code in {0, 1}, result.output
    return result.stdout


def goes_on(folder: Path, route: dict[str, Any], line: str = "GET /m/jobs/7", **claims: Any) -> dict[str, str]:
    found: dict[str, str] = json.loads(asked(folder, route, line, "--json", **claims))["verdict"]["goes_on"]
    return found


def test_the_path_that_the_upstream_gets_is_told_without_the_query(tmp_path: Path) -> None:
    assert goes_on(tmp_path, REWRITTEN, "GET /m/jobs/a%2Cb?secret=/m/") == {"path": "/v2/jobs/a%2Cb"}
    assert "it goes on to api (http://127.0.0.1:9)\n    path  /v2/jobs/7\n" in asked(
        tmp_path, REWRITTEN, "GET /m/jobs/7"
    )


@pytest.mark.parametrize(("line", "claims"), [("GET /m/jobs/7", {"scope": "other"}), ("GET /m/none", {})])
def test_what_does_not_go_on_has_no_way(tmp_path: Path, line: str, claims: dict[str, Any]) -> None:
    assert goes_on(tmp_path, REWRITTEN, line, **claims) == {}


def test_what_goes_on_as_it_came_is_told_so_by_saying_nothing(tmp_path: Path) -> None:
    assert goes_on(tmp_path, USUAL) == {}
    assert asked(tmp_path, USUAL, "GET /m/jobs/7").endswith("it goes on to api (http://127.0.0.1:9)\n")


def test_fields_that_tell_claims_are_shown_as_they_are_sent(tmp_path: Path) -> None:
    told = USUAL | {"claim_fields": {"X-Tenant": "tenant", "X-Roles": "realm.roles", "X-None": "none"}}
    expected = {"X-Tenant": "a%0D%0Ab", "X-Roles": "x,y", "X-None": ""}
    assert goes_on(tmp_path, told, tenant="a\r\nb", realm={"roles": ["x", "y"]}) == expected
    assert "    X-Tenant  acme\n    X-Roles   none" not in asked(tmp_path, told, "GET /m/jobs/7", tenant="acme")
    assert "    X-Tenant  acme\n" in asked(tmp_path, told, "GET /m/jobs/7", tenant="acme")


def test_the_times_of_the_route_are_told(tmp_path: Path) -> None:
    timed = USUAL | {"timeouts": {"first_byte": "5m", "total": "1500ms"}}
    assert goes_on(tmp_path, timed) == {"timeouts": "first_byte 300 s, total 1.5 s"}
