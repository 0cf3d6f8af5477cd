import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st
from rich.console import Console
from rich.text import Text

from gateway import build
from gateway.app import Gateway
from gateway.cli.check import examine
from gateway.cli.explain import explain
from gateway.config.gateway_file import GatewayConfig
from gateway.explain.grounds import lay
from gateway.explain.judging import judge_request
from gateway.explain.reading import Request
from gateway.explain.targets import repaired
from gateway.explain.telling import tell
from gateway.explain.view import show
from gateway.explain.words import distance, span
from gateway.policy.denial import Denial, Reason
from gateway.policy.paths import canonical_target

NOW = 1_800_000_000
AT = "2027-01-15T08:00:00Z"
ISSUER = "https://issuer.example"
OTHER = "https://other.example"
AUDIENCE = "https://api.example"
KEY = generate_private_key(SECP256R1())
STRANGER = generate_private_key(SECP256R1())

GATEWAY = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
access_log: {base}/access.jsonl
issuers:
  main: {{issuer: "https://issuer.example", audience: "https://api.example", jwks_file: keys.json}}
  other: {{issuer: "https://other.example", audience: "https://api.example", jwks_file: keys.json, typ: at+jwt,
           algorithms: [RS256, ES256]}}
upstreams:
  api: {{url: "http://127.0.0.1:{port}"}}
routes:
  - {{id: health, methods: [GET], path: /healthz, public: true, upstream: api}}
  - {{id: list-jobs, methods: [GET], path: /jobs, scopes: [jobs.read], upstream: api}}
  - {{id: run-job, methods: [POST], path: "/jobs/{{job}}/runs", scopes: [jobs.run], issuers: [main], upstream: api}}
  - {{id: any-job, path: "/jobs/{{rest...}}", scopes: {{all: [jobs.read], any: [jobs.run, jobs.admin]}}, upstream: api}}
  - {{id: files, methods: [GET], path: "/files/{{name}}", scopes: [files], allow_in_path: [path_parameters],
      upstream: api}}
"""
LOCAL = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
access_log: "-"
issuers:
  local: {{issuer: "http://127.0.0.1:{port}", embedded: issuer.yaml, audience: "https://api.example"}}
upstreams:
  api: {{url: "http://127.0.0.1:9"}}
routes:
  - {{id: read, methods: [GET], path: /jobs, scopes: [jobs.read], upstream: api}}
  - {{id: run, methods: [POST], path: /jobs, scopes: [jobs.read, jobs.run], upstream: api}}
  - {{id: either, methods: [GET], path: /either, scopes: {{any: [jobs.admin, jobs.run]}}, upstream: api}}
  - {{id: purge, methods: [DELETE], path: /jobs, scopes: [jobs.admin], upstream: api}}
  - {{id: spare, methods: [GET], path: /spare, scopes: [jobs.spare], upstream: api}}
  - {{id: unheard, methods: [GET], path: /unheard, scopes: [jobs.unheard], upstream: api}}
"""
EMBEDDED = """
listen: 127.0.0.1:0
issuer: http://127.0.0.1:{port}
state: issuer.db
resources: {{"https://api.example": {{jobs.read: R, jobs.run: W, jobs.admin: A, jobs.spare: S}}}}
roles:
  operator: [jobs.read, jobs.run]
  root: [jobs.read, jobs.run, jobs.admin]
  administrator: [jobs.admin]
clients:
  phone: {{type: mobile, roles: [operator]}}
  nightly: {{type: trusted, roles: [operator], jwks: {{keys: []}}}}
"""


def key_set(key: EllipticCurvePrivateKey, kid: str = "k1") -> dict[str, Any]:
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"keys": [jwk | {"kid": kid, "use": "sig"}]}


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def token(key: EllipticCurvePrivateKey = KEY, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A good token but for what the arguments say; a claim of None is left out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 3599, "iat": NOW - 60, "client_id": "batch"}
    payload = _without_none(good | {"scope": "jobs.read"} | claims)
    return jwt.encode(payload, key, algorithm="ES256", headers=_without_none({"kid": "k1"} | (headers or {})))


