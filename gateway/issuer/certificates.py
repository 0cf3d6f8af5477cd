"""X.509 certificates of clients: those that are registered, and those that are shown in mutual TLS (RFC 8705)."""

import base64
import hashlib
import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.issuer.settings import TlsClientAuthSettings
from gateway.tokens.keys import KeySetError, VerificationKey, read_key_set


class RegisteredCertificate(NamedTuple):
    """A certificate by which a client's assertions are verified.

    Attributes:
        der: the certificate.
        key: its public key.
        not_before: since when it is valid, in seconds since the epoch.
        not_after: until when.
        names: what a header may call it: its `x5t`, `x5t#S256`, and its alias as `kid`.
    """

    der: bytes
    key: VerificationKey
    not_before: float
    not_after: float
    names: Mapping[str, str | None]

    def is_meant(self, header: Mapping[str, object]) -> bool:
        """Whether a header means this certificate: by a thumbprint, else by `kid`, else by naming none."""
        named = [name for name in ("x5t#S256", "x5t") if name in header] or [
            name for name in ("kid",) if name in header
        ]
        return all(header[name] == self.names[name] for name in named)

    def is_valid(self, now: float) -> bool:
        """Whether its time has come and is not over."""
        return self.not_before <= now <= self.not_after


def read_certificate(path: Path, alias: str | None) -> RegisteredCertificate:
    """Read the file of a client's certificate.

    Raises:
        ValueError: it is of no use; says why.
    """
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        key = read_key_set({"keys": [_public_jwk(certificate)]}).keys[0]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except KeySetError as error:
        raise ValueError(f"{path}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path} holds no certificate in PEM form") from error
    der = certificate.public_bytes(Encoding.DER)
    names = {
        "x5t": _base64url(hashlib.sha1(der, usedforsecurity=False).digest()),
        "x5t#S256": _base64url(hashlib.sha256(der).digest()),
        "kid": alias,
    }
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return RegisteredCertificate(der, key, begin.timestamp(), end.timestamp(), names)


def certificates_of_jwks(jwks: Mapping[str, Any]) -> frozenset[bytes]:
    """The certificates, as DER, that belong to the keys of a JWK Set: the first of each `x5c` (RFC 7517 §4.7)."""
    keys = jwks.get("keys")
    chains = [key["x5c"] for key in keys if isinstance(key, dict) and "x5c" in key] if isinstance(keys, list) else []
    return frozenset(der for chain in chains if (der := _first_certificate(chain)) is not None)


def _first_certificate(chain: Any) -> bytes | None:
    try:
        return x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True)).public_bytes(Encoding.DER)
    except (ValueError, TypeError, LookupError):
        return None


def is_issued_by(der: bytes, authorities: frozenset[bytes]) -> bool:
    """Whether one of these certificates, all as DER, signed this one itself; nothing else is asked."""
    certificate = x509.load_der_x509_certificate(der)
    return any(_signed(x509.load_der_x509_certificate(authority), certificate) for authority in authorities)


def _signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def fits(der: bytes, demand: TlsClientAuthSettings) -> bool:
    """Whether a certificate says what is demanded of it (RFC 8705 §2.1.2)."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        if demand.subject_dn is not None:
            return certificate.subject == x509.Name.from_rfc4514_string(demand.subject_dn)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return _has(names, demand)


def _has(names: x509.SubjectAlternativeName, demand: TlsClientAuthSettings) -> bool:
    if demand.san_dns is not None:
        return demand.san_dns.lower() in {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    if demand.san_uri is not None:
        return demand.san_uri in names.get_values_for_type(x509.UniformResourceIdentifier)
    if demand.san_ip is not None:
        return ipaddress.ip_address(demand.san_ip) in names.get_values_for_type(x509.IPAddress)
    return demand.san_email in names.get_values_for_type(x509.RFC822Name)


def _public_jwk(certificate: x509.Certificate) -> dict[str, Any]:
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey):
        return dict(json.loads(RSAAlgorithm.to_jwk(key)))
    if isinstance(key, EllipticCurvePublicKey):
        return dict(json.loads(ECAlgorithm.to_jwk(key)))
    if isinstance(key, Ed25519PublicKey):
        return dict(json.loads(OKPAlgorithm.to_jwk(key)))
    raise KeySetError("its key signs nothing here: use RSA, ECDSA or Ed25519")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
