"""`scopegate token`: obtain a token with the client_credentials grant."""

import asyncio
import json
import time
from dataclasses import asdict
from typing import Any, Final, NoReturn

import aiohttp
import click
from rich_click import RichCommand

from gateway.cli.decoded_token import OpaqueTokenError, decoded
from gateway.cli.token_options import TokenOptions, token_options
from gateway.client import Refused, TokenClient, TokenOutcome, TokenRequest, TokenResponse
from gateway.client.client_keys import certificate_members
from gateway.client.private_files import PrivateFileError
from gateway.client.token_file import TokenFile, token_key

REFUSED: Final = 1
USAGE: Final = 2
CANNOT_REACH: Final = 4


@click.command("token", cls=RichCommand)
@token_options
def token(**given: Any) -> None:
    """Obtain a token with the client_credentials grant, and print it.

    Secrets and keys come from files, never from arguments.
    Exit codes: 0 here it is, 1 refused, 2 usage, 4 no usable answer.
    """
    options = TokenOptions(**given)
    request = options.request()
    try:
        kept = None if options.cache_file is None else TokenFile(options.cache_file)
    except PrivateFileError as error:
        _end(str(error), USAGE)
    response = None if kept is None else kept.find(_key(options, request), time.time())
    _print(options, request, response or _ask(options, request, kept))


def _ask(options: TokenOptions, request: TokenRequest, kept: TokenFile | None) -> TokenResponse:
    asked_at = time.time()
    outcome = asyncio.run(_obtain(options, request))
    if not isinstance(outcome, TokenResponse):
        _end(outcome.detail, REFUSED if isinstance(outcome, Refused) else CANNOT_REACH)
    if kept is not None:
        _keep(kept, _key(options, request), outcome, asked_at)
    return outcome


async def _obtain(options: TokenOptions, request: TokenRequest) -> TokenOutcome:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        client = TokenClient(http, request, time.time, issuer=options.issuer, token_endpoint=options.token_endpoint)
        return await client.obtain()


def _key(options: TokenOptions, request: TokenRequest) -> str:
    """All that a token depends on: whom it is from, whom and what it is for, and what it may be bound to."""
    bound = None if request.dpop is None else request.dpop.thumbprint
    shown = None if options.certificate is None else certificate_members(options.certificate.read_bytes())["x5t#S256"]
    scopes = sorted((options.scope or "").split())
    where = (options.issuer, options.token_endpoint, options.client_id)
    return token_key(*where, scopes, options.resource, options.audience, bound, shown)


def _keep(kept: TokenFile, key: str, response: TokenResponse, asked_at: float) -> None:
    try:
        kept.keep(key, response, asked_at)
    except OSError as error:
        click.echo(f"the token could not be kept: {error.filename}: {error.strerror}", err=True)


def _print(options: TokenOptions, request: TokenRequest, response: TokenResponse) -> None:
    if options.decoded:
        try:
            click.echo(decoded(response.access_token, as_json=options.as_json))
        except OpaqueTokenError as error:
            _end(str(error), REFUSED)
        click.echo("Decoded, not verified: the signature was not checked.", err=True)
    elif options.fields is not None:
        click.echo("\n".join(_fields(options.fields, request, response)))
    elif options.as_json:
        click.echo(json.dumps({name: value for name, value in asdict(response).items() if value is not None}))
    else:
        click.echo(response.access_token)


def _fields(fields: tuple[str, str], request: TokenRequest, response: TokenResponse) -> list[str]:
    """The header fields for one request."""
    method, url = fields
    if request.dpop is None:
        return [f"Authorization: Bearer {response.access_token}"]
    proof = request.dpop.proof(method, url, time.time(), access_token=response.access_token)
    return [f"Authorization: DPoP {response.access_token}", f"DPoP: {proof}"]


def _end(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise click.exceptions.Exit(code)
