"""Which requests two tables answer differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import RequestHead, Route, TrustedIssuer
from gateway.policy.paths import Oddity
from gateway.policy.preflight import said_of_pages
from gateway.prove.beyond import NOT_OF_HEADS, by_path, issuer_doubts, route_doubts, rule_doubts, table_doubts
from gateway.prove.callers import callers
from gateway.prove.places import places
from gateway.prove.preflights import preflights
from gateway.prove.segments import TooManyKindsError
from gateway.prove.verdicts import Caller, Policy, Request, Verdict, head_of, verdict


class Change(StrEnum):
    """What a new table changes for a request."""

    ALLOWED = "newly-allowed"
    REFUSED = "newly-refused"
    REROUTED = "rerouted"
    """It enters with either, and another upstream answers, or the same one is sent another path, or told otherwise who
    calls."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Requests that the tables answer differently, for the same reason.

    Attributes:
        change: how.
        before: the verdict of the old table on the witness.
        after: the verdict of the new one.
        methods: of such requests.
        witness: one of them; both tables were asked about it.
    """

    change: Change
    before: Verdict
    after: Verdict
    methods: tuple[str, ...]
    witness: Request


@dataclass(frozen=True, slots=True)
class Difference:
    """What was found between two tables.

    Attributes:
        findings: of which each has a witness.
        unproven: where nothing can be claimed, and why; empty where all else is proven to be answered alike.
        kinds: of path and method that were compared.
    """

    findings: tuple[Finding, ...]
    unproven: tuple[str, ...]
    kinds: int

    def of(self, change: Change) -> tuple[Finding, ...]:
        """The findings of one kind."""
        return tuple(finding for finding in self.findings if finding.change is change)


def newly_allowed(old: Policy, new: Policy) -> Difference:
    """What enters with the new table and did not with the old; only if `unproven` is empty, too, nothing else does."""
    found = compare(old, new)
    return Difference(found.of(Change.ALLOWED), found.unproven, found.kinds)


def compare(old: Policy, new: Policy) -> Difference:
    """Which requests change their verdict or their upstream. Pure; grows with the kinds of path that there are."""
    comparison = _Comparison(old, new)
    comparison.run()
    return Difference(tuple(comparison.findings()), tuple(dict.fromkeys(comparison.unproven)), comparison.kinds)


@dataclass
class _Comparison:
    old: Policy
    new: Policy
    kinds: int = 0
    unproven: list[str] = field(default_factory=list)
    _found: dict[tuple[object, ...], tuple[Finding, set[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._issuers = tuple(dict.fromkeys((*self.old.issuers, *self.new.issuers)))
        self._same_issuers = _terms(self.old) == _terms(self.new)
        self._telling: dict[tuple[object, ...], tuple[Caller, ...]] = {}

    def run(self) -> None:
        routes = (*self.old.table.routes, *self.new.table.routes)
        if self.old.table.routes == self.new.table.routes and self._same_issuers:
            return
        self.unproven.extend(issuer_doubts(self.old.issuers, self.new.issuers))
        self.unproven.extend(table_doubts(self.old.table.routes, self.new.table.routes))
        try:
            for place in places(list(dict.fromkeys(routes))):
                self._compare(Request("", place.target, host=place.host, fields=place.fields))
        except TooManyKindsError:
            self.unproven.append("there are more kinds of path than can be tried: the rest was not compared")

    def findings(self) -> Iterator[Finding]:
        for finding, methods in self._found.values():
            yield Finding(finding.change, finding.before, finding.after, tuple(sorted(methods)), finding.witness)

    def _compare(self, request: Request) -> None:
        """All methods of one place."""
        head = head_of(request)
        if isinstance(head, Denial):
            return
        old, new = (policy.table.candidates(head.path, request.host) for policy in (self.old, self.new))
        for method in sorted({method for route in (*old, *new) for method in route.methods}):
            if not request.fields:
                self._compare_preflights(request._replace(method=method), head.oddities, old, new)
            self.kinds += 1
            asked = head._replace(method=method)
            before, after = self.old.table.match(asked), self.new.table.match(asked)
            if isinstance(before, Denial) and isinstance(after, Denial):
                continue
            if self._is_same(before, after):
                continue
            self._try(request._replace(method=method), head.path, before, after)

    def _compare_preflights(
        self, request: Request, oddities: frozenset[Oddity], old: tuple[Route, ...], new: tuple[Route, ...]
    ) -> None:
        """What pages may send by such a request; tables that say the same of it answer its preflights the same."""
        before, after = (said_of_pages(request.method, fitting, oddities) for fitting in (old, new))
        if (before and before[1]) != (after and after[1]):
            for fields in preflights(request.method, (*old, *new)):
                asked = request._replace(method="OPTIONS", fields=fields)
                silent = [policy for policy, said in ((self.old, before), (self.new, after)) if said is None]
                for caller in self._senders(asked, silent):
                    self._ask(asked._replace(caller=caller))

    def _senders(self, preflight: Request, silent: list[Policy]) -> Iterator[Caller]:
        """Who sends a preflight: nobody, and where a table lets it go on like any request, callers of every kind."""
        yield Caller()
        head = head_of(preflight)
        for policy in silent:
            route = head if isinstance(head, Denial) else policy.table.match(head)
            if isinstance(head, RequestHead) and isinstance(route, Route):
                yield from callers((route.rule,), self._issuers, head.path)
                self.unproven.extend(rule_doubts(route, _ANSWERED))

    def _is_same(self, before: Route | Denial, after: Route | Denial) -> bool:
        """Whether no token can tell two routes apart."""
        if isinstance(before, Denial) or isinstance(after, Denial) or not self._same_issuers:
            return False
        compared = ("rule", "upstream", "rewrite", "claim_fields", "forward_token", "cors", *NOT_OF_HEADS)
        return all(getattr(before, name) == getattr(after, name) for name in compared)

    def _try(self, request: Request, path: str, before: Route | Denial, after: Route | Denial) -> None:
        """Ask both tables about callers of every kind; or, where that was done for these rules, of those that tell."""
        routes = tuple(route for route in (before, after) if isinstance(route, Route))
        key = tuple(route.rule if isinstance(route, Route) else None for route in (before, after))
        destinations = len({_sent(route, request.target) for route in routes})
        asked = self._telling.get((key, destinations))
        told: dict[Change, Caller] = {}
        for caller in callers(key, self._issuers, path) if asked is None else asked:
            change = self._ask(request._replace(caller=caller))
            if change is not None:
                told.setdefault(change, caller)
        doubts = list(route_doubts(before, after))
        self.unproven.extend(doubts)
        if asked is None and not doubts and not any(by_path(route.rule) for route in routes):
            self._telling[key, destinations] = tuple(told.values())

    def _ask(self, request: Request) -> Change | None:
        before, after = verdict(self.old, request), verdict(self.new, request)
        change = _change(request.target, before, after)
        if change is not None:
            asked = before.is_preflight or after.is_preflight
            key = (change, before.route and before.route.id, after.route and after.route.id, asked)
            _, methods = self._found.setdefault(key, (Finding(change, before, after, (), request), set()))
            methods.add(request.method)
        return change


_ANSWERED = Denial(Reason.ORIGIN_UNTRUSTED)
"""In the place of a route: a preflight that is answered, or refused, whoever sends it."""


def _terms(policy: Policy) -> list[TrustedIssuer]:
    """The issuers, whatever their claims are kept for."""
    return [replace(issuer, kept_claims=(), told_claims=()) for issuer in policy.issuers]


def _change(target: str, before: Verdict, after: Verdict) -> Change | None:
    if before.allowed != after.allowed:
        return Change.ALLOWED if after.allowed else Change.REFUSED
    if not after.allowed or before.route is None or after.route is None:
        return None
    if before.is_preflight or after.is_preflight:
        return None
    return None if _sent(before.route, target) == _sent(after.route, target) else Change.REROUTED


def _sent(route: Route, target: str) -> tuple[object, ...]:
    """Where a request goes that a route lets in, and what it tells there of the caller."""
    return route.destination(target), frozenset(route.claim_fields), route.forward_token
