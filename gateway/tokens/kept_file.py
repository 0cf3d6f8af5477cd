"""A JSON object of one issuer on disk: what was fetched last, for a restart while the issuer is down."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)


class KeptFile:
    """One file. What cannot be read or written is logged, and is no reason to stop.

    Args:
        path: in a folder that is made when needed, for its owner only: who can write there decides whose tokens are
            taken.
        issuer: whose it is; a file that was kept for another one is not used.
        what: is kept, for messages.
        most_bytes: that are read.
    """

    def __init__(self, path: Path, issuer: str, what: str, most_bytes: int) -> None:
        self.path = path
        self._issuer = issuer
        self._what = what
        self._most_bytes = most_bytes

    def load(self) -> dict[str, Any] | None:
        """What was kept; None where there is nothing of this issuer."""
        try:
            with self.path.open("rb") as file:
                kept = orjson.loads(file.read(self._most_bytes))
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            log.warning("%s: kept %s cannot be used: %s", self.path, self._what, error)
            return None
        if not isinstance(kept, dict) or kept.get("issuer") != self._issuer:
            log.warning("%s: holds no %s of %s", self.path, self._what, self._issuer)
            return None
        return kept

    def save(self, **members: object) -> None:
        """Keep this in the place of what was kept before; a crash leaves one or the other, whole."""
        fresh = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_bytes(orjson.dumps({"issuer": self._issuer, **members}))
            fresh.replace(self.path)
        except OSError as error:
            log.warning("%s: %s cannot be kept: %s", self.path, self._what, error.strerror)
