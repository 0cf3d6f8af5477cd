"""What pages of other origins are told: whether they may send what their preflight asks about, and read the answer."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.judging import Findings
from gateway.explain.model import Change, Fact, Mark, Step, Verdict
from gateway.explain.words import shown
from gateway.policy.cors import Cors, asked_headers, asked_method, origin_of
from gateway.policy.denial import Denial
from gateway.policy.model import RequestHead
from gateway.policy.preflight import HEADERS, ORIGIN, Granted, Preflight, could_take


def answers_itself(name: str) -> Step:
    """What the gateway skips, since a preflight bears no token."""
    return Step(Mark.OK, name, "nothing to do: the gateway answers preflights itself")


def telling_pages(findings: Findings) -> Iterator[Step]:
    """The step beyond the journey, where the route says something of pages, and one of another origin may have sent it.

    A program that is no browser may read what it likes.
    """
    head, route = findings.head, findings.route
    origin = None if head is None else origin_of(head.fields)
    if head is None or origin is None:
        yield from _preflights(findings)
    elif findings.preflight is None and (method := asked_method(head.method, head.fields)) is not None:
        yield from _left_to_the_rules(findings, head, method)
    elif route is None or route.cors is None:
        return
    elif findings.preflight is not None:
        yield _preflight_step(findings.preflight, route.cors, origin, asked_headers(head.fields))
    elif route.cors.allowed(origin):
        yield Step(Mark.OK, "cors", f"pages of {shown(origin)} may read the answer")
    else:
        remedy = f"list it in cors.origins of route {route.id} if they may"
        yield Step(Mark.FAILED, "cors", f"browsers keep the answer from pages of {shown(origin)}: {remedy}")


def _preflights(findings: Findings) -> Iterator[Step]:
    """How to ask about one, for who may have meant it."""
    head = findings.head
    if head is None or head.method != "OPTIONS":
        return
    if any(route.cors is not None for route in findings.grounds.table.candidates(head.path, head.host)):
        fields = "--header 'Origin: ...' --header 'Access-Control-Request-Method: ...'"
        yield Step(Mark.OK, "cors", f"the gateway answers the preflights of browsers here: ask about one with {fields}")


def _left_to_the_rules(findings: Findings, head: RequestHead, method: str) -> Iterator[Step]:
    """Why the gateway does not answer a preflight, where some route says something of pages."""
    fitting = findings.grounds.table.candidates(head.path, head.host)
    if not any(method in route.methods and route.cors is not None for route in fitting):
        return
    names = " or ".join(route.id for route in could_take(method, fitting))
    taken = f"{shown(method)} goes to {names}"
    if " or " in names:
        why = f"{taken}, by fields that no preflight tells: give all of them the same cors"
    else:
        why = f"{taken}, which says nothing of pages, or does not take this form of the path"
    yield Step(Mark.FAILED, "cors", f"the gateway does not answer this preflight: {why}")


def _preflight_step(preflight: Preflight, cors: Cors, origin: str, headers: tuple[str, ...]) -> Step:
    denial = preflight.outcome if isinstance(preflight.outcome, Denial) else None
    asked = ((ORIGIN, origin, " or ".join(cors.origins)), (HEADERS, ", ".join(headers), ", ".join(cors.headers)))
    facts, mark = [], Mark.OK
    for name, found, expected in asked:
        if denial is not None and denial.check == name:
            facts.append(Fact(Mark.FAILED, name, denial.found, denial.expected))
            mark = Mark.NOT_REACHED
        else:
            facts.append(Fact(mark, name, shown(found or "none"), expected or "none"))
    if denial is not None:
        return Step(Mark.FAILED, "cors", shown(denial.detail), tuple(facts))
    return Step(Mark.OK, "cors", f"the page may send its {preflight.method}", tuple(facts))


def granted(outcome: Granted, mode: str) -> Verdict:
    """The answer to a preflight that is granted."""
    fields = tuple((name.decode(), shown(value.decode("latin-1"))) for name, value in outcome.fields)
    return Verdict(allowed=True, status=204, fields=fields, mode=mode)


def preflight_changes(findings: Findings, denial: Denial) -> Iterator[Change]:
    """What to list, if the page may."""
    route = "" if findings.route is None else findings.route.id
    key = "origins" if denial.check == ORIGIN else "headers"
    instead = () if key == "origins" else ("let the page leave it out",)
    yield Change(f"add {denial.found} to cors.{key} of route {route} in {findings.grounds.file}, if pages may", instead)
