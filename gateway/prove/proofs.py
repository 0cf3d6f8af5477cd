"""What is doubtful in a table as a whole: routes that never match, overlaps, open ways past a demand.

Every place is looked at once, with every method; what is told of it was found by the table's own match, and by the
gateway's own decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from gateway.policy.denial import Denial
from gateway.policy.fields import fields_fit
from gateway.policy.model import RequestHead, Route
from gateway.policy.routes import METHODS, RouteTable
from gateway.prove.beyond import rule_doubts, table_doubts
from gateway.prove.callers import callers
from gateway.prove.left_out import guards, way_past
from gateway.prove.places import places
from gateway.prove.segments import TooManyKindsError
from gateway.prove.templates import is_narrower, written_otherwise
from gateway.prove.verdicts import Policy, Request, enforced, head_of, path_of, verdict
from gateway.prove.words import fields_in_words, request_in_words


class Kind(StrEnum):
    """What is doubtful about a route."""

    UNREACHABLE = "unreachable"
    OVERLAP = "overlap"
    PUBLIC_BELOW = "public-below-protected"
    OPEN_METHODS = "open-methods"
    READ_OTHERWISE = "path-read-otherwise"
    NEVER_GRANTED = "scope-never-granted"
    SHADOW = "shadow"
    GRACE_OVER = "grace-over"


class Doubt(NamedTuple):
    """Something that is probably not meant so.

    Attributes:
        kind: of it.
        route: whose it is.
        key: of the route's section, where a change would end it.
        message: what it is, and what to do.
        witness: a request that shows it; None where none is needed.
    """

    kind: Kind
    route: Route
    key: str
    message: str
    witness: Request | None = None


class Proofs(NamedTuple):
    """What was found in a table.

    Attributes:
        doubts: in the order of the table's routes.
        unproven: where nothing can be claimed, and why; empty where there are no other doubts of these kinds.
        kinds: of host, path and method that were looked at.
    """

    doubts: tuple[Doubt, ...]
    unproven: tuple[str, ...]
    kinds: int


def prove(policy: Policy) -> Proofs:
    """All doubts about a table, whatever the modes of its routes. Pure; grows with the kinds of path that there are."""
    survey = _Survey(enforced(policy))
    survey.run()
    order = {route.id: at for at, route in enumerate(policy.table.routes)}
    doubts = sorted((*survey.doubts, *survey.unreachable()), key=lambda doubt: order[doubt.route.id])
    return Proofs(tuple(doubts), tuple(dict.fromkeys(survey.unproven)), survey.kinds)


@dataclass
class _Survey:
    policy: Policy
    doubts: list[Doubt] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    kinds: int = 0
    _winners: set[str] = field(default_factory=set)
    _losses: dict[str, tuple[Request, Route | None]] = field(default_factory=dict)
    _told: set[tuple[Kind, str]] = field(default_factory=set)
    _compared: set[tuple[str, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._accepts_oddities = any(route.allow_in_path for route in self.policy.table.routes)

    def _is_new(self, *of: str) -> bool:
        """Whether this was not looked at before."""
        seen = of in self._compared
        self._compared.add(of)
        return not seen

    def run(self) -> None:
        routes = self.policy.table.routes
        self.unproven.extend(table_doubts((), routes))
        try:
            for place in places(routes):
                request = Request("", place.target, host=place.host, fields=place.fields)
                head = head_of(request)
                if not isinstance(head, Denial):
                    self._look(request, head)
        except TooManyKindsError:
            self.unproven.append("there are more kinds of path than can be tried: the rest was not looked at")

    def unreachable(self) -> Iterator[Doubt]:
        """Routes that won at no place, if every kind of place was looked at."""
        for route in self.policy.table.routes if not self.unproven else ():
            if route.id not in self._winners:
                request, found = self._losses[route.id]
                odd = "fields" if request.fields else "path"
                where = f"is refused for the form of its {odd}" if found is None else f"goes to {found.id!r}"
                asked = f"{request.method} {request.target}{fields_in_words(request)}"
                message = f"never takes a request: {asked} {where}"
                yield Doubt(Kind.UNREACHABLE, route, "path", f"{message}; move this route up, or remove it", request)

    def _look(self, request: Request, head: RequestHead) -> None:
        """All methods of one place."""
        table = self.policy.table
        candidates = table.candidates(head.path, request.host)
        fitting = [each for each in candidates if fields_fit(each.fields, head.fields)]
        for method in sorted({method for route in fitting for method in route.methods}):
            self.kinds += 1
            asked = request._replace(method=method)
            found = table.match(head._replace(method=method))
            winner = None if isinstance(found, Denial) else found
            losers = [route for route in fitting if method in route.methods and route is not winner]
            for loser in losers:
                self._losses.setdefault(loser.id, (asked, winner))
            if winner is not None:
                self._winners.add(winner.id)
                self._judge(asked, winner, losers)
                self._look_past(asked, winner, guards(winner, candidates, method))

    def _judge(self, request: Request, winner: Route, losers: list[Route]) -> None:
        differing = next((loser for loser in losers if loser.rule != winner.rule), None)
        if (
            differing is not None
            and not self._is_told(winner, differing)
            and self._is_new("overlap", winner.id, differing.id)
        ):
            self._overlap(request, winner, differing)
        open_wide = request.method == "DELETE" and winner.methods.issuperset(METHODS) and not winner.rule.deny
        if open_wide and self._is_new("methods", winner.id):
            message = f"takes every method, so DELETE {request.target}, too: list under methods those that it needs"
            self._tell(Doubt(Kind.OPEN_METHODS, winner, "methods", message, request))
        if self._accepts_oddities:
            self._misread(request, winner)

    def _is_told(self, winner: Route, loser: Route) -> bool:
        """Whether a doubt of this kind was told of the route already: one is enough to look after it."""
        return (Kind.PUBLIC_BELOW, winner.id) in self._told or (Kind.OVERLAP, loser.id) in self._told

    def _tell(self, doubt: Doubt) -> None:
        self._told.add((doubt.kind, doubt.route.id))
        self.doubts.append(doubt)

    def _overlap(self, request: Request, winner: Route, loser: Route) -> None:
        """Two routes take the same requests, and demand something else."""
        loser_alone = Policy(RouteTable([loser]), self.policy.issuers)
        if verdict(self.policy, request).allowed and not verdict(loser_alone, request).allowed:
            message = f"{request.method} {request.target} enters without a token, and {loser.id!r} below demands more"
            remedy = "narrow this path, or remove public: true"
            self._tell(Doubt(Kind.PUBLIC_BELOW, winner, "public", f"{message}: {remedy}", request))
            return
        if is_narrower(winner, loser):
            return
        telling = self._telling(request, winner, loser_alone)
        if telling is not None:
            said, other = verdict(self.policy, telling), verdict(loser_alone, telling)
            message = f"{request_in_words(telling)}: {winner.id!r} above says {said}, this route would say {other}"
            remedy = "put the narrower path first, or tell the paths apart"
            self._tell(Doubt(Kind.OVERLAP, loser, "path", f"{message}: {remedy}", telling))

    def _look_past(self, request: Request, winner: Route, guarding: tuple[Route, ...]) -> None:
        """Who gets past the routes above by leaving out the fields by which they are told apart."""
        if not guarding or not self._is_new("fields", winner.id, *(guard.id for guard in guarding)):
            return
        way = way_past(self.policy, request, winner, guarding)
        if way is None or self._is_told(winner, way.guard):
            return
        remedy = "demand as much, or name under fields which requests"
        sent, refused = way.witness, f"{verdict(self.policy, way.guarded)}{fields_in_words(way.guarded)}"
        if sent.caller.payload is None:
            message = f"{sent.method} {sent.target}{fields_in_words(sent)} enters without a token"
            told = f"{message}, to which {way.guard.id!r} above says {refused}: {remedy} this route takes"
            self._tell(Doubt(Kind.PUBLIC_BELOW, winner, "public", told, sent))
        else:
            message = f"{request_in_words(sent)}: {winner.id!r} below says allow, this route says {refused}"
            self._tell(Doubt(Kind.OVERLAP, way.guard, "fields", f"{message}: {remedy} that one takes", sent))

    def _telling(self, request: Request, winner: Route, loser_alone: Policy) -> Request | None:
        """The request with a caller whom two routes answer differently."""
        loser = loser_alone.table.routes[0]
        path = path_of(request)
        for caller in callers((winner.rule, loser.rule), self.policy.issuers, path):
            asked = request._replace(caller=caller)
            if verdict(self.policy, asked).allowed != verdict(loser_alone, asked).allowed:
                return asked
        self.unproven.extend(rule_doubts(winner, loser))
        return None

    def _misread(self, request: Request, guard: Route) -> None:
        """Other ways to write a path, by which a request would get past its route."""
        for target in written_otherwise(request.target):
            head = head_of(request._replace(target=target))
            route = head if isinstance(head, Denial) else self.policy.table.match(head)
            if isinstance(route, Route) and route.rule != guard.rule:
                self._written(request, target, route, guard)

    def _written(self, request: Request, target: str, route: Route, guard: Route) -> None:
        """Whether a path that one route takes may be read as a path that another one guards."""
        if ("read", route.id, guard.id) in self._compared:
            return
        for caller in callers((route.rule, guard.rule), self.policy.issuers, path_of(request)):
            asked, read = (request._replace(caller=caller, target=each) for each in (target, request.target))
            if verdict(self.policy, asked).allowed and not verdict(self.policy, read).allowed:
                self._compared.add(("read", route.id, guard.id))
                message = f"{request.method} {target} enters, and a server may read it as {request.target}"
                remedy = f"which {guard.id!r} refuses: remove allow_in_path, or demand here what is demanded there"
                self._tell(Doubt(Kind.READ_OTHERWISE, route, "allow_in_path", f"{message}, {remedy}", asked))
                return
