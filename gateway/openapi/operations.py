"""Every operation of an OpenAPI file: its method, its path below the server's, and what it says of security."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.config import ConfigError, Path
from gateway.openapi.document import Part, Spec, SpecError

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
"""Fields of a path item that are operations."""

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_SAMPLE = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")

Requirement = tuple[tuple[str, tuple[str, ...]], ...]
"""One security requirement: schemes, each with its scopes, all of which hold together."""


class PathVariable(NamedTuple):
    """A variable of a path: a value that it can have, and its type by the gateway's name, "" for any."""

    sample: str
    type: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        id: its operationId, or "".
        method: in upper case.
        base: the path of its server, without a slash at the end.
        path: OpenAPI's template, below the server's path.
        security: requirements of which one has to hold; None where the file says nothing.
        at: where it stands.
        said_at: where its security stands.
        variables: of its path.
    """

    id: str
    method: str
    base: str
    path: str
    security: tuple[Requirement, ...] | None
    at: Path
    said_at: Path
    variables: Mapping[str, PathVariable] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.base}{self.path}"


@dataclass(slots=True)
class Findings:
    """What was read of a file.

    Attributes:
        operations: in the file's order.
        warnings: what a person should look at.
        schemes: type of each security scheme, by name; an HTTP scheme as `http bearer`.
        title: of the API, with its version.
    """

    operations: list[Operation] = field(default_factory=list)
    warnings: list[ConfigError] = field(default_factory=list)
    schemes: dict[str, str] = field(default_factory=dict)
    title: str = ""


def read_operations(spec: Spec, base: str | None = None) -> Findings:
    """Read all operations.

    Args:
        spec: the file.
        base: the path that all of them are below, in place of the servers'.

    Raises:
        SpecError: a $ref leads nowhere, or a part that is needed has another form.
    """
    findings = Findings(schemes=dict(_schemes(spec)), title=_title(spec))
    paths = spec.member(spec.root, "paths")
    for template, item in () if paths is None else spec.members(paths):
        if template.startswith("x-"):
            continue
        if not template.startswith("/"):
            raise SpecError(spec.error(item.path, "a path begins with '/'"))
        for method in METHODS:
            operation = spec.member(item, method)
            if operation is not None:
                findings.operations.append(_operation(spec, template, item, method, operation, base, findings))
    if not findings.operations:
        findings.warnings.append(spec.error(("paths",), "there are no operations"))
    return findings


def _title(spec: Spec) -> str:
    info = spec.member(spec.root, "info")
    told = {} if info is None else info.mapping()
    return " ".join(str(told[key]) for key in ("title", "version") if key in told)


def _schemes(spec: Spec) -> Iterator[tuple[str, str]]:
    components = spec.member(spec.root, "components")
    schemes = None if components is None else spec.member(components, "securitySchemes")
    for name, scheme in spec.members(schemes) if schemes is not None else ():
        told = scheme.mapping()
        kind = str(told.get("type", ""))
        yield name, f"http {str(told.get('scheme', '')).lower()}" if kind == "http" else kind


def _operation(  # noqa: PLR0913, PLR0917 - all that an operation inherits from
    spec: Spec, template: str, item: Part, method: str, operation: Part, base: str | None, findings: Findings
) -> Operation:
    security, said_at = _security(spec, operation)
    return Operation(
        id=str(operation.mapping().get("operationId", "")),
        method=method.upper(),
        base=_base(spec, (operation, item, spec.root), findings) if base is None else base.rstrip("/"),
        path=template,
        security=security,
        at=operation.path,
        said_at=said_at,
        variables=dict(_variables(spec, template, item, operation)),
    )


def _security(spec: Spec, operation: Part) -> tuple[tuple[Requirement, ...] | None, Path]:
    """The operation's own requirements, else those of the whole file; None where neither says anything."""
    for part in (operation, spec.root):
        found = spec.member(part, "security")
        if found is not None:
            return tuple(_requirement(spec, found, index) for index in range(len(_list(spec, found)))), found.path
    return None, operation.path


