"""What the gateway says of the resource that it protects (RFC 9728): who issues tokens for it, and of which kind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.policy.model import Route, TrustedIssuer

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class ResourceMetadata:
    """The metadata of one gateway.

    Attributes:
        public_url: under which clients know it: scheme and host.
        members: all members but `resource`, as JSON without braces.
    """

    public_url: str
    members: str

    @property
    def address(self) -> str:
        """Where it is, for challenges (§5.1)."""
        return self.public_url + WELL_KNOWN

    def document(self, path: str) -> bytes:
        """The document for the resource at a path, "" for the whole gateway (§3.1: the path comes behind)."""
        return f'{{"resource":{json.dumps(self.public_url + path)},{self.members}}}\n'.encode()


def resource_metadata(
    public_url: str, issuers: Iterable[TrustedIssuer], routes: Iterable[Route], algorithms: Iterable[str]
) -> ResourceMetadata:
    """What the trusted issuers and the routes amount to; `algorithms` are those of DPoP proofs."""
    rules = [route.rule for route in routes if not route.rule.public]
    members: dict[str, object] = {
        "authorization_servers": list(dict.fromkeys(issuer.issuer for issuer in issuers)),
        "scopes_supported": list(dict.fromkeys(scope for rule in rules for scope in rule.scopes_named)),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": sorted(algorithms),
    }
    if rules and all(rule.require_proof == "dpop" for rule in rules):
        members["dpop_bound_access_tokens_required"] = True
    if rules and all(rule.require_proof == "mtls" for rule in rules):
        members["tls_client_certificate_bound_access_tokens"] = True
    return ResourceMetadata(public_url, json.dumps({name: value for name, value in members.items() if value})[1:-1])


def resource_path(path: str) -> str | None:
    """The path of the resource whose metadata is asked for; None where the path asks for none."""
    rest = path.removeprefix(WELL_KNOWN)
    return rest.rstrip("/") if rest != path and (not rest or rest.startswith("/")) else None
