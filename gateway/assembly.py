"""A plan's parts, as the objects that do the work; nothing runs yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from ssl import SSLContext

from gateway.deadlines import Deadlines
from gateway.downstream.certificate import ServerTls
from gateway.plan import IssuerPlan, Plan, UpstreamPlan
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.model import Route
from gateway.policy.resource_metadata import ResourceMetadata, resource_metadata
from gateway.policy.routes import RouteTable
from gateway.rates.counts import RateCounts
from gateway.rules import Rates, Rules
from gateway.sources import Sources
from gateway.starting import BadFileError
from gateway.tls import ServerFiles, TlsFileError, client_context
from gateway.tokens.dpop import DpopRules
from gateway.tokens.proof import Nonces, ProofTerms
from gateway.tokens.replay import Replays
from gateway.tokens.verifier import TokenVerifier
from gateway.upstream.pool import Upstream

Clock = Callable[[], float]

SWAPPED = frozenset(
    {
        "revision",
        "realm",
        "public_url",
        "proofs",
        "trusted_proxies",
        "drain_timeout",
        "watch",
        "newly_allowed",
        "routes",
    }
)
"""Parts of a plan that a running gateway takes anew, as a whole."""


def rules(  # noqa: PLR0913, PLR0917 - all that a process has at hand
    plan: Plan, sources: Sources, deadlines: Deadlines, log_key: bytes, proofs: ProofTerms, counts: RateCounts
) -> Rules:
    """All that the plan says about requests.

    Raises:
        BadFileError: a file for TLS towards an upstream can't be used.
    """
    issuers = [issuer.terms for issuer in plan.issuers.values()]
    return Rules(
        revision=plan.revision,
        table=RouteTable(plan.routes),
        verifier=TokenVerifier(
            issuers,
            sources.keys,
            capacity=plan.token_cache,
            log_key=log_key,
            revoked=sources.revoked,
            asked=sources.introspectors,
        ),
        keys=sources.keys,
        introspectors=sources.introspectors,
        upstreams={
            name: Upstream(
                upstream.settings,
                deadlines,
                tls=_client_tls(name, upstream),
                credentials=None if upstream.credentials is None else sources.credentials[upstream.credentials],
            )
            for name, upstream in plan.upstreams.items()
        },
        realm=plan.realm,
        trusted_proxies=TrustedProxies(plan.trusted_proxies),
        proofs=proofs,
        metadata=_metadata(plan, proofs),
        counts=counts,
        rates=_rates(plan.routes, counts),
    )


def can_be_swapped(before: Plan, after: Plan) -> bool:
    """Whether a running gateway can take what differs; else it needs new workers."""
    names = {field.name for field in fields(Plan)} - SWAPPED - {"issuers"}
    alike = all(getattr(before, name) == getattr(after, name) for name in names)
    return alike and _lasting(before.issuers) == _lasting(after.issuers)


def _lasting(issuers: Mapping[str, IssuerPlan]) -> dict[str, IssuerPlan | tuple[object, ...]]:
    """What is fixed of each issuer: not what its tokens have to be, unless it is asked about them."""
    return {
        name: (one.keys, one.feed, one.keys_credentials) if one.introspection is None else one
        for name, one in issuers.items()
    }


def swapped(before: Rules, plan: Plan, key: bytes, clock: Clock) -> Rules:
    """Rules with what can be swapped of the plan; keys and connections stay. `key` as for `proof_terms`."""
    proofs = proof_terms(plan, before.proofs.replays, key, clock)
    return replace(
        before,
        revision=plan.revision,
        table=RouteTable(plan.routes),
        realm=plan.realm,
        trusted_proxies=TrustedProxies(plan.trusted_proxies),
        proofs=proofs,
        metadata=_metadata(plan, proofs),
        rates=_rates(plan.routes, before.counts),
    )


def _rates(routes: Iterable[Route], counts: RateCounts) -> Rates | None:
    """What keeps the limits of some routes."""
    if not any(route.rate_limits for route in routes):
        return None
    # Imported late: most gateways limit nothing, and the library `limits` takes as long as all the rest of a start.
    from gateway.rates.limiter import RateLimiter  # noqa: PLC0415 - see above

    return RateLimiter(counts).take


def _metadata(plan: Plan, proofs: ProofTerms) -> ResourceMetadata | None:
    if plan.public_url is None:
        return None
    issuers = [issuer.terms for issuer in plan.issuers.values()]
    return resource_metadata(plan.public_url, issuers, plan.routes, proofs.rules.algorithms)


def proof_terms(plan: Plan, replays: Replays, key: bytes, clock: Clock) -> ProofTerms:
    """How the senders of bound tokens prove that they may use them; `key` keys the nonces."""
    nonces = Nonces(key, clock) if plan.proofs.nonces else None
    rules = DpopRules(max_age=plan.proofs.max_age, nonce_is_good=None if nonces is None else nonces.is_good)
    return ProofTerms(
        replays=replays,
        rules=rules,
        public_url=plan.public_url,
        nonces=nonces,
        certificate_field=plan.proofs.certificate_field,
        trusted_proxies=TrustedProxies(plan.trusted_proxies),
    )


def server_tls(files: ServerFiles | None, clock: Clock) -> ServerTls | None:
    """What clients are met with over TLS.

    Raises:
        BadFileError: a file can't be used.
    """
    try:
        return None if files is None else ServerTls(files, clock)
    except TlsFileError as error:
        raise BadFileError(f"tls.{error}") from error


def _client_tls(name: str, upstream: UpstreamPlan) -> SSLContext | None:
    try:
        return None if upstream.tls is None else client_context(upstream.tls)
    except TlsFileError as error:
        raise BadFileError(f"upstreams.{name}.tls.{error}") from error
