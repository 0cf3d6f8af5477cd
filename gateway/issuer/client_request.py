"""A client's request to one of the endpoints at which it has to say who it is."""

from dataclasses import dataclass

from aiohttp import web

from gateway.issuer.form import Form
from gateway.issuer.peer_certificate import PeerCertificate, peer_certificate


@dataclass(frozen=True, slots=True, repr=False)
class ClientRequest:
    """What a request says of its client, and what it asks for.

    Attributes:
        form: its parameters.
        authorizations: the value of each Authorization field.
        address: the peer's.
        certificate: what the client showed in the TLS handshake; None where it showed none.
        proofs: the value of each DPoP field.
    """

    form: Form
    authorizations: tuple[str, ...] = ()
    address: str = ""
    certificate: PeerCertificate | None = None
    proofs: tuple[bytes, ...] = ()


def client_request(request: web.Request, form: Form) -> ClientRequest:
    """Read a request, whose form was read already."""
    proofs = request.headers.getall("DPoP", [])
    return ClientRequest(
        form,
        tuple(request.headers.getall("Authorization", [])),
        request.remote or "",
        peer_certificate(request.transport),
        tuple(proof.encode("utf-8", "surrogateescape") for proof in proofs),
    )
