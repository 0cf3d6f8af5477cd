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
    """What an authorization server puts into its tokens, as far as it is known.

    Attributes:
        given: scopes that some role gives, or that the token of some test carries.
        defined: scopes that some resource defines.
        by_tests: whether its roles are not known, so that its tests count.
    """

    given: frozenset[str]
    defined: frozenset[str] = frozenset()
    by_tests: bool = False


def never_granted(policy: Policy, grants: Mapping[str, Grants]) -> Iterator[Doubt]:
    """A doubt for each demanded scope that no role or test gives, on routes of whose issuers all something is known.

    Args:
        policy: whose routes are looked at.
        grants: by issuer name, where they are known.
    """
    issuers = {issuer.name: issuer for issuer in policy.issuers}
    for route in policy.table.routes:
        names = route.rule.issuers if route.rule.takes_token else frozenset()
        if not names or not names <= grants.keys():
            continue
        known = {name: _as_demanded(grants[name], issuers[name]) for name in sorted(names)}
        given = frozenset().union(*(each.given for each in known.values()))
        for scope in route.rule.scopes_named:
            if given.isdisjoint(granting(scope, route.rule.scope_match)):
                yield _doubt(route, scope, known, given)


def _as_demanded(grants: Grants, issuer: TrustedIssuer) -> Grants:
    """Without the prefix that scopes bear in tokens only."""
    prefix = issuer.scope_prefix
    given, defined = (
        frozenset(scope[len(prefix) :] for scope in scopes if scope.startswith(prefix))
        for scopes in (grants.given, grants.defined)
    )
    return grants._replace(given=given, defined=defined)


def _doubt(route: Route, scope: str, known: Mapping[str, Grants], given: frozenset[str]) -> Doubt:
    near = difflib.get_close_matches(scope, sorted(given), n=1, cutoff=0.6)
    tested = [name for name, each in known.items() if each.by_tests]
    if any(scope in each.defined for each in known.values()):
        remedy = "give it to a role"
    elif near:
        remedy = f"did you mean {near[0]!r}?"
    elif tested:
        remedy = f"add a test of somebody who has it; so far there are {_listed(given)}"
    else:
        remedy = f"roles give {_listed(given)}"
    return Doubt(Kind.NEVER_GRANTED, route, "scopes", f"{_nobody(known, tested)} gives {scope!r}: {remedy}")


def _nobody(known: Mapping[str, Grants], tested: list[str]) -> str:
    with_roles = [name for name in known if name not in tested]
    told = [f"no role of {', '.join(with_roles)}"] if with_roles else []
    told += [f"no test with a token of {', '.join(tested)}"] if tested else []
    return " and ".join(told)


def _listed(scopes: frozenset[str]) -> str:
    return ", ".join(sorted(scopes)) or "no scopes"
