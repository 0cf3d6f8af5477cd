"""The gateway's own file: what it says, and every fault of it at its place."""

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.config import ConfigError, HostPort
from gateway.config.gateway_fields import ALGORITHMS
from gateway.config.gateway_file import GatewayConfig, RouteConfig, parse
from gateway.policy.routes import METHODS

ROOT = Path(__file__).parents[2]

LEAST = """\
issuers:
  main: {issuer: https://i.example, audience: api}
upstreams:
  api: {url: "http://127.0.0.1:9000"}
routes:
  - {id: one, path: /one, scopes: [read], upstream: api}
"""
UP_TO_ROUTES = LEAST.partition("  - ")[0]


def config(text: str, **environ: str) -> GatewayConfig:
    found = parse(text, "f", environ)
    assert isinstance(found, GatewayConfig), "\n".join(map(str, found))
    return found


def faults(text: str) -> list[str]:
    found = parse(text, "f", {})
    return [str(error).removeprefix("f:") for error in found] if isinstance(found, list) else []


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


HTTPS = "must begin with https://: keys that come over plain http can be exchanged"
SHARED = "signs with a shared secret, so whoever verifies could also forge"

TOP = [
    ("listn: x", "7:1: listn: unknown key: did you mean 'listen'?"),
    ("listen: here", "7:9: listen: 'here' is no address: write host:port, such as 127.0.0.1:8080 or [::1]:8080"),
    ("admin: 127.0.0.1:8080", "7:8: admin: listen and admin are the same address: give admin a port of its own"),
    ("listen: 127.0.0.1:9901", "7:9: listen: listen and admin are the same address: give admin a port of its own"),
    ("access_log: ''", "7:13: access_log: must not be empty"),
    ("access_log:", "7:12: access_log: is empty: give it a value, or remove the key"),
    ("realm: 'a\"b'", "7:8: realm: 'a\"b' does not have the form ^[ !#-\\[\\]-~]{1,64}$"),
    (
        "trusted_proxies: [10.0.0.1/8]",
        "7:19: trusted_proxies[0]: '10.0.0.1/8' has bits beyond its prefix: did you mean '10.0.0.0/8'?",
    ),
    (
        "trusted_proxies: [proxy]",
        "7:19: trusted_proxies[0]: 'proxy' is no network: write one such as 10.0.0.0/8 or ::1/128",
    ),
    ("trusted_proxies: 10.0.0.0/8", "7:18: trusted_proxies: must be a list, not '10.0.0.0/8'"),
    ("token_cache: 0", "7:14: token_cache: must be at least 1, not 0"),
    ("drain_timeout: 30", "7:16: drain_timeout: 30 has no unit: write 30s, or use ms, m, h or d"),
    ("limits: {head_bytes: 5B}", "7:22: limits.head_bytes: must be at least 1024, not '5B'"),
    ("limits: {head_timeout: 0s}", "7:24: limits.head_timeout: must be at least 1ms"),
    ("limits: {conections: 5}", "7:10: limits.conections: unknown key: did you mean 'connections'?"),
    ("limits: []", "7:1: limits: must be a mapping of keys, not a list"),
    (
        "listen: 127.0.0.1:9000",
        "4:14: upstreams.api.url: is where the gateway itself listens (127.0.0.1:9000): requests would go in a loop",
    ),
    (
        "listen: 0.0.0.0:9000",
        "4:14: upstreams.api.url: is where the gateway itself listens (0.0.0.0:9000): requests would go in a loop",
    ),
    (
        "listen: localhost:9000",
        "4:14: upstreams.api.url: is where the gateway itself listens (localhost:9000): requests would go in a loop",
    ),
]


@pytest.mark.parametrize(("line", "expected"), TOP, ids=[line for line, _ in TOP])
def test_a_faulty_key_at_the_top_is_refused(line: str, expected: str) -> None:
    assert faults(f"{LEAST}{line}\n") == [expected]


KNOWN_LIMITS = "body_idle_timeout, connections, head_bytes, head_timeout, keep_alive_timeout"


def test_an_unknown_key_that_is_near_none_lists_the_known_ones() -> None:
    assert faults(f"{LEAST}limits: {{zzz: 5}}") == [f"7:10: limits.zzz: unknown key: known keys are: {KNOWN_LIMITS}"]


