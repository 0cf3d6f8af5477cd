"""Requests, issuers and payloads that the tests in this folder judge."""

from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims, RequestHead, Route, Rule, TrustedIssuer
from gateway.policy.paths import CanonicalTarget, Oddity, canonical_target

NOW = 1_800_000_000
LOCAL = TrustedIssuer(
    name="local",
    issuer="https://issuer.example",
    audiences=frozenset({"https://maintenance.example", "api"}),
    algorithms=frozenset({"RS256"}),
)
PAYLOAD: dict[str, object] = {
    "iss": LOCAL.issuer,
    "aud": "api",
    "exp": NOW + 60,
    "iat": NOW - 60,
    "sub": "batch",
    "client_id": "nightly-batch",
    "scope": "jobs.read jobs.run",
    "jti": "1",
}
CLAIMS = Claims(
    issuer_name="local",
    issuer=LOCAL.issuer,
    subject="batch",
    client_id="nightly-batch",
    audience=("api",),
    scopes=("jobs.read", "jobs.run"),
    expires_at=NOW + 60,
    not_before=NOW - 60,
    jti="1",
    issued_at=NOW - 60,
)


def target(text: str) -> CanonicalTarget:
    """The canonical form of a target that has one."""
    canonical = canonical_target(text)
    assert isinstance(canonical, CanonicalTarget), canonical
    return canonical


def head(text: str = "/", method: str = "GET", *authorization: bytes) -> RequestHead:
    path, query, oddities = target(text)
    return RequestHead(method, text, path, query, oddities, "gateway.example", authorization)


def route(route_id: str, path: str, *methods: str, allow_in_path: frozenset[Oddity] = frozenset()) -> Route:
    return Route(
        id=route_id,
        path=path,
        methods=frozenset(methods or {"GET"}),
        rule=Rule(public=True),
        upstream="maintenance",
        allow_in_path=allow_in_path,
    )


def reason(outcome: object) -> Reason:
    """Why something was refused; fails where it was not."""
    assert isinstance(outcome, Denial), outcome
    return outcome.reason
