"""One token of every kind that some rules tell apart.

A rule is a conjunction of demands that have nothing to do with each other: an issuer and its client, scopes, a proof,
an authentication, claims. So what one rule takes and another refuses shows in a token that meets the one just so,
except in one of these respects, in which it is of any kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from gateway.policy.circumstances import within
from gateway.policy.conditions import segment
from gateway.policy.model import ClaimValue, PathVariable, Proof, Rule, TokenFrom, TrustedIssuer
from gateway.prove.circumstances import addresses, moments
from gateway.prove.scope_sets import fewest_scopes
from gateway.prove.verdicts import Caller

LIFETIME = 3600
"""Seconds that the tokens live."""

OTHER = "any-other"
"""A client or a claim's value that no rule names."""

_THUMBPRINT = "A" * 43
"""Stands for the thumbprint of the key that the caller holds."""

_Claim = tuple[str, ClaimValue | None]


class _Kind(NamedTuple):
    """What a token is in each respect."""

    issuer: TrustedIssuer
    audience: str
    client: str
    scopes: tuple[str, ...]
    proof: Proof | None
    acr: str | None
    age: float | None
    place: TokenFrom | None
    claims: tuple[_Claim, ...]
    address: str
    at: float


def callers(rules: Iterable[Rule | None], issuers: Iterable[TrustedIssuer], path: str = "/") -> Iterator[Caller]:
    """One caller of each kind that the rules tell apart; the first ones are without a token.

    Args:
        rules: to tell apart; mostly one of the old table, and one of the new; None where there is none.
        issuers: of which tokens may come; two entries of one name may differ in their terms.
        path: of the request, in its canonical form.
    """
    present = [rule for rule in rules if rule is not None]
    named = {name for rule in present for name in rule.issuers if rule.takes_token}
    respects = _Respects(present, [issuer for issuer in dict.fromkeys(issuers) if issuer.name in named], path)
    yield from dict.fromkeys(caller for rule in present for caller in respects.without_token(rule))
    asking = [rule for rule in present if rule.takes_token]
    yield from map(_caller, dict.fromkeys(kind for rule in asking for kind in respects.around(rule)))


