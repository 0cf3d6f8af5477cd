"""How issuers are asked about opaque tokens, in the gateway's file."""

from pathlib import Path

import pytest

from gateway import build
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.plan import KeysFile, NoKeysPlan
from gateway.tokens.introspector import IntrospectionSettings
from gateway.tokens.key_source import KeySettings

ONE = """
issuers:
  main: {issuer: "https://login.example", audience: api, introspection: {credentials: own}}
  other: {issuer: "https://other.example", audience: api, jwks_file: keys.json}
credentials:
  own: {issuer: "https://login.example", client_id: gateway, client_secret: s}
upstreams: {api: {url: "http://127.0.0.1:9000"}}
routes:
  - {id: a, path: /a, scopes: [read], upstream: api}
  - {id: b, path: /b, scopes: [read], issuers: [other], upstream: api}
"""


def config(text: str) -> GatewayConfig:
    found = parse(text, "gateway.yaml", {})
    assert isinstance(found, GatewayConfig), "\n".join(map(str, found))
    return found


def faults(text: str) -> list[str]:
    found = parse(text, "gateway.yaml", {})
    assert isinstance(found, list)
    return [f"{error.key}: {error.message}" for error in found]


def test_each_route_asks_the_one_of_its_issuers_that_is_asked() -> None:
    plan = build.plan(config(ONE), Path(), "r")
    assert [route.rule.asks for route in plan.routes] == ["main", None]
    introspection = plan.issuers["main"].introspection
    assert introspection is not None
    assert introspection.settings == IntrospectionSettings("main", "https://login.example", client_id="gateway")
    assert plan.issuers["other"].introspection is None


@pytest.mark.parametrize(
    ("introspection", "keys"),
    [
        ("", KeySettings),
        (", jwt_tokens: ask", NoKeysPlan),
        (", jwt_tokens: refuse", NoKeysPlan),
        (", jwt_tokens: refuse, jwt: true", KeySettings),
    ],
)
def test_keys_are_fetched_where_something_is_verified_with_them(introspection: str, keys: type) -> None:
    plan = build.plan(config(ONE.replace("credentials: own}", f"credentials: own{introspection}}}")), Path(), "r")
    assert isinstance(plan.issuers["main"].keys, keys)
    assert isinstance(plan.issuers["other"].keys, KeysFile)


@pytest.mark.parametrize(("present", "named"), [("client", []), ("token", ["own"])])
def test_a_token_of_the_gateways_own_is_obtained_only_where_it_asks_with_one(present: str, named: list[str]) -> None:
    text = ONE.replace("credentials: own}", f"credentials: own, present: {present}}}")
    assert list(build.own_credentials(config(text), Path())) == named


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "jwks_file: keys.json",
            "introspection: {credentials: own}",
            "routes[0]: an opaque token could be of main or other, and does not say so: list issuers of which one",
        ),
        (
            "credentials: own}",
            "credentials: won}",
            "issuers.main.introspection.credentials: 'won' is not there: did you mean 'own'?",
        ),
        ("credentials: own}", "timeout: 1s}", "issuers.main.introspection.credentials: is required and missing"),
        (
            "credentials: own}",
            "credentials: own, jwt_tokens: ask}, jwks_file: k.json",
            "issuers.main.jwks_file: has no effect: with introspection.jwt_tokens: ask no keys are needed; remove it",
        ),
        (
            "credentials: own}",
            "credentials: own, endpoint: 'http://login.example/i'}",
            "issuers.main.introspection.endpoint: 'http://login.example/i' must begin with https://",
        ),
        (
            "credentials: own}",
            "credentials: own, cache: {for: 500ms}}",
            "issuers.main.introspection.cache.for: must be at least 1s",
        ),
        (
            "credentials: own}",
            "credentials: own, cache: {negative_for: 6m}}",
            "issuers.main.introspection.cache.negative_for: must be at most 5m",
        ),
        (
            "credentials: own}",
            "credentials: own, jwt_tokens: maybe}",
            "issuers.main.introspection.jwt_tokens: must be 'verify', 'ask' or 'refuse'",
        ),
    ],
)
def test_a_fault_names_its_place_and_the_remedy(old: str, new: str, fault: str) -> None:
    [found] = faults(ONE.replace(old, new))
    assert found.startswith(fault)


def test_of_two_that_are_asked_a_route_lists_one() -> None:
    both = ONE.replace("jwks_file: keys.json", "introspection: {credentials: own}")
    one = build.plan(config(both.replace("path: /a,", "path: /a, issuers: [main],")), Path(), "r")
    assert [route.rule.asks for route in one.routes] == ["main", "other"]
    [found] = faults(both.replace("path: /a,", "path: /a, issuers: [main, other],"))
    assert found.startswith("routes[0].issuers: an opaque token")
    config(both.replace("path: /a, scopes: [read],", "path: /a, public: true,"))
