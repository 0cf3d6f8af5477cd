"""Every kind of refusal: verdict over HTTP, the record's detail and what explain tells are one and the same."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from gateway.cli.check import examine
from gateway.cli.explain import explain
from gateway.cli.log_lines import render
from gateway.config.gateway_file import GatewayConfig
from gateway.explain.grounds import lay
from gateway.explain.judging import Findings, NoAnswer, NoKeys, judge_request
from gateway.explain.model import Mark
from gateway.explain.reading import Request
from gateway.explain.telling import tell
from gateway.policy.model import Scheme

from .conftest import Start
from .gate import Gate, configuration, write_keys
from .minting import AUDIENCE, ISSUER, NOW, authorization, base64url, claims, ec_key, mint, rsa_key, sealed, signs
from .raw_client import request
from .test_proofs import BOUND, jkt, proof, public

USUAL: dict[str, Any] = {"scopes": ["admin"], "upstream": "api"}
ROUTES = [
    USUAL | {"id": "any", "path": "/any/{rest...}"},
    USUAL | {"id": "dpop", "path": "/dpop", "require_proof": "dpop"},
    USUAL | {"id": "mtls", "path": "/mtls", "require_proof": "mtls"},
    USUAL | {"id": "acr", "path": "/acr", "acr": ["gold"]},
    USUAL | {"id": "recent", "path": "/recent", "max_age": "60s"},
    USUAL | {"id": "field", "path": "/field", "token_from": {"header": "X-Api-Token"}},
    USUAL | {"id": "cookie", "path": "/cookie", "token_from": {"cookie": "tok"}},
    USUAL | {"id": "partner", "path": "/partner", "issuers": ["other"]},
]
TERMS = {
    "issuer": {
        "typ": "at+jwt",
        "algorithms": ["RS256", "ES256"],
        "required_claims": ["department"],
        "claims": {"tenant": ["a", "b"]},
        "max_lifetime": "1h",
        "max_age": "30m",
    }
}
NEVER = {"department": "d", "tenant": "a"}
STRANGER = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = base64url(hashlib.sha256(b"\0\0\0").digest())
TOLD = {"trusted_proxies": ["127.0.0.1/32"], "proofs": {"certificate_field": True}}


def good(**changes: Any) -> dict[str, object]:
    return claims(**(NEVER | changes))


def dpop(token: str = BOUND, **changes: Any) -> str:
    return f"DPoP: {proof(token, **changes)}"


def misheaded(**header: Any) -> str:
    """A proof whose header is changed."""
    body = {"htm": "GET", "htu": "http://api/any/x", "iat": NOW, "jti": "p", "ath": "x"}
    usual = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public(ec_key())}
    return f"DPoP: {sealed(usual | header, body, signs(ec_key(), 'ES256'))}"


def forged() -> str:
    head, body, _ = proof(BOUND).split(".")
    return f"DPoP: {head}.{body}.{base64url(bytes(64))}"


@dataclass(frozen=True)
class Case:
    """One request, and what is said of it: reason, check, expected and found (parts of them)."""

    reason: str
    check: str
    expected: str
    found: str
    token: str | None = None
    fields: tuple[str, ...] = ()
    line: str = "GET /any/x"
    scheme: Scheme = "Bearer"
    terms: bool = False
    config: tuple[tuple[str, Any], ...] = ()


def bound(check: str, expected: str, found: str, *fields: str, **more: Any) -> Case:
    """A token that is bound to a DPoP key, with something wrong about its proof."""
    return Case("proof_invalid", check, expected, found, BOUND, fields, scheme="DPoP", **more)


def term(reason: str, check: str, expected: str, found: str, payload: dict[str, object], **header: Any) -> Case:
    """A token that its issuer's entry does not take."""
    return Case(reason, check, expected, found, mint(payload, **header), terms=True)


