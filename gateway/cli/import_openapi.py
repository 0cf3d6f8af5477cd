"""`scopegate import openapi`: routes from operations and their security requirements, and where the two differ."""

import json
import os
from pathlib import Path
from typing import Final, NoReturn

import click
from rich_click import RichCommand

from gateway.cli.check import BAD_CONFIGURATION, examine
from gateway.cli.options import config_option
from gateway.config.gateway_file import GatewayConfig
from gateway.explain.grounds import lay
from gateway.openapi.document import Spec, SpecError, read_spec
from gateway.openapi.drift import Drift, drift as drift_of
from gateway.openapi.entries import entries_of
from gateway.openapi.operations import Findings, read_operations
from gateway.openapi.writing import as_yaml
from gateway.policy.model import Route

FINDINGS: Final = 1


def _base(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.startswith("/"):
        raise click.BadParameter(f"a path begins with '/': write /{value}.")
    return value


@click.command(cls=RichCommand)
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--upstream", metavar="NAME", help="The upstream that answers; with --drift, whose routes are compared.")
@click.option(
    "--base", metavar="PATH", callback=_base, help="The path that all operations are below. [default: the server's]"
)
@click.option(
    "--scope",
    "scopes",
    metavar="SCOPE",
    multiple=True,
    help="Demand it where the file demands a token and no scope; repeatable.",
)
@click.option("--drift", is_flag=True, help="Tell which operations have no route, and which routes no operation.")
@config_option("With --drift: the configuration to compare with.", parameter="gateway")
@click.option("--json", "as_json", is_flag=True, help="With --drift: print the outcome as one JSON object.")
def openapi(  # noqa: PLR0913 - one parameter an option
    spec: Path,
    *,
    upstream: str | None,
    base: str | None,
    scopes: tuple[str, ...],
    drift: bool,
    gateway: Path,
    as_json: bool,
) -> None:
    """Write routes from an OpenAPI file, or tell where the two have drifted apart.

    SPEC is OpenAPI 3.0 or 3.1, in YAML or JSON. The section `routes` goes to standard output, what a person should
    look at to standard error. An operation that says nothing of security gets no route.

    Exit codes: 0 written, or no drift; 1 drift; 2 usage; 3 the file or the configuration cannot be used.
    """
    if as_json and not drift:
        raise click.UsageError("--json goes with --drift: routes are written as YAML.")
    try:
        read = read_spec(spec)
        findings = read_operations(read, base)
    except SpecError as error:
        _end(str(error.fault), BAD_CONFIGURATION)
    if drift:
        _tell_drift(read, findings, _routes(gateway, upstream), gateway, as_json=as_json)
        return
    entries = entries_of(read, findings, upstream or "api", scopes)
    for warning in entries.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(as_yaml(entries, findings.title, str(spec)), nl=False)


def _routes(gateway: Path, upstream: str | None) -> list[Route]:
    config = examine(gateway, os.environ, with_tests=False)
    if not isinstance(config, GatewayConfig):
        _end("\n".join(map(str, config)), BAD_CONFIGURATION)
    if upstream is not None and upstream not in config.upstreams:
        raise click.UsageError(f"--upstream {upstream}: {gateway} has no such upstream.")
    return [route for route in lay(gateway, config, os.environ).table.routes if upstream in {None, route.upstream}]


def _tell_drift(spec: Spec, findings: Findings, routes: list[Route], gateway: Path, *, as_json: bool) -> None:
    found: Drift = drift_of(spec, findings.operations, routes)
    if as_json:
        click.echo(json.dumps(_as_json(found)))
    else:
        for _, fault in found.operations:
            click.echo(fault)
        for route, methods in found.routes:
            click.echo(f"{gateway}: route {route} takes {', '.join(methods)}, for which there is no operation")
        if not found:
            click.echo(f"no drift: {len(findings.operations)} operations, {len(routes)} routes")
    if found:
        raise click.exceptions.Exit(FINDINGS)


def _as_json(found: Drift) -> dict[str, object]:
    operations = [
        {"method": one.method, "path": one.base + one.path, "id": one.id, "line": fault.line, "column": fault.column}
        for one, fault in found.operations
    ]
    routes = [{"route": route, "methods": list(methods)} for route, methods in found.routes]
    return {"ok": not found, "operations_without_route": operations, "routes_without_operation": routes}


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
