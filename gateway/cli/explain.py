"""`scopegate explain`: why was this request refused, and what would let it in?"""

import asyncio
import json
import logging
import os
import sys
import time
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import click
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from rich.console import Console
from rich_click import RichCommand

from gateway.access.query import parse_moment
from gateway.cli.check import BAD_CONFIGURATION, examine
from gateway.cli.explain_list import list_entries
from gateway.cli.options import config_option
from gateway.config.gateway_file import GatewayConfig
from gateway.explain.grounds import GroundsError, lay
from gateway.explain.judging import Findings, NoAnswer, NoKeys, judge_claims, judge_request
from gateway.explain.reading import Request
from gateway.explain.telling import tell
from gateway.explain.view import as_json as to_json, show
from gateway.explain.words import shown
from gateway.policy.headers import Kind, kind_of
from gateway.policy.model import Scheme
from gateway.strict_json import JsonError, read_object

REFUSED: Final = 1
CANNOT_REACH: Final = 4
LARGEST_FILE: Final = 1 << 20


def _one_line(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
    for text in value if isinstance(value, tuple) else (value or "",):
        if "\r" in text or "\n" in text:
            raise click.BadParameter("it holds a line break, which would end the line: no request can carry it.")
    return value


def _header(_ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(map(_field, _one_line(_ctx, param, values)))


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter("write it as 'Name: value'.")
    if kind_of(name.strip().encode("utf-8", "surrogateescape")) is Kind.AUTHORIZATION:
        raise click.BadParameter("a token is never an argument, which every user of the machine can read: --token-file")
    return name, value.strip(" \t")


def _only_one_of_them(ctx: click.Context) -> None:
    """Said before the second is read: both may name standard input."""
    if ctx.params.get("token") is not None or ctx.params.get("claims") is not None:
        raise click.UsageError("Give either --token-file or --claims.")


def _token(ctx: click.Context, _param: click.Parameter, file: BinaryIO | None) -> bytes | None:
    """The token of a file, alone on its one line."""
    if file is None:
        return None
    _only_one_of_them(ctx)
    token = _read(file).strip(b" \t\r\n")
    if not token:
        raise click.BadParameter("there is no token in it.")
    if any(byte in token for byte in b"\r\n\0"):
        raise click.BadParameter("there is more than one line in it: put the token alone into the file.")
    return token


def _claims(ctx: click.Context, _param: click.Parameter, file: BinaryIO | None) -> dict[str, object] | None:
    if file is None:
        return None
    _only_one_of_them(ctx)
    try:
        return read_object(_read(file))
    except JsonError as error:
        raise click.BadParameter(f"{error}: write the claims as one JSON object.") from None


def _answer(_ctx: click.Context, _param: click.Parameter, file: BinaryIO | None) -> dict[str, object] | None:
    if file is None:
        return None
    try:
        answer = read_object(_read(file))
    except JsonError as error:
        raise click.BadParameter(f"{error}: give the introspection endpoint's answer as one JSON object.") from None
    if not isinstance(answer.get("active"), bool):
        raise click.BadParameter("it has no member 'active' that is true or false (RFC 7662 §2.2).")
    return answer


def _read(file: BinaryIO) -> bytes:
    content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise click.BadParameter("it is larger than 1 MiB.")
    return content


def _certificate(_ctx: click.Context, _param: click.Parameter, file: BinaryIO | None) -> bytes | None:
    """SHA-256 of a certificate, as `cnf` and the gateway's TLS layer have it."""
    if file is None:
        return None
    try:
        return load_pem_x509_certificate(_read(file)).fingerprint(SHA256())
    except ValueError:
        raise click.BadParameter("there is no certificate in it: give it as PEM.") from None


def _moment(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float:
    try:
        return time.time() if text is None else parse_moment(text, time.time())
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command("explain", cls=RichCommand)
@click.argument("method", callback=_one_line, required=False)
@click.argument("path", callback=_one_line, required=False)
@click.option("--list", "listing", is_flag=True, help="List all that a client with these --claims may do, instead.")
@config_option("The gateway's configuration.")
@click.option(
    "--token-file",
    "token",
    type=click.File("rb"),
    callback=_token,
    help='The file that holds the token; "-" is standard input. It is verified with the keys of its issuer.',
)
@click.option(
    "--claims",
    type=click.File("rb"),
    callback=_claims,
    help='The file that holds a token\'s claims as JSON; "-" is standard input. They are judged without a signature.',
)
@click.option(
    "--introspection",
    "answer",
    type=click.File("rb"),
    callback=_answer,
    help="The file that holds what the issuer tells of an opaque token, as JSON. [default: the issuer is asked]",
)
@click.option("--host", metavar="HOST", callback=_one_line, help="The request's Host. [default: the gateway's address]")
@click.option(
    "--header", "fields", metavar="'NAME: VALUE'", multiple=True, callback=_header, help="A field; repeatable."
)
@click.option(
    "--scheme",
    type=click.Choice(["Bearer", "DPoP"]),
    help="Under which the token is sent. [default: DPoP if there is a DPoP field, else Bearer]",
)
@click.option(
    "--client-certificate",
    "certificate",
    type=click.File("rb"),
    callback=_certificate,
    help="The file with the certificate that the client shows, as PEM.",
)
@click.option(
    "--peer", metavar="ADDRESS", default="", help="Who connects: an address of trusted_proxies, or any other."
)
@click.option("--now", metavar="WHEN", callback=_moment, help="Judge as at that time: RFC 3339. [default: now]")
@click.option("--json", "as_json", is_flag=True, help="Print the same facts as one JSON object.")
def explain(  # noqa: PLR0913 - one parameter an option
    method: str | None,
    path: str | None,
    *,
    listing: bool,
    file: Path,
    token: bytes | None,
    claims: dict[str, object] | None,
    answer: dict[str, object] | None,
    host: str | None,
    fields: tuple[tuple[str, str], ...],
    scheme: Scheme | None,
    certificate: bytes | None,
    peer: str,
    now: float,
    as_json: bool,
) -> None:
    """Explain the decision on a request, step by step, and tell the smallest change that would let it in.

    The request is METHOD and PATH, as a client would send them. Nothing is sent to an upstream. Without --token-file
    and --claims the request is judged as it is without a token. With --list there is no request: all routes are told
    that let the --claims in.

    Exit codes: 0 allowed, 1 refused, 2 usage, 3 bad configuration, 4 an issuer that has to be asked
    does not answer.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(message)s")
    if listing:
        if method is not None or token is not None:
            raise click.UsageError("--list takes --claims, and neither a request nor --token-file.")
        list_entries(lay(file, _configuration(file), os.environ), claims, now, as_json=as_json)
        return
    if method is None or path is None:
        raise click.UsageError("Give METHOD and PATH, or --list.")
    config = _configuration(file)
    headed = _with_host(fields, host, str(config.listen))
    request = Request(method, path, headed, token, scheme, peer, certificate)
    findings = _judged(file, config, request, claims, answer, now)
    if isinstance(findings, NoKeys):
        _end(f"scopegate explain: {_unreachable(findings, config)}", CANNOT_REACH)
    if isinstance(findings, NoAnswer):
        _end(f"scopegate explain: {_silent(findings)}", CANNOT_REACH)
    explanation = tell(findings)
    if as_json:
        click.echo(json.dumps(to_json(explanation)))
    else:
        show(_console(), explanation)
    if not explanation.verdict.allowed:
        raise click.exceptions.Exit(REFUSED)


def _configuration(file: Path) -> GatewayConfig:
    config = examine(file, os.environ, with_tests=False)
    if isinstance(config, list):
        _end("\n".join(map(str, config)), BAD_CONFIGURATION)
    return config


def _with_host(fields: tuple[tuple[str, str], ...], host: str | None, address: str) -> tuple[tuple[str, str], ...]:
    """The fields with one Host, unless --header brings its own; given both ways, the request has both."""
    if host is None and any(name.strip().lower() == "host" for name, _ in fields):
        return fields
    return (("Host", host if host is not None else address), *fields)


def _judged(  # noqa: PLR0913, PLR0917 - all that is judged
    file: Path,
    config: GatewayConfig,
    request: Request,
    claims: dict[str, object] | None,
    answer: dict[str, object] | None,
    now: float,
) -> Findings | NoKeys | NoAnswer:
    grounds = lay(file, config, os.environ)
    try:
        if claims is not None:
            return asyncio.run(judge_claims(grounds, request, claims, now))
        return asyncio.run(judge_request(grounds, request, now, answer))
    except GroundsError as error:
        _end(str(error), BAD_CONFIGURATION)


def _unreachable(missing: NoKeys, config: GatewayConfig) -> str:
    own = config.issuers[missing.issuer].embedded
    remedy = "start the gateway, which runs that issuer" if own else "look after the issuer or its address"
    return (
        f"the issuer {missing.issuer} gives no keys ({shown(missing.detail)}), so the token cannot be judged; "
        f"a gateway without them answers 503 keys_unavailable unless in shadow: {remedy}, or use --claims"
    )


def _silent(missing: NoAnswer) -> str:
    return (
        f"the issuer {missing.issuer} tells nothing of the token ({shown(missing.detail)}), so it cannot be judged; "
        "a gateway that gets no answer says 503 introspection_unavailable unless in shadow: "
        f"look after the endpoint and the credentials that issuers.{missing.issuer}.introspection names, "
        "or give the answer with --introspection"
    )


def _console() -> Console:
    """Standard output as rich sees it; a character that its encoding lacks is escaped, and ends nothing."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(markup=False, emoji=False, highlight=False)


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
