"""What of rules, routes and issuers is beyond proof: nothing is claimed where it differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

from gateway.policy.cors import Cors
from gateway.policy.denial import Denial
from gateway.policy.fields import spelling
from gateway.policy.model import CLIENT_CLAIMS, SCOPE_CLAIMS, PathVariable, Route, Rule, TokenFrom, TrustedIssuer
from gateway.prove.scope_sets import has_too_many

_RULE = frozenset(
    {
        *("public", "deny", "issuers", "asks", "all_of", "any_of", "require_proof", "acr", "max_age", "token_from"),
        *("clients", "conditions", "nested", "scope_match", "networks", "hours", "mode", "audiences"),
    }
)
_ROUTE = frozenset(
    {
        *("id", "path", "methods", "rule", "upstream", "forward_token", "allow_in_path", "websocket", "max_body"),
        *("hosts", "fields", "rewrite", "claim_fields", "timeouts", "rate_limits", "cors"),
    }
)
_ISSUER = frozenset(
    {"name", "issuer", "audiences", "client_claims", "scope_claims", "scope_prefix", "kept_claims", "told_claims"}
)
_READ_ELSEWHERE = frozenset(
    {"iss", "aud", "exp", "nbf", "iat", "cnf", "acr", "auth_time", "jti", *CLIENT_CLAIMS, *SCOPE_CLAIMS}
)
"""Claims that mean something on their own: a token can't be given any value there."""

_WITH_COOKIES = frozenset({"cookie", "origin", "sec-fetch-site"})
"""Fields that say whether a cookie's token counts, and so are sent with it."""

NOT_OF_HEADS = ("websocket", "max_body", "rate_limits")
"""What of a route concerns more than a request's head, which is all that is compared."""


def by_path(rule: Rule) -> frozenset[tuple[str, int]]:
    """Which claims a rule compares with which segment of the path."""
    return frozenset(
        (condition.claim, value.at)
        for condition in rule.conditions
        for value in condition.one_of
        if isinstance(value, PathVariable)
    )


def rule_doubts(before: Route | Denial, after: Route | Denial) -> Iterator[str]:
    """What the rules of two routes that take the same requests differ in beyond what can be compared."""
    routes = [route for route in (before, after) if isinstance(route, Route)]
    names = " and ".join(dict.fromkeys(route.id for route in routes))
    rules = {route.rule for route in routes}
    beyond: frozenset[str] = frozenset().union(*map(_beyond_rule, rules))
    if beyond and len(routes) == len(rules):
        yield f"route {names}: what {', '.join(sorted(beyond))} lets in cannot be compared"
    if isinstance(before, Denial) or isinstance(after, Denial):
        return
    if by_path(before.rule) != by_path(after.rule):
        yield f"route {names}: claims are compared with the path in another way, which cannot be compared"
    zones = {route.rule.hours.zone for route in routes if route.rule.hours is not None}
    if len(zones) > 1:
        yield f"route {names}: hours of different time zones cannot be compared"
    if before.rule.asks != after.rule.asks:
        yield f"route {names}: which opaque tokens are taken cannot be compared"


def route_doubts(before: Route | Denial, after: Route | Denial) -> Iterator[str]:
    """The same of the routes as a whole."""
    yield from rule_doubts(before, after)
    if isinstance(before, Denial) or isinstance(after, Denial):
        return
    names = " and ".join(dict.fromkeys((before.id, after.id)))
    if _told_to_pages(before.cors, after.cors):
        yield f"route {names}: what answers tell pages of other origins (cors) cannot be compared"
    for name in NOT_OF_HEADS:
        if getattr(before, name) != getattr(after, name):
            yield f"route {names}: {name} changes, which cannot be compared"


def _told_to_pages(before: Cors | None, after: Cors | None) -> bool:
    """Whether pages are told something else beyond what preflights show; where nothing is said, the upstream tells."""
    if before is None or after is None:
        return before is not after
    return (before.credentials, before.expose) != (after.credentials, after.expose)


def table_doubts(old: Iterable[Route], new: Iterable[Route]) -> Iterator[str]:
    """What routes select requests by that is not known here."""
    routes = dict.fromkeys((*old, *new))
    places = {route.rule.token_from for route in routes if route.rule.token_from is not None}
    for route in routes:
        for name in _fields_of_tokens(route, places):
            yield f"route {route.id}: which requests {name} selects cannot be compared, since tokens come with it"
        if beyond := _set_beyond(route, fields(route), _ROUTE):
            yield f"route {route.id}: which requests {', '.join(sorted(beyond))} select cannot be compared"


def _fields_of_tokens(route: Route, places: Iterable[TokenFrom]) -> Iterator[str]:
    """The fields that a route looks at, and that a caller sends with a token in another place than Authorization."""
    sent = {"cookie": _WITH_COOKIES}
    taken = frozenset().union(*(sent.get(place.kind, {spelling(place.name)}) for place in places))
    yield from (each.name for each in route.fields if spelling(each.name) in taken)


def issuer_doubts(old: Iterable[TrustedIssuer], new: Iterable[TrustedIssuer]) -> Iterator[str]:
    """The terms in which entries of an issuer differ, and that no claim shows."""
    known = {issuer.name: issuer for issuer in old}
    for issuer in new:
        other = known.get(issuer.name, issuer)
        names = {field.name for field in fields(issuer)} - _ISSUER
        beyond = sorted(name for name in names if getattr(issuer, name) != getattr(other, name))
        if beyond:
            yield f"issuer {issuer.name}: tokens that {', '.join(beyond)} tell apart cannot be compared"


def _beyond_rule(rule: Rule) -> frozenset[str]:
    beyond = _set_beyond(rule, fields(rule), _RULE)
    if any(each.claim.partition(".")[0] in _READ_ELSEWHERE for each in rule.conditions):
        beyond |= {"conditions"}
    if has_too_many(rule):
        beyond |= {"scopes"}
    return beyond


def _set_beyond(one: object, known: Iterable[Field[Any]], names: frozenset[str]) -> frozenset[str]:
    """Fields that are set, and not among the names."""
    return frozenset(field.name for field in known if field.init and field.name not in names and _is_set(one, field))


def _is_set(one: object, field: Field[Any]) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return bool(getattr(one, field.name) != default)
