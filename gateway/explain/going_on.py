"""How a request that is let in goes on, as far as its route says so."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.judging import Findings
from gateway.explain.words import shown


def going_on(findings: Findings) -> Iterator[tuple[str, str]]:
    """What the upstream gets otherwise than it came: a name and what it is, each fit for a terminal."""
    route = findings.route
    if route is None:
        return
    if route.rewrite is not None:
        _, path = route.destination(findings.request.target.partition("?")[0])
        yield "path", shown(path)
    told = {} if findings.sender is None else dict(findings.sender.told)
    for field in route.claim_fields:
        yield field.name, shown(told.get(field.claim, ""))
    if route.timeouts is not None:
        said = (f"{name} {seconds:g} s" for name, seconds in route.timeouts._asdict().items() if seconds is not None)
        yield "timeouts", ", ".join(said)
