"""`scopegate explain` of every reason: the verdict of a running gateway, and the remedy."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import build
from gateway.app import Gateway
from gateway.cli.check import examine
from gateway.config.gateway_file import GatewayConfig
from gateway.explain.grounds import lay
from gateway.explain.judging import judge_request
from gateway.explain.reading import Request
from gateway.explain.telling import tell
from gateway.policy.denial import Reason

from .explain_case import AUDIENCE, ISSUER, NOW, OTHER, STRANGER, advice, run_json, token, write_gateway


@dataclass(frozen=True)
class Case:
    """A request, what the gateway says to it, and words of the remedy."""

    reason: str | None
    method: str = "GET"
    path: str = "/jobs"
    token: str | None = None
    fields: tuple[str, ...] = ()
    advice: tuple[str, ...] = field(default=())


CASES = {
    "a good token": Case(None, token=token()),
    "a public route": Case(None, path="/healthz"),
    "a public route with a bad token": Case(None, path="/healthz", token="nonsense"),
    "a query": Case(None, path="/jobs?state=running&x=1", token=token()),
    "an allowed oddity": Case(None, path="/files/a;v=1", token=token(scope="files")),
    "a dot segment": Case("target_invalid", path="/jobs/../healthz", advice=("/healthz", "a dot segment")),
    "an empty segment": Case("target_invalid", path="/jobs//a", advice=("/jobs/a", "allow_in_path: [empty_segments]")),
    "parameters": Case("target_invalid", path="/jobs;a=b", advice=("/jobs",)),
    "an oddity that the route does not allow": Case(
        "target_invalid", path="/files/a%2Fb", advice=("allow_in_path: [encoded_slash, path_parameters]",)
    ),
    "the absolute form": Case("target_invalid", path="http://evil.example/jobs", advice=("/jobs",)),
    "a needless escape": Case("target_invalid", path="/j%6fbs", advice=("/jobs",)),
    "a fragment": Case("target_invalid", path="/jobs#a", advice=("/jobs",)),
    "an escaped NUL": Case("target_invalid", path="/jobs%00", advice=("send another path",)),
    "no route": Case("no_route", path="/job", advice=("GET /jobs (list-jobs)", "add a route for /job")),
    "a slash too many": Case("no_route", path="/healthz/", advice=("GET /healthz (health)",)),
    "capitals": Case("no_route", path="/HEALTHZ", advice=("GET /healthz (health)",)),
    "a path like none": Case("no_route", path="/zzzzzzzzzz", advice=("add a route for /zzzzzzzzzz",)),
    "another method": Case(
        "method_not_allowed", "PUT", "/jobs", advice=("use GET", "add PUT to the methods of route list-jobs")
    ),
    "a method in small letters": Case("request_malformed", "get", "/healthz", advice=("as GET",)),
    "two hosts": Case("request_malformed", fields=("Host: a.example", "Host: b.example"), advice=("Host",)),
    "a host with a path": Case("request_malformed", fields=("Host: a.example/b",), advice=("Host",)),
    "both framings": Case(
        "request_malformed", "POST", "/jobs/a/runs", fields=("Content-Length: 1", "Transfer-Encoding: chunked")
    ),
    "a request line beyond bounds": Case("request_malformed", path="/" + "a" * 40_000, advice=("well-formed",)),
    "no token": Case("token_missing", advice=("scope jobs.read", "https://issuer.example or https://other.example")),
    "two words": Case("request_malformed", token="Bearer abc", advice=("send one token", "more than one token")),
    "an opaque token": Case("token_malformed", token="opaque", advice=("three base64url parts", "signed JWTs")),
    "another key's token": Case("signature_invalid", token=token(STRANGER), advice=("unchanged", "issuers.main")),
    "an unknown kid": Case("key_unknown", token=token(headers={"kid": "gone"}), advice=("k1", "keys.json")),
    "a symmetric signature": Case(
        "algorithm_not_allowed",
        token=jwt.encode({"iss": ISSUER}, "a secret that is long enough for it", algorithm="HS256"),
        advice=("RS256 or another asymmetric one: HS256 is never accepted",),
    ),
    "an algorithm that the issuer may not use": Case(
        "algorithm_not_allowed",
        token=jwt.encode({"iss": OTHER}, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"typ": "at+jwt"}),
        advice=("sign with ES256 or RS256", "add EdDSA to issuers.other.algorithms"),
    ),
    "an algorithm that the key is not for": Case(
        "algorithm_not_allowed",
        token=jwt.encode({"iss": ISSUER}, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "k1"}),
        advice=("publish the key k1 for EdDSA",),
    ),
    "an unknown issuer": Case(
        "issuer_untrusted", token=token(iss="https://evil.example"), advice=("add it under issuers",)
    ),
    "an issuer with a slash too many": Case(
        "issuer_untrusted", token=token(iss=f"{ISSUER}/"), advice=("issuers.main.issuer", "byte for byte")
    ),
    "an issuer that the route does not take": Case(
        "issuer_untrusted",
        "POST",
        "/jobs/a/runs",
        token(iss=OTHER, headers={"typ": "at+jwt"}),
        advice=("use a token of main", "add other to the issuers of route run-job"),
    ),
    "an issuer that the route does not take, too late": Case(
        "token_expired",
        "POST",
        "/jobs/a/runs",
        token(iss=OTHER, headers={"typ": "at+jwt"}, exp=1),
        advice=("get a new token", "use a token of main", "add other to the issuers of route run-job"),
    ),
    "another type": Case("claim_invalid", token=token(iss=OTHER), advice=("at+jwt", "typ: any under issuers.other")),
    "another audience": Case(
        "audience_mismatch", token=token(aud="https://b.example"), advice=(AUDIENCE, "add https://b.example")
    ),
    "no expiry": Case("claim_invalid", token=token(exp=None), advice=("expected exp, found none",)),
    "expired long ago": Case("token_expired", token=token(exp=NOW - 7200), advice=("get a new token",)),
    "expired just now": Case("token_expired", token=token(exp=NOW), advice=("leeway: 1s under issuers.main",)),
    "not yet valid": Case("token_not_yet_valid", token=token(nbf=NOW + 90), advice=("wait 1 min", "leeway: 91s")),
    "bound to a key": Case("proof_invalid", token=token(cnf={"jkt": "x" * 43}), advice=("bound to no key",)),
    "bound to a key in an unknown way": Case(
        "proof_invalid", token=token(cnf={"kid": "x"}), advice=("bound to no key",)
    ),
    "too few scopes": Case(
        "scope_insufficient", "POST", "/jobs/a/runs", token(), advice=(f"ask the issuer {ISSUER} for scope jobs.run",)
    ),
    "too few of alternatives": Case(
        "scope_insufficient", path="/jobs/a", token=token(), advice=("for scope jobs.run",)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_reason_is_told_with_its_remedy(config: Path, case: Case) -> None:
    found = run_json(config, case.method, case.path, *options(case), stdin=case.token)
    assert found["verdict"]["reason"] == case.reason
    assert (found["changes"] == []) is (case.reason is None)
    for words in case.advice:
        assert words in advice(found)


def options(case: Case) -> list[str]:
    fields = [option for line in case.fields for option in ("--header", line)]
    return fields if case.token is None else [*fields, "--token-file", "-"]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Path, int]]:
    """A gateway that runs at NOW, before an upstream that answers everything; its file and port."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text="ok")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = write_gateway(tmp_path, runner.addresses[0][1])
    config = examine(file, {})
    assert isinstance(config, GatewayConfig)
    gateway = Gateway(build.plan(config, tmp_path, "test"), clock=lambda: NOW, environ={})
    await gateway.start()
    yield file, gateway.port
    await gateway.close()
    await runner.cleanup()


