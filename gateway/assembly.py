"""A plan's parts, as the objects that do the work; nothing runs yet."""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLContext

from gateway.deadlines import Deadlines
from gateway.downstream.certificate import ServerTls
from gateway.plan import Plan, UpstreamPlan
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.resource_metadata import resource_metadata
from gateway.policy.routes import RouteTable
from gateway.rules import Rules
from gateway.sources import Sources
from gateway.starting import BadFileError
from gateway.tls import ServerFiles, TlsFileError, client_context
from gateway.tokens.dpop import DpopRules
from gateway.tokens.proof import Nonces, ProofTerms
from gateway.tokens.replay import Replays
from gateway.tokens.verifier import TokenVerifier
from gateway.upstream.pool import Upstream

Clock = Callable[[], float]


def rules(plan: Plan, sources: Sources, deadlines: Deadlines, log_key: bytes, proofs: ProofTerms) -> Rules:
    """All that the plan says about requests.

    Raises:
        BadFileError: a file for TLS towards an upstream can't be used.
    """
    issuers = [issuer.terms for issuer in plan.issuers.values()]
    algorithms = proofs.rules.algorithms
    public_url = plan.public_url
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
        metadata=None if public_url is None else resource_metadata(public_url, issuers, plan.routes, algorithms),
    )


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