def write_gateway(base: Path, port: int = 9) -> Path:
    (base / "keys.json").write_text(json.dumps(key_set(KEY)))
    file = base / "gateway.yaml"
    file.write_text(GATEWAY.format(base=base, port=port))
    return file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_gateway(tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    (tmp_path / "issuer.yaml").write_text(EMBEDDED.format(port=1))
    file = tmp_path / "local.yaml"
    file.write_text(LOCAL.format(port=1))
    return file


def run(config: Path, method: str, path: str, *options: str, stdin: str | None = None, now: str = AT) -> Result:
    return CliRunner().invoke(explain, [method, path, "-c", str(config), "--now", now, *options], input=stdin)


def run_json(config: Path, method: str, path: str, *options: str, stdin: str | None = None) -> dict[str, Any]:
    result = run(config, method, path, *options, "--json", stdin=stdin)
    assert result.exit_code in {0, 1}, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["allowed"] is (result.exit_code == 0)
    return found


def with_token(config: Path, method: str, path: str, sent: str) -> dict[str, Any]:
    return run_json(config, method, path, "--token-file", "-", stdin=sent)


def with_claims(config: Path, method: str, path: str, claims: dict[str, Any]) -> dict[str, Any]:
    return run_json(config, method, path, "--claims", "-", stdin=json.dumps(claims))


def advice(found: dict[str, Any]) -> str:
    return "\n".join("\n".join([change["do"], *change["instead"]]) for change in found["changes"])


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


def test_every_candidate_says_why_it_matched_or_not(config: Path) -> None:
    found = with_token(config, "POST", "/jobs/a/runs", token(scope="jobs.run"))
    assert [(each["route"], each["matched"], each["why"]) for each in found["candidates"]] == [
        ("health", False, "another path"),
        ("list-jobs", False, "another path"),
        ("run-job", True, "matches"),
        ("any-job", False, "fits, too, but run-job comes first"),
        ("files", False, "another path"),
    ]
    refused = run_json(config, "PUT", "/jobs")
    assert refused["candidates"][1]["why"] == "the path fits, but it takes GET"


@pytest.mark.parametrize(
    ("sent", "failed"),
    [
        ("opaque", "form"),
        (token(iss="x"), "issuer"),
        (token(iss=OTHER), "type"),
        (token(headers={"kid": "gone"}), "key"),
        (token(STRANGER), "signature"),
        (token(cnf={}), "binding"),
        (token(sub=1), "claims"),
        (token(aud="x"), "audience"),
        (token(exp=1), "expiry"),
        (token(nbf=NOW + 9), "begin"),
    ],
)
def test_checks_before_the_failed_one_passed_and_those_behind_were_not_reached(
    config: Path, sent: str, failed: str
) -> None:
    facts = with_token(config, "GET", "/jobs", sent)["steps"][2]["facts"]
    marks = [fact["mark"] for fact in facts]
    at = [fact["name"] for fact in facts].index(failed)
    assert marks == ["ok"] * at + ["failed"] + ["not_reached"] * (len(marks) - at - 1)


def test_a_token_without_kid_is_told_to_name_one_of_several_keys(config: Path) -> None:
    keys = key_set(KEY)["keys"] + key_set(STRANGER, "k2")["keys"]
    (config.parent / "keys.json").write_text(json.dumps({"keys": keys}))
    found = with_token(config, "GET", "/jobs", token(headers={"kid": None}))
    assert found["verdict"]["reason"] == "key_unknown"
    assert "name the key in the token (kid): k1 or k2" in advice(found)


def test_of_many_routes_a_person_sees_those_that_matter_and_a_program_all(config: Path) -> None:
    more = [f"  - {{id: more-{n}, path: /more/{n}, public: true, upstream: api}}\n" for n in range(30)]
    config.write_text(config.read_text() + "".join(more))
    output = run(config, "GET", "/more/29").stdout
    assert "and 22 more with another path" in output
    assert "more-29" in output
    assert len(run_json(config, "GET", "/more/29")["candidates"]) == 35


def test_steps_behind_a_refusal_are_not_reached(config: Path) -> None:
    steps = with_token(config, "GET", "/jobs", token(exp=1))["steps"]
    assert [(step["name"], step["mark"]) for step in steps] == [
        ("match", "ok"),
        ("take", "ok"),
        ("verify", "failed"),
        ("decide", "not_reached"),
    ]


def test_a_token_is_told_with_its_header_and_times_in_words(config: Path) -> None:
    result = run(config, "GET", "/jobs", "--token-file", "-", stdin=token() + "\n")
    assert result.exit_code == 0
    for words in ("a bearer token of", "ES256", "k1", "expires in 59 min (2027-01-15T08:59:59Z)", "iat was 1 min ago"):
        assert words in result.stdout
    assert result.stderr == ""


def test_an_opaque_token_is_told_with_its_size(config: Path) -> None:
    output = run(config, "GET", "/jobs", "--token-file", "-", stdin="opaque").stdout
    assert "a bearer token of 6 characters" in output
    assert "no signed JWT" in output


def test_a_long_value_stays_on_its_line_where_there_is_no_terminal(config: Path) -> None:
    kid = "_3_3hjAaIwWMvwi_5098VsQNY_R69q6fEKDI4PWtRB4"
    result = run(config, "GET", "/jobs", "--token-file", "-", stdin=token(headers={"kid": kid}))
    assert any(line.split() == ["✓", "kid", kid] for line in result.stdout.splitlines())


def test_a_token_that_expired_and_lacks_a_scope_needs_both_changes(config: Path) -> None:
    found = with_token(config, "POST", "/jobs/a/runs", token(exp=NOW - 7200))
    assert [change["do"] for change in found["changes"]] == [
        "get a new token",
        f"ask the issuer {ISSUER} for scope jobs.run",
    ]


@pytest.mark.parametrize("path", ["/jobs", "/jobs/a", "/nowhere", "/healthz"])
@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("sent", [token(), token(STRANGER), token(exp=1), "secret-opaque-token"])
def test_the_token_is_never_in_the_output(config: Path, path: str, form: list[str], sent: str) -> None:
    output = run(config, "GET", path, "--token-file", "-", *form, stdin=sent).output
    for part in sent.split("."):
        assert part not in output


HOSTILE = "\x1b[31m\x07\u2028\u202e[bold]"


@pytest.mark.parametrize(
    "claims",
    [
        {"client_id": HOSTILE},
        {"aud": HOSTILE},
        {"iss": HOSTILE},
        {"exp": HOSTILE},
        {"nbf": {HOSTILE: HOSTILE}},
        {"scope": HOSTILE},
    ],
)
def test_claims_reach_the_terminal_escaped_only(config: Path, claims: dict[str, Any]) -> None:
    for sent in (["--claims", json.dumps(claims)], ["--token-file", token(headers={"kid": HOSTILE})]):
        output = run(config, "GET", "/jobs", sent[0], "-", stdin=sent[1]).output
        assert all(char.isprintable() or char == "\n" for char in output)


@pytest.mark.parametrize("path", [f"/{HOSTILE}", f"/jobs?{HOSTILE}", "/\udcff", "/\u00e9 x"])
def test_a_path_reaches_the_terminal_escaped_only(config: Path, path: str) -> None:
    result = run(config, "GET", path)
    assert result.exit_code == 1
    assert all(char.isprintable() or char == "\n" for char in result.output)


def test_a_querys_values_are_not_shown(config: Path) -> None:
    result = run(config, "GET", "/jobs?access_token=hush&state=x")
    assert "query: access_token, state" in result.stdout
    assert "hush" not in result.stdout


# Claims without a signature


def test_claims_are_judged_without_a_signature(config: Path) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 1, "scope": "jobs.read"}
    found = with_claims(config, "GET", "/jobs", claims)
    assert found["allowed"]
    assert found["assumed"] == []
    assert not {"signature", "key", "form"} & {fact["name"] for fact in found["steps"][2]["facts"]}


