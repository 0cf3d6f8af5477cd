"""What a route's section demands, in the policy's terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

from gateway.config.demand_fields import ClientLists
from gateway.config.issuer_section import IssuerConfig
from gateway.config.route_section import HoursConfig, RouteConfig, ScopesConfig, TokenFromConfig
from gateway.policy.circumstances import DAY, DAYS, Hours
from gateway.policy.model import ClaimCondition, ClaimValue, PathVariable, Rule, TokenFrom
from gateway.policy.routes import Literal, Rest, parse_template
from gateway.policy.scopes import ScopeGroup


def rule(config: RouteConfig, issuers: Mapping[str, IssuerConfig]) -> Rule:
    """What a route demands of those who may be let in.

    Args:
        config: the route's section.
        issuers: all that are trusted, by name.
    """
    all_of, any_of, nested = _scopes(config.scopes)
    taken = tuple(config.issuers or issuers)
    return Rule(
        public=config.public,
        deny=config.deny,
        issuers=frozenset(taken),
        asks=next((name for name in taken if issuers[name].introspection is not None), None),
        all_of=all_of,
        any_of=any_of,
        nested=nested,
        scope_match=config.scope_match,
        networks=config.networks or (),
        hours=None if config.hours is None else _hours(config.hours),
        require_proof=config.require_proof,
        acr=config.acr,
        max_age=config.max_age,
        token_from=token_from(config.token_from),
        clients=_clients(config.clients, taken),
        conditions=tuple(_conditions(config)),
        audiences=_audiences(config, {name: issuers[name] for name in taken}),
        mode=replace(config.mode, clients=_clients(config.grace_clients, taken) or frozenset()),
    )


def _scopes(config: ScopesConfig | None) -> tuple[tuple[str, ...], tuple[str, ...], tuple[ScopeGroup, ...]]:
    """Those that are demanded, of which one is, and the groups; one of some scopes and groups is itself a group."""
    if config is None:
        return (), (), ()
    every: tuple[object, ...] = config.all_of
    some: tuple[object, ...] = config.any_of
    groups = tuple(term for term in every if isinstance(term, ScopeGroup))
    scopes = tuple(term for term in every if isinstance(term, str))
    alternatives = tuple(term for term in some if isinstance(term, str | ScopeGroup))
    if any(isinstance(term, ScopeGroup) for term in alternatives):
        return scopes, (), (*groups, ScopeGroup("any", alternatives))
    return scopes, config.any_of, groups


def _hours(config: HoursConfig) -> Hours:
    """Windows of the day, on each of the days, as windows of the week."""
    begins = [DAYS.index(day) * DAY for day in config.days]
    windows = tuple((at + begin, at + end) for at in sorted(begins) for begin, end in config.times)
    days = "" if len(config.days) == len(DAYS) else f" {', '.join(config.days)}"
    words = f"{', '.join(f'{_clock(begin)}-{_clock(end)}' for begin, end in config.times)}{days} ({config.zone})"
    return Hours(windows, UTC if config.zone == "UTC" else ZoneInfo(config.zone), words)


def _clock(minutes: int) -> str:
    hour = minutes // 60
    return f"{hour - 24 if hour > 24 else hour:02}:{minutes % 60:02}"


def token_from(config: TokenFromConfig | None) -> TokenFrom | None:
    """Where a route's token is; None for Authorization."""
    if config is None:
        return None
    if config.header is not None:
        return TokenFrom("header", config.header)
    return TokenFrom("cookie", config.cookie or "")


def _clients(clients: ClientLists | None, issuers: tuple[str, ...]) -> frozenset[tuple[str, str]] | None:
    """A list is of clients of the only issuer whose tokens the route takes."""
    if clients is None:
        return None
    by_issuer = clients if isinstance(clients, dict) else dict.fromkeys(issuers, clients)
    return frozenset((issuer, client) for issuer, names in by_issuer.items() for client in names)


def _audiences(config: RouteConfig, issuers: Mapping[str, IssuerConfig]) -> frozenset[tuple[str, str]] | None:
    """An audience counts for the issuers that are trusted for it."""
    if config.audiences is None:
        return None
    trusted_for = {(name, audience) for name, issuer in issuers.items() for audience in issuer.audience}
    return frozenset(pair for pair in trusted_for if pair[1] in config.audiences)


def _conditions(config: RouteConfig) -> Iterable[ClaimCondition]:
    places = segment_variables(config.path)
    for claim, values in config.claims.items():
        yield ClaimCondition(claim, tuple(_value(value, places) for value in values))


def _value(value: ClaimValue, places: Mapping[str, int]) -> ClaimValue | PathVariable:
    """`{tenant}` stands for the path's segment of that name; the configuration's check has seen that there is one."""
    name = value[1:-1] if isinstance(value, str) and value.startswith("{") else None
    return value if name is None else PathVariable(name, places[name])


def segment_variables(template: str) -> dict[str, int]:
    """The variables of a path that stand for one segment each: which one, counted from 0."""
    segments = parse_template(template)
    return {segment.name: at for at, segment in enumerate(segments) if not isinstance(segment, Literal | Rest)}


def claims_named(routes: Iterable[RouteConfig]) -> tuple[str, ...]:
    """Every claim that some route sets a condition on, each once."""
    return tuple(dict.fromkeys(claim for route in routes for claim in route.claims))


def claims_told(routes: Iterable[RouteConfig]) -> tuple[str, ...]:
    """Every claim that some route tells its upstream, each once."""
    return tuple(dict.fromkeys(field.claim for route in routes for field in route.claim_fields or ()))
