"""docs/metrics.md describes every metric with its labels, and every address of the admin listener."""

from collections.abc import Iterator

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.metrics import render
from gateway.admin.server import AdminServer
from gateway.admin.snapshot import (
    CredentialsSnapshot,
    IntrospectionSnapshot,
    IssuerSnapshot,
    ReloadSnapshot,
    RevocationsSnapshot,
    Snapshot,
    TargetSnapshot,
    TlsSnapshot,
    UpstreamSnapshot,
    WorkerSnapshot,
)

from .pages import code, read, rows, sections

SNAPSHOT = Snapshot(
    version="1",
    config_rev="r",
    started_at=1.0,
    ready=True,
    connections=1,
    cached_tokens=1,
    requests={("route", "allow", "", 200): 1},
    would_deny={("route", "token_missing"): 1},
    duration_bounds=(1.0,),
    durations=(1, 0),
    duration_sum=0.5,
    tokens_verified=1,
    tokens_recalled=1,
    retries=0,
    aborted=0,
    log_written=1,
    log_dropped=0,
    log_error=None,
    issuers=(
        IssuerSnapshot(
            "i",
            "https://i.example",
            ("k",),
            (),
            1.0,
            1.0,
            None,
            RevocationsSnapshot(1, 1.0, None),
            2.0,
            1,
            0.5,
            clock_ahead_by_tokens=0.5,
            introspection=IntrospectionSnapshot(1, 0, 0, 0, 1, 1.0, None),
        ),
    ),
    upstreams=(UpstreamSnapshot("u", "u.example", 1, 1, 0, 0, (TargetSnapshot("u.example", 1, 1, 0),)),),
    tls=TlsSnapshot(loaded_at=1.0, expires_at=2.0, error=None, handshake_failures=0, last_failure=None),
    credentials=(CredentialsSnapshot("c", 1.0, 2.0, None, None),),
    workers=(WorkerSnapshot(worker=1, pid=7, generation=1, state="ready", started_at=1.0, connections=1),),
    reload=ReloadSnapshot(7, 1, 1, 1, 1.0, 1.0, {"swapped": 1, "replaced": 0, "unchanged": 0, "refused": 0}, errors=()),
)


def metrics() -> Iterator[tuple[str, Metric]]:
    """Name as it is exposed, and the metric."""
    for family in text_string_to_metric_families(render(SNAPSHOT).decode()):
        yield f"{family.name}_total" if family.type == "counter" else family.name, family


def documented() -> dict[str, list[str]]:
    return {cells[0]: cells for cells in rows(sections(read("metrics.md"), 2)["Metrics"])}


@pytest.mark.parametrize(("name", "metric"), [pytest.param(name, metric, id=name) for name, metric in metrics()])
def test_every_metric_is_documented_with_type_and_labels(name: str, metric: Metric) -> None:
    cells = documented().get(name)
    assert cells is not None, f"docs/metrics.md: add a row for `{name}`"
    assert cells[1] == metric.type
    assert set(code(cells[2])) == {label for sample in metric.samples for label in sample.labels} - {"le"}


def test_no_metric_is_documented_that_does_not_exist() -> None:
    assert set(documented()) == {name for name, _ in metrics()}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("scopegate_token_checks_total", "source"),
        ("scopegate_introspection_tokens_total", "outcome"),
        ("scopegate_upstream_connections", "state"),
        ("scopegate_target_connections", "state"),
        ("scopegate_access_log_lines_total", "fate"),
        ("scopegate_reloads_total", "outcome"),
    ],
)
def test_the_values_of_a_closed_label_are_named(name: str, label: str) -> None:
    values = {sample.labels[label] for sample in dict(metrics())[name].samples}
    assert values <= set(code(documented()[name][3]))


def test_every_address_of_the_admin_listener_is_documented() -> None:
    application = AdminServer(lambda: SNAPSHOT, "127.0.0.1", 0)._application()
    served = {resource.canonical for resource in application.router.resources()}
    head = read("metrics.md").partition("## Metrics")[0]
    assert {cells[0] for cells in rows(head)} == served
