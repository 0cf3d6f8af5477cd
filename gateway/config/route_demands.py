"""What a route says of who may enter: do its keys fit each other?

Judged on the plain data, beside what the models say of each key.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.config.binding import nearest
from gateway.config.errors import Path
from gateway.policy.routes import Literal, Rest, parse_template

Fault = tuple[Path, str]

OF_TOKENS = (
    "audiences",
    *("scopes", "scope_match", "clients", "claims", "issuers", "require_proof", "acr", "max_age", "token_from"),
    *("grace_clients", "claim_fields"),
)
"""Keys that say something of a token, so that one has to be there."""

WHO = ("scopes", "clients", "claims")
"""Keys of which one at least says who may enter."""

OF_THE_WAY = (
    *("networks", "hours", "upstream", "forward_token", "websocket", "max_body", "mode", "rewrite", "timeouts"),
    *("cors", "rate_limits"),
)
"""Keys that say from where and when a request comes, and how it goes on."""

BOUNDS = ("networks", "hours", "max_body", "rate_limits")
"""Keys for whose sake a public route, too, refuses requests."""

_NOTHING_SAID = "says neither scopes nor public: true: list the scopes that a token must carry, or write public: true"


def demand_faults(issuers: Mapping[str, Any], path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    """A route says whom it lets in, and says so once.

    Args:
        issuers: the trusted issuers' sections by name.
        path: of the route in the file.
        route: its section.
    """
    public, deny = is_true(route.get("public")), is_true(route.get("deny"))
    yield from _empty(path, route)
    if public and deny:
        yield (*path, "deny"), "contradicts public: true: keep one of the two"
        return
    if deny:
        yield from _without_effect(path, route, (*OF_TOKENS, *OF_THE_WAY), "a route that denies everyone", "deny")
        return
    if "upstream" not in route:
        yield (*path, "upstream"), "is required and missing: add it"
    if public:
        yield from _without_effect(path, route, OF_TOKENS, "a public route", "public")
    elif not any(key in route for key in WHO):
        yield path, _NOTHING_SAID
    elif not issuers:
        yield path, "demands a token, but no issuer is trusted: add one under issuers"
    if not public and "scope_match" in route and "scopes" not in route:
        yield (*path, "scope_match"), "has no effect without scopes: list some, or remove scope_match"
    for key in ("clients", "grace_clients"):
        yield from _clients(issuers, path, route, key)
    yield from _mode(path, route, public=public)
    yield from _audiences(issuers, path, route)
    yield from _variables(path, route)
    if not public and "token_from" in route and route.get("require_proof") == "dpop":
        remedy = "remove token_from, or demand mtls"
        yield (*path, "token_from"), f"DPoP tokens come in Authorization only (RFC 9449 §7.1): {remedy}"


def _empty(path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    """Beside a demand that stands empty, none would be missed."""
    for key in ("claims", "acr"):
        if route.get(key) in ({}, []):
            yield (*path, key), f"must not be empty, because it would demand nothing: write a value, or remove {key}"


def _clients(issuers: Mapping[str, Any], path: Path, route: Mapping[str, Any], key: str) -> Iterator[Fault]:
    """A client id is an issuer's own: another issuer may call another client so."""
    clients, named = route.get(key), route.get("issuers")
    taken = [name for name in (named if isinstance(named, list) else issuers) if isinstance(name, str)]
    if isinstance(clients, list) and len(taken) > 1:
        remedy = f"write {{{taken[0]}: [...], {taken[1]}: [...]}}, or take one issuer's tokens only (issuers)"
        yield (*path, key), f"a client id means nothing without its issuer, and several are taken here: {remedy}"
    for name in clients if isinstance(clients, dict) else ():
        if name not in taken:
            yield (*path, key, name), f"{name!r} is no issuer of this route: {nearest(name, taken, 'they')}"