def _list(spec: Spec, part: Part) -> list[object]:
    if not isinstance(part.value, list):
        raise SpecError(spec.error(part.path, "must be a list"))
    return part.value


def _requirement(spec: Spec, security: Part, index: int) -> Requirement:
    found = spec.member(security, index)
    if found is None or not isinstance(found.value, dict):
        raise SpecError(spec.error((*security.path, index), "must be a mapping of schemes to their scopes"))
    pairs = []
    for name, scopes in found.value.items():
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise SpecError(spec.error((*found.path, name), "must be a list of scopes, [] for none"))
        pairs.append((name, tuple(scopes)))
    return tuple(pairs)


def _base(spec: Spec, parts: tuple[Part, ...], findings: Findings) -> str:
    """The path of the nearest `servers`; where several differ, the first one counts, with a warning."""
    for part in parts:
        servers = spec.member(part, "servers")
        if servers is not None and servers.items():
            bases = list(dict.fromkeys(_server_path(spec, servers, index) for index in range(len(servers.items()))))
            if len(bases) > 1:
                others = ", ".join(base or "/" for base in bases[1:])
                message = f"have different paths: {bases[0] or '/'} counts, not {others}; choose one by --base"
                warning = spec.error(servers.path, message)
                findings.warnings += [] if warning in findings.warnings else [warning]
            return bases[0]
    return ""


def _server_path(spec: Spec, servers: Part, index: int) -> str:
    server = spec.member(servers, index)
    told = {} if server is None else server.mapping()
    variables = told.get("variables")
    known = variables if isinstance(variables, dict) else {}

    def filled(match: re.Match[str]) -> str:
        variable = known.get(match[1])
        default = variable.get("default") if isinstance(variable, dict) else None
        if default is None:
            raise SpecError(spec.error((*servers.path, index), f"the variable {match[1]!r} has no default"))
        return str(default)

    url = _VARIABLE.sub(filled, str(told.get("url", "/")))
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise SpecError(spec.error((*servers.path, index), f"{url!r} is no URL: {error}")) from error
    return ("/" + path.strip("/")).rstrip("/")


def _variables(spec: Spec, template: str, item: Part, operation: Part) -> Iterator[tuple[str, PathVariable]]:
    """What the file tells of each variable; the operation's word comes before that of its path."""
    schemas: dict[str, Mapping[str, object]] = {}
    for owner in (item, operation):
        parameters = spec.member(owner, "parameters")
        for index in range(len(parameters.items())) if parameters is not None else ():
            parameter = None if parameters is None else spec.member(parameters, index)
            if parameter is not None and parameter.mapping().get("in") == "path":
                schema = spec.member(parameter, "schema")
                told = {} if schema is None else schema.mapping()
                given = {key: parameter.mapping()[key] for key in ("example",) if key in parameter.mapping()}
                schemas[str(parameter.mapping().get("name"))] = {**told, **given}
    for name in _VARIABLE.findall(template):
        schema_of = schemas.get(name, {})
        yield name, PathVariable(_sample(schema_of), _type(schema_of))


def _type(schema: Mapping[str, object]) -> str:
    if schema.get("format") == "uuid":
        return "uuid"
    return "int" if schema.get("type") == "integer" and not str(schema.get("minimum", "")).startswith("-") else ""


def _sample(schema: Mapping[str, object]) -> str:
    """What the file gives as a value, or one that its type allows."""
    values = schema.get("enum")
    first = values[:1] if isinstance(values, list) else []
    for given in (*(schema.get(key) for key in ("example", "default", "const")), *first):
        if isinstance(given, str | int) and _SAMPLE.fullmatch(str(given)):
            return str(given)
    return {"uuid": "123e4567-e89b-42d3-a456-426614174000", "int": "1"}.get(_type(schema), "x")
