"""`scopegate check`: is a configuration sound, together with the files that it names?"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import click
from rich_click import RichCommand

from gateway import build
from gateway.cli.doubts import annotation, doubts
from gateway.cli.options import GATEWAY_FILE
from gateway.config import ConfigError, Document, read_file
from gateway.config.credentials import IssuerTlsConfig
from gateway.config.gateway_file import GatewayConfig, GatewayFile, read_gateway_file
from gateway.config.issuer_section import IssuerConfig
from gateway.config.upstream_section import UpstreamTlsConfig
from gateway.issuer.reading import read_settings
from gateway.own_credentials import CredentialsError, token_request
from gateway.rule_tests.inline import failing_cases
from gateway.tls import TlsFileError, client_context, server_context

DOUBTFUL = 1
BAD_CONFIGURATION = 3


@click.command(cls=RichCommand)
@click.argument("file", type=click.Path(path_type=Path), default=GATEWAY_FILE)
@click.option("--json", "form", flag_value="json", help="Print the outcome as one JSON object on standard output.")
@click.option("--github", "form", flag_value="github", help="Print annotations for a GitHub workflow instead.")
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is doubtful, or not proven.")
def check(file: Path, *, form: str | None, strict: bool) -> None:
    """Check a configuration, report every error in it, and prove what its routes do together.

    FILE is config/gateway.yaml unless given. The file of an embedded issuer is checked with it. Every error is one
    line, file:line:column: key: what is wrong. What is doubtful is told likewise: routes that never match, overlaps
    with other demands, public routes below protected ones, routes that take every method, paths that may be read
    otherwise, scopes that nobody gets.

    Exit codes: 0 sound, 1 doubtful (with --strict), 2 usage, 3 the gateway would refuse the configuration.
    """
    examined = examine_file(file, os.environ)
    if not isinstance(examined, GatewayFile):
        _show_errors(examined, form)
        raise click.exceptions.Exit(BAD_CONFIGURATION)
    found, doubtful = examined.config, doubts(file, examined, os.environ)
    if form == "json":
        click.echo(json.dumps({"ok": True, **counts(found), **doubtful.as_json()}))
    elif form == "github":
        click.echo("".join(f"{line}\n" for line in doubtful.annotations()), nl=False)
    else:
        click.echo("\n".join([*doubtful.lines(), summary(file, found)]))
    if strict and doubtful:
        raise click.exceptions.Exit(DOUBTFUL)


def _show_errors(errors: list[ConfigError], form: str | None) -> None:
    if form == "json":
        click.echo(json.dumps({"ok": False, "errors": [asdict(error) for error in errors]}))
        return
    for error in errors:
        if form == "github":
            click.echo(annotation("error", error, "bad configuration"))
        else:
            click.echo(error, err=True)


def examine(path: Path, environ: Mapping[str, str], *, with_tests: bool = True) -> GatewayConfig | list[ConfigError]:
    """The configuration alone, examined as by `examine_file`."""
    examined = examine_file(path, environ, with_tests=with_tests)
    return examined.config if isinstance(examined, GatewayFile) else examined


def examine_file(path: Path, environ: Mapping[str, str], *, with_tests: bool = True) -> GatewayFile | list[ConfigError]:
    """The configuration at a path, or every error in it and in the files that it names.

    Its own `tests` are run unless told otherwise: where one fails, that is an error like any other.
    """
    file = str(path)
    text = read_file(path, file)
    if isinstance(text, ConfigError):
        return [text]
    read = read_gateway_file(text, file, environ)
    if not isinstance(read, GatewayFile):
        return read
    config, document = read
    errors = [*_tls(document, config, path.parent), *_credentials(document, config, path.parent)]
    errors += [
        error
        for name, issuer in config.issuers.items()
        for error in (
            *_keys_file(document, name, issuer, path.parent),
            *_embedded(document, name, issuer, path.parent, environ),
        )
    ]
    if not errors and with_tests:
        errors = failing_cases(path, document, config, environ)
    return errors or read


def counts(config: GatewayConfig) -> dict[str, int]:
    """How much a configuration holds, by kind."""
    public = sum(route.public for route in config.routes)
    return {
        "issuers": len(config.issuers),
        "upstreams": len(config.upstreams),
        "routes": len(config.routes),
        "public": public,
    }


def summary(path: Path, config: GatewayConfig) -> str:
    """One line for people."""
    of = counts(config)
    parts = [f"{of[noun]} {noun if of[noun] != 1 else noun[:-1]}" for noun in ("issuers", "upstreams", "routes")]
    return f"{path} is sound: {', '.join(parts)}, of which {of['public']} public"


def _tls(document: Document, config: GatewayConfig, base: Path) -> Iterator[ConfigError]:
    """The files of TLS, towards clients, issuers and upstreams."""
    if config.tls is not None:
        try:
            server_context(build.server_files(config.tls, base))
        except TlsFileError as error:
            yield document.error(("tls", error.key), error.message)
    others: list[tuple[str, str, UpstreamTlsConfig | IssuerTlsConfig | None]]
    others = [("issuers", name, issuer.tls) for name, issuer in config.issuers.items()]
    others += [("upstreams", name, upstream.tls) for name, upstream in config.upstreams.items()]
    for part, name, section in others:
        try:
            files = build.client_files(section, base)
            if files is not None:
                client_context(files)
        except TlsFileError as error:
            yield document.error((part, name, "tls", error.key), error.message)


def _credentials(document: Document, config: GatewayConfig, base: Path) -> Iterator[ConfigError]:
    """Keys, certificates and secrets of the gateway's own."""
    for name, section in config.credentials.items():
        try:
            token_request(build.credentials(name, section, base))
        except CredentialsError as error:
            yield document.error(("credentials", name, *error.key.split(".")), error.message)


def _keys_file(document: Document, name: str, issuer: IssuerConfig, base: Path) -> Iterator[ConfigError]:
    if issuer.jwks_file is None:
        return
    text = read_file(base / issuer.jwks_file, str(base / issuer.jwks_file))
    if isinstance(text, ConfigError):
        yield document.error(("issuers", name, "jwks_file"), f"{text.file} {text.message}")


def _embedded(
    document: Document, name: str, issuer: IssuerConfig, base: Path, environ: Mapping[str, str]
) -> Iterator[ConfigError]:
    """The authorization server's file, and whether its tokens would be taken here."""
    if issuer.embedded is None:
        return
    key = ("issuers", name)
    file = str(base / issuer.embedded)
    text = read_file(Path(file), file)
    if isinstance(text, ConfigError):
        yield document.error((*key, "embedded"), f"{file} {text.message}")
        return
    own = read_settings(Path(file), environ).outcome
    if isinstance(own, list):
        yield from own
        return
    if own.issuer != issuer.issuer:
        message = f"differs from `issuer` in {file}, so its tokens would be refused: write the same in both"
        yield document.error((*key, "issuer"), message)
    if not set(issuer.audience) & set(own.resources):
        known = ", ".join(own.resources)
        message = f"is no resource of {file}, so its tokens would be refused: resources there are {known}"
        yield document.error((*key, "audience"), message)
