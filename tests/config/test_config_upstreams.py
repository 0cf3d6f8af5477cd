"""Upstreams with several targets, their health checks and ejection, in the gateway's file."""

import pytest

from gateway import build

from .gateway_samples import LEAST, config, faults

PATH = "begin with / and escape blanks, '#' and non-ASCII characters"
STATUS = "write one such as 200, or a range such as 200-399"
FAULTS = [
    (
        "{url: 'http://h', urls: ['http://h', 'http://i']}",
        "5:24: upstreams.b.urls: url already names the only target: keep one of the two",
    ),
    (
        "{urls: ['http://h']}",
        "5:7: upstreams.b.urls: needs two or more targets: where there is one, write url",
    ),
    ("{urls: ['http://h', 'http://h']}", "5:7: upstreams.b.urls: 'http://h' is listed twice: keep one"),
    (
        "{urls: ['http://h', 'https://i']}",
        "5:7: upstreams.b.urls: mixes schemes: write https:// for every target, or http:// for every one",
    ),
    (
        "{urls: ['http://h', 'http://i/x']}",
        "5:26: upstreams.b.urls[1]: 'http://i/x' must have no path, because requests keep their own: write 'http://i'",
    ),
    ("{urls: 'http://h'}", "5:13: upstreams.b.urls: must be a list, not 'http://h'"),
    (
        "{urls: ['http://h', 'http://127.0.0.1:8080']}",
        "5:26: upstreams.b.urls[1]: is where the gateway itself listens (127.0.0.1:8080): requests would go in a loop",
    ),
    ("{url: 'http://h', max_waiting: 0}", "5:37: upstreams.b.max_waiting: must be at least 1, not 0"),
    ("{url: 'http://h', health_check: {}}", "5:24: upstreams.b.health_check.path: is required and missing: add it"),
    (
        "{url: 'http://h', health_check: {path: healthz}}",
        f"5:45: upstreams.b.health_check.path: 'healthz' is no path: {PATH}",
    ),
    (
        "{url: 'http://h', health_check: {path: /, status: 20-30}}",
        f"5:56: upstreams.b.health_check.status: '20-30' is no status: {STATUS}",
    ),
    (
        "{url: 'http://h', health_check: {path: /, status: [200, 399-200]}}",
        f"5:48: upstreams.b.health_check.status: '399-200' is no status: {STATUS}",
    ),
    (
        "{url: 'http://h', health_check: {path: /, status: true}}",
        f"5:56: upstreams.b.health_check.status: true is no status: {STATUS}",
    ),
    (
        "{url: 'http://h', health_check: {path: /, status: []}}",
        f"5:48: upstreams.b.health_check.status: a list is no status: {STATUS}",
    ),
    (
        "{url: 'http://h', ejection: {seconds: 5s}}",
        "5:35: upstreams.b.ejection.seconds: unknown key: known keys are: count_5xx, failures, for",
    ),
    (
        "{url: 'http://h', ejection: {for: 5}}",
        "5:40: upstreams.b.ejection.for: 5 has no unit: write 5s, or use ms, m, h or d",
    ),
]


def spliced(upstream: str) -> str:
    head, rest = LEAST.split("routes:")
    return f"{head}  b: {upstream}\nroutes:{rest}"


@pytest.mark.parametrize(("upstream", "expected"), FAULTS, ids=[upstream for upstream, _ in FAULTS])
def test_a_faulty_upstream_is_refused_at_its_place(upstream: str, expected: str) -> None:
    assert faults(spliced(upstream)) == [expected]


def test_each_target_has_its_place_and_name() -> None:
    read = config(spliced("{urls: ['https://h', 'https://[::1]:8443/']}")).upstreams["b"]
    settings = build.upstream_settings("b", read)
    assert settings.authority == "h, [::1]:8443"
    assert [address.port for address in settings.addresses] == [443, 8443]
    assert settings.tls


@pytest.mark.parametrize(
    ("upstream", "ejection"),
    [
        ("{url: 'http://h'}", None),
        ("{url: 'http://h', ejection: {}}", (5, 10.0, 10.0, False)),
        ("{urls: ['http://h', 'http://i']}", (5, 10.0, 60.0, False)),
        (
            "{urls: ['http://h', 'http://i'], ejection: {failures: 2, for: 1s, count_5xx: true}}",
            (2, 1.0, 60.0, True),
        ),
    ],
)
def test_several_targets_are_ejected_by_default_and_a_single_one_only_if_told_so(
    upstream: str, ejection: tuple[int, float, float, bool] | None
) -> None:
    found = build.upstream_settings("b", config(spliced(upstream)).upstreams["b"]).ejection
    got = None if found is None else (found.failures, found.seconds, found.longest, found.count_5xx)
    assert got == ejection


@pytest.mark.parametrize(
    ("status", "good"),
    [
        ("200-399", frozenset(range(200, 400))),
        ("204", frozenset({204})),
        ("[200, 204, 300-302]", frozenset({200, 204, 300, 301, 302})),
    ],
)
def test_good_statuses_are_one_a_range_or_a_list(status: str, good: frozenset[int]) -> None:
    read = config(spliced(f"{{url: 'http://h', health_check: {{path: /, status: {status}}}}}")).upstreams["b"]
    health = build.upstream_settings("b", read).health
    assert health is not None
    assert health.statuses == good
    assert (health.interval, health.timeout, health.healthy_after, health.unhealthy_after) == (5.0, 2.0, 1, 2)
