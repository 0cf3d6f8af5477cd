"""The last good key set of an issuer on disk, so that a restart while the issuer is down still serves."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

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
        self._issuer = issuer

    def load(self) -> KeptKeys | None:
        """What was kept; None where there is nothing of use."""
        try:
            with self.path.open("rb") as file:
                kept = orjson.loads(file.read(MOST_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            log.warning("%s: kept keys cannot be used: %s", self.path, error)
            return None
        if not isinstance(kept, dict) or kept.get("issuer") != self._issuer:
            log.warning("%s: holds no keys of %s", self.path, self._issuer)
            return None
        document, fetched_at = kept.get("jwks"), kept.get("fetched_at")
        if not isinstance(document, dict) or not isinstance(fetched_at, int | float):
            log.warning("%s: holds no key set", self.path)
            return None
        return KeptKeys(document, float(fetched_at))

    def save(self, kept: KeptKeys) -> None:
        """Keep a set in the place of the one before; a crash leaves one or the other, whole."""
        text = orjson.dumps({"issuer": self._issuer, "fetched_at": kept.fetched_at, "jwks": dict(kept.document)})
        fresh = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_bytes(text)
            fresh.replace(self.path)
        except OSError as error:
            log.warning("%s: keys cannot be kept: %s", self.path, error.strerror)