def test_what_claims_do_not_say_is_assumed_where_one_issuer_fits_and_the_output_says_so(config: Path) -> None:
    found = with_claims(config, "POST", "/jobs/a/runs", {"scope": "jobs.run"})
    assert found["allowed"]
    assert found["assumed"] == [f"iss is {ISSUER}", f"aud is {AUDIENCE}", "exp is in one hour"]
    named = with_claims(config, "GET", "/jobs", {"iss": OTHER, "scope": "jobs.read"})
    assert named["allowed"]
    assert named["assumed"] == [f"aud is {AUDIENCE}", "exp is in one hour"]
    assert (
        "assumed, because the claims do not say it"
        in run(config, "GET", "/jobs", "--claims", "-", stdin=json.dumps({"iss": OTHER})).stdout
    )


def test_nothing_is_assumed_where_several_issuers_fit(config: Path) -> None:
    found = with_claims(config, "GET", "/jobs", {"scope": "jobs.read"})
    assert found["verdict"]["reason"] == "issuer_untrusted"
    assert found["assumed"] == []
    assert "iss" in advice(found)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW}, "token_expired"),
        ({"exp": True}, "claim_invalid"),
        ({"aud": "x"}, "audience_mismatch"),
        ({"nbf": NOW + 1}, "token_not_yet_valid"),
        ({"scope": "jobs.READ"}, "scope_insufficient"),
        ({"scope": {}}, "scope_insufficient"),
    ],
)
def test_claims_are_refused_as_a_tokens_would_be(config: Path, claims: dict[str, Any], reason: str) -> None:
    good = {"iss": ISSUER, "scope": "jobs.read"}
    assert with_claims(config, "GET", "/jobs", good | claims)["verdict"]["reason"] == reason


