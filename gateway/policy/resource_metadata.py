"""What the gateway says of the resource that it protects (RFC 9728): who issues tokens for it, and of which kind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.policy.model import Route, TrustedIssuer

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class ResourceMetadata:
    """The metadata of one gateway.

    Attributes:
        public_url: under which clients know it: scheme and host.
        members: all members but those that depend on the resource, as JSON without braces.
        in_header: whether any token is taken in Authorization.
    """

    public_url: str
    members: str
    in_header: bool

    @property
    def address(self) -> str:
        """Where it is, for challenges (§5.1)."""
        return self.public_url + WELL_KNOWN

    def document(self, path: str, routes: Sequence[Route] = ()) -> bytes:
        """The document for the resource at a path, "" for the whole gateway (§3.1: the path comes behind).

        Args:
            path: of the resource.
            routes: that take it; none for the whole gateway.
        """
        methods = bearer_methods(routes) if routes else ["header"] * self.in_header
        about = json.dumps({"resource": self.public_url + path, "bearer_methods_supported": methods})[1:-1]
        return f"{{{about},{self.members}}}\n".encode()


def bearer_methods(routes: Iterable[Route]) -> list[str]:
    """How tokens are sent (§2); there is no word for other fields and cookies, and an empty list says just that."""
    protected = [route.rule for route in routes if route.rule.takes_token]
    return ["header"] if any(rule.is_plain for rule in protected) or not protected else []


def resource_metadata(
    public_url: str, issuers: Iterable[TrustedIssuer], routes: Sequence[Route], algorithms: Iterable[str]
) -> ResourceMetadata:
    """What the trusted issuers and the routes amount to; `algorithms` are those of DPoP proofs."""
    rules = [route.rule for route in routes if route.rule.takes_token]
    members: dict[str, object] = {
        "authorization_servers": list(dict.fromkeys(issuer.issuer for issuer in issuers)),
        "scopes_supported": list(dict.fromkeys(scope for rule in rules for scope in rule.scopes_named)),
        "dpop_signing_alg_values_supported": sorted(algorithms),
    }
    if rules and all(rule.require_proof == "dpop" for rule in rules):
        members["dpop_bound_access_tokens_required"] = True
    if rules and all(rule.require_proof == "mtls" for rule in rules):
        members["tls_client_certificate_bound_access_tokens"] = True
    told = json.dumps({name: value for name, value in members.items() if value})[1:-1]
    return ResourceMetadata(public_url, told, bool(bearer_methods(routes)))


def resource_path(path: str) -> str | None:
    """The path of the resource whose metadata is asked for; None where the path asks for none."""
    rest = path.removeprefix(WELL_KNOWN)
    return rest.rstrip("/") if rest != path and (not rest or rest.startswith("/")) else None
