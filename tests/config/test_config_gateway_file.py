"""The gateway's own file: what it says, and what it is as a whole."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from gateway.config import HostPort
from gateway.config.gateway_fields import ALGORITHMS
from gateway.config.route_section import RouteConfig

from .gateway_samples import LEAST, config, faults

ROOT = Path(__file__).parents[2]


def route(text: str) -> RouteConfig:
    return config(LEAST + f"  - {{id: two, path: /two, upstream: api, {text}}}\n").routes[1]


def test_the_least_file_has_safe_defaults() -> None:
    read = config(LEAST)
    assert (read.listen, read.admin) == (HostPort("127.0.0.1", 8080), HostPort("127.0.0.1", 9901))
    assert (read.access_log, read.log_hash_key, read.realm) == ("logs/access.jsonl", None, "scopegate")
    assert (read.trusted_proxies, read.drain_timeout, read.token_cache) == ((), 30.0, 50_000)
    limits = read.limits
    assert (limits.head_bytes, limits.head_timeout, limits.body_idle_timeout) == (32768, 10.0, 60.0)
    assert (limits.keep_alive_timeout, limits.connections) == (75.0, 10_000)
    issuer = read.issuers["main"]
    assert (issuer.issuer, issuer.audience, issuer.algorithms) == ("https://i.example", ("api",), ALGORITHMS)
    assert (issuer.embedded, issuer.jwks_uri, issuer.jwks_file) == (None, None, None)
    assert (issuer.leeway, issuer.typ, issuer.keys_refresh) == (0.0, "any", 300.0)
    assert (issuer.unknown_key_cooldown, issuer.keys_timeout) == (30.0, 5.0)
    assert issuer.revocations == "auto"
    upstream = read.upstreams["api"]
    assert (upstream.connect_timeout, upstream.first_byte_timeout, upstream.idle_timeout) == (5.0, 60.0, 60.0)
    assert (upstream.max_connections, upstream.preserve_host) == (100, False)
    only = read.routes[0]
    assert (only.methods, only.issuers, only.public, only.forward_token, only.allow_in_path) == (
        None,
        None,
        False,
        False,
        (),
    )


def test_every_key_can_be_set() -> None:
    read = config(
        """
listen: 0.0.0.0:80
admin: "[::1]:81"
access_log: "-"
log_hash_key: ${KEY}
realm: maintenance
trusted_proxies: [10.0.0.0/8, "::1/128", 192.0.2.1]
drain_timeout: 1m
token_cache: 1
limits: {head_bytes: 64KiB, head_timeout: 1s, body_idle_timeout: 2s, keep_alive_timeout: 3s, connections: 4}
issuers:
  a:
    issuer: https://identity.oraclecloud.com/
    jwks_uri: https://idcs.example/admin/v1/SigningCert/jwk?tenant=1
    audience: [x, y]
    algorithms: [RS256, Ed25519]
    leeway: 30s
    typ: at+jwt
    keys_refresh: 1s
    unknown_key_cooldown: 5s
    keys_timeout: 500ms
    revocations: https://login.example/revocations
upstreams:
  u:
    url: https://api.example:8443/
    connect_timeout: 1s
    first_byte_timeout: 2s
    idle_timeout: 3s
    max_connections: 4
    preserve_host: true
routes:
  - id: r
    methods: [GET, POST]
    path: /a/{b}/{c...}
    issuers: [a]
    scopes: {all: [x, y], any: [z]}
    upstream: u
    forward_token: true
    allow_in_path: [encoded_slash, path_parameters, empty_segments]
