"""Which audience and scopes a token gets: pure decisions over what the client's roles give."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from gateway.issuer.errors import TokenError, TokenErrorCode

MY_SCOPES = "urn:opc:idm:__myscopes__"
"""In Oracle identity domains, the scope that asks for all that the roles give."""

Applicable: TypeAlias = Mapping[str, tuple[str, ...]]
"""Audience -> the scopes that a client may have there, in the order in which the resource defines them."""

UnknownScopes: TypeAlias = Literal["refuse", "leave_out"]
"""What becomes of scopes that a client asks for and its roles do not give (RFC 6749 §3.3 allows either)."""

_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


@dataclass(frozen=True, slots=True)
class Grant:
    """One audience, and at least one of its scopes, in the order of their definition."""

    audience: str
    scopes: tuple[str, ...]


def is_scope_token(text: str) -> bool:
    """Whether the text is one scope: printable ASCII but for blank, quote and backslash (RFC 6749 §3.3)."""
    return _SCOPE_TOKEN.fullmatch(text) is not None


def is_resource(text: str) -> bool:
    """Whether the text is an absolute URI without fragment (RFC 8707 §2)."""
    if not is_scope_token(text) or "#" in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))


def applicable_scopes(resources: Mapping[str, Collection[str]], granted: Collection[str]) -> Applicable:
    """What `granted` scope names mean at each resource; a resource that defines none of them is left out."""
    found = {audience: tuple(scope for scope in defined if scope in granted) for audience, defined in resources.items()}
    return {audience: scopes for audience, scopes in found.items() if scopes}


def choose(
    applicable: Applicable, asked: str | None, resources: Collection[str], unknown: UnknownScopes = "refuse"
) -> Grant | TokenError:
    """Choose the one audience and the scopes of a token.

    `asked` is the request's `scope` (RFC 6749 §3.3; each a name, or audience and name in one, or MY_SCOPES), None for
    all; `resources` are its `resource` parameters (RFC 8707). A token has one audience, because a scope's meaning
    depends on it (RFC 9068 §3). Where unknown scopes are left out, at least one has to remain.
    """
    candidates = _at_resource(applicable, resources)
    if isinstance(candidates, TokenError):
        return candidates
    tokens = _scope_tokens(asked)
    if isinstance(tokens, TokenError):
        return tokens
    if unknown == "leave_out":
        # With nothing left, all of them stay, to be refused by name.
        tokens = tokens - _unknown(candidates, tokens) or tokens
    fitting = [
        Grant(audience, chosen)
        for audience, scopes in candidates.items()
        if (chosen := _chosen(audience, scopes, tokens)) is not None
    ]
    match fitting:
        case [grant]:
            return grant
        case []:
            return _nothing_fits(candidates, tokens)
    audiences = ", ".join(grant.audience for grant in fitting)
    return TokenError(
        TokenErrorCode.INVALID_TARGET,
        f"More than one resource fits, and a token is for one: send the parameter resource with one of {audiences}.",
    )


def _at_resource(applicable: Applicable, resources: Collection[str]) -> Applicable | TokenError:
    if not resources:
        return applicable
    if len(set(resources)) > 1:
        return TokenError(
            TokenErrorCode.INVALID_TARGET, "A token is for one resource: send one, and ask once for each."
        )
    resource = next(iter(resources))
    if not is_resource(resource):
        return TokenError(TokenErrorCode.INVALID_TARGET, "The resource must be an absolute URI without a fragment.")
    if resource not in applicable:
        return TokenError(
            TokenErrorCode.INVALID_TARGET, "The resource is unknown, or not one that this client may use."
        )
    return {resource: applicable[resource]}


def _scope_tokens(asked: str | None) -> frozenset[str] | TokenError:
    if asked is None:
        return frozenset({MY_SCOPES})
    tokens = asked.split(" ")
    if all(is_scope_token(token) for token in tokens):
        return frozenset(tokens)
    return TokenError(
        TokenErrorCode.INVALID_SCOPE,
        "The scope must be names of printable ASCII characters, with one space between two (RFC 6749, section 3.3).",
    )


def _chosen(audience: str, scopes: tuple[str, ...], tokens: frozenset[str]) -> tuple[str, ...] | None:
    """The scopes that the tokens ask for at this audience; None when one of the tokens means nothing there."""
    spellings = {scope: {scope, audience + scope} for scope in scopes}
    if not tokens <= {MY_SCOPES}.union(*spellings.values()):
        return None
    if MY_SCOPES in tokens:
        return scopes
    return tuple(scope for scope in scopes if spellings[scope] & tokens)


def _unknown(candidates: Applicable, tokens: frozenset[str]) -> frozenset[str]:
    """Those of the tokens that mean nothing at any of the audiences."""
    return frozenset(
        token for token in tokens if all(_chosen(*known, frozenset({token})) is None for known in candidates.items())
    )


def _nothing_fits(candidates: Applicable, tokens: frozenset[str]) -> TokenError:
    if not candidates:
        return TokenError(TokenErrorCode.INVALID_SCOPE, "No role gives this client a scope: grant it a role that does.")
    # The same words for a scope that does not exist and one that is not granted: a client learns its own rights only.
    if refused := _unknown(candidates, tokens):
        names = " ".join(sorted(refused))
        return TokenError(TokenErrorCode.INVALID_SCOPE, f"This client's roles do not give it: {names}")
    return TokenError(
        TokenErrorCode.INVALID_SCOPE,
        "The scopes belong to different resources, and a token is for one: ask once for each resource.",
    )