ISSUERS = [
    ("issuer: https://j.example", "3:3: issuers.b.audience: is required and missing: add it"),
    ("audience: x", "3:3: issuers.b.issuer: is required and missing: add it"),
    ("issuer: https://j.example, audience: []", "3:34: issuers.b.audience: must not be empty"),
    (
        "issuer: https://i.example, audience: x",
        "3:15: issuers.b.issuer: is the same as that of issuers.main: keep one of the two",
    ),
    ("issuer: http://j.example, audience: x", f"3:15: issuers.b.issuer: 'http://j.example' {HTTPS}"),
    ("issuer: j.example, audience: x", "3:15: issuers.b.issuer: 'j.example' must begin with http:// or https://"),
    (
        "issuer: ftp://j.example, audience: x",
        "3:15: issuers.b.issuer: 'ftp://j.example' must begin with http:// or https://",
    ),
    (
        "issuer: 'https://j.example?a', audience: x",
        "3:15: issuers.b.issuer: 'https://j.example?a' must have no query: remove '?' and what follows",
    ),
    (
        "issuer: 'https://j.example#a', audience: x",
        "3:15: issuers.b.issuer: 'https://j.example#a' must have no fragment: remove '#' and what follows",
    ),
    (
        "issuer: 'https://u:hunter2@j.example', audience: x",
        "3:15: issuers.b.issuer: must not hold a user or password: remove what stands before '@'",
    ),
    (
        "issuer: 'https://', audience: x",
        "3:15: issuers.b.issuer: 'https://' must name a host, and a port only with its number",
    ),
    (
        "issuer: 'https://j:', audience: x",
        "3:15: issuers.b.issuer: 'https://j:' must name a host, and a port only with its number",
    ),
    (
        "issuer: 'https://j:99999', audience: x",
        "3:15: issuers.b.issuer: 'https://j:99999' is no URL: its host or port cannot be read",
    ),
    (
        "issuer: 'https://j .example', audience: x",
        "3:15: issuers.b.issuer: 'https://j .example' is no URL: escape blanks, backslashes and non-ASCII characters",
    ),
    (
        "issuer: https://j.example, audience: x, jwks_uri: http://j.example/k",
        f"3:57: issuers.b.jwks_uri: 'http://j.example/k' {HTTPS}",
    ),
    (
        "issuer: https://j.example, audience: x, jwks_uri: https://j.example/k, jwks_file: k.json",
        "3:89: issuers.b.jwks_file: jwks_uri already says where the keys come from: keep one of the two",
    ),
    (
        "issuer: https://j.example, audience: x, jwks_file: k.json, embedded: i.yaml",
        "3:76: issuers.b.embedded: jwks_file already says where the keys come from: keep one of the two",
    ),
    ("issuer: https://j.example, audience: x, algorithms: []", "3:47: issuers.b.algorithms: must not be empty"),
    (
        "issuer: https://j.example, audience: x, algorithms: [HS256]",
        f"3:60: issuers.b.algorithms[0]: 'HS256' {SHARED}: let the issuer sign with an asymmetric one, such as RS256",
    ),
    (
        "issuer: https://j.example, audience: x, algorithms: [RS256, nOnE]",
        "3:67: issuers.b.algorithms[1]: 'none' means no signature: anyone could write such a token, so remove it",
    ),
    (
        "issuer: https://j.example, audience: x, algorithms: [rs256]",
        "3:60: issuers.b.algorithms[0]: 'rs256' is not known: did you mean 'RS256'?",
    ),
    (
        "issuer: https://j.example, audience: x, algorithms: [RS256, RS256]",
        "3:47: issuers.b.algorithms: 'RS256' is listed twice: keep one",
    ),
    ("issuer: https://j.example, audience: x, leeway: 6m", "3:55: issuers.b.leeway: must be at most 5m"),
    ("issuer: https://j.example, audience: x, typ: JWT", "3:52: issuers.b.typ: must be 'any' or 'at+jwt', not 'JWT'"),
    (
        "issuer: https://j.example, audience: x, keys_refresh: 999ms",
        "3:61: issuers.b.keys_refresh: must be at least 1s",
    ),
]


