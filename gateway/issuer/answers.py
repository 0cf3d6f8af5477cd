"""Answers of the authorization server's endpoints, and the forms that ask for them."""

import asyncio

import orjson
from aiohttp import web

from gateway.issuer.errors import TokenError, TokenErrorCode, allowed_text
from gateway.issuer.form import MOST_BODY_BYTES, Form, read_form
from gateway.issuer.tokens import IssuedToken

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

_CHALLENGE = 'Basic realm="token", charset="UTF-8"'
_NEVER_IN_THE_ADDRESS = frozenset({"grant_type", "client_id", "client_secret", "client_assertion", "scope", "token"})


async def request_form(request: web.Request, body_seconds: float) -> Form | TokenError:
    """Read the form that a request bears; its body has so many seconds to arrive."""
    if not _NEVER_IN_THE_ADDRESS.isdisjoint(request.query):
        return invalid_request("Parameters belong into the body, never into the address (RFC 6749, section 2.3.1).")
    if "Content-Encoding" in request.headers:
        return invalid_request("The body must not be compressed: leave Content-Encoding out.")
    content_types = request.headers.getall("Content-Type", [])
    try:
        async with asyncio.timeout(body_seconds):
            body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return invalid_request(f"The body must be {MOST_BODY_BYTES >> 10} KiB at most.")
    except TimeoutError:
        return invalid_request("The body did not arrive in time.")
    except (web.RequestPayloadError, ConnectionError):  # mostly no one is left to read this
        return invalid_request("The body did not arrive whole.")
    return read_form(content_types[0] if len(content_types) == 1 else "", body)


def issued(token: IssuedToken) -> web.Response:
    """The answer of RFC 6749 §5.1; `scope` is always told."""
    document = {
        "access_token": token.access_token,
        "token_type": token.token_type,
        "expires_in": token.expires_in,
        "scope": " ".join(token.grant.scopes),
    }
    return web.Response(body=orjson.dumps(document), content_type="application/json", headers=NO_STORE)


def refusal(error: TokenError, *, status: int | None = None, headers: dict[str, str] | None = None) -> web.Response:
    """The answer of RFC 6749 §5.2."""
    fields = NO_STORE | (headers or {})
    if error.challenge:
        fields["WWW-Authenticate"] = _CHALLENGE
    if error.retry_after is not None:
        fields["Retry-After"] = str(error.retry_after)
    document = {"error": error.code.value, "error_description": allowed_text(error.description)}
    return web.Response(
        status=status or error.status, body=orjson.dumps(document), content_type="application/json", headers=fields
    )


def invalid_request(description: str) -> TokenError:
    """The refusal of a request that is not well-formed."""
    return TokenError(TokenErrorCode.INVALID_REQUEST, description)


def only_post(what: str) -> web.Response:
    """The answer to another method than POST."""
    return refusal(invalid_request(f"The {what} endpoint takes POST only."), status=405, headers={"Allow": "POST"})
