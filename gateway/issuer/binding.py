"""What a token is bound to: the key of a DPoP proof (RFC 9449 §5), or the certificate of mutual TLS (RFC 8705 §3)."""

from collections.abc import Mapping

from gateway.issuer.authentication import AuthenticatedClient
from gateway.issuer.client_request import ClientRequest
from gateway.issuer.errors import TokenError, TokenErrorCode
from gateway.tokens.dpop import DpopRules, ProofFault, ProvenRequest, check_proof
from gateway.tokens.replay import Admission, ReplayStore

_WITH_CERTIFICATE = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
_FULL_SECONDS = 60
_RULES = DpopRules()


def confirmation(
    client: AuthenticatedClient, request: ClientRequest, token_endpoint: str, proofs: ReplayStore, now: float
) -> Mapping[str, str] | TokenError | None:
    """The `cnf` of the client's token (RFC 7800 §3.1): None where whoever has the token may use it.

    A certificate binds where it authenticates the client, or where the client's settings want it. With a DPoP proof,
    only the latter: then the token is bound to both.
    """
    by_certificate = client.settings.tls_client_certificate_bound_access_tokens
    if by_certificate and client.certificate_thumbprint is None:
        return TokenError(
            TokenErrorCode.INVALID_REQUEST, "This client's tokens are bound to its certificate: show it in mutual TLS."
        )
    if not request.proofs:
        if client.settings.dpop_bound_access_tokens:
            return _invalid_proof("this client's tokens are bound to a key: send a proof in the field DPoP")
        if by_certificate or client.method in _WITH_CERTIFICATE:
            return {"x5t#S256": str(client.certificate_thumbprint)}
        return None
    proven = _proven_key(request, token_endpoint, proofs, now)
    if isinstance(proven, TokenError):
        return proven
    return proven | ({"x5t#S256": str(client.certificate_thumbprint)} if by_certificate else {})


def _proven_key(
    request: ClientRequest, token_endpoint: str, proofs: ReplayStore, now: float
) -> dict[str, str] | TokenError:
    proof = check_proof(request.proofs, ProvenRequest("POST", token_endpoint), _RULES, now)
    if isinstance(proof, ProofFault):
        return _invalid_proof(proof.detail)
    match proofs.admit(proof.digest, proof.until):
        case Admission.NEW:
            return {"jkt": proof.thumbprint}
        case Admission.REPLAYED:
            return _invalid_proof("the proof was used before (jti): make one for each request")
        case Admission.FULL:
            return _invalid_proof("too many proofs are in use: try again later", retry_after=_FULL_SECONDS)


def _invalid_proof(detail: str, retry_after: int | None = None) -> TokenError:
    return TokenError(TokenErrorCode.INVALID_DPOP_PROOF, f"{detail[0].upper()}{detail[1:]}.", retry_after=retry_after)
