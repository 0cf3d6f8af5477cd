"""The certificate that a client showed in mutual TLS (RFC 8705)."""

import asyncio
import base64
import hashlib
import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A certificate whose private key the client has: the handshake proved it.

    Attributes:
        der: the certificate.
        anchor: the certificate, as DER, that it was trusted by: itself where it is trusted as it is. None where the
            client took up a session of TLS 1.2, which Python cannot forbid: then only the certificate is known.
    """

    der: bytes
    anchor: bytes | None

    @property
    def thumbprint(self) -> str:
        """What a token that is bound to it says in `cnf.x5t#S256` (RFC 8705 §3.1)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.der).digest()).rstrip(b"=").decode()


def peer_certificate(transport: asyncio.BaseTransport | None) -> PeerCertificate | None:
    """What the client of a connection showed; None without TLS, and where it showed none."""
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    der = connection.getpeercert(binary_form=True)
    if not der:
        return None
    chain = _verified_chain(connection)
    return PeerCertificate(der, chain[-1] if chain else None)


def _verified_chain(connection: ssl.SSLObject) -> list[bytes]:
    """The certificates by which the client's own was trusted, its own first."""
    since_python_3_13 = getattr(connection, "get_verified_chain", None)
    if since_python_3_13 is not None:
        return list(since_python_3_13())
    chain = connection._sslobj.get_verified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 - its name before 3.13
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain or ()]
