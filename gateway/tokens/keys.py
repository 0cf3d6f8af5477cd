"""Key sets: which of an issuer's published keys may verify a signature (RFC 7517, RFC 8725 §3.2 and §3.5).

A key belongs to the issuer whose set it is in. It verifies the algorithm that it names; where it names none, those of
its type. One bad key is skipped and reported, the others work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

MAX_KEYS = 100
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MAX_RSA_EXPONENT = (1 << 64) - 1
"""A verification costs time that grows with modulus and exponent: a hostile set must not buy much of it."""

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_BY_CURVE = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "Ed25519": ("EdDSA", "Ed25519")}
_CURVE_TYPES = {"P-256": "EC", "P-384": "EC", "P-521": "EC", "Ed25519": "OKP"}
_PUBLIC_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

ALGORITHMS: dict[str, Algorithm] = {
    name: algorithm
    for name, algorithm in get_default_algorithms().items()
    if name in {*_RSA, "ES256", "ES384", "ES512", "EdDSA"}
}
"""Every signature algorithm that is verified here: asymmetric ones only, by PyJWT."""
ALGORITHMS["Ed25519"] = ALGORITHMS["EdDSA"]  # the same algorithm by its fully specified name (RFC 9864)


class KeySetError(ValueError):
    """A key, or a whole set, that may not be used; the message says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key that may verify signatures.

    Attributes:
        kid: its identifier, or None.
        algorithms: the JWS algorithms that it may verify.
        key: the public key.
        thumbprint: what it is, whatever it is called: RFC 7638 SHA-256 over its public members.
    """

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey
    thumbprint: str

    def verifies(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over this input (RFC 7515 §5.2)."""
        return algorithm in self.algorithms and ALGORITHMS[algorithm].verify(signing_input, self.key, signature)


@dataclass(frozen=True, slots=True)
class KeySet:
    """An issuer's keys at one moment; immutable.

    Attributes:
        keys: those that may be used.
        skipped: why each of the others may not.
        thumbprints: of all keys: a cached verification lives as long as its key is among them.
        nameless: whether the keys were given without names, so that a token's `kid` says nothing of them.
    """

    keys: tuple[VerificationKey, ...]
    skipped: tuple[str, ...] = ()
    nameless: bool = False
    thumbprints: frozenset[str] = field(init=False)
    _by_name: Mapping[tuple[str | None, str], tuple[VerificationKey, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "thumbprints", frozenset(key.thumbprint for key in self.keys))
        by_name: dict[tuple[str | None, str], tuple[VerificationKey, ...]] = {}
        for key in self.keys:
            for algorithm in key.algorithms:
                named = (key.kid, algorithm)
                by_name[named] = (*by_name.get(named, ()), key)
        object.__setattr__(self, "_by_name", by_name)

    def candidates(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys that may have signed: those of this kid, or the only one that fits where the token names none."""
        if self.nameless:
            return self._by_name.get((None, algorithm), ())
        if kid is not None:
            return self._by_name.get((kid, algorithm), ())
        fitting = tuple(key for key in self.keys if algorithm in key.algorithms)
        return fitting if len(fitting) == 1 else ()

    def knows(self, kid: str | None) -> bool:
        """Whether any key bears this kid, whatever its algorithm."""
        return kid is not None and any(key.kid == kid for key in self.keys)


def read_key_set(document: Mapping[str, object]) -> KeySet:
    """Read a JWK Set (RFC 7517 §5).

    Raises:
        KeySetError: the document is no JWK Set, or holds no usable key.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise KeySetError("the key set has no array 'keys'")
    if len(entries) > MAX_KEYS:
        raise KeySetError(f"the key set has {len(entries)} keys, more than {MAX_KEYS}")
    key_set = _collect(entries)
    if not key_set.keys:
        raise KeySetError("the key set has no usable key" + "".join(f"; {reason}" for reason in key_set.skipped))
    return key_set


def _collect(entries: Iterable[object]) -> KeySet:
    keys, skipped = [], []
    for position, entry in enumerate(entries):
        try:
            keys.append(read_key(entry))
        except KeySetError as error:
            skipped.append(f"key {position + 1}: {error}")
    return KeySet(tuple(keys), tuple(skipped))


def read_key(entry: object) -> VerificationKey:
    """Read one JWK (RFC 7517 §4).

    Raises:
        KeySetError: it may not be used.
    """
    if not isinstance(entry, dict):
        raise KeySetError("not a JSON object")
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise KeySetError("its kid is not a string")
    _check_purpose(entry)
    algorithms = _algorithms(entry)
    members = {name: entry.get(name) for name in _PUBLIC_MEMBERS[entry["kty"]]}
    key = _public_key(members, algorithms[0])
    if isinstance(key, RSAPublicKey):
        _check_rsa(key)
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return VerificationKey(kid, frozenset(algorithms), key, hashlib.sha256(canonical).hexdigest())


def _check_purpose(entry: dict[str, object]) -> None:
    """A public key for signatures, and nothing else (RFC 7517 §4.2, §4.3)."""
    kty = entry.get("kty")
    if not isinstance(kty, str) or kty not in _PUBLIC_MEMBERS:
        raise KeySetError("its kty is not RSA, EC or OKP")
    if "d" in entry or "k" in entry:
        raise KeySetError("it is a private or symmetric key, published")
    if entry.get("use", "sig") != "sig":
        raise KeySetError("its use is not sig")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeySetError("its key_ops do not hold verify")


def _algorithms(entry: dict[str, object]) -> tuple[str, ...]:
    """The algorithms that a key may verify: the one that it names, else those of its type."""
    kty, curve = entry["kty"], entry.get("crv")
    if kty == "RSA":
        possible: tuple[str, ...] = _RSA
    elif isinstance(curve, str) and _CURVE_TYPES.get(curve) == kty:
        possible = _BY_CURVE[curve]
    else:
        raise KeySetError("its crv is not one that is supported for its kty")
    named = entry.get("alg")
    if named is None or curve == "Ed25519":
        if named is not None and named not in possible:
            raise KeySetError("its alg does not fit its crv")
        return possible
    if named not in possible:
        raise KeySetError("its alg does not fit its type, or is not supported")
    return (str(named),)


def _public_key(members: dict[str, object], algorithm: str) -> PublicKey:
    """Build the key with PyJWT, whose many errors end here."""
    try:
        key = PyJWK(members, algorithm).key
    except (PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise KeySetError(f"its members make no key ({type(error).__name__})") from error
    if not isinstance(key, PublicKey):
        raise KeySetError("it is not a public key")
    return key


def _check_rsa(key: RSAPublicKey) -> None:
    numbers = key.public_numbers()
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise KeySetError(f"RSA with {key.key_size} bits: {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")
    if not 3 <= numbers.e <= MAX_RSA_EXPONENT or numbers.e % 2 == 0 or numbers.n % 2 == 0:
        raise KeySetError("RSA with an exponent or a modulus that no sound key has")
    if _looks_like_roca(numbers.n):
        raise KeySetError("RSA with a modulus of the ROCA weakness (CVE-2017-15361)")


@lru_cache(maxsize=1)
def _roca_residues() -> tuple[tuple[int, frozenset[int]], ...]:
    """For each small odd prime the residues that 65537 generates: a ROCA modulus falls into all of them."""
    primes = [p for p in range(3, 168) if all(p % divisor for divisor in range(2, p))]
    return tuple((p, frozenset(pow(65537, exponent, p) for exponent in range(p))) for p in primes)


def _looks_like_roca(modulus: int) -> bool:
    return all(modulus % prime in residues for prime, residues in _roca_residues())
