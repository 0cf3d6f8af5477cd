"""Client secrets: hashed with scrypt (RFC 7914), verified in constant time, remembered for a short while."""

import base64
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from cachetools import TTLCache
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

_WRITTEN = re.compile(r"scrypt:([0-9]{1,7}):([0-9]{1,2}):([0-9]{1,2}):([A-Za-z0-9_-]{8,88}):([A-Za-z0-9_-]{22,88})")
_KEY_BYTES = 32
_SALT_BYTES = 16
_MOST_MEMORY = 64 << 20
_MOST_PARALLEL = 4


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """RFC 7914 §2: CPU and memory cost n (a power of two), block size r, parallelisation p.

    The default takes 16 MiB and about 50 ms of one core.
    """

    n: int = 2**14
    r: int = 8
    p: int = 1

    @property
    def work(self) -> int:
        """A figure that grows with the time that one hash takes."""
        return self.n * self.r * self.p

    @property
    def is_sane(self) -> bool:
        """Whether a hash may be computed: one that asks for hours or gigabytes must not be."""
        power_of_two = self.n > 1 and self.n & (self.n - 1) == 0
        memory = 128 * self.n * self.r
        return power_of_two and 0 < memory <= _MOST_MEMORY and 1 <= self.p <= _MOST_PARALLEL


@dataclass(frozen=True, slots=True)
class SecretHash:
    """What is kept of a secret. Written as `scrypt:N:R:P:SALT:KEY`, salt and key in base64url without padding."""

    cost: ScryptCost
    salt: bytes
    key: bytes

    def __str__(self) -> str:
        cost = self.cost
        return f"scrypt:{cost.n}:{cost.r}:{cost.p}:{_base64url(self.salt)}:{_base64url(self.key)}"

    def __repr__(self) -> str:
        return "SecretHash(***)"


def read_hash(text: str) -> SecretHash | None:
    """Read what hash_secret wrote; None for anything else, and for parameters beyond 64 MiB or p = 4."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    cost = ScryptCost(int(found[1]), int(found[2]), int(found[3]))
    try:
        salt, key = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (found[4], found[5]))
    except ValueError:
        return None
    return SecretHash(cost, salt, key) if cost.is_sane else None


def hash_secret(secret: str, cost: ScryptCost | None = None) -> str:
    """Hash a secret with a new salt: `scrypt:...`, to be put in the file as it is."""
    cost, salt = cost or ScryptCost(), secrets.token_bytes(_SALT_BYTES)
    return str(SecretHash(cost, salt, _derive(secret, cost, salt, _KEY_BYTES)))


def verify_secret(secret: str, written: str) -> bool:
    """Whether the hash is that of the secret. Takes the same time for yes and no; False for what is no hash."""
    known = read_hash(written)
    if known is None:
        return False
    return hmac.compare_digest(_derive(secret, known.cost, known.salt, len(known.key)), known.key)


def decoy_hash(hashes: Iterable[str]) -> str:
    """A hash that no secret has, as costly as the costliest of these.

    A client that does not exist is verified against it, so that the time of a refusal does not tell which do.
    """
    costs = [known.cost for known in map(read_hash, hashes) if known is not None]
    cost = max(costs, key=lambda cost: cost.work, default=ScryptCost())
    return str(SecretHash(cost, secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_KEY_BYTES)))


class RememberedSecrets:
    """Secrets that were verified a moment ago, so that a busy client costs one scrypt a minute and not one a token.

    Neither secrets nor plain digests of them are kept, but BLAKE2 digests under a key that lives and dies with the
    process. The hash is a part of what is digested: with a new hash in the file, the old secret is forgotten.
    """

    def __init__(self, clock: Callable[[], float], *, seconds: float = 60.0, most: int = 1024) -> None:
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._digests: TTLCache[bytes, bool] = TTLCache(maxsize=most, ttl=seconds, timer=clock)

    def remember(self, secret: str, written: str) -> None:
        """Note that the secret was verified against this hash."""
        self._digests[self._digest(secret, written)] = True

    def knows(self, secret: str, written: str) -> bool:
        """Whether the secret was verified against this hash within the last `seconds`."""
        return self._digest(secret, written) in self._digests

    def _digest(self, secret: str, written: str) -> bytes:
        # No hash contains NUL, so the first one ends it, whatever the secret contains.
        return blake2b(f"{written}\0{secret}".encode(), key=self._key, digest_size=32).digest()


def _derive(secret: str, cost: ScryptCost, salt: bytes, length: int) -> bytes:
    return Scrypt(salt=salt, length=length, n=cost.n, r=cost.r, p=cost.p).derive(secret.encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
