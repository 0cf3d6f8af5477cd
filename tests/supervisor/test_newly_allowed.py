"""Whether a reload would let in what is kept out so far."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import build
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.plan import Plan
from gateway.starting import BadFileError
from gateway.supervisor.newly_allowed import REMEDY, keep_out

ISSUER = {"issuer": "https://one.example", "audience": "api", "jwks_uri": "https://one.example/keys"}
READ = {"id": "read", "path": "/jobs/{job}", "methods": ["GET"], "scopes": ["read"], "upstream": "api"}
OPEN = {"id": "read", "path": "/jobs/{job}", "methods": ["GET"], "public": True, "upstream": "api"}


def planned(newly_allowed: str = "refuse", **changes: Any) -> Plan:
    whole = {
        "upstreams": {"api": {"url": "http://127.0.0.1:9"}},
        "issuers": {"one": ISSUER},
        "routes": [READ],
        "reload": {"newly_allowed": newly_allowed},
    }
    config = parse(json.dumps(whole | changes), "gateway.yaml", {})
    assert isinstance(config, GatewayConfig), config
    return build.plan(config, Path("/etc"), "rev")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"realm": "other"},
        {"routes": [READ | {"scopes": ["read", "more"]}]},
        {"routes": [READ | {"path": "/jobs/one"}]},
        {"token_cache": 7, "issuers": {"one": ISSUER}},
    ],
)
def test_what_opens_nothing_is_let_through(changes: dict[str, Any]) -> None:
    keep_out(planned(), planned("take", **changes))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"routes": [OPEN]}, "newly allowed, GET: such as GET /jobs/"),
        ({"routes": [READ | {"mode": "shadow"}]}, "newly allowed, GET: such as GET /jobs/"),
        (
            {"routes": [READ | {"mode": "grace until 2099-01-01", "grace_clients": ["old"]}]},
            "newly allowed, GET: such as GET /jobs/",
        ),
        ({"routes": [READ | {"methods": ["GET", "POST"]}]}, "newly allowed, POST: such as POST /jobs/"),
        (
            {"routes": [READ, READ | {"id": "more", "path": "/more"}]},
            "newly allowed, GET: such as GET /more with a token of",
        ),
        ({"issuers": {"one": ISSUER | {"jwks_uri": "https://two.example/keys"}}}, "not proven: issuers.one: where its"),
        ({"issuers": {"one": ISSUER, "two": ISSUER | {"issuer": "https://two.example"}}}, "not proven: issuers.two: "),
    ],
)
def test_what_opens_a_door_is_refused_with_a_witness_and_the_remedy(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(BadFileError) as refused:
        keep_out(planned(), planned("take", **changes))
    lines = str(refused.value).splitlines()
    assert [each for each in lines if each.startswith(line)]
    assert lines[-1] == REMEDY
    keep_out(planned("take"), planned(**changes))
