"""Security requirements as scopes that a route demands: within one requirement and, between them or."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.openapi.operations import Operation, Requirement

BEARING: Final = frozenset({"oauth2", "openIdConnect", "http bearer"})
"""Types of schemes whose credentials are the access tokens that the gateway verifies."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a route has to demand.

    Attributes:
        public: whether no token is.
        choices: sets of scopes of which one has to be granted as a whole; empty where nobody may enter.
        warnings: what a person should look at.
    """

    public: bool
    choices: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...] = ()


def demand(operation: Operation, schemes: Mapping[str, str], otherwise: Sequence[str]) -> Demand:
    """What an operation's security means to a route.

    Args:
        operation: of the file.
        schemes: type of each security scheme.
        otherwise: scopes to demand where a token is demanded, and no scope.
    """
    if operation.security is None:
        return Demand(False, (), ("nothing is said of security, so no route is written: add security, [] for none",))
    if not operation.security or () in operation.security:
        how = "security: []" if not operation.security else "the requirement {}"
        return Demand(True, (), (f"{how} lets everyone in, without a token",))
    warnings: list[str] = []
    choices = [_scopes(requirement, schemes, otherwise, warnings) for requirement in operation.security]
    return Demand(False, _least(choice for choice in choices if choice is not None), tuple(dict.fromkeys(warnings)))


def _scopes(
    requirement: Requirement, schemes: Mapping[str, str], otherwise: Sequence[str], warnings: list[str]
) -> tuple[str, ...] | None:
    """The scopes of one requirement; None where the gateway can't verify it, so that it lets nobody in."""
    bearing = [(name, scopes) for name, scopes in requirement if schemes.get(name) in BEARING]
    others = [f"{name} ({schemes.get(name) or 'which is not declared'})" for name, _ in requirement]
    others = [told for told, (name, _) in zip(others, requirement, strict=True) if schemes.get(name) not in BEARING]
    if not bearing:
        warnings.append(f"{' and '.join(others)} is no access token, so nobody enters by it alone")
        return None
    if others:
        warnings.append(f"{' and '.join(others)} is left to the upstream: the gateway verifies access tokens only")
    found = tuple(dict.fromkeys(scope for _, scopes in bearing for scope in scopes)) or tuple(otherwise)
    if not found:
        warnings.append("it demands a token and no scope, which a route can't say: choose a scope by --scope")
        return None
    return found


def _least(choices: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Without those that hold another one: who has all of these has all of that."""
    each = list(dict.fromkeys(choices))
    kept = [one for one in each if not any(set(other) < set(one) for other in each)]
    return tuple(one for at, one in enumerate(kept) if not any(set(one) == set(other) for other in kept[:at]))


def as_scopes(choices: tuple[tuple[str, ...], ...]) -> object:
    """The value of a route's `scopes`: a list of all, or {all: [...], any: [...]} with what is common in front."""
    if len(choices) == 1:
        return list(choices[0])
    common = [scope for scope in choices[0] if all(scope in choice for choice in choices)]
    rests = [[scope for scope in choice if scope not in common] for choice in choices]
    any_of = [rest[0] if len(rest) == 1 else {"all": rest} for rest in rests]
    return {"all": common, "any": any_of} if common else {"any": any_of}
