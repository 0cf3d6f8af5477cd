"""The last good key set of an issuer on disk, so that a restart while the issuer is down still serves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.tokens.kept_file import KeptFile

log = logging.getLogger(__name__)

MOST_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class KeptKeys:
    """A JWK Set that was fetched before; `fetched_at` in seconds since the epoch."""

    document: Mapping[str, Any]
    fetched_at: float


class KeyStore:
    """One issuer's file in a folder. What cannot be read or written is logged, and is no reason to stop.

    Args:
        folder: made when needed, for its owner only: who can write there decides whose tokens are taken.
        name: the issuer's key in the configuration.
        issuer: what the keys belong to; a file that was kept for another one is not used.
    """

    def __init__(self, folder: Path, name: str, issuer: str) -> None:
        self.path = folder / f"{name}.json"
        self._file = KeptFile(self.path, issuer, "keys", MOST_BYTES)

    def load(self) -> KeptKeys | None:
        """What was kept; None where there is nothing of use."""
        kept = self._file.load()
        if kept is None:
            return None
        document, fetched_at = kept.get("jwks"), kept.get("fetched_at")
        if not isinstance(document, dict) or not isinstance(fetched_at, int | float):
            log.warning("%s: holds no key set", self.path)
            return None
        return KeptKeys(document, float(fetched_at))

    def save(self, kept: KeptKeys) -> None:
        """Keep a set in the place of the one before; a crash leaves one or the other, whole."""
        self._file.save(fetched_at=kept.fetched_at, jwks=dict(kept.document))
