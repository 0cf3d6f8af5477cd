"""`scopegate explain` on how often one caller may call."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.explain import explain

LIMITS = [{"limit": "100/minute", "by": "client"}, {"limit": "1000/15 minutes", "by": "address"}]
ROUTE = {"id": "jobs", "path": "/jobs", "scopes": ["read"], "upstream": "api", "rate_limits": LIMITS}
PUBLIC = {"id": "open", "path": "/jobs", "public": True, "upstream": "api", "rate_limits": LIMITS[1:]}


def asked(folder: Path, route: dict[str, Any], scope: str, *options: str) -> str:
    whole = {
        "issuers": {"main": {"issuer": "https://main.example", "audience": "api"}},
        "upstreams": {"api": {"url": "http://127.0.0.1:9"}},
        "routes": [route],
    }
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(whole))
    arguments = ["GET", "/jobs", "-c", str(file), "--claims", "-", *options]
    return CliRunner().invoke(explain, arguments, input=json.dumps({"scope": scope})).stdout


@pytest.mark.parametrize("scope", ["read", "other"])
def test_the_limits_of_the_route_are_told_and_that_nobody_counted_them_here(tmp_path: Path, scope: str) -> None:
    told = asked(tmp_path, ROUTE, scope)
    counted = "rate limit  counted by the running gateway  expected at most"
    lines = [" ".join(line.split()) for line in told.splitlines() if "rate limit" in line]
    assert lines == [
        f"· {' '.join(counted.split())} {limit}" for limit in ("100/minute by client", "1000/15 minutes by address")
    ]


def test_a_public_route_tells_its_limits_too(tmp_path: Path) -> None:
    (decide,) = (
        step for step in json.loads(asked(tmp_path, PUBLIC, "", "--json"))["steps"] if step["name"] == "decide"
    )
    assert decide["mark"] == "ok"
    assert decide["facts"] == [
        {
            "mark": "not_reached",
            "name": "rate limit",
            "found": "counted by the running gateway",
            "expected": "at most 1000/15 minutes by address",
        }
    ]


def test_a_route_without_limits_tells_of_none(tmp_path: Path) -> None:
    assert "rate limit" not in asked(tmp_path, ROUTE | {"rate_limits": []}, "read")