CASES = {
    # the token and its form
    "none": Case("token_missing", "token", "in Authorization", "no Authorization field"),
    "another scheme": Case("token_missing", "token", "", "another scheme", fields=("Authorization: Basic eDp5",)),
    "several": Case("request_malformed", "token", "", "2 Authorization fields", mint(), (authorization(mint()),)),
    "not a jwt": Case("token_malformed", "form", "signed JWT", "three base64url parts", "opaque"),
    # sources
    "no field": Case("token_missing", "token", "field X-Api-Token", "none", line="GET /field"),
    "beside": Case("request_malformed", "token", "", "Authorization", mint(), (authorization("x"),), "GET /field"),
    "fields": Case("request_malformed", "token", "", "2 of them", mint(), ("X-Api-Token: x",), "GET /field"),
    "no cookie": Case("token_missing", "token", "cookie tok", "none", line="GET /cookie"),
    "cookies": Case("request_malformed", "token", "one Cookie field", "2", mint(), ("Cookie: a=b",), "GET /cookie"),
    "no origin": Case("origin_untrusted", "origin", "http://api", "neither", mint(), (), "POST /cookie"),
    "origin": Case("origin_untrusted", "origin", "http://api", "/e", mint(), ("Origin: http://e",), "POST /cookie"),
    # issuer and key
    "issuer": Case("issuer_untrusted", "issuer", ISSUER, "https://evil", mint(claims(iss="https://evil"))),
    "algorithm": term("algorithm_not_allowed", "algorithm", "RS256", "PS256", good(), alg="PS256"),
    "type": term("claim_invalid", "type", "at+jwt", "jwt", good(), typ="JWT"),
    "key": Case("key_unknown", "key", "main publishes", "kid gone", mint(kid="gone")),
    "key of another algorithm": Case("algorithm_not_allowed", "key", "PS256", "rsa", mint(alg="PS256")),
    "signature": Case("signature_invalid", "signature", "the key rsa", "another", mint(key=rsa_key("evil"))),
    # the issuer's terms
    "required": term("claim_invalid", "claims", "department", "none", good(department=None)),
    "condition": term("claim_invalid", "claims", "tenant a or b", "evil", good(tenant="evil")),
    "client claim": Case("claim_invalid", "claims", "client_id as a string", "7", mint(claims(client_id=7))),
    "no exp": Case("claim_invalid", "claims", "exp", "none", mint(claims(exp=None))),
    "exp of a form": Case("claim_invalid", "claims", "exp as a number", "9", mint(claims(exp="9"))),
    "lifetime": term("claim_invalid", "claims", "3600 s at most", "7200 s", good(iat=NOW - 10, exp=NOW + 7190)),
    "age": term("token_expired", "expiry", "1800 s ago (max_age)", "5 s past", good(iat=NOW - 1805, exp=NOW + 9)),
    "audience": Case("audience_mismatch", "audience", AUDIENCE, "https://b", mint(claims(aud="https://b"))),
    "expired": Case("token_expired", "expiry", "exp ahead", "5 s past", mint(claims(exp=NOW - 5))),
    "early": Case("token_not_yet_valid", "begin", "past", "90 s ahead", mint(claims(nbf=NOW + 90))),
    "unknown binding": Case("proof_invalid", "binding", "jkt", "kid", mint(claims(cnf={"kid": "x"}))),
    # proofs
    "as bearer": Case("proof_invalid", "scheme", "DPoP", "Bearer", BOUND, (dpop(),)),
    "unbound as dpop": Case("proof_invalid", "scheme", "Bearer", "DPoP", mint(), (dpop(mint()),), scheme="DPoP"),
    "no proof": bound("proof", "one DPoP field", "0"),
    "two proofs": bound("proof", "one DPoP field", "2", dpop(), dpop(jti="2")),
    "no jwt": bound("proof form", "signed JWT", "three", "DPoP: x"),
    "long proof": bound("proof form", "8192 characters", "9000", f"DPoP: {'x' * 9000}"),
    "proof typ": bound("proof typ", "dpop+jwt", "jwt", misheaded(typ="JWT")),
    "proof alg": bound("proof alg", "ES256", "HS256", misheaded(alg="HS256")),
    "no jwk": bound("proof key", "public key", "none", misheaded(jwk=None)),
    "private jwk": bound("proof key", "public key", "private", misheaded(jwk=public(ec_key()) | {"d": "x"})),
    "proof signature": bound("proof signature", "jwk", "another", forged()),
    "htm": bound("proof htm", "GET", "POST", dpop(htm="POST")),
    "htu": bound("proof htu", "http://api/any/x", "http://api/other", dpop(htu="http://api/other?secret=1")),
    "htu behind a proxy": bound(
        "proof htu", "https://api.example/any/x", "http://api", dpop(), config=(("public_url", "https://api.example"),)
    ),
    "old proof": bound("proof iat", "60 s ago", "61 s ago", dpop(iat=NOW - 61)),
    "early proof": bound("proof iat", "10 s ahead", "11 s ahead", dpop(iat=NOW + 11)),
    "ath": bound("proof ath", "token that is sent", "another", dpop("other")),
    "other key": bound("proof binding", jkt(ec_key()), jkt(STRANGER), dpop(key=STRANGER)),
    "no jti": bound("proof jti", "a name", "none", dpop(jti="")),
    "no nonce": bound("proof nonce", "this server", "none", dpop(), config=(("proofs", {"nonces": True}),)),
    "certificate": Case(
        "proof_invalid", "certificate", CERTIFICATE, "none", mint(claims(cnf={"x5t#S256": CERTIFICATE}))
    ),
    "other certificate": Case(
        "proof_invalid", "certificate", CERTIFICATE, base64url(hashlib.sha256(b"\0\0\1").digest()),
        mint(claims(cnf={"x5t#S256": CERTIFICATE})), ("Client-Cert: :AAAB:",), config=tuple(TOLD.items()),
    ),
    "dpop demanded": Case("proof_invalid", "require_proof", "dpop", "none", mint(), line="GET /dpop"),
    "mtls demanded": Case("proof_invalid", "require_proof", "mtls", "none", mint(), line="GET /mtls"),
    # step-up and the route
    "acr": Case("authentication_insufficient", "acr", "gold", "silver", mint(claims(acr="silver")), line="GET /acr"),
    "no acr": Case("authentication_insufficient", "acr", "gold", "none", mint(), line="GET /acr"),
    "auth_time": Case(
        "authentication_insufficient", "auth_time", "60 s ago", "61 s", mint(claims(auth_time=NOW - 61)),
        line="GET /recent",
    ),
    "no auth_time": Case("authentication_insufficient", "auth_time", "60 s", "no auth", mint(), line="GET /recent"),
    "route issuers": Case("issuer_untrusted", "route issuers", "other", "main", mint(), line="GET /partner"),
    "scopes": Case("scope_insufficient", "scopes", "admin", "x y", mint(claims(scope="x y"))),
}  # fmt: skip


