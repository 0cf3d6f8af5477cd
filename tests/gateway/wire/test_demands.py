"""What routes demand beyond plain scopes, over HTTP: who enters, who does not, and what the record says of it."""

import json
from typing import Any

import pytest

from .conftest import Start
from .gate import Gate
from .minting import claims, mint
from .raw_client import request

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
