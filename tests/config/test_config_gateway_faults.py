"""Every fault of the gateway's file outside its routes, at its place."""

import pytest

from .gateway_samples import LEAST, faults

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


KNOWN_LIMITS = "body_idle_timeout, body_timeout, connections, head_bytes, head_timeout, keep_alive_timeout, requests"


def test_an_unknown_key_that_is_near_none_lists_the_known_ones() -> None:
    assert faults(f"{LEAST}limits: {{zzz: 5}}") == [f"7:10: limits.zzz: unknown key: known keys are: {KNOWN_LIMITS}"]


NO_CLAIM_VALUE = "is no claim's value: write a text, a whole number, true or false, or a list"
SAME_ISSUER = "keep one of the two, or tell their tokens apart by `claims` in both sections"
ISSUERS = [
    ("issuer: https://j.example", "3:3: issuers.b.audience: is required and missing: add it"),
    ("audience: x", "3:3: issuers.b.issuer: is required and missing: add it"),
    ("issuer: https://j.example, audience: []", "3:34: issuers.b.audience: must not be empty"),
    (
        "issuer: https://i.example, audience: x",
        f"3:15: issuers.b.issuer: is the same as that of issuers.main: {SAME_ISSUER}",
    ),
    (
        "issuer: https://i.example, audience: x, claims: {tenant: b}",
        f"3:15: issuers.b.issuer: is the same as that of issuers.main: {SAME_ISSUER}",
    ),
    (
        "issuer: https://j.example, audience: x, claims: {tenant: []}",
        f"3:56: issuers.b.claims.tenant: a list {NO_CLAIM_VALUE}",
    ),
    ("issuer: http://j.example, audience: x", f"3:15: issuers.b.issuer: 'http://j.example' {HTTPS}"),
    (
        "issuer: https://j.example, audience: x, revocations: never",
        "3:60: issuers.b.revocations: 'never' is not known: write auto, false or the URL of the issuer's feed",
    ),
    (
        "issuer: https://j.example, audience: x, revocations: http://j.example/r",
        "3:60: issuers.b.revocations: 'http://j.example/r' must begin with https://: plain http can be tampered with",
    ),
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