@pytest.mark.parametrize(("issuer", "expected"), ISSUERS, ids=[issuer for issuer, _ in ISSUERS])
def test_a_faulty_issuer_is_refused(issuer: str, expected: str) -> None:
    head, rest = LEAST.split("upstreams:")
    assert faults(f"{head}  b: {{{issuer}}}\nupstreams:{rest}") == [expected]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8081", "http://localhost", "http://[::1]:1/x", "https://I.example/"])
def test_an_issuer_is_kept_byte_for_byte(url: str) -> None:
    assert config(LEAST.replace("https://i.example", f"'{url}'")).issuers["main"].issuer == url


UPSTREAMS = [
    ("{}", "5:3: upstreams.b.url: is required and missing: add it"),
    (
        "{url: 'http://h/path'}",
        "5:12: upstreams.b.url: 'http://h/path' must have no path, because requests keep their own: write 'http://h'",
    ),
    ("{url: 'http://h?q'}", "5:12: upstreams.b.url: 'http://h?q' must have no query: remove '?' and what follows"),
    ("{url: 'http://u@h'}", "5:12: upstreams.b.url: must not hold a user or password: remove what stands before '@'"),
    ("{url: 'h:80'}", "5:12: upstreams.b.url: 'h:80' must begin with http:// or https://"),
    ("{url: 'http://h:0'}", "5:12: upstreams.b.url: 'http://h:0' must name a host, and a port only with its number"),
    ("{url: 'http://[::1'}", "5:12: upstreams.b.url: 'http://[::1' is no URL: its host or port cannot be read"),
    ("{url: 'http://h', max_connections: 0}", "5:41: upstreams.b.max_connections: must be at least 1, not 0"),
    ("{url: 'http://h', connect_timeout: 0s}", "5:41: upstreams.b.connect_timeout: must be at least 1ms"),
    (
        "{url: 'http://localhost:8080'}",
        "5:12: upstreams.b.url: is where the gateway itself listens (127.0.0.1:8080): requests would go in a loop",
    ),
    ("http://h", "5:6: upstreams.b: must be a mapping of keys, not 'http://h'"),
]


@pytest.mark.parametrize(("upstream", "expected"), UPSTREAMS, ids=[upstream for upstream, _ in UPSTREAMS])
def test_a_faulty_upstream_is_refused(upstream: str, expected: str) -> None:
    head, rest = LEAST.split("routes:")
    assert faults(f"{head}  b: {upstream}\nroutes:{rest}") == [expected]