""",
        KEY="s3cret",
    )
    assert read.log_hash_key == "s3cret"
    assert "s3cret" not in repr(read)
    assert read.trusted_proxies == tuple(map(ip_network, ("10.0.0.0/8", "::1/128", "192.0.2.1/32")))
    assert read.issuers["a"].issuer == "https://identity.oraclecloud.com/"
    assert read.issuers["a"].algorithms == ("RS256", "Ed25519")
    assert read.upstreams["u"].url == "https://api.example:8443/"
    [only] = read.routes
    assert only.scopes is not None
    assert (only.scopes.all_of, only.scopes.any_of) == (("x", "y"), ("z",))
    assert only.allow_in_path == ("encoded_slash", "path_parameters", "empty_segments")


def test_a_list_of_scopes_means_all_of_them() -> None:
    scopes = route("scopes: [a, b]").scopes
    assert scopes is not None
    assert (scopes.all_of, scopes.any_of) == (("a", "b"), ())


def test_a_configuration_cannot_be_changed() -> None:
    read: Any = config(LEAST)
    with pytest.raises(ValueError, match="frozen"):
        read.realm = "other"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8081", "http://localhost", "http://[::1]:1/x", "https://I.example/"])
def test_an_issuer_is_kept_byte_for_byte(url: str) -> None:
    assert config(LEAST.replace("https://i.example", f"'{url}'")).issuers["main"].issuer == url


def test_a_gateway_with_public_routes_only_needs_no_issuer() -> None:
    text = "upstreams: {a: {url: 'http://h'}}\nroutes: [{id: a, path: /, public: true, upstream: a}]"
    assert config(text).issuers == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", ["1:1: upstreams: is required and missing: add it", "1:1: routes: is required and missing: add it"]),
        ("[]", ["1:1: must be a mapping of keys, not a list"]),
        ("hello", ["1:1: must be a mapping of keys, not 'hello'"]),
        ("", ["1:1: the file is empty"]),
        ("upstreams: {}\nroutes: []", ["1:1: upstreams: must not be empty", "2:1: routes: must not be empty"]),
        (
            "upstreams: x\nroutes: x",
            ["1:12: upstreams: must be a mapping of keys, not 'x'", "2:9: routes: must be a list, not 'x'"],
        ),
    ],
)
def test_a_file_that_lacks_the_essentials_is_refused(text: str, expected: list[str]) -> None:
    assert faults(text) == expected


def test_faults_of_every_kind_are_told_in_one_go_in_file_order() -> None:
    text = """\
listen: ${NOWHERE}
realm: on
isuers: {}
issuers:
  a: {issuer: http://a.example, audience: x, leeway: 1h}
upstreams:
  u: {url: h}
routes:
  - {id: a, path: x, upstream: v}
  - {id: a, path: /x, public: true, scopes: [y z], upstream: u}
"""
    assert [fault.split(": ")[:2] for fault in faults(text)] == [
        ["1:9", "listen"],
        ["2:8", "realm"],
        ["3:1", "isuers"],
        ["5:15", "issuers.a.issuer"],
        ["5:54", "issuers.a.leeway"],
        ["7:12", "upstreams.u.url"],
        ["9:5", "routes[0]"],
        ["9:19", "routes[0].path"],
        ["9:32", "routes[0].upstream"],
        ["10:10", "routes[1].id"],
        ["10:37", "routes[1].scopes"],
        ["10:46", "routes[1].scopes[0]"],
    ]


def test_the_example_file_is_sound_and_says_what_the_demo_needs() -> None:
    read = config((ROOT / "config/gateway.yaml").read_text(encoding="utf-8"))
    assert [each.id for each in read.routes] == [
        "list-jobs",
        "read-job",
        "run-job",
        "cancel-run",
        "job-log",
        "slow-report",
        "purge-history",
        "health",
    ]
    assert read.issuers["local"].embedded == "issuer.yaml"


def test_an_issuer_may_be_shared_by_tenants_that_a_claim_tells_apart() -> None:
    head, rest = LEAST.split("upstreams:")
    head = head.replace("issuer: https://i.example,", "issuer: https://i.example, claims: {tenant: a},")
    tenant = "{issuer: https://i.example, audience: api, claims: {tenant: [b, b2]}}"
    found = config(f"{head}  b: {tenant}\nupstreams:{rest}")
    assert found.issuers["b"].claims == {"tenant": ("b", "b2")}
