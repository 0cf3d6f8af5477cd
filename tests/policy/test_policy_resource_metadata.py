"""What is told of the protected resource."""

import json

import pytest

from gateway.policy.model import Route, Rule
from gateway.policy.resource_metadata import resource_metadata, resource_path

from .policy_case import LOCAL


def route(name: str, rule: Rule) -> Route:
    return Route(name, f"/{name}", frozenset({"GET"}), rule, "up")


def test_the_metadata_name_issuers_scopes_and_kinds_of_proof() -> None:
    routes = [
        route("a", Rule(all_of=("read",), any_of=("x", "read"))),
        route("b", Rule(all_of=("write",), require_proof="dpop")),
        route("open", Rule(public=True)),
    ]
    told = resource_metadata("https://api.example", [LOCAL], routes, ["ES256", "EdDSA"])
    assert told.address == "https://api.example/.well-known/oauth-protected-resource"
    assert json.loads(told.document("/a")) == {
        "resource": "https://api.example/a",
        "authorization_servers": [LOCAL.issuer],
        "scopes_supported": ["read", "x", "write"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
    }


@pytest.mark.parametrize(
    ("proof", "member"),
    [("dpop", "dpop_bound_access_tokens_required"), ("mtls", "tls_client_certificate_bound_access_tokens")],
)
def test_what_every_route_demands_is_told(proof: str, member: str) -> None:
    routes = [route("a", Rule(all_of=("read",), require_proof=proof))]  # type: ignore[arg-type]  # of the table above
    told = json.loads(resource_metadata("https://api.example", [LOCAL], routes, []).document(""))
    assert told[member] is True
    assert told["resource"] == "https://api.example"
    assert "dpop_signing_alg_values_supported" not in told


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/.well-known/oauth-protected-resource", ""),
        ("/.well-known/oauth-protected-resource/", ""),
        ("/.well-known/oauth-protected-resource/jobs/x", "/jobs/x"),
        ("/.well-known/oauth-protected-resources", None),
        ("/.well-known", None),
        ("/jobs", None),
    ],
)
def test_the_resource_stands_behind_the_well_known_path(path: str, resource: str | None) -> None:
    assert resource_path(path) == resource
