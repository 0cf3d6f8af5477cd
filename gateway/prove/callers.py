"""One token of every kind that some rules tell apart.

A rule is a conjunction of demands that have nothing to do with each other: an issuer, scopes, a proof, an
authentication. So what one rule takes and another refuses shows in a token that meets the one just so: the fewest
scopes, an authentication that is recent enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from itertools import pairwise, product
from typing import Any

from gateway.policy.model import Proof, Route, Rule, TokenFrom, TrustedIssuer
from gateway.prove.verdicts import NOW, Caller

LIFETIME = 3600
"""Seconds that the tokens live."""

CLIENT = "any-client"

_THUMBPRINT = "A" * 43
"""Stands for the thumbprint of the key that the caller holds."""

_RULE = frozenset(
    {"public", "deny", "issuers", "asks", "all_of", "any_of", "require_proof", "acr", "max_age", "token_from"}
)
_ROUTE = frozenset(
    {"id", "path", "methods", "rule", "upstream", "forward_token", "allow_in_path", "websocket", "max_body"}
)
_ISSUER = frozenset({"name", "issuer", "audiences", "client_claims", "scope_claims", "scope_prefix"})


def beyond_rule(rule: Rule) -> frozenset[str]:
    """The conditions of a rule that are not known here: nothing can be claimed of what they let in."""
    return _beyond(rule, fields(rule), _RULE)


def beyond_route(route: Route) -> frozenset[str]:
    """What a route matches on that is not known here."""
    return _beyond(route, fields(route), _ROUTE)


def beyond_issuers(one: TrustedIssuer, other: TrustedIssuer) -> frozenset[str]:
    """The terms in which two entries of an issuer differ, and that no token of `callers` tells apart."""
    names = frozenset(field.name for field in fields(one)) - _ISSUER
    return frozenset(name for name in names if getattr(one, name) != getattr(other, name))


def _beyond(one: object, known: Iterable[Field[Any]], names: frozenset[str]) -> frozenset[str]:
    """Fields that are set, and not among the names."""
    return frozenset(field.name for field in known if field.init and field.name not in names and _is_set(one, field))


def _is_set(one: object, field: Field[Any]) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return bool(getattr(one, field.name) != default)


def callers(rules: Iterable[Rule | None], issuers: Iterable[TrustedIssuer]) -> Iterator[Caller]:
    """One caller of each kind that the rules tell apart, none of them with more than it needs, where that suffices.

    Args:
        rules: to tell apart; mostly one of the old table, and one of the new; None where there is none.
        issuers: of which tokens may come; two entries of one name may differ in their terms.
    """
    asking = [rule for rule in rules if rule is not None and not rule.public]
    yield Caller()
    named = {name for rule in asking for name in rule.issuers}
    terms = [issuer for issuer in dict.fromkeys(issuers) if issuer.name in named]
    kinds = product(_scopes(asking), _proofs(asking), _acrs(asking), _ages(asking), _places(asking))
    for scopes, proof, acr, age, place in kinds:
        for issuer in terms:
            for audience in sorted(issuer.audiences):
                demanded = _payload(issuer, audience, scopes)
                told = {"acr": acr, "auth_time": None if age is None else NOW - age, "cnf": _confirmation(proof)}
                payload = demanded | {name: value for name, value in told.items() if value is not None}
                yield Caller(payload, frozenset({proof}) if proof else frozenset(), place)


def _scopes(rules: list[Rule]) -> list[tuple[str, ...]]:
    """None; for each rule the fewest scopes that it takes, in every way; and all that are named."""
    found: list[tuple[str, ...]] = [()]
    for rule in rules:
        found += [(*rule.all_of, one) for one in rule.any_of] or [rule.all_of]
    found.append(tuple(scope for rule in rules for scope in rule.scopes_named))
    return list(dict.fromkeys(tuple(dict.fromkeys(scopes)) for scopes in found))


def _proofs(rules: list[Rule]) -> list[Proof | None]:
    return list(dict.fromkeys([None, *(rule.require_proof for rule in rules)]))


def _acrs(rules: list[Rule]) -> list[str | None]:
    return list(dict.fromkeys([None, *(acr for rule in rules for acr in rule.acr)]))


def _ages(rules: list[Rule]) -> list[float | None]:
    """Between the bounds, so that a token is still of its kind when it has been sent."""
    bounds = sorted({rule.max_age for rule in rules if rule.max_age is not None})
    return [None, *((lower + upper) / 2 for lower, upper in pairwise([0.0, *bounds]))]


def _places(rules: list[Rule]) -> list[TokenFrom | None]:
    return list(dict.fromkeys(rule.token_from for rule in rules))


def _payload(issuer: TrustedIssuer, audience: str, scopes: tuple[str, ...]) -> dict[str, object]:
    """A token as this issuer's entry wants it."""
    payload: dict[str, object] = {"iss": issuer.issuer, "aud": audience, "sub": CLIENT}
    if issuer.client_claims:
        payload[issuer.client_claims[0]] = CLIENT
    if issuer.scope_claims and scopes:
        payload[issuer.scope_claims[0]] = " ".join(issuer.scope_prefix + scope for scope in scopes)
    payload |= {path: values[0] for path, values in issuer.conditions}
    missing = {path: "any" for path in issuer.required_claims if path not in payload}
    lifetime = min(each for each in (issuer.max_lifetime, issuer.max_age, LIFETIME) if each is not None)
    return payload | missing | {"iat": NOW, "exp": NOW + int(lifetime)}


def _confirmation(proof: Proof | None) -> Mapping[str, str] | None:
    """The binding of a token that is proven so (RFC 9449 §6.1, RFC 8705 §3.1)."""
    if proof is None:
        return None
    return {"jkt" if proof == "dpop" else "x5t#S256": _THUMBPRINT}
