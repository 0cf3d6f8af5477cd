"""The issuance log: one JSON object a token request, so that a token can be followed from its issue to its use.

Its `jti_hash` is the one that the gateway's access log shows. Never in it: tokens, secrets, assertions, proofs.
"""

from collections.abc import Collection, Mapping
from typing import Literal, TypedDict

import orjson

from gateway.access.record import timestamp
from gateway.access.writer import AccessLog
from gateway.issuer.client_request import ClientRequest
from gateway.issuer.errors import TokenError, TokenErrorCode, allowed_text
from gateway.issuer.presented import PresentedSecret, read_presented
from gateway.issuer.scopes import MY_SCOPES
from gateway.issuer.settings import ClientSettings, IssuerSettings, TokenFormat
from gateway.issuer.token_endpoint import TokenAnswer
from gateway.issuer.tokens import IssuedToken
from gateway.policy.printable import printable
from gateway.tokens.verifier import jti_hash

VERSION = 1

_MOST_SCOPES = 50
_LONGEST_UNKNOWN_SCOPE = 64


class IssuanceRecord(TypedDict):
    """What one token request was, and what came of it. None stands for what is not known, or does not apply."""

    v: int
    ts: str
    outcome: Literal["issued", "refused"]
    status: int
    error: str | None
    error_description: str | None
    client_ip: str
    client_id: str | None
    client_named: str | None
    method: str | None
    scopes_asked: list[str]
    scopes_granted: list[str]
    audience: str | None
    issuer: str
    kid: str | None
    alg: str | None
    format: TokenFormat | None
    token_type: str | None
    jti_hash: str | None
    token_exp: int | None


class IssuanceLog:
    """Writes the log, beside the requests: it never keeps one waiting.

    Args:
        path: the file, appended to; "-" is standard output.
        key: of the hash of token ids.

    Raises:
        OSError: the file can't be opened.
    """

    def __init__(self, path: str, key: bytes) -> None:
        self._log = AccessLog(path, name="issuance log")
        self._key = key

    def write(
        self, settings: IssuerSettings, now: float, address: str, request: ClientRequest | None, answer: TokenAnswer
    ) -> None:
        """Write what became of a request from an address; None for a request whose body could not be read."""
        record = issuance_record(settings, now, address, request, answer, self._key)
        self._log.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))

    def reopen(self) -> None:
        """Open the file anew before the next line: it was moved away."""
        self._log.reopen()

    async def close(self) -> None:
        """Write what waits, and close."""
        await self._log.close()


def issuance_record(  # noqa: PLR0913, PLR0917 - what a record is made of
    settings: IssuerSettings,
    now: float,
    address: str,
    request: ClientRequest | None,
    answer: TokenAnswer,
    key: bytes,
) -> IssuanceRecord:
    """The record of a token request; `key` is that of the hash of token ids."""
    outcome, client = answer
    named, method = (None, None) if request is None else _claimed(request, settings.clients)
    token = outcome if isinstance(outcome, IssuedToken) else None
    error = outcome if isinstance(outcome, TokenError) else None
    return IssuanceRecord(
        v=VERSION,
        ts=timestamp(now),
        outcome="refused" if token is None else "issued",
        status=200 if error is None else error.status,
        error=None if error is None else error.code.value,
        error_description=None if error is None else _description(error),
        client_ip=address,
        client_id=None if client is None else client.client_id,
        client_named=named,
        method=method if client is None else client.method,
        scopes_asked=[] if request is None else _scopes(request.form.get("scope"), settings),
        scopes_granted=[] if token is None else list(token.grant.scopes),
        audience=None if token is None else token.grant.audience,
        issuer=settings.issuer,
        kid=None if token is None else token.kid,
        alg=None if token is None else token.algorithm,
        format=None if token is None else "opaque" if token.kid is None else "jwt",
        token_type=None if token is None else token.token_type,
        jti_hash=None if token is None else jti_hash(key, settings.issuer, token.jti),
        token_exp=None if token is None else int(token.claims["exp"]),
    )


def _claimed(request: ClientRequest, clients: Mapping[str, ClientSettings]) -> tuple[str | None, str | None]:
    """Which client the request says it is from, and how it would prove that. Nothing of it is proven.

    What is no client's id might be anything, a secret in the wrong place included: it is not told.
    """
    presented = read_presented(request)
    method = presented.method if isinstance(presented, PresentedSecret) else None
    if isinstance(presented, PresentedSecret):
        ids = [reading.client_id for reading in presented.readings]
    else:
        ids = [request.form.get("client_id") or ""]
    return next((client_id for client_id in ids if client_id in clients), None), method


def _description(error: TokenError) -> str | None:
    """What the client was told; where that quotes the scopes, they are among the members already, made safe."""
    return None if error.code is TokenErrorCode.INVALID_SCOPE else allowed_text(error.description)


def _scopes(asked: str | None, settings: IssuerSettings) -> list[str]:
    """The scopes that were asked for. One that no resource defines might be anything: it is told if it is short."""
    if asked is None:
        return []
    known = _known_scopes(settings)
    return [_scope(scope, known) for scope in asked.split(" ")[:_MOST_SCOPES]]


def _known_scopes(settings: IssuerSettings) -> Collection[str]:
    defined = [(audience, scope) for audience, scopes in settings.resources.items() for scope in scopes]
    return {MY_SCOPES, *(scope for _, scope in defined), *(audience + scope for audience, scope in defined)}


def _scope(scope: str, known: Collection[str]) -> str:
    return printable(scope) if scope in known or len(scope) <= _LONGEST_UNKNOWN_SCOPE else "*"
