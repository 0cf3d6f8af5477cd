"""What an explanation is made of. Every text in it is fit for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """What became of a step, or of one check in it."""

    OK = "ok"
    FAILED = "failed"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was looked at: what was expected ("" where nothing was), and what was found."""

    mark: Mark
    name: str
    found: str
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the journey: match, take, verify or decide."""

    mark: Mark
    name: str
    summary: str
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One route of the table, in the file's order, and why it did or did not match.

    Attributes:
        route: its id.
        methods: that it takes.
        path: its template.
        path_fits: whether the request's path fits that.
        matched: whether it is the route that the request is for.
        why: in words.
    """

    route: str
    methods: tuple[str, ...]
    path: str
    path_fits: bool
    matched: bool
    why: str


@dataclass(frozen=True, slots=True)
class Scopes:
    """What the rule demands of a token, in words and as plain lists; what it grants, and what is missing.

    Of the plain lists all of the one and one of the other are demanded; scopes in groups are in the words only.
    """

    demanded: str
    all_of: tuple[str, ...]
    any_of: tuple[str, ...]
    granted: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer that the gateway gives.

    Attributes:
        allowed: whether the request goes on; of a preflight, whether the page may send what it asks about.
        upstream: where to; None for a refusal, and for a preflight.
        goes_on: what it gets otherwise than it came, as far as the route says so.
        status: of the gateway's own answer; None where the upstream answers.
        reason: its slug.
        title: its summary.
        hint: what the client is told to do.
        detail: what the gateway knows, and does not tell the client.
        fields: WWW-Authenticate, Allow, Retry-After and Warning, as far as they are sent; all that grants a preflight.
        mode: of the route; "" where none matched.
        would_deny: the slug of the reason for which the route refuses what its mode lets pass.
    """

    allowed: bool
    upstream: str | None = None
    status: int | None = None
    reason: str | None = None
    title: str = ""
    hint: str = ""
    detail: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    goes_on: tuple[tuple[str, str], ...] = ()
    mode: str = ""
    would_deny: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something to do, and what may be done instead. All changes of an explanation are needed together."""

    do: str
    instead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole trace of one decision; `at` in seconds since the epoch."""

    method: str
    path: str
    query_keys: tuple[str, ...]
    at: float
    steps: tuple[Step, ...]
    candidates: tuple[Candidate, ...]
    scopes: Scopes | None
    verdict: Verdict
    changes: tuple[Change, ...]
    assumed: tuple[str, ...] = ()
