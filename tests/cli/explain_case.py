"""Gateways, tokens and requests as tests of `scopegate explain` write them, and what the command says of them."""

import json
from pathlib import Path
from typing import Any

import jwt
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from gateway.cli.explain import explain

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


def write_local(base: Path, port: int = 1) -> Path:
    """A gateway's file with an embedded issuer at this port, and the issuer's beside it."""
    (base / "issuer.yaml").write_text(EMBEDDED.format(port=port))
    file = base / "local.yaml"
    file.write_text(LOCAL.format(port=port))
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
