"""Keys out of a file: a JWK Set, or public keys and certificates as PEM."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.strict_json import JsonError, read_object
from gateway.tokens.keys import KeySet, KeySetError, read_key_set

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.*?\r?\n-----END \1-----", re.DOTALL)


def read_keys_file(path: Path) -> KeySet:
    """Read a file of keys.

    Raises:
        KeySetError: it can't be used, with its path and the reason.
    """
    try:
        content = path.read_bytes()
        return read_pem(content) if b"-----BEGIN " in content else read_key_set(read_object(content))
    except OSError as error:
        raise KeySetError(f"{path}: {error.strerror}") from error
    except (JsonError, KeySetError) as error:
        raise KeySetError(f"{path}: {error}") from error


def read_pem(content: bytes) -> KeySet:
    """Read public keys and certificates. They have no names, so whatever `kid` a token bears, each that fits is tried.

    Raises:
        KeySetError: a block is a private key or can't be read, or no key is fit for use.
    """
    keys = [_jwk(block[1], block[0]) for block in _BLOCK.finditer(content)]
    found = read_key_set({"keys": keys})
    return KeySet(found.keys, found.skipped, nameless=True)


def _jwk(label: bytes, block: bytes) -> dict[str, object]:
    if b"PRIVATE" in label:
        raise KeySetError("it holds a private key: give the public key, which `openssl pkey -pubout` prints")
    try:
        certified = x509.load_pem_x509_certificate(block).public_key() if label == b"CERTIFICATE" else None
        key = load_pem_public_key(block) if certified is None else certified
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeySetError(f"a block {label.decode()} that is no public key and no certificate") from error
    if isinstance(key, RSAPublicKey):
        members = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, EllipticCurvePublicKey):
        members = ECAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, Ed25519PublicKey):
        members = OKPAlgorithm.to_jwk(key, as_dict=True)
    else:
        return {"kty": type(key).__name__}
    return {name: members[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in members}
