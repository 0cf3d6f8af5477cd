"""What an issuer's section says of its tokens, over HTTP: where claims are and what they have to be."""

from typing import Any

import pytest

from .conftest import Start
from .gate import Gate
from .minting import AUDIENCE, ISSUER, NOW, claims, jwk, key_set, mint, rsa_key


async def tried(gate: Gate, **changes: object) -> int:
    field = gate.bearer(mint(claims(**changes)))
    return (await gate.ask(f"GET /admin/x HTTP/1.1\r\nHost: api\r\n{field}\r\n\r\n".encode())).status


@pytest.mark.parametrize(
    ("section", "changes", "status"),
    [
        ({"claims": {"tenant": "idcs-abc"}}, {"tenant": "idcs-abc"}, 200),
        ({"claims": {"tenant": "idcs-abc"}}, {"tenant": "idcs-abcd"}, 401),
        ({"claims": {"tenant": "idcs-abc"}}, {}, 401),
        ({"claims": {"realm.id": [1, 2]}}, {"realm": {"id": 2}}, 200),
        ({"required_claims": ["deployment"]}, {}, 401),
        ({"required_claims": ["deployment"]}, {"deployment": "x"}, 200),
        ({"scope_claims": ["roles"]}, {"scope": "admin"}, 403),
        ({"scope_claims": ["roles"]}, {"scope": None, "roles": ["admin"]}, 200),
        ({"scope_claims": ["realm_access.roles"]}, {"scope": None, "realm_access": {"roles": ["admin"]}}, 200),
        ({"scope_claims": ["groups"]}, {"groups": "admin"}, 200),
        ({"scope_prefix": AUDIENCE + "/"}, {"scope": AUDIENCE + "/admin"}, 200),
        ({"scope_prefix": AUDIENCE + "/"}, {"scope": "admin"}, 403),
        ({"max_lifetime": "10m"}, {}, 401),
        ({"max_lifetime": "11m"}, {}, 200),
        ({"max_age": "5s"}, {}, 401),
        ({"max_age": "15s"}, {}, 200),
    ],
)
async def test_a_token_has_to_be_as_its_issuers_section_says(
    start: Start, section: dict[str, Any], changes: dict[str, object], status: int
) -> None:
    gate = await start(issuer=section)
    assert await tried(gate, **changes) == status


async def test_a_remembered_token_ends_with_its_greatest_age(start: Start) -> None:
    gate = await start(issuer={"max_age": "60s"})
    assert await tried(gate) == 200
    gate.clock.now = NOW + 50
    assert await tried(gate) == 401
    assert (await gate.records(2))[1]["reason"] == "token_expired"


async def test_the_client_is_found_where_the_section_says(start: Start) -> None:
    gate = await start(issuer={"client_claims": ["application.name"]})
    assert await tried(gate, application={"name": "nightly"}) == 200
    assert gate.upstream.visits[0].fields("X-Client-Id") == ["nightly"]


async def test_tenants_of_a_shared_issuer_have_sections_keys_and_routes_of_their_own(start: Start) -> None:
    other = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": "other.json", "claims": {"tenant": "b"}}
    main = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": "keys.json", "claims": {"tenant": "a"}}
    gate = await start(keys=key_set(jwk(rsa_key(), kid="rsa")), issuers={"main": main, "other": other})

    async def call(path: str, tenant: str, key: str) -> int:
        field = gate.bearer(mint(claims(tenant=tenant), rsa_key(key)))
        return (await gate.ask(f"GET {path} HTTP/1.1\r\nHost: api\r\n{field}\r\n\r\n".encode())).status

    assert await call("/admin/x", "a", "rsa") == 200
    assert await call("/partner", "b", "other") == 200
    assert await call("/partner", "a", "rsa") == 401
    assert await call("/admin/x", "a", "other") == 401
    assert await call("/admin/x", "c", "rsa") == 401
    reasons = [record["reason"] for record in await gate.records(5)]
    assert reasons == [None, None, "issuer_untrusted", "signature_invalid", "issuer_untrusted"]