def wire(case: Case) -> list[str]:
    """The fields as they are sent."""
    if case.token is None:
        return list(case.fields)
    taken_from: dict[str, str] = next(
        (route.get("token_from", {}) for route in ROUTES if route["path"] == case.line.split()[1]), {}
    )
    token = {"header": f"X-Api-Token: {case.token}", "cookie": f"Cookie: tok={case.token}"}
    line = next((token[kind] for kind in taken_from), f"Authorization: {case.scheme} {case.token}")
    return [*case.fields, line]


async def judged(folder: Path, gate: Gate, case: Case, changes: dict[str, Any]) -> Findings | NoKeys | NoAnswer:
    """What explain makes of it."""
    file = folder / "gateway.yaml"
    file.write_text(configuration(gate.upstream.port, **changes))
    config = examine(file, {})
    assert isinstance(config, GatewayConfig), config
    method, path = case.line.split()
    fields = tuple((name, value) for name, _, value in (field.partition(": ") for field in case.fields))
    token = None if case.token is None else case.token.encode()
    asked = Request(method, path, (("Host", "api"), *fields), token, case.scheme, peer="127.0.0.1")
    return await judge_request(lay(file, config, {}), asked, NOW)


async def agree(folder: Path, gate: Gate, case: Case, changes: dict[str, Any]) -> None:
    """Refuse it over HTTP, and compare with the record and with what explain tells."""
    gate.secrets += [] if case.token is None else [part for part in case.token.split(".") if len(part) > 20]
    gate.secrets += [part for field in case.fields for part in field.split(".") if len(part) > 60]
    answer = await gate.ask(request(case.line, *wire(case), host="Host: api"))
    record = await gate.record()
    assert (json.loads(answer.body)["reason"], record["reason"], record["status"]) == (
        case.reason, case.reason, answer.status,
    )  # fmt: skip
    detail = record["detail"]
    assert detail.startswith(f"{case.check}: expected ")
    expected, _, found = detail.removeprefix(f"{case.check}: expected ").rpartition(", found ")
    assert case.expected in expected
    assert case.found in found

    findings = await judged(folder, gate, case, changes)
    assert isinstance(findings, Findings)
    explanation = tell(findings)
    assert (explanation.verdict.status, explanation.verdict.reason) == (answer.status, case.reason)
    failed = [fact for step in explanation.steps for fact in step.facts if fact.mark is Mark.FAILED]
    assert (failed[0].name, failed[0].expected, failed[0].found) == (case.check, expected, found)
    assert explanation.verdict.detail == detail
    assert explanation.changes


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_verdict_record_and_explanation_name_the_same_check(start: Start, tmp_path: Path, case: Case) -> None:
    changes = {"routes": ROUTES} | (TERMS if case.terms else {}) | dict(case.config)
    await agree(tmp_path, await start(**changes), case, changes)