ALL = "write one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
NEITHER = "says neither scopes nor public: true: list the scopes that a token must carry, or write public: true"
NO_EFFECT = "has no effect on a public route"
ROUTES = [
    ("{path: /, public: true, upstream: api}", "7:5: routes[1].id: is required and missing: add it"),
    (
        "{id: one, path: /, public: true, upstream: api}",
        "7:10: routes[1].id: is the same as that of routes[0]: each route needs its own",
    ),
    (
        "{id: a b, path: /, public: true, upstream: api}",
        "7:10: routes[1].id: 'a b' does not have the form ^[A-Za-z0-9._-]{1,64}$",
    ),
    ("{id: a, path: /, upstream: api}", f"7:5: routes[1]: {NEITHER}"),
    ("{id: a, path: /, upstream: api, public: false}", f"7:5: routes[1]: {NEITHER}"),
    ("{id: a, path: /, upstream: api, scope: [x]}", "7:37: routes[1].scope: unknown key: did you mean 'scopes'?"),
    (
        "{id: a, path: /, upstream: api, scopes: []}",
        "7:37: routes[1].scopes: must not be empty: list at least one scope, or write public: true instead",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: {}}",
        "7:37: routes[1].scopes: must not be empty: list at least one scope, or write public: true instead",
    ),
    ("{id: a, path: /, upstream: api, scopes: {any: []}}", "7:46: routes[1].scopes.any: must not be empty"),
    (
        "{id: a, path: /, upstream: api, scopes: {one: [x]}}",
        "7:46: routes[1].scopes.one: unknown key: known keys are: all, any",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: x}",
        "7:45: routes[1].scopes: must be a list, not 'x': write one such as [jobs.read]",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [x y]}",
        "7:46: routes[1].scopes[0]: 'x y' holds a blank: write each scope as its own item of the list",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [é]}",
        "7:46: routes[1].scopes[0]: 'é' is no scope: visible ASCII without '\"' and '\\' (RFC 6749 §3.3)",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: ['']}",
        "7:46: routes[1].scopes[0]: '' is no scope: visible ASCII without '\"' and '\\' (RFC 6749 §3.3)",
    ),
    ("{id: a, path: /, upstream: api, scopes: [x, x]}", "7:37: routes[1].scopes: 'x' is listed twice: keep one"),
    (
        "{id: a, path: /, upstream: api, scopes: [010]}",
        "7:46: routes[1].scopes[0]: '010' is octal to some readers of YAML: write it in decimal, or quote it",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [on]}",
        "7:46: routes[1].scopes[0]: 'on' is true to some readers of YAML and a word to others: write true, or quote it",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [x], scopes: [y]}",
        "7:50: routes[1].scopes: is written twice, first on line 7: keep one",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: }",
        "7:44: routes[1].scopes: is empty: give it a value, or remove the key",
    ),
    (
        "{id: a, path: /, upstream: api, public: yes}",
        "7:45: routes[1].public: 'yes' is true to some readers of YAML and a word to others: write true, or quote it",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, scopes: [x]}",
        f"7:51: routes[1].scopes: {NO_EFFECT}: remove scopes, or remove public: true",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, issuers: [main]}",
        f"7:51: routes[1].issuers: {NO_EFFECT}: remove issuers, or remove public: true",
    ),
    (
        "{id: a, path: /, upstream: ap, public: true}",
        "7:32: routes[1].upstream: 'ap' is no upstream: did you mean 'api'?",
    ),
    (
        "{id: a, path: /, upstream: zzz, public: true}",
        "7:32: routes[1].upstream: 'zzz' is no upstream: upstreams are: api",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [x], issuers: [man]}",
        "7:60: routes[1].issuers[0]: 'man' is no issuer: did you mean 'main'?",
    ),
    ("{id: a, path: /, upstream: api, scopes: [x], issuers: []}", "7:50: routes[1].issuers: must not be empty"),
    (
        "{id: a, path: /, upstream: api, scopes: [x], issuers:}",
        "7:58: routes[1].issuers: is empty: give it a value, or remove the key",
    ),
    ("{id: a, path: x, upstream: api, public: true}", "7:19: routes[1].path: a path begins with '/': write '/x'"),
    (
        "{id: a, path: /a//b, upstream: api, public: true}",
        "7:19: routes[1].path: an empty segment ('//'): remove one slash",
    ),
    ("{id: a, path: /, upstream: api, public: true, methods: []}", "7:51: routes[1].methods: must not be empty"),
    (
        "{id: a, path: /, upstream: api, public: true, methods: [get]}",
        "7:61: routes[1].methods[0]: 'get' is not known: did you mean 'GET'?",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, methods: [FROB]}",
        f"7:61: routes[1].methods[0]: 'FROB' is not known: {ALL}",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, methods: [TRACE]}",
        "7:61: routes[1].methods[0]: 'TRACE' is never forwarded, because it echoes credentials: remove it",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, methods: [CONNECT]}",
        "7:61: routes[1].methods[0]: 'CONNECT' is never forwarded, because it opens a blind tunnel: remove it",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, allow_in_path: [encoded-slash]}",
        "7:67: routes[1].allow_in_path[0]: 'encoded-slash' is not known: did you mean 'encoded_slash'?",
    ),
    (
        "{id: a, path: /one, upstream: api, public: true}",
        "7:19: routes[1].path: never matches, because all goes to 'one' above: move this route up, or remove it",
    ),
    ("x", "7:5: routes[1]: must be a mapping of keys, not 'x'"),
]


