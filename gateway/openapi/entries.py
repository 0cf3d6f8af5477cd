"""Operations as entries of the route table, in an order in which each of them is reached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config import ConfigError, Document, bind
from gateway.config.route_section import RouteConfig
from gateway.openapi.demands import Demand, as_scopes, demand
from gateway.openapi.document import Spec
from gateway.openapi.operations import Findings, Operation
from gateway.openapi.templates import order_of, template_of
from gateway.policy.routes import METHODS

LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Entries:
    """What an OpenAPI file becomes.

    Attributes:
        routes: entries of `routes`, in order; plain data.
        left_out: operations without a route, and why.
        warnings: what a person should look at, in the file's order.
    """

    routes: tuple[dict[str, Any], ...]
    left_out: tuple[tuple[Operation, str], ...]
    warnings: tuple[ConfigError, ...]


def entries_of(spec: Spec, findings: Findings, upstream: str, otherwise: Sequence[str] = ()) -> Entries:
    """Turn operations into routes.

    Args:
        spec: the file.
        findings: what was read of it.
        upstream: the name of the upstream that answers them.
        otherwise: scopes to demand where a token is demanded, and no scope.
    """
    routes: list[dict[str, Any]] = []
    left_out: list[tuple[Operation, str]] = []
    warnings = list(findings.warnings)
    for operation in findings.operations:
        found = demand(operation, findings.schemes, otherwise)
        warnings += [spec.error(operation.said_at, f"{operation}: {message}") for message in found.warnings]
        entry = _entry(operation, found, upstream)
        if isinstance(entry, str):
            left_out.append((operation, entry))
            if not found.warnings:
                warnings.append(spec.error(operation.at, f"{operation}: no route is written: {entry}"))
        else:
            routes.append(entry)
    routes.sort(key=lambda entry: order_of(entry["path"]))
    _name_each_once(routes)
    return Entries(tuple(routes), tuple(left_out), tuple(warnings))


def _entry(operation: Operation, found: Demand, upstream: str) -> dict[str, Any] | str:
    """The route; or why there is none."""
    if operation.method not in METHODS:
        return f"{operation.method} is never forwarded"
    try:
        path = template_of(operation)
    except ValueError as error:
        return f"its path can't be said: {error}"
    if not found.public and not found.choices:
        return found.warnings[0] if found.warnings else "nobody may enter"
    demanded: dict[str, Any] = {"public": True} if found.public else {"scopes": as_scopes(found.choices)}
    entry = {"id": _id(operation), "methods": [operation.method], "path": path, **demanded, "upstream": upstream}
    bound = bind(RouteConfig, Document("", entry, {}, {}))
    return "; ".join(fault.message for fault in bound) if isinstance(bound, list) else entry


def _id(operation: Operation) -> str:
    named = operation.id or f"{operation.method.lower()}{operation.path}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip("-")[:LONGEST_ID] or "root"


def _name_each_once(routes: Iterable[dict[str, Any]]) -> None:
    taken: set[str] = set()
    for entry in routes:
        name, number = entry["id"], 1
        while entry["id"] in taken:
            number += 1
            entry["id"] = f"{name[: LONGEST_ID - 6]}-{number}"
        taken.add(entry["id"])
