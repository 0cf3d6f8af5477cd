"""What an issuer has revoked, as its feed tells it, and whether a token is among it.

The feed is a JSON object: `cursor`, and `revocations`, each with its `kind`:

    jti     one token             hash: SHA-256 of iss, NUL, jti, as hex digits
    client  a client's tokens     hash: SHA-256 of iss, NUL, client_id; before: those issued earlier than this
    key     a signing key         kid: all tokens that it signed

Identifiers are hashed because the feed is public; a key's is public anyway. Times in seconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from gateway.policy.model import Claims

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FeedError(ValueError):
    """The document is no feed; the message says why and quotes nothing of it."""


@lru_cache(maxsize=1 << 14)
def digest(issuer: str, identifier: str) -> str:
    """What stands in the feed for a `jti` or a client's identifier; the same few are asked for again and again."""
    return sha256(f"{issuer}\0{identifier}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class RevokedTokens:
    """What one issuer has revoked, at one moment.

    Attributes:
        jtis: digests of tokens.
        clients: digest of a client -> its tokens that were issued earlier than this.
        kids: of keys.
        skipped: entries that say nothing that is known here.
    """

    jtis: frozenset[str] = frozenset()
    clients: Mapping[str, float] = field(default_factory=dict)
    kids: frozenset[str] = frozenset()
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.jtis) + len(self.clients) + len(self.kids)

    def covers(self, claims: Claims, kid: str | None) -> bool:
        """Whether a token is revoked. Of a revoked client also one that does not say when it was issued."""
        if kid in self.kids:
            return True
        if self.jtis and claims.jti and digest(claims.issuer, claims.jti) in self.jtis:
            return True
        before = self.clients.get(digest(claims.issuer, claims.client_id)) if self.clients else None
        return before is not None and (claims.issued_at is None or claims.issued_at < before)


NOTHING_REVOKED = RevokedTokens()


def is_digest(text: str) -> bool:
    """Whether it is what `digest` makes."""
    return _DIGEST.fullmatch(text) is not None


def read_feed(document: Mapping[str, object]) -> RevokedTokens:
    """Read a feed. An entry of an unknown kind is skipped and counted, so that a later version may add one.

    Raises:
        FeedError: it is no feed, or an entry of a known kind has not the members that it needs.
    """
    entries = document.get("revocations")
    if not isinstance(entries, list):
        raise FeedError("the feed has no array 'revocations'")
    jtis: set[str] = set()
    clients: dict[str, float] = {}
    kids: set[str] = set()
    skipped = 0
    for entry in entries:
        match entry:
            case {"kind": "jti", "hash": str(hashed)} if is_digest(hashed):
                jtis.add(hashed)
            case {"kind": "client", "hash": str(hashed), "before": int() | float() as before} if is_digest(hashed):
                clients[hashed] = max(before, clients.get(hashed, before))
            case {"kind": "key", "kid": str(kid)}:
                kids.add(kid)
            case {"kind": str(kind)} if kind not in ("jti", "client", "key"):
                skipped += 1
            case _:
                raise FeedError("an entry of the feed lacks what its kind needs")
    return RevokedTokens(frozenset(jtis), clients, frozenset(kids), skipped)