# An embedded issuer, whose roles are known


@pytest.mark.parametrize(
    ("method", "path", "client", "scope", "changes"),
    [
        (
            "POST",
            "/jobs",
            "nightly",
            "jobs.read",
            ["request scope jobs.run (the client nightly has it by role operator)"],
        ),
        (
            "POST",
            "/jobs",
            "nightly",
            "",
            ["request the scopes jobs.read jobs.run (the client nightly has them by role operator)"],
        ),
        ("GET", "/either", "nightly", "", ["request scope jobs.run (the client nightly has it by role operator)"]),
        (
            "DELETE",
            "/jobs",
            "nightly",
            "jobs.read",
            ["grant role administrator to nightly in {issuer} (it gives jobs.admin)"],
        ),
        ("GET", "/spare", "nightly", "", ["add scope jobs.spare to a role of nightly in {issuer}: no role gives it"]),
        (
            "GET",
            "/unheard",
            "nightly",
            "",
            ["define scope jobs.unheard at https://api.example in {issuer}, and give it to a role of nightly"],
        ),
        ("GET", "/jobs", "unheard-of", "", ["ask the issuer http://127.0.0.1:1 for scope jobs.read"]),
    ],
)
def test_with_an_embedded_issuer_the_change_names_client_and_role(
    local: Path, *, method: str, path: str, client: str, scope: str, changes: list[str]
) -> None:
    found = with_claims(local, method, path, {"client_id": client, "scope": scope})
    issuer = local.parent / "issuer.yaml"
    assert [change["do"] for change in found["changes"]] == [change.format(issuer=issuer) for change in changes]


def test_a_missing_token_is_had_with_a_command(local: Path) -> None:
    found = run_json(local, "POST", "/jobs")
    command = "--client-id nightly --client-secret-file FILE --scope jobs.read --scope jobs.run"
    assert command in advice(found)


@pytest.mark.parametrize("case", ["a token", "no token"])
def test_an_issuer_that_cannot_be_reached_is_one_line_and_exit_4(local: Path, case: str) -> None:
    sent = token(iss="http://127.0.0.1:1")
    result = run(local, "GET", "/jobs", *(["--token-file", "-"] if case == "a token" else []), stdin=sent)
    if case == "no token":
        assert result.exit_code == 1
        return
    assert result.exit_code == 4
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "keys_unavailable" in result.stderr


async def test_keys_are_fetched_once_from_the_issuer(tmp_path: Path) -> None:
    fetched = []

    async def answer(request: web.BaseRequest) -> web.Response:
        fetched.append(request.path)
        if request.path.startswith("/.well-known"):
            return web.json_response({"issuer": url, "jwks_uri": f"{url}/jwks"})
        return web.json_response(key_set(KEY))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    url = f"http://127.0.0.1:{port}"
    (tmp_path / "issuer.yaml").write_text(EMBEDDED.format(port=port))
    file = tmp_path / "local.yaml"
    file.write_text(LOCAL.format(port=port))
    good, lost = token(iss=url), token(iss=url, headers={"kid": "gone"})
    allowed, refused = [await asyncio.to_thread(with_token, file, "GET", "/jobs", sent) for sent in (good, lost)]
    await runner.cleanup()
    assert allowed["allowed"]
    assert refused["verdict"]["reason"] == "key_unknown"
    assert fetched.count("/jwks") == 2


@asynccontextmanager
async def revoking(tmp_path: Path, *entries: dict[str, Any], status: int = 200, kid: str = "k1") -> AsyncIterator[Path]:
    """The configuration of a gateway whose issuer tells these revocations."""

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path.startswith("/.well-known"):
            return web.json_response({"issuer": url, "jwks_uri": f"{url}/jwks", "revocations_uri": f"{url}/feed"})
        if request.path == "/feed":
            return web.json_response({"cursor": "1", "revocations": entries}, status=status)
        return web.json_response(key_set(KEY, kid))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    url = f"http://127.0.0.1:{port}"
    (tmp_path / "issuer.yaml").write_text(EMBEDDED.format(port=port))
    file = tmp_path / "local.yaml"
    file.write_text(LOCAL.format(port=port))
    yield file
    await runner.cleanup()


