"""Which scopes a token lacks, and who gives them: the client's roles, a role that it could get, or the issuer."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from gateway.explain.grounds import Embedded, Grounds
from gateway.explain.model import Change
from gateway.explain.words import either, shown
from gateway.issuer.settings import ClientSettings, IssuerSettings
from gateway.policy.decision import missing_scopes
from gateway.policy.model import Claims, Route, Rule


def lacking(rule: Rule, claims: Claims, preferred: Collection[str] = ()) -> tuple[str, ...]:
    """The fewest scopes with which the claims satisfy the rule's: of alternatives a preferred one, or the first."""
    needed = [scope for scope in rule.scopes_named if scope not in claims.scope_set]
    for scope in sorted(needed, key=lambda scope: (scope in preferred, -rule.scopes_named.index(scope))):
        rest = [other for other in needed if other != scope]
        if not missing_scopes(rule, claims.scope_set.union(rest)):
            needed = rest
    return tuple(needed)


def scope_changes(grounds: Grounds, route: Route, claims: Claims) -> Iterator[Change]:
    """What gives the claims the scopes that the route demands."""
    own = grounds.embedded.get(claims.issuer_name)
    client_id = claims.client_id or claims.subject
    client = None if own is None else own.settings.clients.get(client_id)
    if own is None or client is None:
        yield Change(f"ask the issuer {shown(claims.issuer)} for {_scopes(lacking(route.rule, claims))}")
        return
    audiences = grounds.audiences(claims.issuer_name, route)
    given = _given(own.settings, client, audiences)
    wanted = lacking(route.rule, claims, given)
    had = tuple(scope for scope in wanted if scope in given)
    if had:
        roles = [role for role in client.roles if set(had) & set(own.settings.roles[role])]
        by_roles = f"{'role' if len(roles) == 1 else 'roles'} {' and '.join(map(shown, roles))}"
        it = "it" if len(had) == 1 else "them"
        yield Change(f"request {_scopes(had)} (the client {shown(client_id)} has {it} by {by_roles})")
    yield from _grants(own, client_id, tuple(scope for scope in wanted if scope not in given), audiences)


def _given(settings: IssuerSettings, client: ClientSettings, audiences: Collection[str]) -> frozenset[str]:
    applicable = settings.applicable(client)
    return frozenset(scope for audience in audiences for scope in applicable.get(audience, ()))


def _grants(own: Embedded, client_id: str, wanted: tuple[str, ...], audiences: Collection[str]) -> Iterator[Change]:
    """Roles for scopes that the client does not have: one for all of them if there is one, and the least powerful."""
    settings, client, file = own.settings, shown(client_id), own.file
    defined = {scope for audience in audiences for scope in settings.resources.get(audience, {})}
    undefined = tuple(scope for scope in wanted if scope not in defined)
    if undefined:
        resource = either([audience for audience in audiences if audience in settings.resources])
        yield Change(f"define {_scopes(undefined)} at {resource} in {file}, and give it to a role of {client}")
    known = tuple(scope for scope in wanted if scope in defined)
    together = _smallest_role(settings, known)
    for scopes in [known] if together else [(scope,) for scope in known]:
        role = _smallest_role(settings, scopes)
        if scopes and role is not None:
            yield Change(f"grant role {shown(role)} to {client} in {file} (it gives {' '.join(scopes)})")
        elif scopes:
            yield Change(f"add {_scopes(scopes)} to a role of {client} in {file}: no role gives it")


def _smallest_role(settings: IssuerSettings, scopes: Collection[str]) -> str | None:
    fitting = [role for role, gives in settings.roles.items() if set(scopes) <= set(gives)]
    return min(fitting, key=lambda role: len(settings.roles[role]), default=None)


def get_token(grounds: Grounds, route: Route) -> Change:
    """Where a token that suits the route comes from."""
    issuer = next(issuer for issuer in grounds.issuers if issuer.name in route.rule.issuers)
    nobody = Claims(issuer.name, issuer.issuer, "", "", (), (), math.inf, None, "")
    wanted = lacking(route.rule, nobody)
    others = [other.issuer for other in grounds.issuers if other.name in route.rule.issuers]
    what = f"a token {f'with {_scopes(wanted)} ' if wanted else ''}from {either(others)}"
    do = f"get {what}, and send it as 'Authorization: Bearer TOKEN'"
    own = grounds.embedded.get(issuer.name)
    audiences = grounds.audiences(issuer.name, route)
    client = None if own is None else _client_with(own.settings, wanted, audiences, _named(route.rule, issuer.name))
    if client is None:
        return Change(do)
    asked = "".join(f" --scope {scope}" for scope in wanted)
    command = f"scopegate token --issuer {issuer.issuer} --client-id {shown(client)} --client-secret-file FILE{asked}"
    return Change(f"{do}: {command}")


def _named(rule: Rule, issuer: str) -> frozenset[str] | None:
    """The issuer's clients that the rule lets in; None for any."""
    clients = rule.clients
    return None if clients is None else frozenset(client for name, client in clients if name == issuer)


def _client_with(
    settings: IssuerSettings, scopes: Collection[str], audiences: Collection[str], among: frozenset[str] | None
) -> str | None:
    """The first of these clients that gets these scopes with the client_credentials grant."""
    return next(
        (
            name
            for name, client in settings.clients.items()
            if (among is None or name in among)
            and client.may_use_client_credentials
            and set(scopes) <= _given(settings, client, audiences)
        ),
        None,
    )


def _scopes(names: tuple[str, ...]) -> str:
    return f"scope {names[0]}" if len(names) == 1 else f"the scopes {' '.join(names)}"
