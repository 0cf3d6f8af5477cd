"""`scopegate token`: obtain a token with the client_credentials grant."""

import asyncio
import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, NoReturn

import aiohttp
import click
import jwt
from rich_click import RichCommand

from gateway.client import (
    ClientCredentials,
    DiscoveryFailure,
    InsecureAddress,
    IssuerMetadata,
    MalformedAnswer,
    Refused,
    TokenFailure,
    TokenResponse,
    discover,
    fetch_token,
    is_safe_url,
)
from gateway.client.secret_file import parse_secret

REFUSED: Final = 1
CANNOT_REACH: Final = 4
_TIMES: Final = ("exp", "iat", "nbf", "auth_time")
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def _secret(_ctx: click.Context, _param: click.Parameter, file: BinaryIO) -> str:
    try:
        return parse_secret(file.read())
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


def _safe(_ctx: click.Context, _param: click.Parameter, url: str | None) -> str | None:
    if url is not None and not is_safe_url(url):
        raise click.BadParameter(InsecureAddress(url).detail)
    return url


@click.command("token", cls=RichCommand)
@click.option("--issuer", "issuer_url", metavar="URL", callback=_safe, help="The issuer; its endpoint is discovered.")
@click.option("--token-endpoint", metavar="URL", callback=_safe, help="The token endpoint, without discovery.")
@click.option("--client-id", required=True, help="The client that asks.")
@click.option(
    "--client-secret-file",
    "secret",
    type=click.File("rb"),
    required=True,
    callback=_secret,
    help='The file that holds its secret; "-" is standard input.',
)
@click.option("--post", is_flag=True, help="Send the secret in the body (client_secret_post), not with HTTP Basic.")
@click.option("--scope", "scopes", multiple=True, help="A scope; repeatable, or several with spaces. [default: all]")
@click.option("--resource", metavar="URL", help="The resource that the token is for (RFC 8707).")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.option("--decode", "decoded", is_flag=True, help="Print the token's header and claims, not the token.")
def token(  # noqa: PLR0913 - one parameter an option
    *,
    issuer_url: str | None,
    token_endpoint: str | None,
    client_id: str,
    secret: str,
    post: bool,
    scopes: tuple[str, ...],
    resource: str | None,
    as_json: bool,
    decoded: bool,
) -> None:
    """Obtain a token with the client_credentials grant, and print it.

    Exit codes: 0 here it is, 1 refused, 2 usage, 4 no usable answer.
    """
    if (issuer_url is None) == (token_endpoint is None):
        raise click.UsageError("Give either --issuer or --token-endpoint.")
    credentials = ClientCredentials(client_id, secret, "client_secret_post" if post else "client_secret_basic")
    scope = " ".join(scopes) or None
    outcome = asyncio.run(_obtain(issuer_url, token_endpoint, credentials, scope, resource))
    if not isinstance(outcome, TokenResponse):
        _end(outcome.detail, REFUSED if isinstance(outcome, Refused) else CANNOT_REACH)
    if decoded:
        _print_decoded(outcome.access_token, as_json=as_json)
    elif as_json:
        click.echo(json.dumps({name: value for name, value in asdict(outcome).items() if value is not None}))
    else:
        click.echo(outcome.access_token)


async def _obtain(
    issuer_url: str | None,
    token_endpoint: str | None,
    credentials: ClientCredentials,
    scope: str | None,
    resource: str | None,
) -> TokenResponse | TokenFailure | DiscoveryFailure:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        if issuer_url is not None:
            found = await discover(http, issuer_url)
            if not isinstance(found, IssuerMetadata):
                return found
            token_endpoint = found.token_endpoint
        if token_endpoint is None:
            return MalformedAnswer(f"{issuer_url} does not tell its token endpoint: give --token-endpoint")
        return await fetch_token(http, token_endpoint, credentials, scope=scope, resource=resource)


def _print_decoded(access_token: str, *, as_json: bool) -> None:
    try:
        parts = jwt.decode_complete(access_token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        _end("the token is opaque, not a JWT: only its issuer can tell what it means", REFUSED)
    header, claims = parts["header"], parts["payload"]
    if as_json:
        click.echo(json.dumps({"header": header, "claims": claims}))
    else:
        now = time.time()
        click.echo("\n".join([*_table("header", header, now), "", *_table("claims", claims, now)]))
    click.echo("Decoded, not verified: the signature was not checked.", err=True)


def _table(title: str, members: dict[str, Any], now: float) -> list[str]:
    width = max(map(len, members), default=0)
    return [title, *(f"  {_shown(name):{width}}  {_explained(name, value, now)}" for name, value in members.items())]


def _explained(name: str, value: Any, now: float) -> str:
    if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value}  {in_words(value, now)}"
    return _shown(value)


def _shown(value: Any) -> str:
    """JSON, which escapes whatever a terminal might obey; strings without their quotes."""
    text = json.dumps(value)
    return text[1:-1] if isinstance(value, str) else text


def in_words(moment: float, now: float) -> str:
    """A NumericDate as UTC and as a distance: `2026-01-02T03:04:05Z, in 59 minutes`."""
    try:
        written = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "(no date)"
    distance = round(abs(moment - now))
    size, unit = next(((size, unit) for size, unit in _UNITS if distance >= size), (1, "second"))
    count = distance // size
    span = f"{count} {unit}{'' if count == 1 else 's'}"
    if distance == 0:
        return f"{written}, now"
    return f"{written}, in {span}" if moment > now else f"{written}, {span} ago"


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