def of(file: Path) -> str:
    """The issuer that a configuration trusts."""
    config = examine(file, {})
    assert isinstance(config, GatewayConfig)
    return config.issuers["local"].issuer


def check_of(found: dict[str, Any], name: str) -> tuple[str, str]:
    """Mark and finding of one check of the verification."""
    [fact] = [
        fact for step in found["steps"] if step["name"] == "verify" for fact in step["facts"] if fact["name"] == name
    ]
    return fact["mark"], fact["found"]


async def test_a_revoked_token_is_told_after_asking_its_issuer(tmp_path: Path) -> None:
    async with revoking(tmp_path, {"kind": "key", "kid": "k1", "until": NOW}) as file:
        found = await asyncio.to_thread(with_token, file, "GET", "/jobs", token(iss=of(file)))
    assert found["verdict"]["reason"] == "token_revoked"
    assert check_of(found, "signature") == ("ok", "genuine")
    assert check_of(found, "revocation") == ("failed", "revoked: the token, its client's tokens, or its key")
    assert advice(found) == "Get a new token."


async def test_a_token_of_a_revoked_key_that_is_gone_is_told_before_its_signature(tmp_path: Path) -> None:
    async with revoking(tmp_path, {"kind": "key", "kid": "k1", "until": NOW}, kid="k2") as file:
        found = await asyncio.to_thread(with_token, file, "GET", "/jobs", token(iss=of(file)))
    assert found["verdict"]["reason"] == "token_revoked"
    assert check_of(found, "key") == ("failed", "kid k1")
    assert check_of(found, "revocation")[0] == "not_reached"


async def test_a_token_that_is_not_revoked_is_told_so(tmp_path: Path) -> None:
    async with revoking(tmp_path, {"kind": "key", "kid": "k2", "until": NOW}) as file:
        found = await asyncio.to_thread(with_token, file, "GET", "/jobs", token(iss=of(file)))
    assert found["allowed"]
    assert check_of(found, "revocation") == ("ok", "not revoked")


async def test_a_feed_that_does_not_answer_is_told_and_decides_nothing(tmp_path: Path) -> None:
    async with revoking(tmp_path, status=500) as file:
        found = await asyncio.to_thread(with_token, file, "GET", "/jobs", token(iss=of(file)))
    assert found["allowed"]
    assert check_of(found, "revocation") == ("not_reached", f"not looked at: {of(file)}/feed answered 500")


@pytest.mark.parametrize(
    ("setting", "why"), [("auto", "main has no feed of revocations"), ("false", "revocations is off for main")]
)
def test_where_nobody_can_be_asked_explain_says_that_it_did_not_look(config: Path, setting: str, why: str) -> None:
    config.write_text(
        config.read_text().replace("jwks_file: keys.json}", f"jwks_file: keys.json, revocations: {setting}}}", 1)
    )
    found = with_token(config, "GET", "/jobs", token())
    assert check_of(found, "revocation") == ("not_reached", f"not looked at: {why}")


def test_of_claims_alone_nobody_can_say_whether_they_are_revoked(config: Path) -> None:
    found = with_claims(config, "GET", "/jobs", {"iss": ISSUER, "scope": "jobs.read"})
    assert check_of(found, "revocation") == ("not_reached", "not looked at: there are claims only, and no token")


# The command


def test_exit_codes_tell_allowed_and_refused(config: Path) -> None:
    assert run(config, "GET", "/healthz").exit_code == 0
    assert run(config, "GET", "/jobs").exit_code == 1