async def test_the_record_tells_of_a_proof_that_was_used_before(start: Start) -> None:
    gate = await start(routes=ROUTES)
    lines = (f"Authorization: DPoP {BOUND}", dpop())
    assert [(await gate.ask(request("GET /any/x", *lines, host="Host: api"))).status for _ in range(2)] == [200, 401]
    first, second = await gate.records(2)
    assert (first["detail"], second["detail"]) == (
        None, "proof replay: expected a proof that was not used before, found one that was",
    )  # fmt: skip


async def test_what_was_found_forges_no_line_and_is_cut(start: Start) -> None:
    gate = await start(routes=ROUTES)
    evil = "https://evil\u2028\n\x1b[31m" + "x" * 5000
    await gate.ask(request("GET /any/x", gate.bearer(payload=claims(iss=evil))))
    detail = (await gate.record())["detail"]
    assert "found https://evil\\u2028\\n\\x1b[31mxxx" in detail
    assert detail.isprintable()
    assert len(detail) < 300
    line = render(await gate.record()).plain
    assert detail.replace("\\", "") in line.replace("\\", "")


def test_a_certificate_from_a_file_proves_in_explain_what_it_proves_to_the_gateway(tmp_path: Path) -> None:
    authority = trustme.CA()
    shown = authority.issue_cert("client.example").cert_chain_pems[0].bytes()
    digest = load_pem_x509_certificate(shown).fingerprint(SHA256())
    (tmp_path / "client.pem").write_bytes(shown)
    write_keys(tmp_path)
    (tmp_path / "gateway.yaml").write_text(configuration(9, routes=ROUTES))
    token = mint(claims(cnf={"x5t#S256": base64url(digest)}))

    def verdict(*options: str) -> dict[str, Any]:
        arguments = ["GET", "/mtls", "-c", str(tmp_path / "gateway.yaml"), "--now", "2027-01-15T08:00:00Z", "--json"]
        result = CliRunner().invoke(explain, [*arguments, "--token-file", "-", *options], input=token)
        found: dict[str, Any] = json.loads(result.output)
        return found

    assert verdict("--client-certificate", str(tmp_path / "client.pem"))["allowed"]
    refused = verdict()
    assert (refused["allowed"], refused["verdict"]["reason"]) == (False, "proof_invalid")
    assert "connect with the certificate" in refused["changes"][0]["do"]