def _mode(path: Path, route: Mapping[str, Any], *, public: bool) -> Iterator[Fault]:
    """Grace is for clients that are named, and they for a grace; shadow for a route that refuses something."""
    if public and route.get("mode") == "shadow" and not any(route.get(key, []) != [] for key in BOUNDS):
        remedy = f"remove mode, or demand one of {', '.join(BOUNDS)}"
        yield (*path, "mode"), f"has no effect on a public route that refuses nothing: {remedy}"
    if not is_grace(route.get("mode")):
        if "grace_clients" in route and not public:
            remedy = "write mode: grace until DATE, or remove grace_clients"
            yield (*path, "grace_clients"), f"has no effect without a grace: {remedy}"
    elif public:
        yield (*path, "mode"), "has no effect on a public route, which knows no client: remove mode"
    elif "grace_clients" not in route:
        yield (*path, "mode"), "needs grace_clients: list the clients that enter until then"


def is_grace(mode: Any) -> bool:
    """Whether a route's mode is a grace, readable or not."""
    return isinstance(mode, str) and mode.startswith("grace")


def _audiences(issuers: Mapping[str, Any], path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    """What no issuer is trusted for opens nothing, and an issuer that is trusted for none of it could as well go."""
    audiences, named = route.get("audiences"), route.get("issuers")
    taken = [name for name in (named if isinstance(named, list) else issuers) if isinstance(name, str)]
    by_issuer = {name: _audience(issuers.get(name)) for name in taken}
    known = [each for audience in by_issuer.values() for each in audience]
    if not isinstance(audiences, list) or not all(by_issuer.values()):
        return
    wanted = [(index, each) for index, each in enumerate(audiences) if isinstance(each, str)]
    for index, audience in wanted:
        if audience not in known:
            like = nearest(audience, known, "audiences")
            yield (*path, "audiences", index), f"{audience!r} is no audience of {' or '.join(taken)}: {like}"
    for name in taken if any(audience in known for _, audience in wanted) else ():
        if not any(audience in by_issuer[name] for _, audience in wanted):
            remedy = f"add one of {', '.join(by_issuer[name])}, or list the other issuers under issuers"
            yield (*path, "audiences"), f"lets in no token of {name}: {remedy}"


def _audience(issuer: Any) -> list[str]:
    """The audiences of an issuer's section; none where they can't be read, which is told elsewhere."""
    found = issuer.get("audience") if isinstance(issuer, dict) else None
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)]


def _variables(path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    """Braces in a claim's value name a variable of the path."""
    claims, template = route.get("claims"), route.get("path")
    if not isinstance(claims, dict) or not isinstance(template, str):
        return
    try:
        segments = parse_template(template)
    except ValueError:
        return
    single = [f"{{{one.name}}}" for one in segments if not isinstance(one, Literal | Rest)]
    rest = [f"{{{one.name}}}" for one in segments if isinstance(one, Rest)]
    for claim, values in claims.items():
        for index, value in enumerate(values if isinstance(values, list) else [values]):
            place = (*path, "claims", claim, index) if isinstance(values, list) else (*path, "claims", claim)
            if isinstance(value, str) and ("{" in value or "}" in value) and value not in single:
                whole = f"{value!r} takes many segments: compare with one that takes one segment"
                yield place, whole if value in rest else f"{value!r} is no variable of the path: {_like(value, single)}"


def _like(value: str, variables: list[str]) -> str:
    if not variables:
        return "it has none that stands for one segment, and a value itself holds no braces"
    return nearest(value, variables, "they")


def is_true(value: Any) -> bool:
    """A substitution may have filled it."""
    return str(value).lower() == "true"


def _without_effect(
    path: Path, route: Mapping[str, Any], keys: tuple[str, ...], where: str, because: str
) -> Iterator[Fault]:
    for key in keys:
        if key in route:
            yield (*path, key), f"has no effect on {where}: remove {key}, or remove {because}: true"
