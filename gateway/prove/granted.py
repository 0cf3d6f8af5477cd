"""Scopes that a route demands, and that nobody can ever have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gateway.policy.model import Route, TrustedIssuer
from gateway.policy.scopes import granting
from gateway.prove.proofs import Doubt, Kind
from gateway.prove.verdicts import Policy


class Grants(NamedTuple):
    """What an authorization server can put into its tokens.

    Attributes:
        by_roles: scopes that some role gives.
        defined: scopes that some resource defines.
    """

    by_roles: frozenset[str]
    defined: frozenset[str]


def never_granted(policy: Policy, grants: Mapping[str, Grants]) -> Iterator[Doubt]:
    """A doubt for each demanded scope that no role gives, on routes whose issuers' roles are all known.

    Args:
        policy: whose routes are looked at.
        grants: by issuer name, where they are known.
    """
    issuers = {issuer.name: issuer for issuer in policy.issuers}
    for route in policy.table.routes:
        names = route.rule.issuers if route.rule.takes_token else frozenset()
        if not names or not names <= grants.keys():
            continue
        known = [_as_demanded(grants[name], issuers[name]) for name in sorted(names)]
        given = frozenset().union(*(each.by_roles for each in known))
        defined = frozenset().union(*(each.defined for each in known))
        for scope in route.rule.scopes_named:
            if given.isdisjoint(granting(scope, route.rule.scope_match)):
                yield _doubt(route, scope, given, defined)


def _as_demanded(grants: Grants, issuer: TrustedIssuer) -> Grants:
    """Without the prefix that scopes bear in tokens only."""
    prefix = issuer.scope_prefix
    return Grants(
        *(frozenset(scope[len(prefix) :] for scope in scopes if scope.startswith(prefix)) for scopes in grants)
    )


def _doubt(route: Route, scope: str, given: frozenset[str], defined: frozenset[str]) -> Doubt:
    near = difflib.get_close_matches(scope, sorted(given), n=1, cutoff=0.6)
    if scope in defined:
        remedy = "give it to a role"
    elif near:
        remedy = f"did you mean {near[0]!r}?"
    else:
        remedy = f"roles give {', '.join(sorted(given)) or 'no scopes'}"
    issuers = ", ".join(sorted(route.rule.issuers))
    return Doubt(Kind.NEVER_GRANTED, route, "scopes", f"no role of {issuers} gives {scope!r}: {remedy}")
