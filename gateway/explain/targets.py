"""What path may have been meant: a canonical spelling of one that is refused, and the routes that are near one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from urllib.parse import quote, urlsplit

from gateway.explain.judging import Findings
from gateway.explain.words import shown
from gateway.policy.denial import Denial
from gateway.policy.fields import fields_fit, fit, selector
from gateway.policy.model import RequestHead, Route
from gateway.policy.paths import canonical_target

NEAR = 0.6
MOST = 3

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BEGINS_LIKE_A_PATH = re.compile(r"[/\\%A-Za-z0-9]")
_MEANT_PLAIN = re.compile(r"[A-Za-z0-9._~/\\;-]")


def repaired(target: str) -> str | None:
    """A canonical path that the target's sender may have meant; None where there is none.

    It is only a proposal, and `canonical_target` judges it like any other path.
    """
    path = _origin_form(target.partition("?")[0].partition("#")[0])
    if path is None:
        return None
    path = _ESCAPE.sub(_undo, path).replace("\\", "/")
    segments: list[str] = []
    parts = [part.partition(";")[0] for part in path.split("/")]
    for part in parts:
        if part == "..":
            segments = segments[:-1]
        elif part not in {"", "."}:
            segments.append(part)
    ends_open = parts[-1] in {"", ".", ".."} and bool(segments)
    proposed = quote("/" + "/".join(segments) + "/" * ends_open, safe="/%!$&'()*+,=:@~", errors="surrogateescape")
    canonical = canonical_target(proposed)
    if isinstance(canonical, Denial) or canonical.oddities or proposed == target.partition("?")[0]:
        return None
    return proposed


def _origin_form(target: str) -> str | None:
    """The path of a target in absolute form, or of one without its first slash (RFC 9112 §3.2)."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    path = parts.path if parts.scheme and parts.netloc else target
    return path if _BEGINS_LIKE_A_PATH.match(path) else None


def _undo(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _MEANT_PLAIN.match(character) else escape[0]


def allowing(findings: Findings) -> Iterator[str]:
    """Routes that would take the path if they allowed its doubtful form."""
    head = findings.head
    if head is None or not head.oddities:
        return
    for route in findings.grounds.table.candidates(head.path, head.host):
        if head.method in route.methods:
            forms = ", ".join(sorted(head.oddities | route.allow_in_path))
            yield f"let route {route.id} take it: write allow_in_path: [{forms}] in {findings.grounds.file}"


def hosts_of_path(findings: Findings) -> list[str]:
    """Hosts at which some route takes the very path."""
    head = findings.head
    fitting = () if head is None else findings.grounds.table.candidates(head.path)
    return list(dict.fromkeys(host for route in fitting for host in route.hosts))


def fields_missed(route: Route, head: RequestHead) -> str:
    """Which fields a route takes that a request does not have, each with what was found."""
    values = selector(route.fields).values(head.fields)
    if isinstance(values, Denial):
        return values.detail
    missed = [each for each in route.fields if not fit([each], values)]
    found = [shown(values.get(each.name.lower(), "none") or "an empty one") for each in missed]
    return " and ".join(f"{each} (found {value})" for each, value in zip(missed, found, strict=True))


def by_fields(findings: Findings) -> Iterator[tuple[Route, str]]:
    """The routes that take host, path and method, each with the fields that it misses."""
    head = findings.head
    for route in () if head is None else findings.grounds.table.candidates(head.path, head.host):
        if head is not None and head.method in route.methods and not fields_fit(route.fields, head.fields):
            yield route, fields_missed(route, head)


def nearest_routes(findings: Findings) -> list[str]:
    """The routes whose templates are like the path, the nearest first, as `GET /path (id)`."""
    head, table = findings.head, findings.grounds.table
    if head is None:
        return []
    variants = (head.path.rstrip("/") or "/", f"{head.path}/", head.path.lower())
    sure = [route for variant in variants for route in table.candidates(variant)]
    graded = sorted(((_likeness(route.path, variants[0]), route) for route in table.routes), key=lambda pair: -pair[0])
    near = [*sure, *(route for likeness, route in graded if likeness >= NEAR)]
    return [_named(route) for route in dict.fromkeys(near)][:MOST]


def _likeness(template: str, path: str) -> float:
    """How alike a template and a path are, 0 to 1; a variable is like whatever stands in its place."""
    segments, theirs = template.split("/"), path.split("/")
    filled = [
        theirs[at] if segment.startswith("{") and at < len(theirs) else segment for at, segment in enumerate(segments)
    ]
    return SequenceMatcher(None, "/".join(filled), path).ratio()


def _named(route: Route) -> str:
    where = f" at {' or '.join(route.hosts)}" if route.hosts else ""
    return f"{' or '.join(sorted(route.methods))} {shown(route.path)}{where} ({route.id})"
