"""What is minted: claims, header and lifetime, verified by software that others wrote, and by the gateway's own."""

from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from joserfc import jwk as foreign_jwk, jwt as foreign_jwt

from gateway.issuer.keys import ALGORITHMS, Algorithm, SigningKey, create_key, jwk_set
from gateway.issuer.scopes import Grant
from gateway.issuer.tokens import IssuedToken, TokenMint
from gateway.tokens.keys import read_key_set

from .issuer_case import ISSUER, MAINTENANCE, REPORTS, TEXT, Clock, keys, settings

GRANT = Grant(MAINTENANCE, ("jobs.read", "jobs.run"))
ES256 = keys()[1]
RFC_9068 = {"iss", "sub", "client_id", "aud", "iat", "exp", "jti", "scope"}
ORACLE = TEXT + "token_profile: oracle\ntenant: idcs-0123\n"


def mint(
    text: str = TEXT,
    client_id: str = "nightly-batch",
    *,
    key: SigningKey = ES256,
    grant: Grant = GRANT,
    confirmation: Mapping[str, str] | None = None,
    kept: list[Mapping[str, Any]] | None = None,
) -> IssuedToken:
    said = settings(text)

    def keep(claims: Mapping[str, Any]) -> str:
        assert kept is not None
        kept.append(claims)
        return "opaque"

    return TokenMint(said, lambda: key, Clock(), keep).mint(client_id, said.clients[client_id], grant, confirmation)


def header(token: IssuedToken) -> dict[str, Any]:
    return jwt.get_unverified_header(token.access_token)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 has a newer name, and JOSE software knows this one
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_each_algorithm_verifies_elsewhere_and_here(algorithm: Algorithm) -> None:
    key = keys()[0] if algorithm == "RS256" else create_key(algorithm)
    token = mint(key=key)
    published: Any = jwk_set([key])
    decoded = foreign_jwt.decode(
        token.access_token, foreign_jwk.KeySet.import_key_set(published), algorithms=[algorithm]
    )
    assert decoded.header == {"alg": algorithm, "typ": "at+jwt", "kid": key.kid}
    assert decoded.claims == token.claims
    signing_input, _, signature = token.access_token.rpartition(".")
    (candidate,) = read_key_set(published).candidates(key.kid, algorithm)
    assert candidate.verifies(algorithm, signing_input.encode(), jwt.utils.base64url_decode(signature))


def test_a_token_has_the_claims_of_rfc_9068_and_no_others() -> None:
    token = mint()
    claims = dict(token.claims)
    assert claims.pop("jti") == token.jti
    assert claims == {
        "iss": ISSUER,
        "sub": "nightly-batch",
        "client_id": "nightly-batch",
        "aud": MAINTENANCE,
        "iat": Clock().now,
        "exp": Clock().now + 3600,
        "scope": "jobs.read jobs.run",
    }
    assert (token.expires_in, token.kid, token.algorithm, token.token_type) == (3600, ES256.kid, "ES256", "Bearer")


def test_no_two_tokens_have_the_same_name() -> None:
    assert len({mint().jti for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("confirmation", "kind"), [(None, "Bearer"), ({"jkt": "thumbprint"}, "DPoP"), ({"x5t#S256": "of it"}, "Bearer")]
)
def test_a_token_says_what_it_is_bound_to(confirmation: Mapping[str, str] | None, kind: str) -> None:
    token = mint(confirmation=confirmation)
    assert (token.claims.get("cnf"), token.token_type) == (confirmation, kind)
    assert jwt.decode(token.access_token, options={"verify_signature": False}) == token.claims


@pytest.mark.parametrize(
    ("client", "resource", "lifetime"),
    [(None, None, 3600), ("5m", None, 300), (None, "10m", 600), ("5m", "10m", 300), ("20m", "10m", 600)],
)
def test_a_token_lives_as_client_and_resource_say(client: str | None, resource: str | None, lifetime: int) -> None:
    text = TEXT
    if client is not None:
        text = text.replace("nightly-batch: {", f"nightly-batch: {{token_lifetime: {client}, ")
    if resource is not None:
        text += f"resource_settings: {{'{MAINTENANCE}': {{token_lifetime: {resource}}}}}\n"
    token = mint(text)
    assert token.expires_in == token.claims["exp"] - token.claims["iat"] == lifetime


class TestOracle:
    """Tokens as Oracle identity domains write them."""

    def test_the_header_has_no_typ_and_no_thumbprint_of_a_certificate_that_does_not_exist(self) -> None:
        assert header(mint(ORACLE)) == {"alg": "ES256", "kid": ES256.kid}

    def test_it_has_every_claim_of_a_client_without_a_user(self) -> None:
        token = mint(ORACLE)
        claims = dict(token.claims)
        assert claims.keys() >= RFC_9068
        assert {name: claims[name] for name in claims.keys() - RFC_9068} == {
            "client_name": "nightly-batch",
            "client_guid": claims["client_guid"],
            "tenant": "idcs-0123",
            "client_tenantname": "idcs-0123",
            "user.tenant.name": "idcs-0123",
            "tok_type": "AT",
            "sub_type": "client",
            "sub_mappingattr": "userName",
            "clientAppRoles": ["operator"],
        }
        assert jwt.decode(token.access_token, options={"verify_signature": False}) == claims

    def test_audience_and_sub_are_strings(self) -> None:
        claims = mint(ORACLE, "everything", grant=Grant(REPORTS, ("reports.read",))).claims
        assert (claims["aud"], claims["sub"], claims["scope"]) == (REPORTS, "everything", "reports.read")

    def test_a_client_has_one_guid_for_ever_and_no_other_has_it(self) -> None:
        guids = [mint(ORACLE, client).claims["client_guid"] for client in ("nightly-batch", "nightly-batch", "signer")]
        assert guids == ["bc233458edfc0579e7dbec2d150bebd6", guids[0], guids[2]]
        assert guids[2] != guids[0]

    def test_a_client_is_called_what_the_file_calls_it(self) -> None:
        named = ORACLE.replace("nightly-batch: {", "nightly-batch: {name: Nightly batch, ")
        assert mint(named).claims["client_name"] == "Nightly batch"


def test_an_opaque_token_stands_for_the_same_claims() -> None:
    kept: list[Mapping[str, Any]] = []
    token = mint(TEXT + "token_format: opaque\n", confirmation={"jkt": "thumbprint"}, kept=kept)
    assert token.access_token == "opaque"
    assert kept == [token.claims]
    assert kept[0].keys() == RFC_9068 | {"cnf"}
    assert (token.kid, token.algorithm, token.token_type) == (None, None, "DPoP")


def test_a_token_does_not_show_in_a_repr() -> None:
    token = mint()
    assert token.access_token not in repr(token)