@pytest.mark.parametrize(("text", "expected"), ROUTES, ids=[text for text, _ in ROUTES])
def test_a_faulty_route_is_refused(text: str, expected: str) -> None:
    found = faults(f"{LEAST}  - {text}\n")
    assert expected in found
    assert set(found) <= {expected, f"7:5: routes[1]: {NEITHER}"}


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ("/a/{x}", "/a/{y}", True),
        ("/a/{x}", "/a/b", True),
        ("/a/{x}", "/a/", False),
        ("/a/b", "/a/{x}", False),
        ("/a/{x...}", "/a/b/c", True),
        ("/a/{x...}", "/a/", True),
        ("/a/{x...}", "/a", False),
        ("/a/{x...}", "/a/{y...}", True),
        ("/a/{x}", "/a/{y...}", False),
        ("/{x}/b", "/a/{y}", False),
        ("/{x...}", "/a/{y}/c", True),
        ("/a", "/A", False),
    ],
)
def test_a_route_that_an_earlier_one_covers_is_refused(earlier: str, later: str, *, shadowed: bool) -> None:
    head = UP_TO_ROUTES
    routes = "".join(
        f"  - {{id: r{index}, path: '{path}', public: true, upstream: api}}\n"
        for index, path in enumerate((earlier, later))
    )
    message = "never matches, because all goes to 'r0' above: move this route up, or remove it"
    assert faults(head + routes) == ([f"7:20: routes[1].path: {message}"] if shadowed else [])


def test_routes_of_one_path_share_it_by_method() -> None:
    head = UP_TO_ROUTES
    rest = "public: true, upstream: api}\n"
    routes = [
        f"  - {{id: a, path: '/x/{{y}}', methods: [GET], {rest}",
        f"  - {{id: b, path: '/x/{{z}}', methods: [POST], {rest}",
    ]
    assert faults(head + "".join(routes)) == []
    routes.append(f"  - {{id: c, path: '/x/y', methods: [POST, GET], {rest}")
    message = "never matches, because all goes to 'a' and 'b' above: move this route up, or remove it"
    assert faults(head + "".join(routes)) == [f"8:19: routes[2].path: {message}"]


def test_a_route_without_methods_takes_every_method_that_is_forwarded() -> None:
    head = UP_TO_ROUTES
    rest = "public: true, upstream: api}\n"
    text = f"{head}  - {{id: a, path: /x, methods: [{', '.join(METHODS)}], {rest}  - {{id: b, path: /x, {rest}"
    assert [fault.partition(", because")[0] for fault in faults(text)] == ["7:19: routes[1].path: never matches"]


@pytest.mark.parametrize("issuers", ["", "issuers: {}\n"])
def test_a_route_that_needs_a_token_needs_an_issuer(issuers: str) -> None:
    text = issuers + LEAST[LEAST.index("upstreams:") :]
    message = "demands a token, but no issuer is trusted: add one under issuers"
    assert [fault.partition(": ")[2] for fault in faults(text)] == [f"routes[0]: {message}"]


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


def well_formed(found: GatewayConfig | list[ConfigError]) -> bool:
    if isinstance(found, GatewayConfig):
        return True
    return bool(found) and all(error.line >= 1 and error.column >= 1 and error.message for error in found)


@given(st.text())
def test_any_text_is_parsed_or_refused_and_never_raises(text: str) -> None:
    assert well_formed(parse(text, "f", {}))


EXAMPLE = (ROOT / "config/gateway.yaml").read_text(encoding="utf-8")
SCRAPS = st.sampled_from(
    [
        "null",
        "on",
        "[]",
        "{}",
        "1",
        "-1.5",
        "''",
        "[[]]",
        "{a: 1}",
        "*x",
        "&x ",
        "\t",
        "\n",
        "  ",
        "'",
        ": ",
        "- ",
        "${",
        "é",
    ]
)


@given(st.integers(0, len(EXAMPLE)), st.integers(0, 30), SCRAPS)
def test_any_damage_to_a_file_is_parsed_or_refused_and_never_raises(at: int, cut: int, scrap: str) -> None:
    assert well_formed(parse(EXAMPLE[:at] + scrap + EXAMPLE[at + cut :], "f", {}))


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*GatewayConfig.model_fields, *RouteConfig.model_fields, "url", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*GatewayConfig.model_fields]), TREES))
def test_any_shape_of_data_is_parsed_or_refused_and_never_raises(tree: dict[str, Any]) -> None:
    assert well_formed(parse(json.dumps(tree), "f", {}))