@pytest.mark.parametrize(
    ("options", "stdin", "words"),
    [
        (["--token-file", "-", "--claims", "-"], "x", "either"),
        (["--claims", "-", "--token-file", "-"], "{}", "either"),
        (["--token-file", "-"], "", "no token"),
        (["--token-file", "-"], "a\nb\n", "more than one line"),
        (["--token-file", "-"], "a" * (1 << 21), "larger"),
        (["--token-file", "/nowhere/token"], "", "nowhere"),
        (["--claims", "-"], "[]", "JSON object"),
        (["--claims", "-"], '{"a": 1, "a": 2}', "twice"),
        (["--header", "Authorization: Bearer abc"], "", "--token-file"),
        (["--header", "nonsense"], "", "Name: value"),
        (["--header", "A: b\r\nC: d"], "", "line break"),
        (["--host", "a\nb"], "", "line break"),
        (["--now", "yesterday"], "", "no moment"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_would_be_right(
    config: Path, options: list[str], stdin: str, words: str
) -> None:
    result = run(config, "GET", "/jobs", *options, stdin=stdin)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", "").split())
    assert result.stdout == ""


def test_a_line_break_in_the_request_line_is_wrong_usage(config: Path) -> None:
    assert run(config, "GET", "/jobs HTTP/1.1\r\nHost: x").exit_code == 2


def test_a_bad_configuration_is_exit_3_with_every_error(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("routes: []\nnonsense: 1\n")
    result = run(file, "GET", "/jobs")
    assert result.exit_code == 3
    assert result.stderr.count(str(file)) >= 2


def test_a_key_file_that_is_no_key_set_is_exit_3(config: Path) -> None:
    (config.parent / "keys.json").write_text("{}")
    result = run(config, "GET", "/jobs", "--claims", "-", stdin="{}")
    assert result.exit_code == 3
    assert "issuers.main.jwks_file" in result.stderr


def test_now_is_the_present_unless_given(config: Path) -> None:
    sent = token(exp=int(time.time()) + 60, iat=None)
    result = CliRunner().invoke(explain, ["GET", "/jobs", "-c", str(config), "--token-file", "-"], input=sent)
    assert result.exit_code == 0


@pytest.mark.parametrize(("host", "code"), [("api.example:8443", 0), ("a/b", 1)])
def test_the_host_field_can_be_given(config: Path, host: str, code: int) -> None:
    assert run(config, "GET", "/healthz", "--host", host).exit_code == code


# The view


async def shown(config: Path, *, color: bool, terminal: bool = True) -> str:
    examined = examine(config, {})
    assert isinstance(examined, GatewayConfig)
    findings = await judge_request(
        lay(config, examined, {}), Request("GET", "/jobs", (("Host", "a"),), token(exp=1).encode()), NOW
    )
    assert not hasattr(findings, "detail")
    console = Console(
        file=io.StringIO(), force_terminal=terminal, color_system="standard", width=80, no_color=not color
    )
    show(console, tell(findings))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_a_terminal_gets_colours_within_its_width(config: Path) -> None:
    output = await shown(config, color=True)
    assert "\x1b[1;31m✗ \x1b[0m\x1b[1mverify" in output
    assert all(len(Text.from_ansi(line).plain.rstrip()) <= 80 for line in output.splitlines())


async def test_without_colours_there_is_none(config: Path) -> None:
    output = await shown(config, color=False)
    assert "31m" not in output
    assert "32m" not in output


async def test_what_is_no_terminal_gets_plain_lines_that_are_not_folded(config: Path) -> None:
    output = await shown(config, color=True, terminal=False)
    assert "\x1b" not in output
    assert any(len(line) > 80 for line in output.splitlines())
    assert not any(line.endswith(" ") for line in output.splitlines())


# Words and paths


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3599, "59 min"),
        (7300, "2 h"),
        (90000, "1 d"),
        (-90, "1 min"),
    ],
)
def test_a_duration_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"), [(True, "true"), (1e30, "1e+30"), ("soon", "soon"), (None, "null"), (-1, "-1")]
)
def test_a_time_that_is_none_is_shown_as_it_is(value: object, words: str) -> None:
    assert distance(value, NOW, ahead="a", past="b") == words


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/./b/../c", "/a/c"),
        ("/../../etc", "/etc"),
        ("//a///b", "/a/b"),
        (r"/a\b", "/a/b"),
        ("/a%5cb", "/a/b"),
        ("/a%2fb", "/a/b"),
        ("/a;x=1/b;y", "/a/b"),
        ("/%41%2e%2e/b", "/A../b"),
        ("/a/..", "/"),
        ("/a/b/.", "/a/b/"),
        ("http://host/a?b=c", "/a"),
        ("*", None),
        ("jobs", "/jobs"),
        ("/a b", "/a%20b"),
        ("/\udcff", "/%FF"),
        ("/a%00", None),
        ("/a%", None),
        ("http://[/a", None),
    ],
)
def test_a_path_is_proposed_only_if_it_is_canonical(target: str, path: str | None) -> None:
    proposed = repaired(target)
    assert proposed == path
    assert proposed is None or not isinstance(canonical_target(proposed), Denial)


@given(st.text("/.%25efc\\;#?:*a\x00\u00e9\udcff ", max_size=20))
def test_whatever_the_target_a_proposed_path_is_canonical(target: str) -> None:
    proposed = repaired(target)
    assert proposed is None or not isinstance(canonical_target(proposed), Denial)


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