async def test_the_verdict_is_that_of_a_running_gateway(running: tuple[Path, int]) -> None:
    file, port = running
    config = examine(file, {})
    assert isinstance(config, GatewayConfig)
    for name, case in CASES.items():
        fields = tuple((key, value.strip()) for key, _, value in (line.partition(":") for line in case.fields))
        if not any(key == "Host" for key, _ in fields):
            fields = (("Host", "127.0.0.1"), *fields)
        request = Request(case.method, case.path, fields, None if case.token is None else case.token.encode())
        findings = await judge_request(lay(file, config, {}), request, NOW)
        assert not hasattr(findings, "detail")
        verdict = tell(findings).verdict
        status, answered, problem = await ask(port, request.wire)
        assert (verdict.status or 200, verdict.reason) == (status, problem.get("reason")), name
        assert {key: answered.get(key.lower()) for key, _ in verdict.fields} == dict(verdict.fields), name
        assert verdict.hint == problem.get("hint", ""), name


async def ask(port: int, wire: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, fields and problem details of the answer to bytes that were sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wire)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(fields["content-length"]))
    writer.close()
    await writer.wait_closed()
    return int(head[0].split()[1]), fields, json.loads(body) if body.startswith(b"{") else {}


def test_every_refusal_that_a_request_can_meet_is_in_the_table() -> None:
    elsewhere = {"token_revoked", "claim_condition_failed", "rate_limited", "introspection_unavailable", "route_denied"}
    elsewhere |= {"network_not_allowed", "outside_hours"}
    not_judged = {"keys_unavailable", "upstream_unreachable", "upstream_invalid", "upstream_timeout", "internal_error"}
    not_judged |= {
        "overloaded",
        "body_too_large",
        "upstream_busy",
        "credentials_unavailable",
        "authentication_insufficient",
        "origin_untrusted",
    }
    told = {case.reason for case in CASES.values() if case.reason is not None}
    assert told == {reason.value for reason in Reason} - elsewhere - not_judged
