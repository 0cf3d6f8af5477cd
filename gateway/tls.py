"""TLS: what it takes towards clients and towards upstreams, made of the files that a configuration names."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

PROTOCOLS = ["http/1.1"]
"""What is offered for the application (ALPN, RFC 7301): nothing else is spoken here."""

ClientCertificate = Literal["required", "optional", "none"]


class TlsFileError(Exception):
    """A file is of no use.

    Attributes:
        key: of the configuration's section that names the file.
        message: which file it is, and what is wrong with it.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What clients are met with.

    Attributes:
        certificate: the chain as PEM, the gateway's own certificate first.
        key: its private key as PEM, without a passphrase.
        client_ca: those who vouch for clients' certificates, as PEM.
        client_certificate: whether clients have to show one, may, or are not asked.
        trusted: clients' certificates, as DER, that are taken though nobody vouches for them (RFC 8705 §2.2).
        full_handshakes: no session is resumed, so that of each connection it is known who vouches for its client.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_certificate: ClientCertificate = "none"
    trusted: frozenset[bytes] = frozenset()
    full_handshakes: bool = False

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that are there to be read."""
        return tuple(path for path in (self.certificate, self.key, self.client_ca) if path is not None)


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """What upstreams are met with.

    Attributes:
        ca: those who vouch for the upstream's certificate, as PEM; by default those that the system trusts.
        certificate: shown to an upstream that asks for one.
        key: its private key.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def server_context(files: ServerFiles) -> ssl.SSLContext:
    """TLS 1.2 and later towards clients, without renegotiation.

    Raises:
        TlsFileError: a file can't be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _harden(context)
    _load_pair(context, files.certificate, files.key)
    if files.client_certificate != "none" and (files.client_ca is not None or files.trusted):
        _ask_for_certificates(context, files)
    return context


def authorities(files: ServerFiles) -> frozenset[bytes]:
    """The certificates, as DER, of those who vouch for clients' certificates.

    Raises:
        TlsFileError: the file can't be used.
    """
    if files.client_ca is None or files.client_certificate == "none":
        return frozenset()
    found = _certificates("client_ca", files.client_ca)
    return frozenset(certificate.public_bytes(Encoding.DER) for certificate in found)


def client_context(files: ClientFiles) -> ssl.SSLContext:
    """TLS 1.2 and later towards an upstream; its certificate is always verified.

    Raises:
        TlsFileError: a file can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if files.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, "ca", files.ca)
    if files.certificate is not None and files.key is not None:
        _load_pair(context, files.certificate, files.key)
    return context


def expiry(certificate: Path) -> float:
    """When a chain's first certificate expires, in seconds since the epoch.

    Raises:
        TlsFileError: the file can't be used.
    """
    return _certificates("certificate", certificate)[0].not_valid_after_utc.timestamp()


def fault(error: OSError) -> str:
    """Why a connection over TLS failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {error.reason.lower().replace('_', ' ')}"
    return error.strerror or str(error)


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(PROTOCOLS)


def _ask_for_certificates(context: ssl.SSLContext, files: ServerFiles) -> None:
    context.verify_mode = ssl.CERT_REQUIRED if files.client_certificate == "required" else ssl.CERT_OPTIONAL
    if files.full_handshakes:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if files.client_ca is not None:
        _load_authorities(context, "client_ca", files.client_ca)
    if files.trusted:
        # A certificate that is trusted as it is need not be signed by itself.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=b"".join(sorted(files.trusted)))


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _certificates("certificate", certificate)
    _read("key", key)

    def no_passphrase() -> str:
        raise TlsFileError("key", f"{key} asks for a passphrase: store the key without one")

    try:
        context.load_cert_chain(certificate, key, no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFileError("key", f"{key} does not belong to the certificate in {certificate}") from error
        raise TlsFileError("key", f"{key} holds no private key in PEM form") from error


def _load_authorities(context: ssl.SSLContext, name: str, path: Path) -> None:
    _certificates(name, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TlsFileError(name, f"{path} holds no certificate that can be used") from error


def _certificates(name: str, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(name, path))
    except ValueError as error:
        raise TlsFileError(name, f"{path} holds no certificate in PEM form") from error


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFileError(name, f"{path} cannot be read: {error.strerror}") from error