class _Respects:
    """All that the rules tell apart, respect by respect."""

    def __init__(self, rules: list[Rule], issuers: list[TrustedIssuer], path: str) -> None:
        self._addresses = addresses(network for rule in rules for network in rule.networks)
        self._graces = [rule.mode for rule in rules if rule.mode.name == "grace"]
        ends = (grace.until for grace in self._graces)
        self._moments = moments((rule.hours for rule in rules if rule.hours is not None), ends)
        self._issuers = issuers
        self._path = path
        self._in_grace = {client for grace in self._graces for client in grace.clients}
        self._clients = self._in_grace | {client for rule in rules for client in rule.clients or ()}
        self._ages = _between({rule.max_age for rule in rules if rule.max_age is not None})
        self._values = self._values_of(rules)
        self._single: dict[str, list[Any]] = {
            "scopes": [(), *(scopes for rule in rules for scopes in fewest_scopes(rule))],
            "proof": [None, *(rule.require_proof for rule in rules)],
            "acr": [None, *(acr for rule in rules for acr in rule.acr)],
            "age": [None, *self._ages],
            "place": [rule.token_from for rule in rules],
            "address": [*self._addresses],
            "at": [*self._moments],
        }

    def without_token(self, rule: Rule) -> Iterator[Caller]:
        """Callers from where and when a rule wants them; then the same, but for one of the two."""
        base = Caller(address=self._address(rule), at=self._at(rule))
        yield base
        for name in ("address", "at"):
            yield from (base._replace(**{name: kind}) for kind in self._single[name])

    def around(self, rule: Rule) -> Iterator[_Kind]:
        """What meets a rule, for each issuer; then the same, but for one respect."""
        for issuer in self._issuers:
            base = self._meeting(rule, issuer)
            yield from self._but_for_one(base)
            for known in self._graceful(base):
                yield from self._but_for_one(known)
            for audience in sorted(issuer.audiences):
                for client in (*sorted(self._named(issuer)), OTHER, ""):
                    yield base._replace(audience=audience, client=client)

    def _but_for_one(self, base: _Kind) -> Iterator[_Kind]:
        yield base
        for name, kinds in self._single.items():
            yield from (base._replace(**{name: kind}) for kind in kinds)
        for claim, values in self._values.items():
            others = tuple(each for each in base.claims if each[0] != claim)
            yield from (base._replace(claims=(*others, (claim, value))) for value in values)

    def _graceful(self, base: _Kind) -> Iterator[_Kind]:
        """The same of each client that some rule is in grace with: it passes in spite of one respect, until its end."""
        clients = sorted(client for name, client in self._in_grace if name == base.issuer.name)
        for at in (base.at, *self._moments) if clients else ():
            yield from (base._replace(client=client, at=at) for client in clients)

    def _meeting(self, rule: Rule, issuer: TrustedIssuer) -> _Kind:
        allowed = sorted(client for name, client in rule.clients or () if name == issuer.name)
        return _Kind(
            issuer=issuer,
            audience=min(self._audiences(rule, issuer), default=""),
            client=allowed[0] if allowed else OTHER,
            scopes=fewest_scopes(rule)[0],
            proof=rule.require_proof,
            acr=rule.acr[0] if rule.acr else None,
            age=None if rule.max_age is None else self._ages[0],
            place=rule.token_from,
            claims=tuple((each.claim, self._value(each.one_of[0])) for each in rule.conditions),
            address=self._address(rule),
            at=self._at(rule),
        )

    @staticmethod
    def _audiences(rule: Rule, issuer: TrustedIssuer) -> list[str]:
        """Those of an issuer that a rule takes; all where it takes none."""
        taken = [audience for audience in issuer.audiences if rule.takes_audience(issuer.name, audience)]
        return taken or list(issuer.audiences)

    def _address(self, rule: Rule) -> str:
        """One that the rule takes."""
        known = self._addresses
        return next((each for each in known if not rule.networks or within(rule.networks, each)), known[0])

    def _at(self, rule: Rule) -> float:
        """A moment that the rule takes."""
        known = self._moments
        return next((each for each in known if rule.hours is None or rule.hours.hold(each)), known[0])

    def _named(self, issuer: TrustedIssuer) -> set[str]:
        return {client for name, client in self._clients if name == issuer.name}

    def _values_of(self, rules: list[Rule]) -> dict[str, list[ClaimValue | None]]:
        """By claim: none, one that no rule names, and all that they name."""
        found: dict[str, list[ClaimValue | None]] = {}
        for condition in (condition for rule in rules for condition in rule.conditions):
            values = found.setdefault(condition.claim, [None, OTHER])
            values.extend(self._value(value) for value in condition.one_of)
        return found

    def _value(self, value: ClaimValue | PathVariable) -> ClaimValue | None:
        return segment(self._path, value.at) if isinstance(value, PathVariable) else value


def _between(bounds: set[float]) -> list[float]:
    """Ages below each bound and above the next smaller one: a token stays of its kind while it is sent."""
    return [(lower + upper) / 2 for lower, upper in pairwise([0.0, *sorted(bounds)])]


def _caller(kind: _Kind) -> Caller:
    payload = _payload(kind.issuer, kind) | {name: value for name, value in kind.claims if value is not None}
    told = {
        "acr": kind.acr,
        "auth_time": None if kind.age is None else kind.at - kind.age,
        "cnf": _confirmation(kind.proof),
    }
    proofs: frozenset[Proof] = frozenset() if kind.proof is None else frozenset({kind.proof})
    payload |= {name: value for name, value in told.items() if value is not None}
    return Caller(payload, proofs, kind.place, kind.address, kind.at)


def _payload(issuer: TrustedIssuer, kind: _Kind) -> dict[str, object]:
    """A token as this issuer's entry wants it."""
    payload: dict[str, object] = {"iss": issuer.issuer, "aud": kind.audience, "sub": kind.client or OTHER}
    if issuer.client_claims and kind.client:
        payload[issuer.client_claims[0]] = kind.client
    if issuer.scope_claims and kind.scopes:
        payload[issuer.scope_claims[0]] = " ".join(issuer.scope_prefix + scope for scope in kind.scopes)
    payload |= {path: values[0] for path, values in issuer.conditions}
    missing = {path: "any" for path in issuer.required_claims if path not in payload}
    lifetime = min(each for each in (issuer.max_lifetime, issuer.max_age, LIFETIME) if each is not None)
    return payload | missing | {"iat": int(kind.at), "exp": int(kind.at) + int(lifetime)}


def _confirmation(proof: Proof | None) -> Mapping[str, str] | None:
    """The binding of a token that is proven so (RFC 9449 §6.1, RFC 8705 §3.1)."""
    if proof is None:
        return None
    return {"jkt" if proof == "dpop" else "x5t#S256": _THUMBPRINT}
