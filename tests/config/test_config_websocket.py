"""The route key `websocket`."""

import pytest

from gateway.build import route
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.policy.model import WebSocketTerms

FILE = """\
upstreams: {{api: {{url: "http://127.0.0.1:9000"}}}}
routes:
  - {{id: a, path: /, upstream: api, public: true, {}}}
"""


@pytest.mark.parametrize(
    ("written", "terms"),
    [
        ("methods: [GET]", None),
        ("websocket: false", None),
        ("websocket: true", WebSocketTerms(300, end_at_expiry=True)),
        ("websocket: {}", WebSocketTerms(300, end_at_expiry=True)),
        ("websocket: {idle_timeout: 1h}", WebSocketTerms(3600, end_at_expiry=True)),
        ("websocket: {end_at_expiry: false}, methods: [POST, GET]", WebSocketTerms(300, end_at_expiry=False)),
    ],
)
def test_a_websocket_is_taken_on_the_terms_that_are_written(written: str, terms: WebSocketTerms | None) -> None:
    config = parse(FILE.format(written))
    assert isinstance(config, GatewayConfig), config
    assert route(config.routes[0], config.issuers).websocket == terms


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("websocket: 5m", "websocket: must be true, or a mapping such as {idle_timeout: 10m}, not '5m'"),
        ("websocket: [true]", "websocket: must be true, or a mapping such as {idle_timeout: 10m}, not a list"),
        ("websocket: {idle: 5m}", "websocket.idle: unknown key: known keys are: end_at_expiry, idle_timeout"),
        ("websocket: {idle_timeout: 0s}", "websocket.idle_timeout: must be at least 1ms"),
        ("websocket: {end_at_expiry: 1}", "websocket.end_at_expiry: must be true or false, not 1"),
        (
            "websocket: true, methods: [POST]",
            "websocket: needs GET, with which every WebSocket begins: add it to methods, or remove websocket",
        ),
    ],
)
def test_a_fault_is_named_with_its_remedy(written: str, error: str) -> None:
    faults = parse(FILE.format(written))
    assert isinstance(faults, list)
    assert [str(fault).partition("routes[0].")[2] for fault in faults] == [error]
