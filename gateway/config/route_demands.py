"""What a route says of who may enter: do its keys fit each other?

Judged on the plain data, beside what the models say of each key.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.config.errors import Path

Fault = tuple[Path, str]

_OF_TOKENS = ("scopes", "issuers", "require_proof", "acr", "max_age", "token_from")
"""Keys that say something of a token, so that one has to be there."""

_OF_THE_WAY = ("upstream", "forward_token", "websocket", "max_body")
"""Keys that say how a request goes on."""

_NOTHING_SAID = "says neither scopes nor public: true: list the scopes that a token must carry, or write public: true"


def demand_faults(issuers: Mapping[str, Any], path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    """A route says whom it lets in, and says so once.

    Args:
        issuers: the trusted issuers' sections by name.
        path: of the route in the file.
        route: its section.
    """
    public, deny = _is_true(route.get("public")), _is_true(route.get("deny"))
    if public and deny:
        yield (*path, "deny"), "contradicts public: true: keep one of the two"
        return
    if deny:
        yield from _without_effect(path, route, (*_OF_TOKENS, *_OF_THE_WAY), "a route that denies everyone", "deny")
        return
    if "upstream" not in route:
        yield (*path, "upstream"), "is required and missing: add it"
    if public:
        yield from _without_effect(path, route, _OF_TOKENS, "a public route", "public")
    elif "scopes" not in route:
        yield path, _NOTHING_SAID
    elif not issuers:
        yield path, "demands a token, but no issuer is trusted: add one under issuers"
    if not public and "token_from" in route and route.get("require_proof") == "dpop":
        remedy = "remove token_from, or demand mtls"
        yield (*path, "token_from"), f"DPoP tokens come in Authorization only (RFC 9449 §7.1): {remedy}"


def _is_true(value: Any) -> bool:
    """A substitution may have filled it."""
    return str(value).lower() == "true"


def _without_effect(
    path: Path, route: Mapping[str, Any], keys: tuple[str, ...], where: str, because: str
) -> Iterator[Fault]:
    for key in keys:
        if key in route:
            yield (*path, key), f"has no effect on {where}: remove {key}, or remove {because}: true"
