"""Requests and verdicts in words, and as JSON: a witness is told so that it can be sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.policy.denial import Denial
from gateway.policy.model import Route
from gateway.prove.verdicts import HOST, NOW, Caller, Request, Verdict

_TIMES = ("iat", "exp", "auth_time")
_SAID_ELSEWHERE = frozenset({"iss", "aud", "sub", "scope", "cnf", *_TIMES})


def claims_at(caller: Caller, now: float) -> dict[str, object]:
    """The claims of a caller's token as they are at `now`, seconds since the epoch."""
    payload, shift = caller.payload or {}, int(now) - int(caller.at)
    moved = {name: value + shift for name in _TIMES if isinstance(value := payload.get(name), int | float)}
    return {**payload, **moved}


def caller_in_words(caller: Caller) -> str:
    """Such as `with a token of https://one.example, scope a b`."""
    payload = caller.payload
    if payload is None:
        return ", ".join(["without a token", *_circumstances(caller)])
    parts = [f"with a token of {payload['iss']}"]
    parts += [f"for {payload['aud']}"]
    parts += [f"{name} {payload[name]}" for name in payload if name not in _SAID_ELSEWHERE and name != "client_id"]
    parts += [f"scope {payload['scope']}" if "scope" in payload else "no scope"]
    if isinstance(authenticated := payload.get("auth_time"), int | float):
        parts.append(f"authenticated {caller.at - authenticated:.0f} s ago")
    parts += [f"bound by {proof}" for proof in sorted(caller.proofs)]
    if caller.place is not None:
        parts.append(f"in the {caller.place}")
    return ", ".join([*parts, *_circumstances(caller)])


def _circumstances(caller: Caller) -> Iterator[str]:
    if caller.address:
        yield f"from {caller.address}"
    if caller.at != NOW:
        yield f"at {_timestamp(caller.at)}"


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def request_in_words(request: Request) -> str:
    """Such as `GET /jobs/any at api.example (X-Region: eu) without a token`; no host where any will do."""
    at = "" if request.host == HOST else f" at {request.host}"
    return f"{request.method} {request.target}{at}{fields_in_words(request)} {caller_in_words(request.caller)}"


def fields_in_words(request: Request) -> str:
    """Such as ` (X-Region: eu)`; nothing where there are none."""
    return f" ({', '.join(f'{name}: {value}' for name, value in request.fields)})" if request.fields else ""


def verdict_in_words(verdict: Verdict) -> str:
    """Such as `read-jobs: scope_insufficient`, or `no_route` where there is none."""
    return str(verdict) if verdict.route is None else f"{verdict.route.id}: {verdict}"


def way_in_words(route: Route, target: str) -> str:
    """Such as `maintenance /jobs/7 with X-Tenant of tenant`: where a request goes, and what is told of the caller."""
    told = [f"{field.name} of {field.claim}" for field in route.claim_fields]
    told += ["the token"] if route.forward_token else []
    return " ".join([*route.destination(target), *([f"with {', '.join(told)}"] if told else [])])


def request_as_json(request: Request, now: float) -> dict[str, Any]:
    """All that is needed to send it."""
    caller = request.caller
    return {
        "method": request.method,
        "host": request.host,
        "path": request.target,
        "fields": [list(field) for field in request.fields],
        "claims": None if caller.payload is None else claims_at(caller, now if caller.at == NOW else caller.at),
        "proofs": sorted(caller.proofs),
        "address": caller.address or None,
        "at": None if caller.at == NOW else _timestamp(caller.at),
        "token_in": None if caller.place is None else str(caller.place),
    }


def verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    """The decision, and the route that made it."""
    return {
        "decision": "allow" if verdict.allowed else "deny",
        "reason": verdict.outcome.reason.value if isinstance(verdict.outcome, Denial) else None,
        "would_deny": None if verdict.would_deny is None else verdict.would_deny.reason.value,
        "route": None if verdict.route is None else verdict.route.id,
        "upstream": None if verdict.route is None or verdict.is_preflight else verdict.route.upstream,
        "rewrite": None if verdict.route is None or verdict.route.rewrite is None else verdict.route.rewrite._asdict(),
        "claim_fields": None if verdict.route is None else dict(verdict.route.claim_fields),
        "forward_token": None if verdict.route is None else verdict.route.forward_token,
    }
